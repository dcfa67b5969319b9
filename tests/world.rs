//! Where the promises of the core types are tried: every backend, random inputs, and clients that die at any call.

mod counted;
mod crash;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use governance::guard::{Admissions, Recorder, Role};
use governance::ledger::{Durability, Ledger};
use governance::store::{Actor, Admission, Store};
use governance::testing::Rig;
use governance::vocabulary::{AgentId, AgentRole, Clock, Keys, Millis, PipelineId, Ports, TenantId, Tier};
use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseError, TestError, TestRng, TestRunner};
use tempfile::TempDir;

use self::counted::Counted;
pub use self::crash::{Crash, HeldUp};
use self::crash::{Fate, Fated};

/// The longest that a condition is waited for.
const PATIENCE: Duration = Duration::from_secs(30);
/// Names a seed to repeat a failure.
const SEED: &str = "GOVERNANCE_SEED";
/// Multiplies the number of inputs that a property is tried on.
const EFFORT: &str = "GOVERNANCE_EFFORT";

/// A backend to try something on.
#[derive(Clone, Copy)]
pub struct Backend {
    /// Its name.
    pub name: &'static str,
    /// Makes its rig.
    pub rig: fn() -> Arc<dyn Rig>,
    /// How many inputs a property is tried on.
    pub inputs: u32,
}

/// Each promise becomes one test a backend: `memory::…`, `sqlite::…`, `redis7::…`, `valkey9::…`. A promise is a `fn(Backend)` beside it.
#[macro_export]
macro_rules! on_every_backend {
    ($($promise:ident)+) => {
        $crate::on_backend!(memory 48: $($promise)+);
        $crate::on_backend!(sqlite 12: $($promise)+);
        $crate::on_backend!(redis7 12: $($promise)+);
        $crate::on_backend!(valkey9 6: $($promise)+);
    };
}

/// The promises on one backend.
#[macro_export]
macro_rules! on_backend {
    ($backend:ident $inputs:literal: $($promise:ident)+) => {
        mod $backend {
            const BACKEND: $crate::world::Backend =
                $crate::world::Backend { name: stringify!($backend), rig: $crate::rigs::$backend, inputs: $inputs };

            $(#[test]
            fn $promise() {
                super::$promise(BACKEND);
            })+
        }
    };
}

impl Backend {
    /// Tells a story once.
    pub fn story(self, tell: impl AsyncFnOnce(World)) {
        runtime().block_on(tell(World::new(&(self.rig)())));
    }

    /// The same with fewer inputs, for a property of which each one costs much.
    #[must_use]
    pub fn costly(self) -> Self {
        Self { inputs: self.inputs.div_ceil(3), ..self }
    }

    /// Tries a property on random inputs. A failure is shrunk, and prints the seed that repeats it.
    pub fn property<S: Strategy>(self, inputs: S, holds: impl AsyncFn(World, S::Value)) {
        let seed = seed();
        let effort = std::env::var(EFFORT).ok().and_then(|effort| effort.parse().ok()).unwrap_or(1);
        let config = Config { cases: self.inputs * effort, failure_persistence: None, max_shrink_iters: 400, ..Config::default() };
        let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed_bytes(seed)));
        let (runtime, rig) = (runtime(), (self.rig)());
        let tried = runner.run(&inputs, |input| {
            runtime.block_on(holds(World::new(&rig), input));
            Ok::<_, TestCaseError>(())
        });
        match tried {
            Ok(()) => {}
            Err(TestError::Fail(why, input)) => panic!("on {}: {why}\nwith {input:#?}\nrepeat it with {SEED}={seed}", self.name),
            Err(TestError::Abort(why)) => panic!("on {}: gave up: {why}", self.name),
        }
    }
}

fn seed() -> u64 {
    let named = std::env::var(SEED).ok().and_then(|seed| seed.parse().ok());
    named.unwrap_or_else(|| {
        let mut fresh = [0; 8];
        Ports::default().chance.fill(&mut fresh);
        u64::from_le_bytes(fresh)
    })
}

fn seed_bytes(seed: u64) -> [u8; 32] {
    let mut bytes = [0; 32];
    bytes[..8].copy_from_slice(&seed.to_le_bytes());
    bytes
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// A tenant of its own on a backend.
pub struct World {
    rig: Arc<dyn Rig>,
    keys: Keys,
    home: OnceLock<TempDir>,
}

/// The store's name in its ledger.
pub const STORE_URL: &str = "the-store";

impl World {
    fn new(rig: &Arc<dyn Rig>) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let tenant = TenantId::new(format!("world-{}", NUMBER.fetch_add(1, Ordering::Relaxed))).unwrap();
        Self { rig: rig.clone(), keys: Keys::of(&tenant, false), home: OnceLock::new() }
    }

    /// A handle of its own on the state, as another process would have it.
    pub async fn store(&self) -> Store {
        let backend = self.rig.open(&self.keys).await.unwrap();
        Store::new(backend, self.keys.clone(), Ports::default()).await.unwrap()
    }

    /// A person or a part of the system, with a handle of its own.
    pub async fn actor(&self, name: &str) -> (Store, Actor) {
        let store = self.store().await;
        let actor = Actor::system(&store, name).await.unwrap();
        (store, actor)
    }

    /// A handle whose process dies at its `commit`-th commit, before it took effect or after.
    pub async fn mortal(&self, commit: u64, after: bool) -> (Store, Crash) {
        let (crash, dead) = Crash::new();
        (self.fated(commit, if after { Fate::DiesAfter(dead) } else { Fate::DiesBefore(dead) }).await, crash)
    }

    /// A handle whose `commit`-th commit is held up on the way.
    pub async fn slow(&self, commit: u64) -> (Store, HeldUp) {
        let (arrival, arrivals) = tokio::sync::mpsc::unbounded_channel();
        (self.fated(commit, Fate::IsHeldUp(arrival)).await, HeldUp { arrivals })
    }

    /// A handle whose questions are counted.
    pub async fn counted(&self) -> (Store, Arc<AtomicU64>) {
        let reads = Arc::new(AtomicU64::new(0));
        let counted = Counted { backend: self.rig.open(&self.keys).await.unwrap(), reads: reads.clone() };
        (Store::new(Arc::new(counted), self.keys.clone(), Ports::default()).await.unwrap(), reads)
    }

    /// The tenant is set up already, so that opening the handle commits nothing.
    async fn fated(&self, at: u64, fate: Fate) -> Store {
        let fated = Fated { backend: self.rig.open(&self.keys).await.unwrap(), commits: AtomicU64::new(0), at, fate };
        Store::new(Arc::new(fated), self.keys.clone(), Ports::default()).await.unwrap()
    }

    /// A handle of its own on the world's ledger, as another process would have it.
    pub async fn ledger(&self) -> (Ledger, Recorder) {
        self.ledger_with(Ports::default()).await
    }

    /// The same, with a clock of its own.
    pub async fn ledger_with(&self, ports: Ports) -> (Ledger, Recorder) {
        let home = self.home.get_or_init(|| tempfile::tempdir().unwrap()).path();
        let ledger = Ledger::open(home, ports, Durability::Process).await.unwrap();
        let recorder = Recorder::new(&ledger, STORE_URL);
        (ledger, recorder)
    }

    /// A handle on the state with a clock of its own.
    pub async fn store_with(&self, clock: Arc<dyn Clock>) -> Store {
        let backend = self.rig.open(&self.keys).await.unwrap();
        Store::new(backend, self.keys.clone(), Ports { clock, ..Ports::default() }).await.unwrap()
    }

    /// Begins a pipeline; what its agents are admitted under.
    pub async fn pipeline(&self, id: &PipelineId) -> Admission {
        Admissions::new(&self.store().await, &Recorder::default()).begin_pipeline(id, "try it").await.unwrap()
    }

    /// Admits an agent under a pipeline's or an agent's admission, with a handle of its own.
    pub async fn agent(&self, parent: &Admission, pipeline: &PipelineId, name: &str) -> (Store, Actor) {
        let store = self.store().await;
        let role = Role { role: AgentRole::Alpha, tier: Tier::T1 };
        let id = AgentId::new(name).unwrap();
        let actor = Admissions::new(&store, &Recorder::default()).admit(parent, pipeline, &id, role).await.unwrap();
        (store, actor)
    }

    /// Hands on the state from outside.
    #[must_use]
    pub fn rig(&self) -> &dyn Rig {
        &*self.rig
    }
}

/// Waits until something holds.
pub async fn until(what: &str, holds: impl AsyncFn() -> bool) {
    let patience = Instant::now() + PATIENCE;
    while !holds().await {
        assert!(Instant::now() < patience, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Waits until the store's time has passed a point.
pub async fn until_after(store: &Store, time: Millis) {
    let patience = Instant::now() + PATIENCE;
    while store.now().await.unwrap() <= time {
        assert!(Instant::now() < patience, "the store's time stands still");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

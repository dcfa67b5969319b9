//! The time of an SQLite store: no jump of the wall clock moves it, so none lapses what somebody still holds.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use governance::ErrorBudget;
use governance::coordination::Lease;
use governance::guard::{Settled, Unit};
use governance::store::{Actor, Store};
use governance::vocabulary::{Clock, Millis, Ports, TenantId};
use tempfile::TempDir;

const DAY: i64 = 24 * 60 * 60 * 1_000;
/// Longer than any of these tests takes.
const MOMENT: Duration = Duration::from_secs(60);

/// The machine's clock, whose time of day can be set.
#[derive(Default)]
struct Wall {
    off: AtomicI64,
}

impl Wall {
    fn off_by(off: i64) -> Arc<Self> {
        Arc::new(Self { off: AtomicI64::new(off) })
    }
}

impl Clock for Wall {
    fn now(&self) -> Millis {
        Millis(Ports::default().clock.now().0.saturating_add_signed(self.off.load(Ordering::SeqCst)))
    }

    fn elapsed(&self) -> Duration {
        Ports::default().clock.elapsed()
    }
}

struct File {
    folder: TempDir,
}

impl File {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("store.db")
    }

    async fn open(&self, clock: Arc<Wall>) -> Store {
        let url = format!("sqlite:{}", self.path().display());
        Store::open_as(&url, &TenantId::default(), Ports { clock, ..Ports::default() }).await.unwrap()
    }
}

fn is_near(one: Millis, other: Millis) -> bool {
    one.since(other).max(other.since(one)) < MOMENT
}

/// What the next boot finds: the elapsed time of this one means nothing to it.
fn as_of_another_boot(path: &Path, now: Millis) {
    let changed = "UPDATE clock SET boot = 'another', anchor = 1, now = ?1";
    assert_eq!(rusqlite::Connection::open(path).unwrap().execute(changed, [now.0.cast_signed()]).unwrap(), 1);
}

#[tokio::test]
async fn a_wall_clock_that_jumps_forward_lapses_nothing() {
    let file = File::new();
    let wall = Wall::off_by(0);
    let store = file.open(wall.clone()).await;
    let (holder, governor) = (Actor::system(&store, "alpha").await.unwrap(), Actor::system(&store, "governor").await.unwrap());
    let budget = ErrorBudget::open(&store, &holder);
    budget.grant(&governor, Unit::Calls, 10).await.unwrap();
    let share = budget.reserve(Unit::Calls, 4, Duration::from_secs(3600)).await.unwrap().unwrap();
    let (key, fence) = (store.keys().agent_lock(&holder.id), store.keys().agent_fence(&holder.id));
    let mut lease = Lease::claim(&store, key, fence, &holder, Duration::from_secs(3600)).await.unwrap().unwrap();
    let before = store.now().await.unwrap();
    wall.off.store(DAY, Ordering::SeqCst);
    assert!(is_near(store.now().await.unwrap(), before), "the store's time went with the wall clock");
    // Also for a process that is started after the jump.
    let later = file.open(wall).await;
    assert!(is_near(later.now().await.unwrap(), before));
    assert_eq!(ErrorBudget::open(&later, &holder).lapse(&governor).await.unwrap(), 0, "a share that is still held lapsed");
    assert_eq!(budget.settle(&share, 1).await.unwrap(), Settled::Within);
    assert!(lease.renew().await.unwrap());
}

#[tokio::test]
async fn a_wall_clock_that_is_set_back_revives_nothing() {
    let file = File::new();
    let wall = Wall::off_by(0);
    let store = file.open(wall.clone()).await;
    let holder = Actor::system(&store, "alpha").await.unwrap();
    let (key, fence) = (store.keys().agent_lock(&holder.id), store.keys().agent_fence(&holder.id));
    let ttl = Duration::from_millis(20);
    let mut lease = Lease::claim(&store, key, fence, &holder, ttl).await.unwrap().unwrap();
    let before = store.now().await.unwrap();
    wall.off.store(-DAY, Ordering::SeqCst);
    governance_tests::world::until_after(&store, before.after(ttl)).await;
    assert!(!lease.renew().await.unwrap(), "it lapsed at its pace");
}

#[tokio::test]
async fn processes_with_different_wall_clocks_have_one_time() {
    let file = File::new();
    let mut stores = Vec::new();
    for off in [0, DAY, -DAY, 7 * DAY] {
        stores.push(file.open(Wall::off_by(off)).await);
    }
    let first = stores[0].now().await.unwrap();
    for store in &stores {
        // One that has written, too.
        let writer = Actor::system(store, "writer").await.unwrap();
        store.apply(writer.commit().put(store.keys().agent_packet(&writer.id), "x")).await.unwrap();
        assert!(is_near(store.now().await.unwrap(), first));
    }
    assert!(is_near(first, Ports::default().clock.now()), "and it began with the first one's wall clock");
}

#[tokio::test]
async fn after_another_boot_the_time_goes_on_from_the_wall_clock_or_from_where_it_was() {
    for ahead in [0, 3 * DAY] {
        let file = File::new();
        drop(file.open(Wall::off_by(0)).await);
        let last = Millis(Ports::default().clock.now().0.saturating_add_signed(ahead - DAY));
        as_of_another_boot(&file.path(), last);
        let expected = last.max(Ports::default().clock.now());
        let (store, other) = (file.open(Wall::off_by(0)).await, file.open(Wall::off_by(DAY)).await);
        assert!(is_near(store.now().await.unwrap(), expected));
        assert!(is_near(other.now().await.unwrap(), expected), "the first one to open the file after the boot anchors it");
    }
}

//! What a fenced commit costs on a Redis-protocol server, beside what it replaces. `cargo bench -p governance-benches --bench redis`.
//!
//! One caller: client and server share one pinned core, so that no cross-core wake makes the latency bimodal; the forms take turns. Many callers:
//! one connection, client and server on a core each. The processor time of each is told beside what was waited: on a busy machine it is what
//! can be compared.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use fred::clients::Client;
use fred::interfaces::{ClientLike, KeysInterface, StreamsInterface};
use fred::types::config::Config;
use governance::store::{Admission, Backend, Cell, Commit, Event, Outcome, Redis, RedisOptions, Store, StoreUrl, Write};
use governance::vocabulary::{Key, Keys, Kind, Ports, TenantId};
use governance_tests::servers::{Product, Server};
use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

const ROUNDS: usize = 15;
const CALLS: usize = 1_500;

fn main() {
    for product in [Product::Redis, Product::Valkey] {
        let folder = tempfile::tempdir().unwrap();
        let server = Server::start(product, folder.path(), "bench", &[]);
        let url = StoreUrl::parse(&format!("redis+unix://{}", server.socket.display())).unwrap();
        let only = std::env::args().nth(1).filter(|word| !word.starts_with('-'));
        let wanted = |name: &str| only.as_deref().is_none_or(|only| only == name);
        println!("\n{product:?}, unix socket");
        if wanted("alone") {
            pin(&server, 0, 0);
            single_threaded(alone(&url, &server));
        }
        pin(&server, 1, 0);
        for tasks in [50, 200] {
            if wanted("together") {
                single_threaded(together(&url, &server, tasks));
            }
        }
        if wanted("noticed") {
            single_threaded(noticed(&url));
        }
    }
}

fn single_threaded(work: impl Future<Output = ()>) {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work);
}

fn pin(server: &Server, servers: usize, ours: usize) {
    let core = |number| {
        let mut set = CpuSet::new();
        set.set(number);
        set
    };
    // A machine with one core has no other to pin to.
    let _ = sched_setaffinity(Pid::from_raw(i32::try_from(server.pid()).unwrap()), &core(servers));
    let _ = sched_setaffinity(None, &core(ours));
}

/// The processor time that this process and the server have taken.
fn spent(server: &Server) -> [Duration; 2] {
    let ours = clock_gettime(ClockId::ProcessCPUTime);
    let told = std::fs::read_to_string(format!("/proc/{}/schedstat", server.pid())).unwrap();
    let theirs = told.split_whitespace().next().unwrap().parse().unwrap();
    [Duration::new(ours.tv_sec.cast_unsigned(), u32::try_from(ours.tv_nsec).unwrap()), Duration::from_nanos(theirs)]
}

struct Agent {
    store: Store,
    backend: Arc<Redis>,
    admission: Admission,
    table: Key,
    log: Key,
    value: Bytes,
}

impl Agent {
    async fn new(url: &StoreUrl) -> Self {
        let keys = Keys::of(&TenantId::new("bench").unwrap(), false);
        let backend = Redis::open(url, &keys, Ports::default(), RedisOptions::default()).await.unwrap();
        let store = Store::new(backend.clone(), keys.clone(), Ports::default()).await.unwrap();
        let key = |name: &str, kind| Key::new(format!("{}{name}", keys.prefix()), kind);
        let (pipeline, agent) = (key("pipeline:p1:epoch", Kind::Epoch), key("agent:alpha-1:epoch", Kind::Epoch));
        let raised = store.apply(Commit::default().raise(pipeline.clone()).raise(agent.clone())).await.unwrap().results;
        let admission = store.admission().await.unwrap().and(pipeline, raised[0]).and(agent, raised[1]);
        let (table, log) = (key("blackboard:t:solutions", Kind::Table), key("blackboard:t:events", Kind::Log));
        Self { store, backend, admission, table, log, value: Bytes::from(vec![b'x'; 1024]) }
    }

    /// Admission by tenant, pipeline and agent, a token, 1 KB to a field, and its event.
    fn commit(&self, number: usize) -> Commit {
        // Each agent writes an entry of its own.
        let event = Some(Event { log: self.log.clone(), meta: Bytes::from_static(b"alpha-1"), bound: 1_000 });
        let cell = Cell::field(self.table.clone(), format!("entry-{}", number % 200));
        Commit::by(&self.admission).token(self.store.fresh_token()).write(Write::Put { cell, value: self.value.clone(), ttl: None, event })
    }
}

async fn alone(url: &StoreUrl, server: &Server) {
    let agent = Agent::new(url).await;
    let client = Client::new(Config::from_url(&format!("redis+unix://{}", server.socket.display())).unwrap(), None, None, None);
    client.init().await.unwrap();
    let [mut set, mut three, mut port, mut store, mut within] = [const { Vec::new() }; 5];
    let mut taken = [const { [const { Vec::new() }; 3] }; 5];
    for round in 0..=ROUNDS {
        let mut of = [const { Vec::new() }; 5];
        // In turns of a hundred: on one core, what a server does after its reply is paid by the next call.
        for turn in 0..CALLS / 100 * 5 {
            let form = turn % 5;
            let before = spent(server);
            for number in 0..100 {
                let time = match form {
                    0 => timed(async { client.set::<(), _, _>("plain", agent.value.clone(), None, None, false).await.unwrap() }).await,
                    1 => {
                        timed(async {
                            let pipeline = client.pipeline();
                            let _: () = pipeline.set("three:value", agent.value.clone(), None, None, false).await.unwrap();
                            let _: () = pipeline.incr("three:version").await.unwrap();
                            let bound = ("MAXLEN", "~", 1_000);
                            let _: () = pipeline.xadd("three:log", false, bound, "*", ("value", agent.value.clone())).await.unwrap();
                            pipeline.all::<()>().await.unwrap();
                        })
                        .await
                    }
                    2 => {
                        timed(async {
                            let commit = agent.commit(number);
                            assert!(matches!(agent.backend.commit(&commit).await.unwrap(), Outcome::Accepted(_)));
                        })
                        .await
                    }
                    3 => timed(async { drop(agent.store.apply(agent.commit(number)).await.unwrap()) }).await,
                    _ => {
                        timed(async {
                            let set = client.set::<(), _, _>("plain", agent.value.clone(), None, None, false);
                            tokio::time::timeout(Duration::from_secs(5), set).await.unwrap().unwrap();
                        })
                        .await
                    }
                };
                of[form].push(time);
            }
            if round > 0 {
                let after = spent(server);
                let [ours, theirs] = [0, 1].map(|who| (after[who] - before[who]) / 100);
                [ours, theirs, ours + theirs].into_iter().zip(&mut taken[form]).for_each(|(time, all)| all.push(time));
            }
        }
        if round > 0 {
            let [a, b, c, d, e] = of.map(|mut times| percentile(&mut times, 50));
            set.push(a);
            three.push(b);
            port.push(c);
            store.push(d);
            within.push(e);
        }
    }
    let [set, three, port, store, within] = [set, three, port, store, within].map(|mut medians| percentile(&mut medians, 50));
    let micros = |time: Duration| time.as_secs_f64() * 1e6;
    println!("  SET 1 KB                        {:6.1} µs", micros(set));
    println!("  SET 1 KB within a deadline      {:6.1} µs", micros(within));
    println!("  SET + INCR + XADD, unfenced     {:6.1} µs", micros(three));
    println!("  fenced put, port                {:6.1} µs  {:.2} × SET", micros(port), port.as_secs_f64() / set.as_secs_f64());
    println!(
        "  fenced put, store handle        {:6.1} µs  {:.2} × SET (goal 2), {:.2} × the pipeline (goal 1)",
        micros(store),
        store.as_secs_f64() / set.as_secs_f64(),
        store.as_secs_f64() / three.as_secs_f64()
    );
    // The quietest tenth of the turns: what others do on the machine fills the caches of both.
    let taken = taken.map(|of| of.map(|mut times| percentile(&mut times, 10)));
    let whole = |form: usize| taken[form][2].as_secs_f64();
    for (form, name) in ["SET 1 KB", "SET + INCR + XADD", "fenced put, port", "fenced put, store handle", "SET 1 KB within a deadline"]
        .into_iter()
        .enumerate()
    {
        let [ours, theirs, both] = taken[form].map(micros);
        println!(
            "    processor time: {name:<27} {ours:5.1} + {theirs:4.1} µs of the server = {both:5.1} µs  {:.2} × SET, {:.2} × the pipeline",
            whole(form) / whole(0),
            whole(form) / whole(1)
        );
    }
}

async fn together(url: &StoreUrl, server: &Server, tasks: usize) {
    let agent = Arc::new(Agent::new(url).await);
    let each = 100_000 / tasks;
    let mut best = 0.0_f64;
    let mut all = Vec::new();
    let mut taken = [Duration::MAX; 2];
    for _ in 0..3 {
        let (start, before) = (Instant::now(), spent(server));
        let workers: Vec<_> = (0..tasks)
            .map(|task| {
                let agent = agent.clone();
                tokio::spawn(async move {
                    for _ in 0..each {
                        agent.store.apply(agent.commit(task)).await.unwrap();
                    }
                })
            })
            .collect();
        for worker in workers {
            worker.await.unwrap();
        }
        let rate = (each * tasks) as f64 / start.elapsed().as_secs_f64();
        let after = spent(server);
        for who in [0, 1] {
            taken[who] = taken[who].min((after[who] - before[who]) / u32::try_from(each * tasks).unwrap());
        }
        all.push(format!("{rate:.0}"));
        best = best.max(rate);
    }
    let [ours, theirs] = taken.map(|time| time.as_secs_f64() * 1e6);
    println!(
        "  {tasks:3} tasks, one connection        {best:6.0} commits/s  ({});  processor time a commit: {ours:.1} µs here, {theirs:.1} µs the server's",
        all.join(", ")
    );
}

async fn noticed(url: &StoreUrl) {
    let reader = Agent::new(url).await.store;
    let writer = Agent::new(url).await;
    let mut watch = reader.watch(std::slice::from_ref(&writer.log)).await.unwrap();
    // The first watch wakes once for what may have happened before.
    while tokio::time::timeout(Duration::from_millis(100), watch.changed()).await.is_ok() {}
    let (mut since_sent, mut since_done) = (Vec::new(), Vec::new());
    for number in 0..3_000 {
        let sent = Instant::now();
        let noticed = tokio::spawn(async move {
            watch.changed().await;
            (Instant::now(), watch)
        });
        writer.store.apply(writer.commit(number)).await.unwrap();
        let done = Instant::now();
        let (at, again) = noticed.await.unwrap();
        watch = again;
        since_sent.push(at - sent);
        since_done.push(at.saturating_duration_since(done));
    }
    println!(
        "  another handle notices          p50 {:.0} µs, p99 {:.0} µs after the commit was sent ({:.0} µs after it was acknowledged)",
        percentile(&mut since_sent, 50).as_secs_f64() * 1e6,
        percentile(&mut since_sent, 99).as_secs_f64() * 1e6,
        percentile(&mut since_done, 50).as_secs_f64() * 1e6
    );
}

async fn timed(work: impl Future<Output = ()>) -> Duration {
    let start = Instant::now();
    work.await;
    start.elapsed()
}

fn percentile(times: &mut [Duration], percent: usize) -> Duration {
    times.sort_unstable();
    times[(times.len() - 1) * percent / 100]
}

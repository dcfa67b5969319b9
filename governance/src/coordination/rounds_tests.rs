//! Who recurs, and for how long.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use tokio::sync::Semaphore;

use super::*;

const SHORT: Duration = Duration::from_millis(1);

/// Counts how often its time came; works as long as nobody lets it go on.
struct Counts {
    came: AtomicU64,
    done: AtomicU64,
    works: Option<Semaphore>,
}

impl Counts {
    fn new(works: Option<Semaphore>) -> Arc<Self> {
        Arc::new(Self { came: AtomicU64::new(0), done: AtomicU64::new(0), works })
    }
}

impl Recurring for Counts {
    fn comes(self: Arc<Self>) -> Comes {
        self.came.fetch_add(1, Relaxed);
        if self.works.is_none() {
            return Comes::Again(SHORT);
        }
        Comes::Work(Box::pin(async move {
            self.works.as_ref()?.acquire().await.ok()?.forget();
            (self.done.fetch_add(1, Relaxed) < 2).then_some(SHORT)
        }))
    }
}

async fn until(holds: impl Fn() -> bool) {
    let all = async {
        while !holds() {
            tokio::time::sleep(SHORT).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), all).await.unwrap();
}

#[tokio::test]
async fn each_recurs_after_its_own_pause_until_it_is_dropped() {
    let store = Store::memory().await.unwrap();
    let (often, seldom) = (Counts::new(None), Counts::new(None));
    let late = Rounds::begin(&store, seldom.clone(), Duration::from_secs(60));
    let soon = Rounds::begin(&store, often.clone(), SHORT);
    until(|| often.came.load(Relaxed) > 5).await;
    assert_eq!(seldom.came.load(Relaxed), 0);
    drop(soon);
    let before = often.came.load(Relaxed);
    // Whoever comes later is served by the same task, so what was dropped would have come by then.
    let another = Counts::new(None);
    let later = Rounds::begin(&store, another.clone(), SHORT);
    until(|| another.came.load(Relaxed) > 5).await;
    assert_eq!(often.came.load(Relaxed), before);
    drop((late, later));
}

#[tokio::test]
async fn work_holds_up_nobody_else_comes_again_when_it_is_done_and_is_over_when_it_says_so() {
    let store = Store::memory().await.unwrap();
    let (works, counts) = (Counts::new(Some(Semaphore::new(0))), Counts::new(None));
    let (first, second) = (Rounds::begin(&store, works.clone(), SHORT), Rounds::begin(&store, counts.clone(), SHORT));
    until(|| works.came.load(Relaxed) == 1 && counts.came.load(Relaxed) > 5).await;
    assert_eq!(works.came.load(Relaxed), 1, "it comes again only when it is done");
    works.works.as_ref().unwrap().add_permits(10);
    until(|| works.done.load(Relaxed) == 3).await;
    let passed = counts.came.load(Relaxed);
    until(|| counts.came.load(Relaxed) > passed + 5).await;
    assert_eq!(works.came.load(Relaxed), 3, "it said that it is over");
    drop((first, second));
}

#[tokio::test]
async fn what_is_being_done_for_what_is_dropped_is_dropped_too() {
    let store = Store::memory().await.unwrap();
    let works = Counts::new(Some(Semaphore::new(0)));
    let recurrence = Rounds::begin(&store, works.clone(), SHORT);
    until(|| works.came.load(Relaxed) == 1).await;
    // The thing is held here, by its entry, and by the work.
    until(|| Arc::strong_count(&works) == 3).await;
    drop(recurrence);
    until(|| Arc::strong_count(&works) == 1).await;
    assert_eq!(works.done.load(Relaxed), 0);
}

/// Comes once, and never again.
struct Panics;

impl Recurring for Panics {
    fn comes(self: Arc<Self>) -> Comes {
        panic!("as it is meant to")
    }
}

#[tokio::test]
async fn one_that_panics_ends_itself_and_nobody_else() {
    let store = Store::memory().await.unwrap();
    let (thing, counts) = (Arc::new(Panics), Counts::new(None));
    let (first, second) = (Rounds::begin(&store, thing.clone(), SHORT), Rounds::begin(&store, counts.clone(), SHORT));
    until(|| counts.came.load(Relaxed) > 5).await;
    assert!(matches!(*lock(&first.0.state), State::Over));
    drop((first, second));
}

#[test]
fn what_was_begun_in_another_runtime_outlives_the_first_one() {
    let runtime = || tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let (first, second) = (runtime(), runtime());
    let store = first.block_on(Store::memory()).unwrap();
    let (early, late) = (Counts::new(None), Counts::new(None));
    let begun = first.block_on(async { Rounds::begin(&store, early.clone(), SHORT) });
    let stays = second.block_on(async { Rounds::begin(&store, late.clone(), SHORT) });
    drop(first);
    let (gone, before) = (early.came.load(Relaxed), late.came.load(Relaxed));
    second.block_on(until(|| late.came.load(Relaxed) > before + 5));
    assert_eq!(early.came.load(Relaxed), gone);
    drop((begun, stays));
}

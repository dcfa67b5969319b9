//! A reader that resumes sees every later entry in order, or is told of the gap.

use governance::coordination::{Cursor, Follower, Gap, Step};
use governance::store::{Commit, Store, Write};
use governance::vocabulary::{Key, TaskId};
use governance_tests::world::Backend;
use proptest::prelude::*;

governance_tests::on_every_backend! {
    a_reader_that_resumes_sees_every_later_entry_in_order_or_an_explicit_gap
    a_reader_that_waits_sees_every_entry_that_comes
    a_reader_is_told_once_that_the_store_was_recovered
    a_reader_is_told_that_a_restored_log_is_shorter_than_what_it_read
}

/// How many entries the log keeps.
const KEPT: u64 = 7;

fn log(store: &Store) -> Key {
    store.keys().bus_log(&TaskId::new("t").unwrap())
}

async fn append(store: &Store, number: u64) {
    let write = Write::Append { log: log(store), value: number.to_string().into(), bound: KEPT };
    store.apply(Commit::default().write(write)).await.unwrap();
}

/// Reads to the end; every position must be either seen, with its own entry, or named in a gap.
async fn read_on(store: &Store, cursor: Cursor) -> (Cursor, Vec<u64>) {
    let mut follower = Follower::new(store, log(store), cursor);
    let (mut expected, mut seen) = (cursor.position + 1, Vec::new());
    while let Some(step) = follower.step().await.unwrap() {
        match step {
            Step::Entries(entries) => {
                for entry in entries {
                    assert_eq!(entry.position, expected, "an entry was passed over in silence");
                    assert_eq!(entry.value, entry.position.to_string());
                    seen.push(entry.position);
                    expected += 1;
                }
            }
            Step::Missed(Gap::Dropped { from, through }) => {
                assert_eq!(from, expected, "a gap that does not begin where the reader stood");
                assert!(through >= from);
                expected = through + 1;
            }
            Step::Missed(Gap::Recovered) => panic!("nothing was recovered"),
        }
    }
    (follower.cursor(), seen)
}

fn a_reader_that_resumes_sees_every_later_entry_in_order_or_an_explicit_gap(on: Backend) {
    on.property(prop::collection::vec(0..12_u64, 1..12), async |world, bursts| {
        let (writer, reader) = (world.store().await, world.store().await);
        let (mut last, mut cursor) = (0, Cursor::default());
        for burst in bursts {
            for _ in 0..burst {
                last += 1;
                append(&writer, last).await;
            }
            let (next, seen) = read_on(&reader, cursor).await;
            assert_eq!(next.position, last, "the reader did not come to the end");
            // What the log must keep was not given up.
            assert!(seen.len() as u64 >= burst.min(KEPT).min(last));
            cursor = next;
        }
    });
}

fn a_reader_that_waits_sees_every_entry_that_comes(on: Backend) {
    on.story(async |world| {
        let (writer, reader) = (world.store().await, world.store().await);
        let mut follower = Follower::from_end(&reader, log(&reader)).await.unwrap();
        let reading = tokio::spawn(async move {
            let (mut expected, mut told) = (1, 0);
            while expected <= 300 {
                match follower.next().await.unwrap() {
                    Step::Entries(entries) => {
                        for entry in entries {
                            assert_eq!(entry.position, expected);
                            (expected, told) = (expected + 1, told + 1);
                        }
                    }
                    Step::Missed(Gap::Dropped { from, through }) => {
                        assert_eq!(from, expected);
                        expected = through + 1;
                    }
                    Step::Missed(Gap::Recovered) => panic!("nothing was recovered"),
                }
            }
            told
        });
        for number in 1..=300 {
            append(&writer, number).await;
        }
        assert!(reading.await.unwrap() > 0);
    });
}

fn a_reader_is_told_once_that_the_store_was_recovered(on: Backend) {
    on.story(async |world| {
        let store = world.store().await;
        for number in 1..=5 {
            append(&store, number).await;
        }
        let (cursor, _) = read_on(&store, Cursor::default()).await;
        world.rig().flush().await.unwrap();
        store.recover().await.unwrap();
        for number in 1..=6 {
            append(&store, number).await;
        }
        let mut follower = Follower::new(&store, log(&store), cursor);
        assert_eq!(follower.step().await.unwrap(), Some(Step::Missed(Gap::Recovered)));
        let (_, seen) = read_on(&store, follower.cursor()).await;
        assert_eq!(seen, [1, 2, 3, 4, 5, 6], "after the gap the new log is read from its beginning");
    });
}

fn a_reader_is_told_that_a_restored_log_is_shorter_than_what_it_read(on: Backend) {
    on.story(async |world| {
        let store = world.store().await;
        append(&store, 1).await;
        world.rig().dump().await.unwrap();
        for number in 2..=4 {
            append(&store, number).await;
        }
        let (cursor, _) = read_on(&store, Cursor::default()).await;
        world.rig().restore().await.unwrap();
        let mut follower = Follower::new(&store, log(&store), cursor);
        assert_eq!(follower.step().await.unwrap(), Some(Step::Missed(Gap::Recovered)));
    });
}

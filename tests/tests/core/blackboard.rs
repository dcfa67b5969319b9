//! The blackboard, held against a model in a map.

use std::collections::BTreeMap;

use governance::coordination::{BOARD_EVENTS_KEPT, Blackboard, BoardEvent, Cursor, Written};
use governance::store::{Actor, MAX_VALUE, Store};
use governance::vocabulary::{Section, TaskId};
use governance::{ErrorKind, RevocationEngine};
use governance_tests::world::{Backend, World};
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

governance_tests::on_every_backend! {
    it_does_what_the_model_does_and_tells_each_accepted_write_once
    of_k_writers_that_replace_one_version_exactly_one_wins
    updates_of_many_writers_are_all_kept
    a_write_repeated_under_its_token_is_written_once
    a_write_whose_writer_died_is_whole_with_its_event_or_not_there
    a_waiting_reader_hears_of_another_handles_write
    a_cursor_stands_behind_what_was_handed_out
    tasks_and_sections_never_meet
    content_beyond_the_limit_is_refused_and_changes_nothing
    a_stopped_author_writes_nothing
}

/// The versions of an entry: who wrote it, and what; nothing once removed.
type Versions = Vec<(usize, Option<i32>)>;
type Model<'a> = BTreeMap<(Section, &'a str), Versions>;

fn board(store: &Store, actor: &Actor) -> Blackboard {
    Blackboard::open(store, &TaskId::new("t").unwrap(), actor)
}

async fn opened(world: &World, name: &str) -> Blackboard {
    let (store, actor) = world.actor(name).await;
    board(&store, &actor)
}

/// Every event from a cursor on; the test fails on a gap.
async fn events(board: &Blackboard, cursor: Cursor) -> (Vec<BoardEvent>, Cursor) {
    let (mut reading, mut events) = (board.events(cursor), Vec::new());
    while let Some(piece) = reading.piece().await.unwrap() {
        events.extend(piece.into_iter().map(|event| event.expect("no gap")));
    }
    let cursor = reading.cursor();
    (events, cursor)
}

#[derive(Debug, Clone)]
struct Op {
    author: usize,
    section: Section,
    name: &'static str,
    /// Added to the version that is there.
    off: i64,
    /// None removes.
    content: Option<i32>,
}

fn ops() -> impl Strategy<Value = Vec<Op>> {
    let op = (
        0..2_usize,
        select(Section::ALL),
        select(vec!["a", "b", "plan.v2"]),
        select(vec![0_i64, 0, 0, -1, 1, 7]),
        prop::option::weighted(0.8, any::<i32>()),
    )
        .prop_map(|(author, section, name, off, content)| Op { author, section, name, off, content });
    prop::collection::vec(op, 1..40)
}

fn it_does_what_the_model_does_and_tells_each_accepted_write_once(on: Backend) {
    on.property((ops(), any::<prop::sample::Index>()), async |world, (ops, resume)| {
        let authors = [opened(&world, "alpha").await, opened(&world, "beta").await];
        // Each entry's versions, oldest first: author, content; and all of them in the order of their acceptance.
        let mut model: Model<'_> = BTreeMap::new();
        let mut accepted = Vec::new();
        let mut cursors = vec![Cursor::default()];
        for op in ops {
            let versions = model.entry((op.section, op.name)).or_default();
            let there = versions.len() as u64;
            let named = there.saturating_add_signed(op.off);
            let author = &authors[op.author];
            let written = match op.content {
                Some(content) => author.put_if(op.section, op.name, &json!({ "n": content }), named).await.unwrap(),
                None if named == 0 => {
                    assert_eq!(author.remove_if(op.section, op.name, 0).await.unwrap_err().kind(), ErrorKind::Invalid);
                    continue;
                }
                None => author.remove_if(op.section, op.name, named).await.unwrap(),
            };
            if named == there {
                assert_eq!(written, Written::Accepted(there + 1), "a write of the version that is there was not accepted");
                versions.push((op.author, op.content));
                accepted.push((op.section, op.name, there + 1));
                cursors.push(events(author, *cursors.last().unwrap()).await.1);
            } else {
                assert_eq!(written, Written::Conflict(there), "a write of another version was accepted");
            }
        }
        let reader = opened(&world, "reader").await;
        agrees(&reader, &model).await;
        let (told, _) = events(&reader, Cursor::default()).await;
        let told: Vec<_> = told.iter().map(|e| (e.entry.section, e.entry.name.to_string(), e.entry.version)).collect();
        let expected: Vec<_> = accepted.iter().map(|(section, name, version)| (*section, (*name).to_owned(), *version)).collect();
        assert_eq!(told, expected, "not exactly one event for each accepted write, in order");
        let place = resume.index(cursors.len());
        assert_eq!(events(&reader, cursors[place]).await.0.len(), accepted.len() - place, "a resumed reader saw another number of events");
    });
}

async fn agrees(board: &Blackboard, model: &Model<'_>) {
    let content = |content: Option<i32>| content.map_or(Value::Null, |n| json!({ "n": n }));
    let name_of = |author: usize| ["alpha", "beta"][author];
    for ((section, name), versions) in model {
        let found = board.entry(*section, name).await.unwrap();
        let Some((author, last)) = versions.last() else {
            assert_eq!(found, None);
            continue;
        };
        let found = found.unwrap();
        assert_eq!((found.version, found.author.as_str(), found.removed), (versions.len() as u64, name_of(*author), last.is_none()));
        assert_eq!(found.content, content(*last));
        let history: Vec<_> = board.history(*section, name).await.unwrap().into_iter().map(|e| (e.author.to_string(), e.content)).collect();
        let expected: Vec<_> = versions.iter().map(|(author, c)| (name_of(*author).to_owned(), content(*c))).collect();
        assert_eq!(history, expected);
    }
    for section in Section::ALL {
        let listed: Vec<_> = board.entries(*section).await.unwrap().into_iter().map(|e| e.name.to_string()).collect();
        let alive = |((s, name), versions): (&(Section, &str), &Versions)| {
            (s == section && versions.last().is_some_and(|(_, c)| c.is_some())).then(|| (*name).to_owned())
        };
        assert_eq!(listed, model.iter().filter_map(alive).collect::<Vec<_>>());
    }
}

fn of_k_writers_that_replace_one_version_exactly_one_wins(on: Backend) {
    on.property((2..9_usize, 1..6_u64), async |world, (writers, rounds)| {
        let mut boards = Vec::new();
        for number in 0..writers {
            boards.push(opened(&world, &format!("w{number}")).await);
        }
        for version in 0..rounds {
            let writes: Vec<_> = boards
                .iter()
                .map(|board| {
                    let board = board.clone();
                    tokio::spawn(async move { board.put_if(Section::Progress, "step", &version, version).await.unwrap() })
                })
                .collect();
            let mut won = 0;
            for write in writes {
                match write.await.unwrap() {
                    Written::Accepted(new) => {
                        assert_eq!(new, version + 1);
                        won += 1;
                    }
                    Written::Conflict(found) => assert_eq!(found, version + 1),
                }
            }
            assert_eq!(won, 1, "of {writers} writers at version {version}");
        }
        assert_eq!(events(&boards[0], Cursor::default()).await.0.len() as u64, rounds);
    });
}

fn updates_of_many_writers_are_all_kept(on: Backend) {
    on.story(async |world| {
        let mut writers = Vec::new();
        for number in 0..4 {
            let board = opened(&world, &format!("w{number}")).await;
            writers.push(tokio::spawn(async move {
                for _ in 0..10 {
                    let more = |held: Option<Value>| json!(held.and_then(|n| n.as_u64()).unwrap_or(0) + 1);
                    board.update(Section::Progress, "count", more).await.unwrap();
                }
            }));
        }
        for writer in writers {
            writer.await.unwrap();
        }
        let counted = opened(&world, "reader").await.entry(Section::Progress, "count").await.unwrap().unwrap();
        assert_eq!((counted.content, counted.version), (json!(40), 40));
    });
}

fn a_write_repeated_under_its_token_is_written_once(on: Backend) {
    on.story(async |world| {
        // A short name, so that the time is among what tells two commits apart.
        let (store, actor) = world.actor("a").await;
        let board = board(&store, &actor);
        let token = store.fresh_token();
        let put = async |content: i32| board.put_once(token.clone(), Section::Problem, "q", &content, 0).await;
        assert_eq!(put(1).await.unwrap(), Written::Accepted(1));
        let first = store.ports().clock.now();
        governance_tests::world::until("a later moment has come", async || store.ports().clock.now() > first).await;
        assert_eq!(put(1).await.unwrap(), Written::Accepted(1), "repeating it answers the same");
        assert_eq!(board.put_if(Section::Problem, "q", &2, 1).await.unwrap(), Written::Accepted(2));
        assert_eq!(put(1).await.unwrap(), Written::Accepted(1), "also when others have written since");
        assert_eq!(put(3).await.unwrap_err().code(), "token_reused", "another content under the same token is an error");
        let (told, _) = events(&board, Cursor::default()).await;
        assert_eq!(told.len(), 2);
        assert_eq!(told[0].token.as_ref(), Some(&token), "the event carries the token");
    });
}

fn a_write_whose_writer_died_is_whole_with_its_event_or_not_there(on: Backend) {
    on.story(async |world| {
        let (_, actor) = world.actor("alpha").await;
        for after in [false, true] {
            let (store, crash) = world.mortal(1, after).await;
            let name = format!("dies-{after}");
            assert_eq!(crash.during(board(&store, &actor).post(Section::Solutions, &name, &1)).await.map(|_| ()), None);
            let survivor = opened(&world, "beta").await;
            assert_eq!(survivor.entry(Section::Solutions, &name).await.unwrap().is_some(), after);
            assert_eq!(survivor.history(Section::Solutions, &name).await.unwrap().len(), usize::from(after));
        }
    });
}

fn a_waiting_reader_hears_of_another_handles_write(on: Backend) {
    on.story(async |world| {
        let (reader, writer) = (opened(&world, "reader").await, opened(&world, "writer").await);
        let mut events = reader.events(Cursor::default());
        let reading = tokio::spawn(async move {
            let mut versions = Vec::new();
            for _ in 0..20 {
                versions.push(events.next().await.unwrap().unwrap().entry.version);
            }
            versions
        });
        for version in 0..20 {
            writer.put_if(Section::Progress, "step", &version, version).await.unwrap();
        }
        assert_eq!(reading.await.unwrap(), (1..=20).collect::<Vec<_>>());
    });
}

fn a_cursor_stands_behind_what_was_handed_out(on: Backend) {
    on.property((1..30_u64, 0..30_u64), async |world, (written, read)| {
        let board = opened(&world, "alpha").await;
        for version in 0..written {
            board.put_if(Section::Progress, "step", &version, version).await.unwrap();
        }
        let read = read.min(written);
        let mut reading = board.events(Cursor::default());
        for position in 1..=read {
            assert_eq!(reading.next().await.unwrap().unwrap().position, position);
        }
        let resumed = events(&board, reading.cursor()).await.0;
        assert_eq!(resumed.iter().map(|e| e.position).collect::<Vec<_>>(), (read + 1..=written).collect::<Vec<_>>());
        // What was read but not handed out comes with the next piece.
        let mut rest = Vec::new();
        while let Some(piece) = reading.piece().await.unwrap() {
            rest.extend(piece.into_iter().map(|e| e.unwrap().position));
        }
        assert_eq!(rest, (read + 1..=written).collect::<Vec<_>>());
    });
}

fn tasks_and_sections_never_meet(on: Backend) {
    on.story(async |world| {
        let (store, actor) = world.actor("alpha").await;
        let boards: Vec<_> = ["t", "t2"].map(|task| Blackboard::open(&store, &TaskId::new(task).unwrap(), &actor)).to_vec();
        for board in &boards {
            for section in Section::ALL {
                assert_eq!(board.post(*section, "same", &1).await.unwrap(), 1);
            }
        }
        assert_eq!(boards[0].post(Section::Problem, "same", &1).await.unwrap_err().kind(), ErrorKind::Conflict);
        assert_eq!(events(&boards[1], Cursor::default()).await.0.len(), Section::ALL.len());
    });
}

fn content_beyond_the_limit_is_refused_and_changes_nothing(on: Backend) {
    on.story(async |world| {
        let board = opened(&world, "alpha").await;
        let refused = board.post(Section::Problem, "big", &"x".repeat(MAX_VALUE)).await.unwrap_err();
        assert_eq!((refused.kind(), refused.code()), (ErrorKind::Invalid, "value_too_large"));
        for name in ["", "a:b", "a b", &"n".repeat(129)] {
            assert_eq!(board.post(Section::Problem, name, &1).await.unwrap_err().kind(), ErrorKind::Invalid, "{name:?}");
        }
        assert!(board.entries(Section::Problem).await.unwrap().is_empty());
        assert!(events(&board, Cursor::default()).await.0.is_empty());
        const { assert!(BOARD_EVENTS_KEPT >= 1_000) };
    });
}

fn a_stopped_author_writes_nothing(on: Backend) {
    on.story(async |world| {
        let (store, actor) = world.actor("alpha").await;
        let board = board(&store, &actor);
        board.post(Section::Problem, "q", &1).await.unwrap();
        RevocationEngine::open(&world.store().await).stop_all("enough").await.unwrap();
        assert_eq!(board.put_if(Section::Problem, "q", &2, 1).await.unwrap_err().kind(), ErrorKind::Revoked);
        assert_eq!(board.remove_if(Section::Problem, "q", 1).await.unwrap_err().kind(), ErrorKind::Revoked);
        assert_eq!(events(&board, Cursor::default()).await.0.len(), 1);
    });
}

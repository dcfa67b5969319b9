use std::path::PathBuf;

use rusqlite::Connection;

use super::super::sealed::Sealed;
use super::super::{Action, Durability, Ledger, OutcomeResult};
use super::*;
use crate::vocabulary::{AgentId, PipelineId, Ports};

/// A ledger at rest, of one segment, sequenced in two batches: 41 entries and 42.
struct Made {
    home: tempfile::TempDir,
    database: PathBuf,
    heads: Vec<Head>,
}

const ENTRIES: u64 = 83;

async fn made() -> Made {
    let home = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(home.path(), Ports::default(), Durability::Process).await.unwrap();
    let (agent, pipeline) = (AgentId::new("alpha-1").unwrap(), PipelineId::new("pipeline-1").unwrap());
    let segment = ledger.segment().unwrap();
    let mut heads = Vec::new();
    for round in 0..2 {
        for call in 0..20 {
            let says = format!("{{\"round\":{round},\"call\":{call}}}");
            let intent = segment.intent(Action::ToolCall, Some(&agent), Some(&pipeline), &says).unwrap();
            segment.outcome(&intent, OutcomeResult::Ok, "{}").unwrap();
        }
        if round == 1 {
            let violation = r#"{"type":"lock_lost","severity":"HIGH","revocation":"lock"}"#;
            segment.append(&super::super::Entry::note(Millis(1), Action::Violation).payload(violation)).unwrap();
            segment.close().unwrap();
        }
        heads.extend(ledger.sequence(1).await.unwrap().heads);
    }
    ledger.close().await.unwrap();
    let database = home.path().join("governance.db");
    Made { home, database, heads }
}

impl Made {
    /// A copy, changed by SQL, so that one ledger serves many cases.
    fn changed(&self, sql: &str) -> Made {
        let copy = self.copy();
        let connection = Connection::open(&copy.database).unwrap();
        connection.pragma_update(None, "foreign_keys", "OFF").unwrap();
        connection.execute_batch(sql).unwrap_or_else(|e| panic!("{sql}: {e}"));
        drop(connection);
        copy
    }

    fn copy(&self) -> Made {
        let home = tempfile::tempdir().unwrap();
        for part in ["governance.db", "heads", "keys/ledger.pub"] {
            let to = home.path().join(part);
            std::fs::create_dir_all(to.parent().unwrap()).unwrap();
            std::fs::copy(self.home.path().join(part), to).unwrap();
        }
        let database = home.path().join("governance.db");
        Made { home, database, heads: self.heads.clone() }
    }

    fn first(&self) -> Option<Finding> {
        self.against(None)
    }

    fn against(&self, head: Option<&Head>) -> Option<Finding> {
        verify(&self.database, head).unwrap().first
    }
}

fn finding(seq: u64, fault: Fault) -> Option<Finding> {
    Some(Finding { seq, fault })
}

#[tokio::test]
async fn an_untouched_ledger_is_intact_and_stays_untouched() {
    let made = made().await;
    let files = || {
        let found = std::fs::read_dir(made.home.path()).unwrap().map(|file| file.unwrap().path());
        found.filter(|path| path.is_file()).map(|path| (std::fs::read(&path).unwrap(), path)).collect::<std::collections::BTreeSet<_>>()
    };
    let before = files();
    let report = verify(&made.database, made.heads.last()).unwrap();
    assert!(report.is_intact(), "{report:?}");
    assert_eq!((report.entries, report.heads, &report.root), (ENTRIES, 2, &made.heads[1].root));
    assert_eq!(verify(&made.database, made.heads.first()).unwrap().first, None);
    assert!(files() == before, "verify changed something");
    let json = serde_json::to_string(&report).unwrap();
    assert_eq!(serde_json::from_str::<Report>(&json).unwrap(), report);
}

#[tokio::test]
async fn an_edit_of_any_column_is_found_at_its_row() {
    let made = made().await;
    for (column, value) in [
        ("segment", "'other'"),
        ("number", "number + 1000"),
        ("at", "at + 1"),
        ("kind", "'note'"),
        ("action", "'vote'"),
        ("agent_id", "'beta-1'"),
        ("agent_id", "NULL"),
        ("agent_id", "''"),
        ("pipeline_id", "NULL"),
        ("intent", "'s.1'"),
        ("result", "'error'"),
        ("payload", "payload || ' '"),
        ("(payload, payload_hash)", "(NULL, zeroblob(32))"),
        ("(payload, payload_hash)", "(NULL, x'00')"),
        ("chain", "zeroblob(32)"),
        ("chain", "x'00'"),
    ] {
        let edited = made.changed(&format!("UPDATE agent_actions SET {column} = {value} WHERE seq = 50"));
        let found = edited.first().unwrap_or_else(|| panic!("{column} = {value} was not found"));
        assert_eq!(found.seq, 50, "{column} = {value}: {found:?}");
        if !matches!(column, "segment" | "number") {
            assert_eq!(found.fault, Fault::Edited, "{column} = {value}");
        }
    }
    assert_eq!(made.changed("UPDATE agent_actions SET seq = 1000 WHERE seq = 50").first(), finding(50, Fault::Missing));
}

#[tokio::test]
async fn deleted_swapped_and_inserted_rows_are_found_and_named() {
    let made = made().await;
    assert_eq!(made.changed("DELETE FROM agent_actions WHERE seq = 50").first(), finding(50, Fault::Missing));
    let closed_up = "DELETE FROM agent_actions WHERE seq = 50; UPDATE agent_actions SET seq = -seq + 1 WHERE seq > 50;
                     UPDATE agent_actions SET seq = -seq WHERE seq < 0";
    assert_eq!(made.changed(closed_up).first(), finding(50, Fault::Missing));
    let swapped = "UPDATE agent_actions SET seq = 0 WHERE seq = 50; UPDATE agent_actions SET seq = 50 WHERE seq = 60;
                   UPDATE agent_actions SET seq = 60 WHERE seq = 0";
    assert_eq!(made.changed(swapped).first(), finding(50, Fault::Reordered));
    let copy_of = |seq, number| {
        format!(
            "INSERT INTO agent_actions SELECT {seq}, segment, {number}, at, kind, action, agent_id, pipeline_id, intent, result, payload, payload_hash, chain
             FROM agent_actions WHERE seq = 49"
        )
    };
    let inserted = format!(
        "UPDATE agent_actions SET seq = -seq - 1 WHERE seq >= 50; UPDATE agent_actions SET seq = -seq WHERE seq < 0; {}",
        copy_of(50, 7_000)
    );
    assert_eq!(made.changed(&inserted).first().unwrap().seq, 50);
    let twice = inserted.replace("7000", "49");
    assert_eq!(made.changed(&twice).first(), finding(50, Fault::Inserted));
    assert_eq!(made.changed(&copy_of(84, 84)).first().unwrap().seq, 84);
    assert_eq!(made.changed(&copy_of(0, 84)).first(), finding(0, Fault::Inserted));
}

#[tokio::test]
async fn a_cut_tail_is_found_by_the_heads_and_with_them_gone_by_one_held_outside() {
    let made = made().await;
    let truncated = |found| finding(found + 1, Fault::Truncated { expected: ENTRIES, found });
    let cut = made.changed("DELETE FROM agent_actions WHERE seq > 60");
    assert_eq!(cut.first(), truncated(60));

    let cut = made.changed(
        "DELETE FROM agent_actions WHERE seq > 41; DELETE FROM heads WHERE size > 41; DELETE FROM violations;
                            UPDATE runs SET last = 41",
    );
    assert_eq!(cut.first(), truncated(41), "the heads beside the database were not asked");

    let kept = std::fs::read_to_string(cut.home.path().join("heads")).unwrap();
    std::fs::write(cut.home.path().join("heads"), format!("{}\n", kept.lines().next().unwrap())).unwrap();
    assert_eq!(cut.first(), None, "a ledger cut together with all its heads is whole by itself");
    assert_eq!(cut.against(made.heads.last()), truncated(41));

    let emptied = made.changed("DELETE FROM agent_actions; DELETE FROM heads; DELETE FROM violations");
    std::fs::remove_file(emptied.home.path().join("heads")).unwrap();
    assert_eq!(emptied.against(made.heads.last()), truncated(0));
}

/// Edits a row and makes the chain of its whole segment anew, as somebody would who knows how.
fn forge(database: &Path, seq: i64) {
    let connection = Connection::open(database).unwrap();
    connection.execute("UPDATE agent_actions SET payload = '{\"forged\":1}' WHERE seq = ?", [seq]).unwrap();
    let mut statement = connection
        .prepare(
            "SELECT seq, segment, number, at, kind, action, agent_id, pipeline_id, intent, result, payload, payload_hash, chain \
             FROM agent_actions ORDER BY seq",
        )
        .unwrap();
    let mut rows = statement.raw_query();
    let (mut chain, mut chains) = ([0; 32], Vec::new());
    while let Some(row) = rows.next().unwrap() {
        let mut fields = Vec::new();
        let (body, payload, _) = columns(row).unwrap();
        body.encode(&mut fields);
        chain = Sealed { fields: &fields, payload: payload.hash() }.link(&chain);
        chains.push((row.get::<_, i64>(0).unwrap(), chain));
    }
    for (seq, chain) in chains {
        connection.execute("UPDATE agent_actions SET chain = ? WHERE seq = ?", (chain, seq)).unwrap();
    }
}

#[tokio::test]
async fn whoever_makes_the_whole_chain_anew_is_found_by_the_head_and_its_range() {
    let made = made().await;
    for (seq, from, to) in [(10, 1, 41), (50, 42, ENTRIES)] {
        let forged = made.copy();
        forge(&forged.database, seq);
        assert_eq!(forged.first(), finding(from, Fault::HeadMismatch { from, to }));
        // Also without any head of the ledger's own.
        Connection::open(&forged.database).unwrap().execute("DELETE FROM heads WHERE size > 41 OR ?", [seq < 42]).unwrap();
        std::fs::remove_file(forged.home.path().join("heads")).unwrap();
        let found = forged.against(made.heads.last()).unwrap();
        assert!(matches!(found.fault, Fault::HeadMismatch { to: ENTRIES, .. } | Fault::Inserted), "{found:?}");
    }
}

#[tokio::test]
async fn a_head_that_this_ledgers_key_did_not_sign_is_found() {
    let made = made().await;
    for change in
        ["root = replace(root, substr(root, 1, 4), '0000')", "at = at + 1", "key = '00'", "signature = replace(signature, '0', '1')"]
    {
        let edited = made.changed(&format!("UPDATE heads SET {change} WHERE size = 41"));
        assert_eq!(edited.first(), finding(41, Fault::BadSignature { size: 41 }), "{change}");
    }
    let mut outside = made.heads[1].clone();
    outside.signature = "00".repeat(64);
    assert_eq!(made.against(Some(&outside)), finding(ENTRIES, Fault::BadSignature { size: ENTRIES }));
    outside.ledger = LedgerId::new("ledger-other").unwrap();
    assert_eq!(verify(&made.database, Some(&outside)).unwrap_err().code(), "foreign_head");
    let unsigned = made.copy();
    std::fs::remove_file(unsigned.home.path().join("keys/ledger.pub")).unwrap();
    assert_eq!(verify(&unsigned.database, None).unwrap_err().code(), "no_public_key");
    let scribbled = made.copy();
    std::fs::write(scribbled.home.path().join("heads"), "what is this\n").unwrap();
    let report = verify(&scribbled.database, None).unwrap();
    assert_eq!((report.is_intact(), report.unreadable_heads), (false, vec![1]));
}

#[tokio::test]
async fn a_projection_that_says_something_else_than_the_record_is_found() {
    let made = made().await;
    let fault = || Fault::Projection { table: "violations".to_owned() };
    for change in ["UPDATE violations SET severity = 'LOW'", "DELETE FROM violations", "INSERT INTO violations (seq, at) VALUES (7, 1)"] {
        let edited = made.changed(change);
        assert_eq!(edited.first().unwrap().fault, fault(), "{change}");
    }
}

/// Everything that the record says.
fn content(database: &Path) -> Option<Vec<String>> {
    let connection = Connection::open(database).ok()?;
    let mut all = Vec::new();
    for table in ["agent_actions", "violations", "heads", "meta"] {
        let mut statement = connection.prepare(&format!("SELECT * FROM {table} NOT INDEXED")).ok()?;
        let columns = statement.column_count();
        let mut rows = statement.raw_query();
        while let Some(row) = rows.next().ok()? {
            all.push((0..columns).map(|at| format!("{:?}", row.get_ref(at).unwrap())).collect());
        }
    }
    Some(all)
}

#[tokio::test]
async fn a_flipped_byte_in_the_file_is_found_wherever_it_changes_the_record() {
    let made = made().await;
    let (whole, said) = (std::fs::read(&made.database).unwrap(), content(&made.database).unwrap());
    let copy = made.copy();
    let (mut changed, mut located) = (0, 0);
    for at in (0..whole.len()).step_by(401) {
        let mut flipped = whole.clone();
        flipped[at] ^= 0x11;
        std::fs::write(&copy.database, &flipped).unwrap();
        let intact = verify(&copy.database, None).map(|report| report.is_intact());
        if content(&copy.database).as_ref() != Some(&said) {
            changed += 1;
            assert!(!matches!(intact, Ok(true)), "byte {at} was flipped and nobody noticed");
            located += u32::from(intact.is_ok());
        }
    }
    assert!(changed > 20 && located > changed / 2, "{changed} flips changed the record, {located} were located");
}

use super::super::{Action, Durability, ExportReport, Fault, Finding, OutcomeResult, verify_export};
use super::*;
use crate::vocabulary::Ports;

/// A ledger of 30 entries in three batches, two of every three in `pipeline-1`.
struct Made {
    home: tempfile::TempDir,
    ledger: Ledger,
    heads: Vec<Head>,
}

async fn made() -> Made {
    let home = tempfile::tempdir().unwrap();
    let ledger = Ledger::open(home.path(), Ports::default(), Durability::Process).await.unwrap();
    let mine = PipelineId::new("pipeline-1").unwrap();
    let mut heads = Vec::new();
    for round in 0..3 {
        for call in 0..5 {
            let segment = ledger.segment().unwrap();
            let says = format!("{{\"round\":{round},\"call\":\"\u{e9} \\\"{call}\\\"\"}}");
            let intent = segment.intent(Action::ToolCall, None, (call > 1).then_some(&mine), &says).unwrap();
            segment.outcome(&intent, OutcomeResult::Ok, "{}").unwrap();
        }
        heads.extend(ledger.sequence(1).await.unwrap().heads);
    }
    Made { home, ledger, heads }
}

impl Made {
    async fn exported(&self, from: u64, pipeline: Option<PipelineId>) -> Vec<String> {
        let mut export = self.ledger.export(from, pipeline).await.unwrap();
        let mut lines = vec![serde_json::to_string(export.start()).unwrap()];
        while let Some(line) = export.next().await.unwrap() {
            lines.push(serde_json::to_string(&line).unwrap());
        }
        lines.push(serde_json::to_string(&ExportEnd { head: export.head().clone() }).unwrap());
        lines
    }

    fn checked(&self, lines: &[String], outside: Option<&Head>) -> Result<ExportReport> {
        let text: String = lines.iter().flat_map(|line| [line, "\n"]).collect();
        verify_export(text.as_bytes(), self.home.path(), outside)
    }

    fn finding(&self, lines: &[String]) -> Finding {
        self.checked(lines, None).unwrap().first.expect("something is wrong with it")
    }
}

#[tokio::test]
async fn what_is_exported_from_any_entry_on_fits_its_head_and_every_head_on_the_way() {
    let made = made().await;
    let size = made.heads.last().unwrap().size;
    assert!(size >= 30);
    for from in 1..=size {
        let lines = made.exported(from, None).await;
        let report = made.checked(&lines, None).unwrap();
        assert_eq!((report.first, report.entries), (None, size + 1 - from), "from {from}");
        assert_eq!(report.root, made.heads.last().unwrap().root);
        for head in made.heads.iter().filter(|head| head.size >= from) {
            assert_eq!(made.checked(&lines, Some(head)).unwrap().first, None);
        }
    }
    assert_eq!(made.ledger.export(size + 1, None).await.err().unwrap().code(), "no_such_entry");
}

#[tokio::test]
async fn every_change_of_every_line_is_found() {
    let made = made().await;
    for from in [1, 12] {
        let lines = made.exported(from, None).await;
        for at in 0..lines.len() {
            let gone = [&lines[..at], &lines[at + 1..]].concat();
            assert!(made.checked(&gone, None).map_or(true, |report| report.first.is_some()), "line {at} is gone");
            let twice = [&lines[..=at], &lines[at..]].concat();
            assert!(made.checked(&twice, None).map_or(true, |report| report.first.is_some()), "line {at} is there twice");
            let mut bytes = lines[at].clone().into_bytes();
            // Each line at other places.
            for place in (at % 7..bytes.len()).step_by(7) {
                let before = bytes[place];
                // Another digit, another letter.
                bytes[place] = if before == b'7' { b'8' } else { b'7' };
                if let Ok(text) = String::from_utf8(bytes.clone()) {
                    let mut changed = lines.clone();
                    changed[at] = text;
                    let judged = made.checked(&changed, None);
                    assert!(judged.map_or(true, |report| report.first.is_some()), "line {at}, byte {place}: {}", changed[at]);
                }
                bytes[place] = before;
            }
        }
    }
}

#[tokio::test]
async fn what_is_wrong_is_named() {
    let made = made().await;
    let lines = made.exported(1, None).await;
    let (last, size) = (lines.len() - 1, made.heads.last().unwrap().size);
    let without = |at: usize| [&lines[..at], &lines[at + 1..]].concat();
    assert_eq!(made.finding(&without(5)), Finding { seq: 5, fault: Fault::Missing });
    assert_eq!(made.finding(&without(last - 1)), Finding { seq: size, fault: Fault::Truncated { expected: size, found: size - 1 } });
    assert_eq!(made.finding(&lines[..last]), Finding { seq: size + 1, fault: Fault::Truncated { expected: size + 1, found: size } });
    let edited: Vec<String> = lines.iter().map(|line| line.replace("\"tool_call\"", "\"message\"")).collect();
    assert_eq!(made.finding(&edited).fault, Fault::HeadMismatch { from: 1, to: size });
    // A head from the middle says more.
    let middle = &made.heads[0];
    let told = made.checked(&edited, Some(middle)).unwrap().first.unwrap();
    assert_eq!(told.fault, Fault::HeadMismatch { from: 1, to: middle.size });
    // What was cut whole, with its head, is found by a head that was kept elsewhere.
    let short = [&lines[..=usize::try_from(middle.size).unwrap()], &[serde_json::to_string(&ExportEnd { head: middle.clone() }).unwrap()]];
    let short = short.concat();
    assert_eq!(made.checked(&short, None).unwrap().first, None);
    let cut = made.checked(&short, made.heads.last()).unwrap().first.unwrap();
    assert_eq!(cut.fault, Fault::Truncated { expected: size, found: middle.size });
}

#[tokio::test]
async fn a_head_signed_by_another_key_is_none() {
    let (made, other) = (made().await, made().await);
    let lines = made.exported(1, None).await;
    assert!(matches!(other.finding(&lines).fault, Fault::BadSignature { .. }));
    std::fs::remove_file(made.home.path().join("keys/ledger.pub")).unwrap();
    assert_eq!(made.checked(&lines, None).unwrap_err().code(), "no_public_key");
    assert_eq!(other.checked(&lines, other.heads.last()).unwrap_err().code(), "foreign_head");
}

#[tokio::test]
async fn one_pipelines_entries_are_proven_to_be_in_the_record_and_any_change_of_them_is_found() {
    let made = made().await;
    let mine = PipelineId::new("pipeline-1").unwrap();
    for from in [1, 12] {
        let lines = made.exported(from, Some(mine.clone())).await;
        let entries: Vec<_> = lines.iter().filter(|line| line.starts_with("{\"seq\"")).collect();
        assert!(entries.len() > 10 && entries.iter().all(|line| line.contains("pipeline-1")));
        let report = made.checked(&lines, made.heads.last()).unwrap();
        assert_eq!((report.first, report.entries, report.pipeline), (None, entries.len() as u64, Some(mine.clone())), "from {from}");
        for at in 0..lines.len() {
            let gone = [&lines[..at], &lines[at + 1..]].concat();
            assert!(made.checked(&gone, None).map_or(true, |report| report.first.is_some()), "line {at} is gone");
            let twice = [&lines[..=at], &lines[at..]].concat();
            assert!(made.checked(&twice, None).map_or(true, |report| report.first.is_some()), "line {at} is there twice");
            for place in (at % 7..lines[at].len()).step_by(7) {
                let mut bytes = lines[at].clone().into_bytes();
                bytes[place] = if bytes[place] == b'7' { b'8' } else { b'7' };
                let Ok(text) = String::from_utf8(bytes) else { continue };
                // Where the file begins is not signed: an earlier beginning only claims less.
                if at == 0 && serde_json::from_str::<ExportStart>(&text).is_ok_and(|start| start.ledger == *made.ledger.id()) {
                    continue;
                }
                let mut changed = lines.clone();
                changed[at] = text;
                let judged = made.checked(&changed, None);
                assert!(judged.map_or(true, |report| report.first.is_some()), "line {at}, byte {place}: {}", changed[at]);
            }
        }
    }
    // A file of everything cannot pass one entry over.
    let whole = made.exported(1, None).await;
    let part = made.exported(1, Some(mine)).await;
    let posing = [&whole[..1], &part[1..]].concat();
    assert_eq!(made.finding(&posing).fault, Fault::Missing);
}

#[tokio::test]
async fn a_head_that_ends_within_what_is_left_out_is_asked_for_anew() {
    let made = made().await;
    let mut heads = made.heads.clone();
    for _ in 0..2 {
        made.ledger.segment().unwrap().append(&super::super::Entry::note(crate::vocabulary::Millis(1), Action::Message)).unwrap();
        heads.extend(made.ledger.sequence(1).await.unwrap().heads);
    }
    let lines = made.exported(1, Some(PipelineId::new("pipeline-1").unwrap())).await;
    let [.., before, within, last] = &heads[..] else { panic!("{heads:?}") };
    assert_eq!(made.checked(&lines, Some(before)).unwrap().first, None);
    assert_eq!(made.checked(&lines, Some(within)).unwrap_err().code(), "head_too_old");
    assert_eq!(made.checked(&lines, Some(last)).unwrap().first, None);
}

#[tokio::test]
async fn no_file_from_outside_makes_it_panic() {
    let made = made().await;
    let start = made.exported(1, None).await.swap_remove(0);
    for text in ["", "\n", "{}", "[]\n", &"x".repeat(10_000), &start, &start.replace("\"from\":1", "\"from\":0")] {
        let judged = verify_export(text.as_bytes(), made.home.path(), None);
        assert!(judged.map_or_else(|error| error.code() == "not_an_export", |report| report.first.is_some()), "{text}");
    }
    assert_eq!(verify_export(&b"\xff\xfe\n"[..], made.home.path(), None).unwrap_err().code(), "not_an_export");
}

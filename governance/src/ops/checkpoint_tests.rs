use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;

use proptest::prelude::*;

use super::*;
use crate::vocabulary::{PipelineId, PipelineStatus, System};

fn outcome() -> RunOutcome {
    RunOutcome {
        pipeline_id: PipelineId::new("pipeline-a").unwrap(),
        status: PipelineStatus::Timeout,
        reason: Some("the time given to the run is over".into()),
        objective: "Design a caching strategy".into(),
        model: "local".into(),
        agents: Vec::new(),
        proposals: Vec::new(),
        votes: BTreeMap::new(),
        decision: None,
        metrics: crate::orchestrator::MetricsCollector::new().report(Millis(0)),
        ledger_head: None,
        unrecorded: 0,
    }
}

fn checkpoint(at: u64) -> Checkpoint {
    checkpoint_of(&outcome(), Millis(at), &System)
}

#[test]
fn what_is_written_is_loaded_and_listed_oldest_first() {
    let home = tempfile::tempdir().unwrap();
    let checkpoints = Checkpoints::open(&home.path().join("not/there/yet"));
    assert_eq!(checkpoints.list().unwrap(), []);
    let (later, earlier) = (checkpoint(1_800_000_000_000), checkpoint(1_700_000_000_000));
    for one in [&later, &earlier, &earlier] {
        checkpoints.write(one).unwrap();
    }
    assert_eq!(checkpoints.load(&later.id).unwrap(), later);
    let listed = checkpoints.list().unwrap();
    assert_eq!(listed.iter().map(|one| &one.id).collect::<Vec<_>>(), [&earlier.id, &later.id]);
    assert_eq!(listed[0].phase.as_deref(), Some("TIMEOUT"));
    assert!(listed[0].notes.contains("no decision: the time") && listed[0].problem.is_none());
}

#[test]
fn only_its_owner_reads_it_and_nothing_half_written_is_left() {
    let home = tempfile::tempdir().unwrap();
    let checkpoints = Checkpoints::open(home.path());
    checkpoints.write(&checkpoint(0)).unwrap();
    let files: Vec<_> = fs::read_dir(home.path().join("checkpoints")).unwrap().map(Result::unwrap).collect();
    assert_eq!(files.len(), 1);
    assert_eq!(files[0].metadata().unwrap().permissions().mode() & 0o777, 0o600);
    assert_eq!(fs::metadata(home.path().join("checkpoints")).unwrap().permissions().mode() & 0o777, 0o700);
}

#[test]
fn an_id_says_its_time_and_cannot_leave_the_directory() {
    let id = |at: u64| fresh_id(Millis(at), &System);
    assert!(id(0).starts_with("ckpt-19700101-000000-") && id(951_782_399_999).starts_with("ckpt-20000228-235959-"));
    assert!(id(951_782_400_000).starts_with("ckpt-20000229-000000-") && id(1_798_761_599_000).starts_with("ckpt-20261231-235959-"));
    assert_ne!(id(0), id(0));
    let checkpoints = Checkpoints::open(Path::new("/nowhere"));
    for bad in ["", "../../etc/passwd", "ckpt-20260131-235959-0F3A9C21", "ckpt-20260131-235959-0f3a9c2", "ckpt-2026x131-235959-0f3a9c21"] {
        let refused = checkpoints.load(bad).unwrap_err();
        assert!(refused.code() == "invalid_id" && refused.to_string().contains("checkpoint list"), "{refused}");
        assert!(checkpoints.write(&Checkpoint { id: bad.into(), ..checkpoint(0) }).is_err());
    }
    assert_eq!(checkpoints.load(&id(0)).unwrap_err().code(), "no_such_checkpoint");
}

#[test]
fn a_damaged_one_is_listed_with_what_is_wrong_and_hides_no_other() {
    let home = tempfile::tempdir().unwrap();
    let checkpoints = Checkpoints::open(home.path());
    let (cut, whole, moved) = (checkpoint(0), checkpoint(1_000), checkpoint(2_000));
    checkpoints.write(&whole).unwrap();
    let file = |id: &str| home.path().join("checkpoints").join(format!("{id}.json"));
    fs::write(file(&cut.id), "{\"id\":").unwrap();
    fs::copy(file(&whole.id), file(&moved.id)).unwrap();
    fs::write(home.path().join("checkpoints/notes.txt"), "mine").unwrap();
    let listed = checkpoints.list().unwrap();
    assert_eq!(listed.iter().map(|one| one.problem.is_some()).collect::<Vec<_>>(), [true, false, true]);
    assert_eq!(checkpoints.load(&cut.id).unwrap_err().kind(), ErrorKind::Corrupt);
    assert!(checkpoints.load(&moved.id).unwrap_err().to_string().contains("another checkpoint"));
}

#[test]
fn a_file_where_the_directory_should_be_is_explained() {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("checkpoints"), "").unwrap();
    let checkpoints = Checkpoints::open(home.path());
    assert_eq!(checkpoints.list().unwrap_err().code(), "not_a_directory");
    assert!(checkpoints.write(&checkpoint(0)).is_err());
}

proptest! {
    #[test]
    fn a_later_day_has_a_later_date(day in 0_u64..800_000) {
        let ((year, month, date), next) = (civil(day), civil(day + 1));
        prop_assert!((year, month, date) < next && (1..=12).contains(&month) && (1..=31).contains(&date));
        prop_assert!(next == (year, month, date + 1) || next.2 == 1);
    }
}

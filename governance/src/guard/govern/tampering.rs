//! Paths that lead to the governance itself: its record, its keys, its store. To ask for one is tampering, whatever a profile allows.

use std::path::{Component, Path, PathBuf};

use crate::guard::path::{PathRefused, Place, Root};
use crate::guard::recorder::Recorder;
use crate::vocabulary::ViolationType;

/// A refusal, if a path that was asked for below a root leads into the home of the governance: by what it really is, or by its words where it
/// leads to nothing that may be used.
pub(super) fn tampering(recorder: &Recorder, root: &Root, asked: &str, place: Option<&Place>) -> Option<PathRefused> {
    let home = std::fs::canonicalize(recorder.ledger()?.home()).ok()?;
    // Who was given a folder inside of it was given it on purpose.
    if root.path().starts_with(&home) {
        return None;
    }
    let leads = place.map_or_else(|| plain(&root.path().join(asked)), Place::path);
    let refused = PathRefused {
        why: "it leads to the governance's own files, which no agent may touch".to_owned(),
        violation: ViolationType::GovernanceTampering,
    };
    leads.starts_with(&home).then_some(refused)
}

/// A path without `.` and `..`, by its words alone.
fn plain(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                plain.pop();
            }
            part => plain.push(part),
        }
    }
    plain
}

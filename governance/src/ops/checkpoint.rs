//! Checkpoints: places to go on from, a file each, in the home directory.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use crate::disk::reading;
use crate::error::{Error, ErrorKind, Result};
use crate::orchestrator::RunOutcome;
use crate::vocabulary::{Chance, Checkpoint, Millis};

/// The largest file that is read as a checkpoint, in bytes.
const MAX_CHECKPOINT: u64 = 64 << 20;
/// What an id looks like: `d` is a digit, `h` one of 16.
const SHAPE: &str = "ckpt-dddddddd-dddddd-hhhhhhhh";

/// The checkpoints of a home directory: `checkpoints/{id}.json`, readable by their owner only.
#[derive(Debug, Clone)]
pub struct Checkpoints(PathBuf);

/// A checkpoint in a line.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckpointSummary {
    /// Its id, which says when it was written (UTC).
    pub id: String,
    /// What phase the work was in; none if it cannot be read.
    pub phase: Option<String>,
    /// Its notes.
    pub notes: String,
    /// Why it cannot be read, if so.
    pub problem: Option<String>,
}

impl Checkpoints {
    /// Those of a home directory. Nothing is made before one is written.
    #[must_use]
    pub fn open(home: &Path) -> Self {
        Self(home.join("checkpoints"))
    }

    /// Writes one, to the disk. It is there whole or not at all.
    pub fn write(&self, checkpoint: &Checkpoint) -> Result<()> {
        let path = self.path(&checkpoint.id)?;
        let mut text = serde_json::to_vec_pretty(checkpoint).map_err(|e| Error::internal("a checkpoint is not JSON").because(e))?;
        text.push(b'\n');
        let passing = self.0.join(format!(".{}.tmp", checkpoint.id));
        let write = || {
            DirBuilder::new().recursive(true).mode(0o700).create(&self.0)?;
            let mut file = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&passing)?;
            file.write_all(&text)?;
            file.sync_all()?;
            fs::rename(&passing, &path)?;
            File::open(&self.0)?.sync_all()
        };
        write().map_err(|error| {
            // What could not become a checkpoint must not take up room.
            let _ = fs::remove_file(&passing);
            trouble(&path, error)
        })
    }

    /// All of them, oldest first. One that cannot be read is listed with what is wrong with it.
    pub fn list(&self) -> Result<Vec<CheckpointSummary>> {
        let entries = match fs::read_dir(&self.0) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            other => other.map_err(|e| trouble(&self.0, e))?,
        };
        let mut ids = Vec::new();
        for entry in entries {
            let name = entry.map_err(|e| trouble(&self.0, e))?.file_name();
            ids.extend(name.to_str().and_then(|name| name.strip_suffix(".json")).filter(|id| is_id(id)).map(str::to_owned));
        }
        ids.sort();
        Ok(ids.into_iter().map(|id| self.summary(id)).collect())
    }

    /// One of them.
    pub fn load(&self, id: &str) -> Result<Checkpoint> {
        let path = self.path(id)?;
        let mut text = Vec::new();
        let read = reading::open_file(&path).and_then(|file| file.take(MAX_CHECKPOINT + 1).read_to_end(&mut text));
        match read {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let message = format!("there is no checkpoint `{id}` in `{}`: see `governance checkpoint list`", self.0.display());
                return Err(Error::new(ErrorKind::NotFound, "no_such_checkpoint", message));
            }
            other => other.map_err(|e| trouble(&path, e))?,
        };
        let damaged = |what: String| Error::corrupt("checkpoint_damaged", format!("`{}` {what}", path.display()));
        if text.len() as u64 > MAX_CHECKPOINT {
            return Err(damaged(format!("has more than {MAX_CHECKPOINT} bytes")));
        }
        let checkpoint: Checkpoint = serde_json::from_slice(&text).map_err(|e| damaged(format!("is not a checkpoint: {e}")))?;
        if checkpoint.id != id {
            return Err(damaged("is the file of another checkpoint".to_owned()));
        }
        Ok(checkpoint)
    }

    fn summary(&self, id: String) -> CheckpointSummary {
        match self.load(&id) {
            Ok(Checkpoint { phase, notes, .. }) => CheckpointSummary { id, phase: Some(phase), notes, problem: None },
            Err(error) => CheckpointSummary { id, phase: None, notes: String::new(), problem: Some(error.to_string()) },
        }
    }

    /// Only what is an id becomes a path.
    fn path(&self, id: &str) -> Result<PathBuf> {
        if is_id(id) {
            return Ok(self.0.join(format!("{id}.json")));
        }
        let shown: String = id.chars().take(40).collect();
        let example = "they look like `ckpt-20260131-235959-0f3a9c21`, see `governance checkpoint list`";
        Err(Error::invalid("invalid_id", format!("`{}` is not a checkpoint's id: {example}", shown.escape_default())))
    }
}

/// The final state of a run as a checkpoint, with a fresh id.
#[must_use]
pub fn checkpoint_of(outcome: &RunOutcome, at: Millis, chance: &dyn Chance) -> Checkpoint {
    let decided = outcome.decision.as_ref();
    let notes = match (decided, &outcome.reason) {
        (Some(decision), _) => format!("decided: {}", decision.solution.title),
        (None, Some(reason)) => format!("no decision: {reason}"),
        (None, None) => "no decision yet".to_owned(),
    };
    let variables = [
        ("pipeline_id", json!(outcome.pipeline_id)),
        ("model", json!(outcome.model)),
        ("exit_code", json!(outcome.exit_code() as u8)),
        ("agents", json!(outcome.agents)),
        ("votes", json!(outcome.votes)),
        ("ledger_head", json!(outcome.ledger_head)),
    ];
    let outputs = decided.map(|decision| json!({"decision": decision})).into_iter();
    Checkpoint {
        id: fresh_id(at, chance),
        phase: outcome.status.to_string(),
        tasks: vec![json!({"task": outcome.objective, "done": decided.is_some()})],
        dependencies: Vec::new(),
        variables: variables.into_iter().map(|(name, value)| (name.to_owned(), value)).collect::<Map<String, Value>>(),
        recent_outputs: outputs.chain(outcome.proposals.iter().map(|proposal| json!({"proposal": proposal}))).collect(),
        memory_references: Vec::new(),
        notes,
    }
}

/// `ckpt-YYYYMMDD-HHMMSS-8hex`, in UTC.
fn fresh_id(at: Millis, chance: &dyn Chance) -> String {
    let mut own = [0; 4];
    chance.fill(&mut own);
    let (day, second) = (at.0 / 86_400_000, at.0 / 1_000 % 86_400);
    let (year, month, date) = civil(day);
    let (hour, minute, second) = (second / 3_600, second / 60 % 60, second % 60);
    format!("ckpt-{year:04}{month:02}{date:02}-{hour:02}{minute:02}{second:02}-{:08x}", u32::from_be_bytes(own))
}

/// The year, month and day of a day since 1970, counted from the first of March of the year 0, so that a leap day ends its year.
fn civil(day: u64) -> (u64, u64, u64) {
    let day = day + 719_468;
    let (era, day) = (day / 146_097, day % 146_097);
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (date, month) = (day - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    (era * 400 + year + u64::from(month <= 2), month, date)
}

fn is_id(text: &str) -> bool {
    let fits = |(shape, given): (u8, u8)| match shape {
        b'd' => given.is_ascii_digit(),
        b'h' => given.is_ascii_digit() || matches!(given, b'a'..=b'f'),
        other => given == other,
    };
    text.len() == SHAPE.len() && SHAPE.bytes().zip(text.bytes()).all(fits)
}

fn trouble(path: &Path, error: io::Error) -> Error {
    let shown = path.display();
    let error_of = |kind, code, what: &str| Error::new(kind, code, format!("`{shown}` {what}"));
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            error_of(ErrorKind::Exhausted, "disk_full", "cannot be written: the disk is full")
        }
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
            error_of(ErrorKind::Invalid, "not_writable", "cannot be used: its permissions do not allow it")
        }
        io::ErrorKind::NotADirectory => {
            error_of(ErrorKind::Invalid, "not_a_directory", "cannot be used: a file is where its directory should be")
        }
        _ => error_of(ErrorKind::Unavailable, "file_trouble", "cannot be used"),
    }
    .because(error)
}

#[cfg(test)]
#[path = "checkpoint_tests.rs"]
mod tests;

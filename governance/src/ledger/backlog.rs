//! Whether what is written comes into the record: how much waits, since when, and what would stop whoever sequences.

use std::fs::File;
use std::time::Duration;

use rusqlite::TransactionBehavior;
use serde::{Deserialize, Serialize};

use super::database::sqlite_trouble;
use super::home::Home;
use super::segment::trouble;
use super::{Durability, SigningKey, database, frame, sequencer, waiting};
use crate::error::{Error, Result};
use crate::vocabulary::Millis;

/// How long a look waits for whoever writes the record. Who writes is no trouble.
const PATIENCE: Duration = Duration::from_millis(500);

/// What is written but not in the record yet.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backlog {
    /// How many entries there seem to be.
    pub entries: u64,
    /// When the oldest was written, on its writer's clock.
    pub oldest: Option<Millis>,
}

impl Backlog {
    pub(super) fn of(home: &Home) -> Result<Self> {
        let connection = database::reader(&home.database(), false)?;
        let mut backlog = Self::default();
        for (path, id) in waiting::files(home)? {
            let (Ok(id), Ok(file)) = (id, File::open(&path)) else { continue };
            let place = waiting::place(&connection, &id).map_err(|e| sqlite_trouble(&home.database(), e))?;
            let Some(mut position) = place else { continue };
            let entries = frame::count(&file, &position).unwrap_or(0);
            if entries == 0 {
                continue;
            }
            backlog.entries += entries;
            let first = frame::read(&file, &id, &mut position, 1).map_err(|e| trouble(&path, &e))?;
            let at = first.frames().next().map(|frame| Millis(frame.body.at.cast_unsigned()));
            backlog.oldest = backlog.oldest.into_iter().chain(at).min();
        }
        Ok(backlog)
    }
}

/// Looks at all that the sequencer needs, as it does, and makes and changes nothing. The error says what stops it.
pub(super) fn examine(home: &Home, durability: Durability) -> Result<()> {
    SigningKey::look(&home.keys())?;
    let shown = home.database();
    let sql = |e| sqlite_trouble(&shown, e);
    let mut connection = database::writer(&shown, durability)?;
    connection.busy_timeout(PATIENCE).map_err(sql)?;
    match connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(sql) {
        Err(error) if error.code() == database::BUSY => {}
        // Dropped, it is taken back.
        begun => drop(sequencer::take_up(&*begun?, home)?),
    }
    let damaged = || Ok::<_, Error>(waiting::check(&connection, home)?.0);
    let before = damaged()?;
    if before.is_empty() {
        return Ok(());
    }
    // What was moved into the record while it was read looks damaged once, and is gone then.
    match damaged()?.into_iter().find(|problem| before.contains(problem)) {
        None => Ok(()),
        Some(problem) => {
            let (segment, number, why) = (&problem.segment, problem.number, &problem.why);
            let message = format!("the segment `{segment}` is damaged at its entry {number}: {why}; what stands behind it waits");
            Err(Error::corrupt("segment_damaged", message).with("segment", segment.as_str()).with("number", number))
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, OpenOptions};
    use std::os::unix::fs::FileExt;

    use super::super::{Action, Entry, Ledger};
    use crate::vocabulary::{Millis, Ports};

    async fn ledger(home: &std::path::Path) -> Ledger {
        Ledger::open(home, Ports::default(), super::Durability::Process).await.unwrap()
    }

    #[tokio::test]
    async fn a_backlog_says_how_much_waits_and_since_when() {
        let home = tempfile::tempdir().unwrap();
        let ledger = ledger(home.path()).await;
        assert_eq!(ledger.backlog().await.unwrap(), super::Backlog::default());
        let segment = ledger.segment().unwrap();
        ledger.sequence(1).await.unwrap();
        for at in [7, 9] {
            segment.append(&Entry::note(Millis(at), Action::Metric)).unwrap();
        }
        assert_eq!(ledger.backlog().await.unwrap(), super::Backlog { entries: 2, oldest: Some(Millis(7)) });
        ledger.sequence(1).await.unwrap();
        assert_eq!(ledger.backlog().await.unwrap().entries, 0);
    }

    #[tokio::test]
    async fn what_would_stop_the_sequencer_is_found_and_nothing_is_made() {
        let home = tempfile::tempdir().unwrap();
        let ledger = ledger(home.path()).await;
        ledger.examine().await.unwrap();
        assert!(!home.path().join("keys").exists(), "who only looks makes no key");
        let segment = ledger.segment().unwrap();
        segment.append(&Entry::note(Millis(7), Action::Metric)).unwrap();
        ledger.examine().await.unwrap();
        let path = home.path().join(format!("segments/{}.segment", segment.id()));
        let (file, length) = (OpenOptions::new().write(true).open(&path).unwrap(), fs::metadata(&path).unwrap().len());
        file.write_all_at(b"?", length - 3).unwrap();
        let error = ledger.examine().await.unwrap_err();
        assert_eq!((error.code(), error.details()["number"].as_u64()), ("segment_damaged", Some(2)), "{error}");
        ledger.sequence(1).await.unwrap();
        let database = rusqlite::Connection::open(ledger.database()).unwrap();
        database.execute("UPDATE sequencer SET size = size + 1", ()).unwrap();
        assert_eq!(ledger.examine().await.unwrap_err().code(), "ledger_damaged");
    }
}

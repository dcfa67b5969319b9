//! Where the parts of a ledger lie in its home.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::Head;
use super::segment::trouble;
use crate::disk::reading;
use crate::error::Result;
use crate::vocabulary::DEFAULT_LEDGER_PATH;

/// A ledger's directory.
///
/// ```text
///   governance.db    the record            keys/ledger.key   signs heads, owner only
///   segments/        what is on its way    keys/ledger.pub   checks them
///   heads            every head, a line each
/// ```
#[derive(Debug, Clone)]
pub(super) struct Home(PathBuf);

impl Home {
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self(path.into())
    }

    /// The home of a database file.
    pub fn of(database: &Path) -> Self {
        Self(database.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new(".")).to_owned())
    }

    pub fn path(&self) -> &Path {
        &self.0
    }

    pub fn database(&self) -> PathBuf {
        self.0.join(DEFAULT_LEDGER_PATH)
    }

    pub fn segments(&self) -> PathBuf {
        self.0.join("segments")
    }

    pub fn keys(&self) -> PathBuf {
        self.0.join("keys")
    }

    fn heads_file(&self) -> PathBuf {
        self.0.join("heads")
    }

    /// Keeps a head beside the database.
    pub fn keep_head(&self, head: &Head) -> Result<()> {
        let line = head.to_line()? + "\n";
        let path = self.heads_file();
        let append = || {
            let mut file = OpenOptions::new().read(true).append(true).create(true).open(&path)?;
            cut_unfinished(&mut file)?;
            file.write_all(line.as_bytes())
        };
        append().map_err(|e| trouble(&path, &e))
    }

    /// The heads beside the database, with their line numbers; an unreadable line has none.
    pub fn kept_heads(&self) -> Result<Vec<(usize, Option<Head>)>> {
        let path = self.heads_file();
        let bytes = match reading::read_file(&path, u64::MAX) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(trouble(&path, &e)),
        };
        let mut lines: Vec<&[u8]> = bytes.split(|byte| *byte == b'\n').collect();
        // What follows the last line's end is nothing, or a line that a dying process did not finish.
        lines.pop();
        let head = |line: &[u8]| std::str::from_utf8(line).ok().and_then(|line| Head::parse(line).ok());
        Ok(lines.into_iter().enumerate().filter(|(_, line)| !line.is_empty()).map(|(at, line)| (at + 1, head(line))).collect())
    }
}

/// Cuts off a line that a full disk left unfinished: the next one would be lost with it.
fn cut_unfinished(file: &mut File) -> io::Result<()> {
    let end = file.metadata()?.len();
    let mut last = *b"\n";
    file.read_at(&mut last, end.saturating_sub(1))?;
    if last == *b"\n" {
        return Ok(());
    }
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at as u64 + 1);
    file.set_len(whole)
}

//! Noticing at once that a caretaker of this machine died: it keeps a file locked, and the system unlocks it when its process ends.
//!
//! Only a short cut: without it, and for caretakers on other machines, the lease's end tells. A caretaker that is taken for dead although it
//! lives is fenced, and stands by.

use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

/// A file that whoever keeps house for one tenant keeps locked.
#[derive(Debug, Clone)]
pub struct Den {
    path: PathBuf,
    place: String,
}

impl Den {
    /// A tenant's den in a directory that the handles of one machine share. The prefix is that of the tenant's keys.
    #[must_use]
    pub fn new(directory: &Path, prefix: &str) -> Self {
        let tenant: String = prefix.chars().filter(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.')).collect();
        let name = if tenant.is_empty() { "caretaker.lock".to_owned() } else { format!("caretaker-{tenant}.lock") };
        let path = std::path::absolute(directory).unwrap_or_else(|_| directory.to_owned()).join(name);
        Self { place: format!("{} {}", crate::machine::boot(), path.display()), path }
    }

    /// What tells it from the dens of other machines.
    pub(super) fn place(&self) -> &str {
        &self.place
    }

    /// Locks it until the file is dropped; none if somebody has, or if it cannot be locked at all.
    pub(super) fn enter(&self) -> Option<File> {
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&self.path).ok()?;
        file.try_lock().ok().map(|()| file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_one_is_in_it_and_tenants_have_their_own() {
        let folder = tempfile::tempdir().unwrap();
        let (den, other) = (Den::new(folder.path(), ""), Den::new(folder.path(), "{acme}:"));
        let inside = den.enter();
        assert!(inside.is_some() && den.enter().is_none());
        assert!(other.enter().is_some() && other.place() != den.place());
        drop(inside);
        assert!(den.enter().is_some());
    }
}

//! Where a path really leads, before a rule is asked about it: below one folder, or nowhere.
//!
//! ```text
//!   "docs/../link/new.md" ──▶ one part after the other, each through the open handle of the folder before it
//!                                │ `..` goes back to the handle it came from, and not above the root
//!                                │ a symbolic link is read and followed the same way, below the root
//!                                ▼
//!                             Place: the folder's handle, the last name, and the path as it really is
//! ```
//!
//! A rule is asked about that path, and a tool works through that handle, so that nobody can put another folder in its place in between.
//! What this cannot see: a hard link to a file elsewhere, and what is mounted below the root. Whoever can make those can do so without an agent.

mod place;
#[cfg(test)]
#[path = "path_tests.rs"]
mod tests;
mod walk;

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::{Mode, OFlags};

pub use place::Place;

use super::policy::{MAX_PATH, ambiguous};
use crate::error::{Error, Result};
use crate::vocabulary::ViolationType;

/// A folder that an agent works in, and nothing outside of it. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Root {
    folder: Arc<OwnedFd>,
    path: PathBuf,
}

/// A path was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PathRefused {
    /// Why, for people.
    pub why: String,
    /// The violation that it is to ask for it.
    pub violation: ViolationType,
}

impl PathRefused {
    fn outside(why: impl Into<String>) -> Self {
        Self { why: why.into(), violation: ViolationType::PathOutOfScope }
    }

    fn unclear(why: impl Into<String>) -> Self {
        Self { why: why.into(), violation: ViolationType::ProcedureViolation }
    }
}

impl Root {
    /// Opens a folder that is there.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self> {
        let folder = folder.as_ref();
        let unusable = |error: std::io::Error| {
            let message = format!("`{}` cannot be worked in: name a folder that is there and may be read", folder.display());
            Error::invalid("no_root", message).because(error)
        };
        let path = folder.canonicalize().map_err(unusable)?;
        let opened = rustix::fs::open(&path, walk::FOLDER | OFlags::DIRECTORY, Mode::empty()).map_err(|e| unusable(e.into()))?;
        Ok(Self { folder: Arc::new(opened), path })
    }

    /// The folder, as it really is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where a path leads. Relative to the root, or absolute and below it; the last part need not be there. A refusal is a value; an error means
    /// that the path could not be looked at, as where a folder on the way is missing.
    pub fn resolve(&self, asked: &str) -> Result<Result<Place, PathRefused>> {
        if asked.is_empty() || asked.len() > MAX_PATH {
            return Ok(Err(PathRefused::unclear(format!("it takes 1 to {MAX_PATH} bytes"))));
        }
        // Before anything is looked up: whatever it leads to, it is not clear what is meant.
        for part in asked.split('/').filter(|part| !matches!(*part, "" | "." | "..")) {
            if let Some(why) = ambiguous(part) {
                return Ok(Err(PathRefused::unclear(why)));
            }
        }
        let relative = match asked.strip_prefix('/') {
            None => asked,
            Some(_) => match self.below(asked) {
                Some(relative) => relative,
                None => return Ok(Err(PathRefused::outside(format!("`{asked}` is not below `{}`", self.path.display())))),
            },
        };
        walk::walk(self, asked, relative)
    }

    /// What an absolute path says below the root; nothing if it leads elsewhere.
    fn below<'a>(&self, absolute: &'a str) -> Option<&'a str> {
        let root = self.path.to_str()?.trim_end_matches('/');
        let rest = absolute.strip_prefix(root)?;
        (rest.is_empty() || rest.starts_with('/')).then(|| rest.trim_start_matches('/'))
    }
}

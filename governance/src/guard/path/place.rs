//! A place below a root: its path as it really is, and the handle to work through.

use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use super::Root;
use super::walk::trouble;
use crate::error::{Error, ErrorKind, Result};

/// A place below a root. Its files are opened through the folder that was found, never again by a path from the top.
#[derive(Debug, Clone)]
pub struct Place {
    root: Root,
    folder: Arc<OwnedFd>,
    // In that folder; none where the place is the folder itself.
    name: Option<String>,
    relative: String,
    as_asked: bool,
    exists: bool,
}

impl Place {
    pub(super) fn file(root: &Root, asked: &str, above: &[&str], folder: Arc<OwnedFd>, name: String, exists: bool) -> Self {
        let relative = above.iter().copied().chain([&name[..]]).collect::<Vec<_>>().join("/");
        Self { root: root.clone(), folder, name: Some(name), as_asked: relative == asked, relative, exists }
    }

    pub(super) fn folder(root: &Root, asked: &str, names: &[&str], folder: Arc<OwnedFd>) -> Self {
        let relative = names.join("/");
        Self { root: root.clone(), folder, name: None, as_asked: relative == asked, relative, exists: true }
    }

    /// The path below the root, without links and detours; empty for the root itself. What rules are asked about.
    #[must_use]
    pub fn relative(&self) -> &str {
        &self.relative
    }

    /// The whole path, for tools that take nothing else. Between now and its use somebody else may put a link in its way: prefer the handles.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.root.path().join(&self.relative)
    }

    /// Whether the path was asked for in exactly this spelling.
    #[must_use]
    pub fn is_as_asked(&self) -> bool {
        self.as_asked
    }

    /// Whether something was there.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.exists
    }

    /// Whether it is a folder.
    #[must_use]
    pub fn is_folder(&self) -> bool {
        self.name.is_none()
    }

    /// Opens the file to read it.
    pub fn read(&self) -> Result<File> {
        self.open(OFlags::RDONLY)
    }

    /// Opens the file to write it anew; makes it where it is not there.
    pub fn write(&self) -> Result<File> {
        let file = self.open(OFlags::WRONLY | OFlags::CREATE)?;
        // Only now that it is known to be a file.
        file.set_len(0).map_err(|e| Error::invalid("path_unusable", format!("`{}` cannot be emptied ({e})", self.relative)).because(e))?;
        Ok(file)
    }

    /// Makes the file, which must not be there.
    pub fn create(&self) -> Result<File> {
        self.open(OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL)
    }

    fn open(&self, how: OFlags) -> Result<File> {
        let Some(name) = &self.name else { return Err(not_a_file(&self.relative, "a folder")) };
        // Without waiting for whoever is at the other end of a pipe; a regular file knows nothing of it.
        let how = how | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let opened = rustix::fs::openat(&self.folder, name, how, Mode::from_raw_mode(0o666)).map_err(|error| match error {
            Errno::LOOP | Errno::ISDIR | Errno::NXIO => not_a_file(&self.relative, "something else by now"),
            Errno::EXIST => Error::new(ErrorKind::Conflict, "taken", format!("`{}` is there already", self.relative)),
            Errno::NOENT => Error::new(ErrorKind::NotFound, "file_missing", format!("`{}` is not there", self.relative)),
            other => trouble(&self.relative, other),
        })?;
        let stat = rustix::fs::fstat(&opened).map_err(|e| trouble(&self.relative, e))?;
        match FileType::from_raw_mode(stat.st_mode) {
            FileType::RegularFile => Ok(opened.into()),
            _ => Err(not_a_file(&self.relative, "a folder, a device, or a pipe")),
        }
    }
}

fn not_a_file(path: &str, what: &str) -> Error {
    Error::new(ErrorKind::Denied, "not_a_file", format!("`{path}` is {what}, not a file"))
}

//! The way along a path, one open folder after the other.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

use super::{PathRefused, Place, Root};
use crate::error::{Error, ErrorKind, Result};
use crate::guard::policy::ambiguous;

/// The most symbolic links on one way, as the system itself has it.
const MAX_LINKS: usize = 40;

/// How a part of a path is opened: to stand on, not to read, and never through a link.
#[cfg(target_os = "linux")]
pub(super) const FOLDER: OFlags = OFlags::PATH.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
/// The same where a folder cannot be opened without the right to read it. What is no folder may wait for somebody at its other end.
#[cfg(not(target_os = "linux"))]
pub(super) const FOLDER: OFlags = OFlags::RDONLY.union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC).union(OFlags::NONBLOCK);

/// Goes along a path that is relative to the root.
pub(super) fn walk(root: &Root, asked: &str, relative: &str) -> Result<Result<Place, PathRefused>> {
    // The last is the next. `..` goes back by handles, so it never leads above the root, whatever is renamed meanwhile.
    let mut ahead: Vec<String> = parts(relative);
    let mut behind: Vec<(String, Arc<OwnedFd>)> = Vec::new();
    let mut links = 0;
    while let Some(part) = ahead.pop() {
        if part == ".." {
            if behind.pop().is_none() {
                return Ok(Err(PathRefused::outside(format!("`{asked}` leads above `{}`", root.path().display()))));
            }
            continue;
        }
        let here = behind.last().map_or_else(|| root.folder.clone(), |(_, folder)| folder.clone());
        if let Some(link) = link(here.as_fd(), &part, asked)? {
            links += 1;
            let inside = if link.starts_with('/') { root.below(&link) } else { Some(&link[..]) };
            match inside {
                _ if links > MAX_LINKS => return Ok(Err(PathRefused::unclear("it leads through too many symbolic links, or in a circle"))),
                None => {
                    return Ok(Err(PathRefused::outside(format!(
                        "`{part}` is a symbolic link that leads out of `{}`",
                        root.path().display()
                    ))));
                }
                Some(inside) if link.starts_with('/') => {
                    behind.clear();
                    ahead.extend(parts(inside));
                }
                Some(inside) => ahead.extend(parts(inside)),
            }
            continue;
        }
        if let Some(why) = ambiguous(&part) {
            return Ok(Err(PathRefused::unclear(format!("a symbolic link leads to `{}`: {why}", part.escape_debug()))));
        }
        match rustix::fs::openat(&here, &part, FOLDER, Mode::empty()) {
            Ok(opened) => {
                let kind = kind(&opened, asked)?;
                if kind == FileType::Directory {
                    behind.push((part, Arc::new(opened)));
                    continue;
                }
                // A link now, although it was none a moment ago.
                if kind == FileType::Symlink {
                    return Ok(Err(PathRefused::unclear(format!("`{part}` was replaced while it was looked at"))));
                }
                return match ahead.is_empty() && !asked.ends_with('/') {
                    true => Ok(Ok(Place::file(root, asked, &names(&behind), here, part, true))),
                    false => Err(missing(asked, &format!("`{part}` is not a folder"))),
                };
            }
            Err(Errno::NOENT) if ahead.is_empty() => return Ok(Ok(Place::file(root, asked, &names(&behind), here, part, false))),
            Err(Errno::LOOP) => return Ok(Err(PathRefused::unclear(format!("`{part}` was replaced while it was looked at")))),
            Err(error) => return Err(trouble(asked, error)),
        }
    }
    let folder = behind.last().map_or_else(|| root.folder.clone(), |(_, folder)| folder.clone());
    Ok(Ok(Place::folder(root, asked, &names(&behind), folder)))
}

/// The parts that say something, the last one first.
fn parts(path: &str) -> Vec<String> {
    path.split('/').rev().filter(|part| !matches!(*part, "" | ".")).map(str::to_owned).collect()
}

fn names(behind: &[(String, Arc<OwnedFd>)]) -> Vec<&str> {
    behind.iter().map(|(name, _)| &name[..]).collect()
}

/// Where a symbolic link leads; nothing if it is none, or if nothing is there.
fn link(folder: BorrowedFd<'_>, name: &str, asked: &str) -> Result<Option<String>> {
    match rustix::fs::readlinkat(folder, name, Vec::new()) {
        Ok(target) => match target.into_string() {
            Ok(target) => Ok(Some(target)),
            Err(_) => Err(missing(asked, &format!("`{name}` is a symbolic link to a name that is not text"))),
        },
        Err(Errno::INVAL | Errno::NOENT) => Ok(None),
        Err(error) => Err(trouble(asked, error)),
    }
}

fn kind(opened: &OwnedFd, asked: &str) -> Result<FileType> {
    let stat = rustix::fs::fstat(opened).map_err(|e| trouble(asked, e))?;
    Ok(FileType::from_raw_mode(stat.st_mode))
}

pub(super) fn trouble(asked: &str, error: Errno) -> Error {
    let because = std::io::Error::from(error);
    match error {
        Errno::NOENT | Errno::NOTDIR => missing(asked, "a folder on the way is not there").because(because),
        _ => Error::invalid("path_unusable", format!("`{asked}` cannot be used ({because})")).because(because),
    }
}

fn missing(asked: &str, why: &str) -> Error {
    Error::new(ErrorKind::NotFound, "file_missing", format!("`{asked}` leads nowhere: {why}"))
}

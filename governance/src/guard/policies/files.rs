//! Profiles out of files, whatever somebody put there.

use std::io::ErrorKind as Io;
use std::path::{Path, PathBuf};

use super::{MAX_PROFILES, Text};
use crate::disk::reading;
use crate::error::{Error, ErrorKind, Result};
use crate::guard::policy::{MAX_CONDITIONS, MAX_PROFILE, Policy, visible};

/// How the names of profiles end.
const ENDS: [&str; 3] = [".yaml", ".yml", ".json"];

/// The profiles in a file or directly in a directory, by name of the file, sorted. One that cannot be read is an error.
pub fn profiles(path: &Path) -> Result<Vec<(String, Text)>> {
    each(path)?.into_iter().map(|(name, text)| Ok((name, text?))).collect()
}

/// The same, each with what is wrong with it.
pub fn each(path: &Path) -> Result<Vec<(String, Result<Text>)>> {
    if !path.is_dir() {
        return Ok(vec![(path.display().to_string(), read(path))]);
    }
    Ok(names(path)?.into_iter().map(|name| (path.join(&name).display().to_string(), read(&path.join(&name)))).collect())
}

/// The one profile in a file, with the conditions that it names.
pub fn profile(path: &Path) -> Result<Policy> {
    if path.is_dir() {
        return Err(Error::invalid("bad_profile", format!("`{}` is a directory: name one profile", shown(path))));
    }
    read(path)?.policy(&path.display().to_string())
}

/// The files that a profile is read from: its own, and that of the conditions that it names.
pub fn sources(path: &Path) -> Result<Vec<PathBuf>> {
    let conditions = conditions_of(path, &text(path, MAX_PROFILE)?)?;
    Ok([path.to_owned()].into_iter().chain(conditions).collect())
}

/// Whether a profile is told by its file. An id holds no `/`.
#[must_use]
pub fn is_file(profile: &str) -> bool {
    profile.contains('/') || ENDS.iter().any(|end| profile.ends_with(end))
}

/// The names of the profiles in a directory, sorted. What editors keep beside, and other files, are none.
pub(super) fn names(folder: &Path) -> Result<Vec<String>> {
    let trouble = |error: std::io::Error| unreadable(folder, &error);
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(trouble)? {
        let name = entry.map_err(trouble)?.file_name();
        let Some(name) = name.to_str().filter(|name| is_profile(name)) else { continue };
        if names.len() == MAX_PROFILES {
            return Err(Error::invalid("bad_profile", format!("`{}` holds more than {MAX_PROFILES} profiles", shown(folder))));
        }
        names.push(name.to_owned());
    }
    names.sort_unstable();
    Ok(names)
}

fn is_profile(name: &str) -> bool {
    !name.starts_with('.') && ENDS.iter().any(|end| name.ends_with(end))
}

/// Reads a profile and the conditions that it names.
pub(super) fn read(path: &Path) -> Result<Text> {
    let profile = text(path, MAX_PROFILE)?;
    let conditions = conditions_of(path, &profile)?.map(|path| text(&path, MAX_CONDITIONS)).transpose()?;
    Ok(Text { profile, conditions })
}

/// Where the conditions lie that a profile names.
fn conditions_of(path: &Path, profile: &str) -> Result<Option<PathBuf>> {
    match Policy::parse(&path.display().to_string(), profile)?.conditions_file {
        None => Ok(None),
        Some(name) if name.ends_with(".cedar") && !name.contains('/') => Ok(Some(path.with_file_name(name))),
        Some(name) => {
            let message = format!(
                "`{}`: `conditions_file` is `{}`: it takes the name of a file beside it that ends with `.cedar`",
                shown(path),
                visible(&name)
            );
            Err(Error::invalid("bad_profile", message))
        }
    }
}

/// A text file that is one: no pipe that nobody writes to, no device, not larger than what is read.
fn text(path: &Path, most: usize) -> Result<String> {
    let bad = |why: String| Error::invalid("bad_profile", format!("`{}` {why}", shown(path)));
    reading::read_text(path, most as u64).map_err(|error| match error.kind() {
        Io::InvalidInput => bad("is not a file: a profile is a text file".to_owned()),
        Io::FileTooLarge => bad(format!("has more than {most} bytes, which is the most that is read")),
        Io::InvalidData => bad("is not text: a profile is written in UTF-8".to_owned()),
        _ => unreadable(path, &error),
    })
}

fn unreadable(path: &Path, error: &std::io::Error) -> Error {
    let (kind, code) = match error.kind() {
        std::io::ErrorKind::NotFound => (ErrorKind::NotFound, "file_missing"),
        _ => (ErrorKind::Invalid, "bad_profile"),
    };
    Error::new(kind, code, format!("`{}` cannot be read: {error}", shown(path)))
}

/// A path with what could steer a terminal made visible.
fn shown(path: &Path) -> String {
    visible(&path.display().to_string())
}

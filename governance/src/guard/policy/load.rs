//! A profile out of its file.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use super::{MAX_PROFILE, Policy};
use crate::error::{Error, ErrorKind, Result};

impl Policy {
    /// Reads a profile's file: JSON, or YAML where the feature `llm` is on.
    pub fn load(file: &Path) -> Result<Self> {
        let shown = file.display();
        let unreadable = |error: std::io::Error| match error.kind() {
            std::io::ErrorKind::NotFound => {
                Error::new(ErrorKind::NotFound, "file_missing", format!("there is no profile `{shown}`: name a file")).because(error)
            }
            _ => Error::invalid("bad_profile", format!("`{shown}` cannot be read: name a text file")).because(error),
        };
        let mut text = String::new();
        // One byte more than is read: a larger file is refused for its size.
        let read = File::open(file).and_then(|opened| opened.take(MAX_PROFILE as u64 + 1).read_to_string(&mut text));
        read.map_err(unreadable)?;
        Self::read(&shown.to_string(), &text)
    }
}

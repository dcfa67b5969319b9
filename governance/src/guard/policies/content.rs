//! What a file of a directory of profiles holds.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::json;

use super::Text;
use super::files::read;
use crate::guard::canonical::digest;
use crate::guard::policy::{Policy, visible};

/// What a file says, or why it says nothing.
pub(super) type Content = Result<(Text, Policy), String>;

/// A digest of what a file holds, and what it says.
pub(super) fn content(path: &Path) -> (String, Content) {
    let name = path.file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    match read(path) {
        Ok(text) => {
            let policy = text.compile_as(&name).map_err(|error| error.to_string());
            (digest(&json!(text)), policy.map(|policy| (text, policy)))
        }
        Err(error) => (digest(&json!({"error": error.to_string()})), Err(error.to_string())),
    }
}

/// Why a profile in two files is in neither.
pub(super) fn twice(name: &str, policy: &Policy, contents: &BTreeMap<String, (String, Content)>) -> Option<String> {
    let profile = &policy.profile().agent_id;
    let same = |other: &Content| other.as_ref().is_ok_and(|(_, other)| other.profile().agent_id == *profile);
    let other = contents.iter().find(|(other, (_, content))| *other != name && same(content))?.0;
    Some(format!("`{}` holds the profile `{profile}`, as `{}` does: one of them is meant", visible(name), visible(other)))
}

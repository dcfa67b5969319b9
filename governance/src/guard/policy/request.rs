//! What is asked for: an action, and where it touches the world. What could be read in two ways is refused here.

use icu_normalizer::ComposingNormalizerBorrowed as ComposingNormalizer;
use serde::Serialize;

use super::Field;
use crate::error::{Error, Result};

/// The longest name of an action or a target, in bytes.
pub const MAX_NAME: usize = 256;
/// The longest path, in bytes.
pub const MAX_PATH: usize = 4096;

/// What an agent asks to do.
///
/// The target is a host, a service, a workspace: what the action changes beyond the agent's own files. The path is below the root, as
/// [`Root::resolve`](crate::guard::path::Root::resolve) gives it. What an action touches must be said: a rule about targets cannot see one that is not named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Request<'a> {
    /// What is done, as `write_file`.
    pub action: &'a str,
    /// To what, as `sandbox-1`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<&'a str>,
    /// Where, as `src/main.rs`; empty for the root itself.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<&'a str>,
    /// What whoever wraps the tool says of the call's risks, as `irreversible`. Who asks for a risk believes nothing: see
    /// [`Guard::begin`](crate::guard::Guard::begin).
    #[serde(skip_serializing_if = "<[_]>::is_empty")]
    pub risks: &'a [&'a str],
}

impl<'a> Request<'a> {
    /// An action alone.
    #[must_use]
    pub fn new(action: &'a str) -> Self {
        Self { action, target: None, path: None, risks: &[] }
    }

    /// The same, on a target.
    #[must_use]
    pub fn on(mut self, target: &'a str) -> Self {
        self.target = Some(target);
        self
    }

    /// The same, at a path.
    #[must_use]
    pub fn at(mut self, path: &'a str) -> Self {
        self.path = Some(path);
        self
    }

    /// The same, with these risks.
    #[must_use]
    pub fn risking(mut self, risks: &'a [&'a str]) -> Self {
        self.risks = risks;
        self
    }

    /// Refuses an action or a target that no policy would look at, for who names them long before the first call. Where a path leads is not known by then.
    pub fn check(&self) -> Result<()> {
        let said = self.fields().filter(|(field, _)| *field != Field::Path);
        match said.into_iter().find_map(|(field, text)| malformed(field, text).map(|why| (field, text, why))) {
            Some((field, text, why)) => Err(Error::invalid("unclear_tool", format!("`{field}` cannot be `{}`: {why}", visible(text)))),
            None => Ok(()),
        }
    }

    /// What it says of each field, in the order in which they are looked at.
    pub(super) fn fields(&self) -> impl Iterator<Item = (Field, &'a str)> + use<'a> {
        let said = [(Field::Action, Some(self.action)), (Field::Target, self.target), (Field::Path, self.path)];
        said.into_iter().filter_map(|(field, text)| Some((field, text?)))
    }
}

/// Why a text cannot be what its field holds; nothing if it can.
pub(super) fn malformed(field: Field, text: &str) -> Option<&'static str> {
    match field {
        Field::Action | Field::Target => malformed_name(text),
        Field::Path => malformed_path(text),
    }
}

fn malformed_name(text: &str) -> Option<&'static str> {
    if text.is_empty() || text.len() > MAX_NAME {
        return Some("it takes 1 to 256 bytes");
    }
    // Other scripts hold letters that look the same, and forms that a resolver reads as the same host.
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Some("it takes visible ASCII without spaces, so that no other name looks or resolves alike");
    }
    if text.contains('%') {
        return Some("it holds a percent sign, which somebody further on may decode");
    }
    if text.ends_with('.') {
        return Some("it ends with a dot, which names the same host in another spelling");
    }
    text.contains(['*', '?', '\\']).then_some("it holds `*`, `?` or `\\`: a request names one thing")
}

fn malformed_path(text: &str) -> Option<&'static str> {
    if text.len() > MAX_PATH {
        return Some("it takes at most 4096 bytes");
    }
    if text.is_empty() {
        return None;
    }
    text.split('/').find_map(|component| match component {
        "" | "." | ".." => Some("it is not resolved: it begins or ends with `/`, or holds an empty part, `.` or `..`"),
        name => ambiguous(name),
    })
}

/// Why somebody, somewhere, might read this part of a path as another; nothing if nobody would.
pub(in crate::guard) fn ambiguous(component: &str) -> Option<&'static str> {
    if component.chars().any(char::is_control) {
        return Some("it holds NUL or another control character");
    }
    if component.chars().any(is_invisible) {
        return Some("it holds characters that are not seen, or turn the reading direction");
    }
    if component.contains('\\') {
        return Some("it holds a backslash, which some read as a separator");
    }
    let is_encoded =
        |(at, _): (usize, &str)| component.as_bytes()[at + 1..].iter().take(2).filter(|byte| byte.is_ascii_hexdigit()).count() == 2;
    if component.match_indices('%').any(is_encoded) {
        return Some("it holds a percent-encoding, which somebody further on may decode");
    }
    if component.ends_with(['.', ' ']) || component.starts_with(' ') {
        return Some("a part of it ends with a dot, or begins or ends with a space, which some systems drop");
    }
    if !component.is_ascii() && !ComposingNormalizer::new_nfc().is_normalized(component) {
        return Some("it is not in Unicode's composed form (NFC): the same name could be spelled in two ways");
    }
    None
}

/// A text on one line, with what is not seen or could steer a terminal spelled out.
pub(crate) fn visible(text: &str) -> String {
    let mut shown = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || is_invisible(c) { shown.extend(c.escape_default()) } else { shown.push(c) }
    }
    shown
}

/// Format characters, of which the bidirectional ones are the best known, and blanks that are not U+0020.
fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}' | '\u{180b}'..='\u{180f}'
        | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}'
        | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
        || (c != ' ' && c.is_whitespace())
}

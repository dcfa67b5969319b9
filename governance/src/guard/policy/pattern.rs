//! One pattern of a profile: `*` for any run of characters, `?` for one; in paths neither crosses a `/`, and `**` stands for any number of folders.
//!
//! There is nothing more, so that a pattern means what it seems to mean. What other tools give a meaning (`[`, `{`, `\`, `!` in front) is refused.

use std::borrow::Cow;

/// The longest pattern, in bytes.
pub const MAX_PATTERN: usize = 1024;

/// What a pattern is matched against.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Grammar {
    /// A name: of an action, of a target.
    Name,
    /// A path below the root, `/` between its components.
    Path,
}

/// A pattern that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    text: String,
    grammar: Grammar,
    literal: bool,
}

impl Pattern {
    /// Checks a pattern. Says what is wrong with it.
    pub fn parse(text: &str, grammar: Grammar) -> Result<Self, String> {
        if text.is_empty() || text.len() > MAX_PATTERN {
            return Err(format!("it takes 1 to {MAX_PATTERN} bytes"));
        }
        if let Some(bad) = text.chars().find(|c| matches!(c, '[' | ']' | '{' | '}' | '\\' | '!') || c.is_control()) {
            return Err(format!("`{}` has no meaning here: `*`, `?` and, in paths, `**` do", bad.escape_default()));
        }
        match grammar {
            Grammar::Name if !text.bytes().all(|b| b.is_ascii_graphic()) => {
                return Err("names of actions and targets are visible ASCII, without spaces".to_owned());
            }
            Grammar::Path => check_path(text)?,
            Grammar::Name => {}
        }
        Ok(Self { text: text.to_owned(), grammar, literal: !text.contains(['*', '?']) })
    }

    /// The same in lower case, to be matched against what is in lower case.
    pub fn folded(&self) -> Self {
        Self { text: fold(&self.text).into_owned(), ..self.clone() }
    }

    /// What everything that matches begins with, and the longest text that everything that matches contains.
    pub fn literals(&self) -> (&str, &str) {
        let head = self.text.find(['*', '?']).map_or(&self.text[..], |end| {
            let head = &self.text[..end];
            // `src/**` matches `src` too.
            if self.grammar == Grammar::Path && self.text[end..].starts_with("**") { head.strip_suffix('/').unwrap_or(head) } else { head }
        });
        let separators: &[char] = if self.grammar == Grammar::Path { &['*', '?', '/'] } else { &['*', '?'] };
        (head, self.text.split(separators).max_by_key(|part| part.len()).unwrap_or_default())
    }

    /// Whether it stands for this text.
    pub fn matches(&self, text: &str) -> bool {
        if self.literal {
            return self.text == text;
        }
        match self.grammar {
            Grammar::Name => run(self.text.as_bytes(), text.as_bytes()),
            Grammar::Path => folders(&self.text, text),
        }
    }
}

fn check_path(text: &str) -> Result<(), String> {
    if text.starts_with('/') {
        return Err("paths are below the root: write it without the first `/`".to_owned());
    }
    for component in text.split('/') {
        if component.is_empty() || component == "." || component == ".." {
            return Err("each part between two `/` is a name, `*` or `**`".to_owned());
        }
        if component.contains("**") && component != "**" {
            return Err("`**` stands alone between two `/`".to_owned());
        }
    }
    Ok(())
}

/// Lower case, so that another spelling of what is forbidden is forbidden too. Letter by letter: what one becomes must not depend on its neighbours, or
/// a pattern and what it stands for would part ways.
pub(super) fn fold(text: &str) -> Cow<'_, str> {
    if text.bytes().all(|b| b.is_ascii() && !b.is_ascii_uppercase()) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().flat_map(char::to_lowercase).map(|c| if c == 'ς' { 'σ' } else { c }).collect())
}

/// `*` and `?` in one name. Going back only to the last `*` is enough: whatever an earlier one could take, the last one can take too.
fn run(pattern: &[u8], text: &[u8]) -> bool {
    let (mut p, mut t, mut last) = (0, 0, None);
    while t < text.len() {
        match pattern.get(p) {
            Some(b'*') => {
                last = Some((p, t));
                p += 1;
            }
            Some(b'?') => {
                p += 1;
                t += width(text[t]);
            }
            Some(byte) if *byte == text[t] => {
                p += 1;
                t += 1;
            }
            _ => {
                let Some((star, taken)) = last else { return false };
                let taken = taken + width(text[taken]);
                last = Some((star, taken));
                p = star + 1;
                t = taken;
            }
        }
    }
    pattern[p..].iter().all(|byte| *byte == b'*')
}

/// How many bytes the character has that begins with this one.
fn width(first: u8) -> usize {
    match first {
        0xf0.. => 4,
        0xe0.. => 3,
        0xc0.. => 2,
        _ => 1,
    }
}

/// The same, with components in the place of characters, and `**` in the place of `*`.
fn folders(pattern: &str, text: &str) -> bool {
    // The root itself has no part at all.
    let (mut pattern, mut text) = (Some(pattern), Some(text).filter(|text| !text.is_empty()));
    let mut last: Option<(Option<&str>, &str)> = None;
    while let Some(rest) = text {
        let (name, next) = first(rest);
        match pattern.map(first) {
            Some(("**", behind)) => {
                last = Some((behind, rest));
                pattern = behind;
            }
            Some((component, behind)) if run(component.as_bytes(), name.as_bytes()) => {
                pattern = behind;
                text = next;
            }
            _ => {
                let Some((behind, taken)) = last else { return false };
                // `**` takes one component more.
                text = first(taken).1;
                last = text.map(|text| (behind, text));
                pattern = behind;
            }
        }
    }
    while let Some(rest) = pattern {
        let (component, behind) = first(rest);
        if component != "**" {
            return false;
        }
        pattern = behind;
    }
    true
}

fn first(path: &str) -> (&str, Option<&str>) {
    path.split_once('/').map_or((path, None), |(name, rest)| (name, Some(rest)))
}

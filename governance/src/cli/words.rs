//! What is said to this program, on its command line and in its environment, is text.

use std::ffi::{OsStr, OsString};

use crate::error::{Error, Result};

/// What the variables begin with that this program goes by.
const OURS: [&str; 6] = ["GOVERNANCE_", "GUVNOR_", "GAMMA_", "OPENROUTER_", "AUTO_ORCHESTRATE", "ORCHESTRATION_TIMEOUT"];

/// Refuses a word or a variable that is not UTF-8, by name. The ledger and the store keep paths as text: with another one they would find other files.
pub fn all_text(words: &[OsString], environment: impl IntoIterator<Item = (OsString, OsString)>) -> Result<()> {
    if let Some(word) = words.iter().skip(1).find(|word| word.to_str().is_none()) {
        let message = format!("{} is not UTF-8 text: every argument is, also the name of a file or a directory", shown(word));
        return Err(Error::invalid("usage", message));
    }
    let wrong = |(name, value): &(OsString, OsString)| {
        value.to_str().is_none() && name.to_str().is_some_and(|name| OURS.iter().any(|ours| name.starts_with(ours)))
    };
    // What it holds may be secret.
    environment
        .into_iter()
        .find(wrong)
        .map_or(Ok(()), |(name, _)| Err(Error::invalid("bad_value", format!("{} is not UTF-8 text: set it to what is", name.display()))))
}

/// With what is no text in it made visible. An address may hold a password.
fn shown(word: &OsStr) -> String {
    let word = word.as_encoded_bytes().escape_ascii().to_string();
    if word.contains("://") { "an argument".to_owned() } else { format!("`{word}`") }
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use super::*;

    #[test]
    fn what_is_not_text_is_named_and_what_may_be_secret_is_not_shown() {
        let wrong = || OsString::from_vec(b"h\xe9".to_vec());
        let said = |words: &[OsString], name: &str| all_text(words, [(name.into(), wrong())]).map_err(|error| error.to_string());
        let word = said(&["governance".into(), wrong()], "HOME").unwrap_err();
        assert!(word.contains(r"`h\xe9`"), "{word}");
        let url = said(&["governance".into(), OsString::from_vec(b"redis://:hunter2\xe9@h".to_vec())], "HOME").unwrap_err();
        assert!(url.contains("not UTF-8") && !url.contains("hunter2"), "{url}");
        let variable = said(&[], "GOVERNANCE_HOME").unwrap_err();
        assert!(variable.contains("GOVERNANCE_HOME") && !variable.contains(r"\xe9"), "{variable}");
        assert_eq!(said(&[wrong()], "LS_COLORS"), Ok(()), "neither this program's own name nor what others go by");
    }
}

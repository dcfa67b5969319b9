//! An approver's key and its passphrase: where they are found, and how they are asked for.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use super::args::WithKey;
use super::printer::Printer;
use crate::disk::reading;
use crate::error::{Error, Result};
use crate::guard::approval::{ApproverKey, KeyFile};
use crate::vocabulary::{ApproverName, System};

/// The longest passphrase that is read.
const MAX_PASSPHRASE: usize = 4096;
/// The largest file that is looked into for one.
const MAX_FILE: u64 = 1 << 20;

/// Where a key is: as named, or as the environment says, or in the user's configuration.
pub fn file(named: Option<&Path>, home: &Path) -> Result<KeyFile> {
    let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let usual =
        || set("XDG_CONFIG_HOME").or_else(|| Some(set("HOME")?.join(".config"))).map(|folder| folder.join("governance/approver.key"));
    let path = named.map(Path::to_owned).or_else(|| set("GOVERNANCE_APPROVER_KEY")).or_else(usual);
    let nowhere = || Error::invalid("no_approver_key", "this user has no home directory: name the key's file with `--key`");
    KeyFile::at(&path.ok_or_else(nowhere)?, home)
}

/// Opens a key.
pub fn open(named: Option<&Path>, passphrase_file: Option<&Path>, home: &Path) -> Result<ApproverKey> {
    let file = file(named, home)?;
    let prompt = format!("passphrase of {}: ", file.path().display());
    file.open(|| passphrase(passphrase_file, &prompt))
}

/// Makes a key and keeps it.
pub fn make(name: &ApproverName, with: &WithKey, no_passphrase: bool, home: &Path, printer: &Printer) -> Result<(KeyFile, ApproverKey)> {
    let file = file(with.key.as_deref(), home)?;
    if file.is_there() {
        // Said before anybody thinks of a passphrase.
        let message =
            format!("`{}` is there already and is not replaced: use it, or name another file with `--key`", file.path().display());
        return Err(Error::new(crate::error::ErrorKind::Conflict, "key_exists", message));
    }
    let key = ApproverKey::fresh(name, &System);
    let passphrase = if no_passphrase {
        let shown = file.path().display();
        printer.note(format!(
            "WARNING: `{shown}` is not encrypted: every program of this user, and every agent that runs as it, can approve as {name}"
        ))?;
        None
    } else {
        Some(fresh_passphrase(with.passphrase_file.as_deref())?)
    };
    file.keep(&key, passphrase.as_ref().map(|passphrase| passphrase.as_str()), &System)?;
    Ok((file, key))
}

fn fresh_passphrase(file: Option<&Path>) -> Result<Zeroizing<String>> {
    let chosen = passphrase(file, "a passphrase for the new key: ")?;
    let asked = file.is_none() && std::env::var_os("GOVERNANCE_APPROVER_PASSPHRASE").is_none_or(|set| set.is_empty());
    if asked && *passphrase(None, "the same once more: ")? != *chosen {
        return Err(Error::invalid("no_passphrase", "the two passphrases differ"));
    }
    if chosen.is_empty() {
        return Err(Error::invalid("no_passphrase", "the passphrase is empty: choose one, or say `--no-passphrase`"));
    }
    Ok(chosen)
}

/// A passphrase: from a file, from the environment, or asked for without showing it.
fn passphrase(file: Option<&Path>, prompt: &str) -> Result<Zeroizing<String>> {
    if let Some(file) = file {
        let unreadable = |e: std::io::Error| Error::invalid("no_passphrase", format!("`{}` cannot be read: {e}", file.display()));
        let text = Zeroizing::new(reading::read_given(file, MAX_FILE).map_err(unreadable)?);
        return Ok(Zeroizing::new(text.trim_end_matches(['\n', '\r']).chars().take(MAX_PASSPHRASE).collect()));
    }
    if let Some(set) = std::env::var("GOVERNANCE_APPROVER_PASSPHRASE").ok().filter(|set| !set.is_empty()) {
        return Ok(Zeroizing::new(set));
    }
    if !std::io::stdin().is_terminal() {
        let message = "nobody can be asked for the passphrase: name `--passphrase-file`, or set GOVERNANCE_APPROVER_PASSPHRASE";
        return Err(Error::invalid("no_passphrase", message));
    }
    let unread = |e| Error::invalid("no_passphrase", "the passphrase could not be read from the terminal").because(e);
    rpassword::prompt_password(prompt).map(Zeroizing::new).map_err(unread)
}

//! An approver's key pair. The private half is in a file of the approver's own, outside the governance home; agents never hold it.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{ErrorKind as Io, Read, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use ed25519_dalek::{Signer, SigningKey};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::keeping::Sealed;
use super::statement::{Domain, Signed};
use crate::disk::reading;
use crate::error::{Error, ErrorKind, Result};
use crate::ledger::hex;
use crate::vocabulary::{ApproverName, Chance};

/// The longest file that is read as a key.
const MAX_FILE: u64 = 64 * 1024;
/// The version of the file that is written.
const VERSION: u32 = 1;

/// Signs for an approver. Its `Debug` shows the public half only.
pub struct ApproverKey {
    name: ApproverName,
    secret: SigningKey,
}

impl ApproverKey {
    /// A fresh key pair.
    pub fn fresh(name: &ApproverName, chance: &dyn Chance) -> Self {
        let mut seed = Zeroizing::new([0; 32]);
        chance.fill(&mut *seed);
        Self { name: name.clone(), secret: SigningKey::from_bytes(&seed) }
    }

    /// Whose it is.
    #[must_use]
    pub fn name(&self) -> &ApproverName {
        &self.name
    }

    /// The public half, in hexadecimal.
    #[must_use]
    pub fn public(&self) -> String {
        hex::encode(self.secret.verifying_key().as_bytes())
    }

    /// Signs a message.
    #[must_use]
    pub fn sign<T: Domain>(&self, said: T) -> Signed<T> {
        let signature = hex::encode(&self.secret.sign(&said.message()).to_bytes());
        Signed { said, key: self.public(), signature }
    }
}

impl std::fmt::Debug for ApproverKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApproverKey").field("name", &self.name).field("public", &self.public()).finish_non_exhaustive()
    }
}

/// What the file holds.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Kept {
    governance_approver_key: u32,
    name: ApproverName,
    public: String,
    /// Encrypted with a passphrase …
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sealed: Option<Sealed>,
    /// … or as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    seed: Option<String>,
}

/// Where an approver's key is.
#[derive(Debug, Clone)]
pub struct KeyFile(PathBuf);

impl KeyFile {
    /// A file. Refused where it lies in the governance home, which agents read and write.
    pub fn at(path: &Path, home: &Path) -> Result<Self> {
        let whole = |path: &Path| {
            let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
            // Of what is not there yet, the folder that is.
            let there = path.ancestors().find_map(|folder| Some((folder.canonicalize().ok()?, folder.to_owned())));
            there.map_or(path.clone(), |(real, folder)| path.strip_prefix(&folder).map_or(real.clone(), |rest| real.join(rest)))
        };
        if whole(path).starts_with(whole(home)) {
            let message = format!("`{}` lies in the governance home, which agents read: keep the key elsewhere", path.display());
            return Err(Error::new(ErrorKind::Denied, "key_in_home", message));
        }
        Ok(Self(path.to_owned()))
    }

    /// The path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// Keeps a key here, encrypted where a passphrase is given. Never over one that is there.
    pub fn keep(&self, key: &ApproverKey, passphrase: Option<&str>, chance: &dyn Chance) -> Result<()> {
        let (public, seed) = (key.public(), Zeroizing::new(key.secret.to_bytes()));
        let bound = bound(&key.name, &public);
        let sealed = passphrase.map(|passphrase| Sealed::seal(&seed, passphrase, bound.as_bytes(), chance)).transpose()?;
        let seed = sealed.is_none().then(|| hex::encode(&*seed));
        let kept = Kept { governance_approver_key: VERSION, name: key.name.clone(), public, sealed, seed };
        let text = Zeroizing::new(serde_json::to_vec_pretty(&kept).map_err(|e| Error::internal("a key is not JSON").because(e))?);
        if let Some(folder) = self.0.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(|e| self.trouble(&e))?;
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&self.0).map_err(|e| self.trouble(&e))?;
        file.write_all(&text).and_then(|()| file.write_all(b"\n")).and_then(|()| file.sync_all()).map_err(|e| self.trouble(&e))
    }

    /// Whether something is there.
    #[must_use]
    pub fn is_there(&self) -> bool {
        fs::symlink_metadata(&self.0).is_ok()
    }

    /// Takes away what `keep` made, where it led to nothing.
    pub fn discard(&self) {
        let _ = fs::remove_file(&self.0);
    }

    /// Opens the key. Asks for the passphrase only where there is one. Refuses a file that others can use.
    pub fn open(&self, passphrase: impl FnOnce() -> Result<Zeroizing<String>>) -> Result<ApproverKey> {
        let kept = self.read()?;
        let seed = match (&kept.sealed, &kept.seed) {
            (Some(sealed), None) => sealed.open(&passphrase()?, bound(&kept.name, &kept.public).as_bytes())?,
            (None, Some(seed)) => Zeroizing::new(hex::decode(seed).ok_or_else(|| self.not_a_key())?),
            _ => return Err(self.not_a_key()),
        };
        let key = ApproverKey { name: kept.name, secret: SigningKey::from_bytes(&seed) };
        if key.public() == kept.public { Ok(key) } else { Err(self.not_a_key()) }
    }

    fn read(&self) -> Result<Kept> {
        let file = reading::open_file(&self.0).map_err(|e| self.trouble(&e))?;
        let mode = file.metadata().map_err(|e| self.trouble(&e))?.permissions().mode();
        let shown = self.0.display();
        if mode & 0o077 != 0 {
            let message = format!("`{shown}` can be used by others (mode {:o}): run `chmod 600 {shown}`", mode & 0o777);
            return Err(Error::new(ErrorKind::Denied, "key_exposed", message));
        }
        let mut text = Zeroizing::new(Vec::new());
        file.take(MAX_FILE).read_to_end(&mut text).map_err(|e| self.trouble(&e))?;
        // What serde says of a wrong line could repeat it.
        let kept: Kept = serde_json::from_slice(&text).map_err(|_| self.not_a_key())?;
        if kept.governance_approver_key == VERSION { Ok(kept) } else { Err(self.not_a_key()) }
    }

    fn not_a_key(&self) -> Error {
        Error::corrupt("not_a_key", format!("`{}` does not hold an approver's key: bring it back from a backup", self.0.display()))
    }

    fn trouble(&self, error: &std::io::Error) -> Error {
        let shown = self.0.display();
        match error.kind() {
            Io::NotFound => {
                let message =
                    format!("there is no approver's key at `{shown}`: `governance approvers add NAME` makes one, `--key` names another");
                Error::new(ErrorKind::NotFound, "no_approver_key", message)
            }
            Io::AlreadyExists => {
                let message = format!("`{shown}` is there already and is not replaced: use it, or name another file with `--key`");
                Error::new(ErrorKind::Conflict, "key_exists", message)
            }
            Io::InvalidInput => Error::corrupt("not_a_key", format!("`{shown}` holds no approver's key: {error}")),
            _ => Error::unavailable("file_trouble", format!("`{shown}`: {error}")),
        }
    }
}

/// What the encryption is bound to: a key does not become another person's by an edited name.
fn bound(name: &ApproverName, public: &str) -> String {
    format!("governance approver key {VERSION}\0{name}\0{public}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::System;

    fn made(passphrase: Option<&str>) -> (tempfile::TempDir, KeyFile, ApproverKey) {
        let folder = tempfile::tempdir().unwrap();
        let file = KeyFile::at(&folder.path().join("keys/ann.key"), &folder.path().join("home")).unwrap();
        let key = ApproverKey::fresh(&ApproverName::new("ann").unwrap(), &System);
        file.keep(&key, passphrase, &System).unwrap();
        (folder, file, key)
    }

    fn says(text: &'static str) -> impl FnOnce() -> Result<Zeroizing<String>> {
        move || Ok(Zeroizing::new(text.to_owned()))
    }

    #[test]
    fn a_key_is_kept_for_its_owner_only_and_opens_with_its_passphrase_only() {
        let (_folder, file, key) = made(Some("correct horse"));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(file.path()), mode(file.path().parent().unwrap())), (0o600, 0o700));
        assert_eq!(file.open(says("correct horse")).unwrap().public(), key.public());
        assert_eq!(file.open(says("wrong horse")).unwrap_err().code(), "wrong_passphrase");
        let text = fs::read_to_string(file.path()).unwrap();
        let seed = hex::encode(&key.secret.to_bytes());
        assert!(!text.contains(&seed) && !format!("{key:?}").contains(&seed));
        assert_eq!(file.keep(&key, None, &System).unwrap_err().code(), "key_exists");
        // Neither its name nor its public half can be another's.
        fs::write(file.path(), text.replace("\"ann\"", "\"bob\"")).unwrap();
        assert_eq!(file.open(says("correct horse")).unwrap_err().code(), "wrong_passphrase");
    }

    #[test]
    fn a_key_without_a_passphrase_asks_for_none_and_is_refused_where_others_can_read_it() {
        let (_folder, file, key) = made(None);
        let none = || -> Result<Zeroizing<String>> { panic!("nobody is asked") };
        assert_eq!(file.open(none).unwrap().public(), key.public());
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o644)).unwrap();
        assert_eq!(file.open(none).unwrap_err().code(), "key_exposed");
        fs::set_permissions(file.path(), fs::Permissions::from_mode(0o600)).unwrap();
        for bad in ["", "{}", "{\"governance_approver_key\":2}", &"x".repeat(200_000)] {
            fs::write(file.path(), bad).unwrap();
            assert_eq!(file.open(none).unwrap_err().code(), "not_a_key");
        }
    }

    #[test]
    fn a_key_is_not_kept_where_agents_read() {
        let folder = tempfile::tempdir().unwrap();
        let home = folder.path().join("home");
        fs::create_dir_all(&home).unwrap();
        std::os::unix::fs::symlink(&home, folder.path().join("link")).unwrap();
        for inside in ["home/approver.key", "home/keys/deep/a.key", "link/a.key"] {
            assert_eq!(KeyFile::at(&folder.path().join(inside), &home).unwrap_err().code(), "key_in_home", "{inside}");
        }
        assert!(KeyFile::at(&folder.path().join("homes/a.key"), &home).is_ok());
        assert_eq!(KeyFile::at(&folder.path().join("none"), &home).unwrap().open(says("x")).unwrap_err().code(), "no_approver_key");
    }
}

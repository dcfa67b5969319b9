//! The key that signs heads, and the public keys that check them. Agents never hold the first.

use std::fs::{self, OpenOptions};
use std::io::{ErrorKind as Io, Read, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};

use ed25519_dalek::{Signer, VerifyingKey};
use sha2::{Digest, Sha256};

use super::hex;
use super::segment::trouble;
use crate::disk::reading;
use crate::error::{Error, ErrorKind, Result};
use crate::vocabulary::Chance;

/// The file of the secret key.
pub const KEY_FILE: &str = "ledger.key";
/// The file of the public keys, one a line: the present one last.
pub const PUBLIC_FILE: &str = "ledger.pub";
/// The largest file of keys that is read.
const MAX_FILE: u64 = 1 << 20;

/// Signs heads. Its `Debug` shows the public part only.
pub struct SigningKey {
    secret: ed25519_dalek::SigningKey,
    id: String,
}

impl SigningKey {
    /// The key in a directory; made there on first use, readable by its owner only.
    ///
    /// Refuses a key that others can read, and a directory whose key is gone while its public part is still there.
    pub fn open(directory: &Path, chance: &dyn Chance) -> Result<Self> {
        fs::create_dir_all(directory).map_err(|e| trouble(directory, &e))?;
        // In this order: whoever makes a key publishes it afterwards.
        let published = directory.join(PUBLIC_FILE).exists();
        let path = directory.join(KEY_FILE);
        if !path.exists() {
            if published {
                return Err(lost(&path));
            }
            make(&path, chance)?;
        }
        let key = read(&path)?;
        publish(&directory.join(PUBLIC_FILE), &key)?;
        Ok(key)
    }

    /// Refuses what [`open`](Self::open) refuses, and makes nothing: where there is no key yet, the first use makes one.
    pub fn look(directory: &Path) -> Result<()> {
        let published = directory.join(PUBLIC_FILE).exists();
        let path = directory.join(KEY_FILE);
        match path.exists() {
            true => PublicKeys::open(directory).and(read(&path)).map(drop),
            false if published => Err(lost(&path)),
            false => Ok(()),
        }
    }

    /// The id of its public part.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    pub(super) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.secret.sign(message).to_bytes()
    }
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("SigningKey").field("id", &self.id).finish_non_exhaustive()
    }
}

/// The public keys that a ledger's heads may be signed with.
#[derive(Debug, Default)]
pub struct PublicKeys(Vec<(String, VerifyingKey)>);

impl PublicKeys {
    /// Those in a directory.
    pub fn open(directory: &Path) -> Result<Self> {
        let path = directory.join(PUBLIC_FILE);
        let text = match read_public(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == Io::NotFound => String::new(),
            Err(e) => return Err(trouble(&path, &e)),
        };
        let key = |line: &str| {
            let key = hex::decode(line.trim()).and_then(|bytes| VerifyingKey::from_bytes(&bytes).ok());
            key.map(|key| (id_of(&key), key)).ok_or_else(|| {
                Error::corrupt(
                    "not_a_key",
                    format!("`{}` holds a line that is not a public key: bring it back from a backup", path.display()),
                )
            })
        };
        text.lines().filter(|line| !line.trim().is_empty()).map(key).collect::<Result<_>>().map(Self)
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn verify(&self, id: &str, message: &[u8], signature: &[u8; 64]) -> bool {
        let signature = ed25519_dalek::Signature::from_bytes(signature);
        self.0.iter().any(|(known, key)| known == id && key.verify_strict(message, &signature).is_ok())
    }
}

fn lost(path: &Path) -> Error {
    let message = format!("`{}` is gone, but `{PUBLIC_FILE}` is there: bring the key back from a backup", path.display());
    Error::new(ErrorKind::NotFound, "signing_key_lost", message)
}

fn id_of(key: &VerifyingKey) -> String {
    hex::encode(&Sha256::digest(key.as_bytes())[..8])
}

fn make(path: &Path, chance: &dyn Chance) -> Result<()> {
    let mut seed = [0; 32];
    chance.fill(&mut seed);
    let mut text = hex::encode(&seed).into_bytes();
    let mut suffix = [0; 8];
    chance.fill(&mut suffix);
    let fresh = path.with_extension(format!("{}.new", hex::encode(&suffix)));
    // A link never replaces: of two processes that make a key at once, both use the first one's.
    let made = OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&fresh)
        .and_then(|mut file| file.write_all(&text).and_then(|()| file.sync_all()))
        .and_then(|()| fs::hard_link(&fresh, path));
    wipe(&mut seed);
    wipe(&mut text);
    let _ = fs::remove_file(&fresh);
    match made {
        Err(e) if e.kind() != Io::AlreadyExists => Err(trouble(path, &e)),
        _ => Ok(()),
    }
}

fn read(path: &Path) -> Result<SigningKey> {
    let file = reading::open_file(path).map_err(|e| trouble(path, &e))?;
    let mode = file.metadata().map_err(|e| trouble(path, &e))?.permissions().mode();
    let shown = path.display();
    if mode & 0o077 != 0 {
        let message = format!("`{shown}` can be used by others (mode {:o}): run `chmod 600 {shown}`", mode & 0o777);
        return Err(Error::new(ErrorKind::Denied, "key_exposed", message));
    }
    let mut text = String::with_capacity(128);
    file.take(MAX_FILE).read_to_string(&mut text).map_err(|e| trouble(path, &e))?;
    let seed = hex::decode::<32>(text.trim());
    wipe(&mut text.into_bytes());
    let Some(mut seed) = seed else {
        return Err(Error::corrupt("not_a_key", format!("`{shown}` does not hold a key: bring it back from a backup")));
    };
    let secret = ed25519_dalek::SigningKey::from_bytes(&seed);
    wipe(&mut seed);
    Ok(SigningKey { id: id_of(&secret.verifying_key()), secret })
}

/// Reads public keys. That there are too many is no full disk.
fn read_public(path: &Path) -> std::io::Result<String> {
    reading::read_text(path, MAX_FILE).map_err(|error| match error.kind() {
        Io::FileTooLarge => std::io::Error::new(Io::InvalidData, error.to_string()),
        _ => error,
    })
}

fn publish(path: &Path, key: &SigningKey) -> Result<()> {
    let line = hex::encode(key.secret.verifying_key().as_bytes());
    match read_public(path) {
        Ok(text) if text.lines().any(|known| known == line) => return Ok(()),
        Err(error) if error.kind() != Io::NotFound => return Err(trouble(path, &error)),
        _ => {}
    }
    let append = |path: &PathBuf| {
        let mut file = OpenOptions::new().append(true).create(true).open(path)?;
        file.write_all(format!("{line}\n").as_bytes()).and_then(|()| file.sync_all())
    };
    append(&path.to_owned()).map_err(|e| trouble(path, &e))
}

fn wipe(secret: &mut [u8]) {
    secret.fill(0);
    // So that the compiler does not leave the writes out.
    std::hint::black_box(secret);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::System;

    #[test]
    fn a_key_is_made_once_and_only_its_owner_can_read_it() {
        let home = tempfile::tempdir().unwrap();
        let ids: Vec<String> = std::thread::scope(|scope| {
            let open = || SigningKey::open(home.path(), &System).unwrap().id().to_owned();
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(open)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        assert!(ids.iter().all(|id| *id == ids[0]));
        let mode = fs::metadata(home.path().join(KEY_FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 2);
    }

    #[test]
    fn a_key_that_others_can_read_is_refused_with_the_line_that_mends_it() {
        let home = tempfile::tempdir().unwrap();
        SigningKey::open(home.path(), &System).unwrap();
        let path = home.path().join(KEY_FILE);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o640)).unwrap();
        let error = SigningKey::open(home.path(), &System).unwrap_err();
        assert_eq!(error.code(), "key_exposed");
        assert!(error.to_string().contains("chmod 600"));
        assert_eq!(SigningKey::look(home.path()).unwrap_err().code(), "key_exposed");
    }

    #[test]
    fn a_lost_key_is_not_replaced_silently() {
        let home = tempfile::tempdir().unwrap();
        SigningKey::look(home.path()).unwrap();
        assert_eq!(fs::read_dir(home.path()).unwrap().count(), 0, "who only looks makes none");
        SigningKey::open(home.path(), &System).unwrap();
        SigningKey::look(home.path()).unwrap();
        fs::remove_file(home.path().join(KEY_FILE)).unwrap();
        assert_eq!(SigningKey::look(home.path()).unwrap_err().code(), "signing_key_lost");
        assert_eq!(SigningKey::open(home.path(), &System).unwrap_err().code(), "signing_key_lost");
    }

    #[test]
    fn neither_debug_nor_an_error_shows_the_secret() {
        let home = tempfile::tempdir().unwrap();
        let key = SigningKey::open(home.path(), &System).unwrap();
        let path = home.path().join(KEY_FILE);
        let secret = fs::read_to_string(&path).unwrap();
        assert!(!format!("{key:?}").contains(secret.trim()));
        fs::write(&path, format!("{}x", secret.trim())).unwrap();
        let error = format!("{:?}", SigningKey::open(home.path(), &System).unwrap_err());
        assert!(!error.contains(secret.trim()));
    }
}

//! A secret encrypted with a passphrase: Argon2id makes a key of it, XChaCha20-Poly1305 seals.

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::error::{Error, ErrorKind, Result};
use crate::ledger::hex;
use crate::vocabulary::Chance;

/// What guessing costs: RFC 9106's second recommendation.
const MEMORY_KIB: u32 = 64 * 1024;
const PASSES: u32 = 3;
const LANES: u32 = 4;
/// The most that a file may ask this machine to spend.
const MOST_KIB: u32 = 1024 * 1024;
const MOST_PASSES: u32 = 16;

/// A sealed secret of 32 bytes, with what it takes to open it again.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sealed {
    kdf: String,
    memory_kib: u32,
    passes: u32,
    lanes: u32,
    salt: String,
    cipher: String,
    nonce: String,
    text: String,
}

const KDF: &str = "argon2id";
const CIPHER: &str = "xchacha20poly1305";

impl Sealed {
    /// Seals a secret; `bound` is authenticated with it.
    pub fn seal(secret: &[u8; 32], passphrase: &str, bound: &[u8], chance: &dyn Chance) -> Result<Self> {
        if passphrase.is_empty() {
            return Err(Error::invalid("no_passphrase", "the passphrase is empty"));
        }
        let (mut salt, mut nonce) = ([0; 16], [0; 24]);
        chance.fill(&mut salt);
        chance.fill(&mut nonce);
        let mut sealed = Self {
            kdf: KDF.to_owned(),
            memory_kib: MEMORY_KIB,
            passes: PASSES,
            lanes: LANES,
            salt: hex::encode(&salt),
            cipher: CIPHER.to_owned(),
            nonce: hex::encode(&nonce),
            text: String::new(),
        };
        let text = sealed.cipher(passphrase)?.encrypt(&nonce.into(), Payload { msg: secret, aad: bound });
        sealed.text = hex::encode(&text.map_err(|_| Error::internal("a key could not be sealed"))?);
        Ok(sealed)
    }

    /// Opens it. A wrong passphrase and a changed file look alike.
    pub fn open(&self, passphrase: &str, bound: &[u8]) -> Result<Zeroizing<[u8; 32]>> {
        let wrong = || {
            Error::new(ErrorKind::Denied, "wrong_passphrase", "the passphrase does not open the approver's key, or its file was changed")
        };
        let (Some(nonce), Some(text)) = (hex::decode::<24>(&self.nonce), hex::decode::<48>(&self.text)) else { return Err(wrong()) };
        let payload = Payload { msg: &text[..], aad: bound };
        let opened = Zeroizing::new(self.cipher(passphrase)?.decrypt(&nonce.into(), payload).map_err(|_| wrong())?);
        let secret = <[u8; 32]>::try_from(&opened[..]).map_err(|_| wrong())?;
        Ok(Zeroizing::new(secret))
    }

    fn cipher(&self, passphrase: &str) -> Result<XChaCha20Poly1305> {
        let damaged =
            || Error::corrupt("not_a_key", "the approver's key asks for what this version does not do: bring it back from a backup");
        let bounded = self.memory_kib <= MOST_KIB && self.passes <= MOST_PASSES && self.lanes <= 64;
        if self.kdf != KDF || self.cipher != CIPHER || !bounded {
            return Err(damaged());
        }
        let parameters = Params::new(self.memory_kib, self.passes, self.lanes, Some(32)).map_err(|_| damaged())?;
        let salt = hex::decode::<16>(&self.salt).ok_or_else(damaged)?;
        let mut key = Zeroizing::new([0; 32]);
        let argon = Argon2::new(Algorithm::Argon2id, Version::V0x13, parameters);
        argon.hash_password_into(passphrase.as_bytes(), &salt, &mut *key).map_err(|_| damaged())?;
        Ok(XChaCha20Poly1305::new((&*key).into()))
    }
}

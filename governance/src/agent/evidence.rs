//! What an agent shows for its work before it reports: bundled in PACKAGE, bound to what it had put out, never overwritten.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read, Write as _};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::json;
use sha2::{Digest, Sha256};

use super::Desk;
use crate::error::{Error, ErrorKind, Result};
use crate::guard::path::Place;
use crate::ledger::Action;
use crate::store::{Store, to_json};
use crate::vocabulary::{AgentId, AgentPhase, EntryName, Evidence, EvidencePackage, Token};

/// The folder in the home directory that evidence is kept in, a folder an agent.
pub const EVIDENCE: &str = "evidence";
/// What stands for a reference where the content is in the record itself.
const INLINE: &str = "inline";
/// The most evidence of one agent.
const MAX_EVIDENCE: usize = 64;
/// The longest inline text, in bytes.
const MAX_TEXT: usize = 16 << 10;
/// The largest file, in bytes.
const MAX_FILE: u64 = 256 << 20;

/// Something to be shown: a text, or a file, of which a copy is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Exhibit {
    /// Its name; one name stands for one content.
    pub name: String,
    /// What kind of thing it is, as `log`, `diff`, `test_report`.
    pub kind: String,
    /// The content, where it is a text.
    #[serde(default)]
    pub text: Option<String>,
    /// The file, where it is one: relative to the agent's root, or absolute and below it.
    #[serde(default)]
    pub file: Option<PathBuf>,
}

impl Exhibit {
    /// A text.
    pub fn inline(name: impl Into<String>, kind: impl Into<String>, text: impl Into<String>) -> Self {
        Self { name: name.into(), kind: kind.into(), text: Some(text.into()), file: None }
    }

    /// A file, of which a copy is kept: relative to the agent's root, or absolute and below it.
    pub fn file(name: impl Into<String>, kind: impl Into<String>, file: impl Into<PathBuf>) -> Self {
        Self { name: name.into(), kind: kind.into(), text: None, file: Some(file.into()) }
    }
}

/// What an agent has packaged, if it has.
pub async fn package(store: &Store, agent: &AgentId) -> Result<Option<EvidencePackage>> {
    Ok(store.json(store.keys().agent_evidence(agent)).await?.map(|(_, package)| package))
}

impl Desk {
    /// Bundles evidence for what was put out so far, and enters PACKAGE if the agent is just before it. May be called again, to add more: what was
    /// shown stays as it is (`evidence_exists` for the same name with another content).
    ///
    /// A file is shown where the agent's tools could touch it: below its root, at a path that its profile allows, and none of the governance's own. To show
    /// another is refused (`not_allowed`, `no_root`), with what it leads to for a tool.
    pub async fn package(&self, exhibits: &[Exhibit]) -> Result<EvidencePackage> {
        let phase = self.phase().await?;
        if phase == AgentPhase::Verify {
            self.enter(AgentPhase::Package).await?;
        } else if phase != AgentPhase::Package {
            let why = format!("`{}` is in {phase}: evidence is packaged in PACKAGE, after VERIFY", self.actor().id);
            return Err(Error::new(ErrorKind::Denied, "phase_order", why));
        }
        let mut shown = Vec::with_capacity(exhibits.len());
        for exhibit in exhibits {
            shown.push(self.show(exhibit).await?);
        }
        loop {
            match self.bundle(&shown).await {
                // Another task of this agent showed something in between.
                Err(error) if error.code() == "version_conflict" => {}
                other => return other,
            }
        }
    }

    /// What was shown before, and this.
    async fn bundle(&self, shown: &[Evidence]) -> Result<EvidencePackage> {
        let key = self.store().keys().agent_evidence(&self.actor().id);
        let found: Option<(u64, EvidencePackage)> = self.store().json(key.clone()).await?;
        let (version, mut evidence) = found.clone().map_or((0, Vec::new()), |(version, package)| (version, package.evidence));
        let before = evidence.len();
        for shown in shown {
            match evidence.iter().find(|other| other.name == shown.name) {
                Some(same) if same.content_hash == shown.content_hash => {}
                Some(_) => return Err(exists(&shown.name)),
                None => evidence.push(shown.clone()),
            }
        }
        if evidence.len() > MAX_EVIDENCE {
            return Err(Error::invalid("too_much_evidence", format!("an agent shows at most {MAX_EVIDENCE} pieces of evidence")));
        }
        if let Some((_, package)) = found.filter(|(_, package)| package.evidence.len() == before && evidence.len() == before) {
            return Ok(package);
        }
        let package = EvidencePackage {
            agent_id: self.actor().id.clone(),
            outputs: self.outputs().await?.into_iter().map(|output| output.content_hash).collect(),
            evidence,
            created_at: self.store().ports().clock.now(),
        };
        let refs: Vec<_> = package.evidence.iter().map(|shown| reference(&package.agent_id, shown)).collect();
        let refs = serde_json::to_string(&refs).map_err(|e| Error::internal("references are not JSON").because(e))?;
        let hashes: Vec<_> = package
            .evidence
            .iter()
            .map(|shown| json!({"name": shown.name, "kind": shown.kind, "content_hash": shown.content_hash}))
            .collect();
        let told = json!({"evidence": hashes, "outputs": package.outputs});
        let state = self.store().keys().agent_state(&self.actor().id);
        self.recorder
            .record(self.store(), Action::Output, self.subject(), &told, async |token| {
                let commit = self.actor().commit().token(token).version(key.clone(), version);
                self.store().apply(commit.put(key, to_json(&package)?).merge(state, [("evidence", refs)])).await.map(drop)
            })
            .await?;
        Ok(package)
    }

    /// What this agent has packaged, if it has.
    pub async fn evidence(&self) -> Result<Option<EvidencePackage>> {
        package(self.store(), &self.actor().id).await
    }

    /// The names of the evidence that is wanted and not there.
    pub(super) async fn missing_evidence(&self) -> Result<Vec<String>> {
        let wanted = self.packet().await?.map(|packet| packet.evidence_required).unwrap_or_default();
        if !self.guard().policy().profile().governance.evidence_required && wanted.is_empty() {
            return Ok(Vec::new());
        }
        let shown = self.evidence().await?.map(|package| package.evidence).unwrap_or_default();
        if shown.is_empty() && wanted.is_empty() {
            return Ok(vec!["any evidence".to_owned()]);
        }
        Ok(wanted.into_iter().filter(|name| !shown.iter().any(|there| there.name == *name)).collect())
    }

    async fn show(&self, exhibit: &Exhibit) -> Result<Evidence> {
        let name = EntryName::new(&exhibit.name)?.to_string();
        let kind = EntryName::new(&exhibit.kind)?.to_string();
        let created_at = self.store().ports().clock.now();
        match (&exhibit.text, &exhibit.file) {
            (Some(text), None) if text.len() <= MAX_TEXT => Ok(Evidence {
                name,
                kind,
                content_hash: hex(&Sha256::digest(text)),
                reference: INLINE.to_owned(),
                text: Some(text.clone()),
                bytes: text.len() as u64,
                created_at,
            }),
            (Some(text), None) => {
                let long = format!("`{name}` has {} bytes: a text has at most {MAX_TEXT}, show a file instead", text.len());
                Err(Error::invalid("evidence_too_large", long))
            }
            (None, Some(file)) => {
                let none = || Error::invalid("no_evidence_folder", "an agent without a ledger has no folder for evidence: show a text");
                let home = self.recorder.ledger().ok_or_else(none)?.home().to_owned();
                let unnamed = || Error::invalid("evidence_unreadable", format!("the file of `{name}` has a name that is not text"));
                let place = self.guard().to_be_shown(file.to_str().ok_or_else(unnamed)?).await?;
                let (agent, of, passing) = (self.actor().id.clone(), name.clone(), Token::fresh(&*self.store().ports().chance));
                let kept = tokio::task::spawn_blocking(move || keep(&home, &agent, &of, &place, &passing)).await;
                let (reference, content_hash, bytes) = kept.map_err(|e| Error::internal("evidence was not kept").because(e))??;
                Ok(Evidence { name, kind, content_hash, reference, text: None, bytes, created_at })
            }
            _ => Err(Error::invalid("wrong_evidence", format!("`{name}` must be either a text or a file"))),
        }
    }
}

/// Where a piece of evidence is found, from a handoff.
fn reference(agent: &AgentId, shown: &Evidence) -> String {
    if shown.reference == INLINE { format!("agent:{agent}:evidence#{}", shown.name) } else { shown.reference.clone() }
}

/// Copies a file to the agent's folder: whole or not at all, and never over another. What it is called meanwhile is nobody else's.
fn keep(home: &Path, agent: &AgentId, name: &str, place: &Place, passing: &Token) -> Result<(String, String, u64)> {
    let shown = place.relative().escape_debug();
    let unreadable = |why: String| Error::invalid("evidence_unreadable", format!("`{shown}` cannot be kept as evidence: {why}"));
    let trouble = |error: io::Error| unreadable(error.to_string()).because(error);
    let unread = |error: Error| unreadable(error.to_string()).because(error);
    let mut given = place.read().map_err(unread)?;
    let bytes = given.metadata().map_err(trouble)?.len();
    if bytes > MAX_FILE {
        return Err(Error::invalid("evidence_too_large", format!("`{shown}` has {bytes} bytes: a file has at most {MAX_FILE}")));
    }
    let folder = home.join(EVIDENCE).join(agent.as_str());
    DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(trouble)?;
    let passing = folder.join(format!(".{name}.{passing}.tmp"));
    let copied = copy(&mut given, &passing).and_then(|(hash, bytes)| {
        let place = folder.join(name);
        // A hard link fails where something is there already, and is there whole or not at all.
        match fs::hard_link(&passing, &place) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                let (there, _) = hash_of(&mut File::open(&place)?)?;
                Ok((there == hash).then_some((hash, bytes)))
            }
            Err(error) => Err(error),
            Ok(()) => File::open(&folder)?.sync_all().map(|()| Some((hash, bytes))),
        }
    });
    let _ = fs::remove_file(&passing);
    let (hash, bytes) = copied.map_err(trouble)?.ok_or_else(|| exists(name))?;
    Ok((format!("{EVIDENCE}/{agent}/{name}"), hash, bytes))
}

fn copy(from: &mut File, to: &Path) -> io::Result<(String, u64)> {
    let mut made = OpenOptions::new().write(true).create_new(true).mode(0o400).open(to)?;
    let (mut digest, mut bytes, mut piece) = (Sha256::new(), 0_u64, vec![0; 1 << 16]);
    loop {
        let read = from.read(&mut piece)?;
        if read == 0 {
            break;
        }
        digest.update(&piece[..read]);
        made.write_all(&piece[..read])?;
        bytes += read as u64;
        if bytes > MAX_FILE {
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, "it grew while it was copied"));
        }
    }
    made.sync_all()?;
    Ok((hex(&digest.finalize()), bytes))
}

fn hash_of(file: &mut File) -> io::Result<(String, u64)> {
    let mut digest = Sha256::new();
    let bytes = io::copy(file, &mut digest)?;
    Ok((hex(&digest.finalize()), bytes))
}

fn hex(digest: &[u8]) -> String {
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn exists(name: &str) -> Error {
    let message = format!("evidence `{name}` was shown with another content: what was shown stays, choose another name");
    Error::new(ErrorKind::Conflict, "evidence_exists", message)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::path::Root;
    use crate::vocabulary::System;

    #[test]
    fn who_shows_two_files_by_one_name_at_once_keeps_one_of_them_whole() {
        let (home, work) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let root = Root::open(work.path()).unwrap();
        let agent = AgentId::new("alpha-1").unwrap();
        let show = |number: u8| {
            let place = root.resolve(&format!("{number}.log")).unwrap().unwrap();
            keep(home.path(), &agent, "log", &place, &Token::fresh(&System))
        };
        for number in 0..8 {
            fs::write(work.path().join(format!("{number}.log")), vec![number; 1 << 20]).unwrap();
        }
        let shown: Vec<_> = std::thread::scope(|scope| {
            let callers: Vec<_> = (0..8).map(|number| scope.spawn(move || show(number))).collect();
            callers.into_iter().map(|caller| caller.join().unwrap()).collect()
        });
        let mut kept = File::open(home.path().join("evidence/alpha-1/log")).unwrap();
        let (hash, bytes) = hash_of(&mut kept).unwrap();
        let (taken, refused): (Vec<_>, Vec<_>) = shown.into_iter().partition(Result::is_ok);
        assert_eq!(taken.into_iter().map(Result::unwrap).collect::<Vec<_>>(), [("evidence/alpha-1/log".to_owned(), hash, bytes)]);
        assert!(refused.iter().all(|refused| refused.as_ref().unwrap_err().code() == "evidence_exists"), "{refused:?}");
        assert_eq!(fs::read_dir(home.path().join("evidence/alpha-1")).unwrap().count(), 1, "nothing else is left");
        // What is in the way of the copy is not written through.
        let (passing, other) = (Token::fresh(&System), work.path().join("other"));
        std::os::unix::fs::symlink(&other, home.path().join(format!("evidence/alpha-1/.new.{passing}.tmp"))).unwrap();
        let place = root.resolve("0.log").unwrap().unwrap();
        assert_eq!(keep(home.path(), &agent, "new", &place, &passing).unwrap_err().code(), "evidence_unreadable");
        assert!(!other.exists());
    }
}

//! A directory of profiles that is watched: each change that is good comes into force, one that is not changes nothing and is told.
//!
//! ```text
//!   a file event, or a slow look ──▶ still? read twice the same ──▶ what was seen of it last, also by a process before? ──▶ nothing
//!                                                                     │ new
//!                                                                     ▼
//!                                               good? ──no──▶ alert, once for each content
//!                                                 │ yes
//!                                                 ▼
//!                      a version since the last look had it already? ──▶ nothing: another process applied it, or somebody rolled it back
//!                                                 │ no
//!                                                 ▼
//!                                               apply
//! ```

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use notify::{EventKind, RecursiveMode, Watcher as _};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;

use super::content::{Content, content, twice};
use super::files::names;
use super::{Policies, Text, Wish};
use crate::error::{Error, Result};
use crate::guard::alerts::alert;
use crate::guard::canonical::digest;
use crate::guard::policy::{Policy, visible};
use crate::ledger::Action;
use crate::store::{Cell, Commit, Outcome, Refused, Write, to_json};
use crate::vocabulary::AgentId;

/// A file is read again after this, until it reads the same twice: editors and copies write in pieces.
const STILL: Duration = Duration::from_millis(100);
/// How often at most.
const READS: usize = 10;
/// After a look that failed, the store being down.
const AGAIN: Duration = Duration::from_secs(1);
/// How long whoever begins to watch waits for the first look: files that are written meanwhile are looked at until they hold still.
const FIRST: Duration = Duration::from_secs(10);
/// How long closing waits for a change that is being applied.
const LEAVE: Duration = Duration::from_secs(2);
/// How often a change is tried again that somebody else's came before.
const TRIES: usize = 5;

/// Watches until it is closed or dropped.
#[derive(Debug)]
pub struct Directory {
    stop: watch::Sender<bool>,
    looked: watch::Receiver<bool>,
    task: JoinHandle<()>,
}

/// What was seen of a file. The store keeps it for whoever watches next.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Seen {
    content: String,
    /// Of its profile, the version that was in force then.
    profile: Option<(AgentId, u64)>,
}

/// A file of the directory that did not come into force, and why.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// Its name; `.` is the directory itself.
    pub file: String,
    /// The error's code.
    pub code: String,
    /// What is wrong with it.
    pub why: String,
}

struct Looker {
    policies: Policies,
    folder: PathBuf,
    seen: HashMap<String, Seen>,
    changed: Arc<Notify>,
    /// Which folder is watched: another one may have been put in its place.
    files: Option<((u64, u64), notify::RecommendedWatcher)>,
    /// Who wants to hear of each refusal, also of those that were told before.
    ear: Option<mpsc::UnboundedSender<Refusal>>,
    /// What that was told last, by file.
    heard: HashMap<String, String>,
    /// Told once everything was looked at.
    looked: watch::Sender<bool>,
}

impl Policies {
    /// Watches a directory of profiles from now on, also where it is not there yet.
    #[must_use]
    pub fn watch(&self, folder: &Path) -> Directory {
        self.watch_with(folder, None)
    }

    /// The same, and tells of each file that is not good: once for each content, also where it was an alert long ago.
    #[must_use]
    pub fn watch_telling(&self, folder: &Path, ear: mpsc::UnboundedSender<Refusal>) -> Directory {
        self.watch_with(folder, Some(ear))
    }

    fn watch_with(&self, folder: &Path, ear: Option<mpsc::UnboundedSender<Refusal>>) -> Directory {
        let (stop, stopped) = watch::channel(false);
        let (told, looked) = watch::channel(false);
        let (policies, changed) = (self.clone(), Arc::new(Notify::new()));
        let folder = std::path::absolute(folder).unwrap_or_else(|_| folder.to_owned());
        let looker = Looker { policies, folder, seen: HashMap::new(), changed, files: None, ear, heard: HashMap::new(), looked: told };
        Directory { stop, looked, task: tokio::spawn(looker.run(stopped)) }
    }
}

impl Directory {
    /// Refuses what is no directory now. One that goes later is told by an alert, and watched again once it is back.
    pub fn must_be(folder: &Path) -> Result<()> {
        let shown = visible(&folder.display().to_string());
        let wrong = |why: String| Error::invalid("not_a_directory", format!("the policies `{shown}` {why}: name a directory of profiles"));
        match std::fs::read_dir(folder) {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(wrong("are not there".to_owned())),
            Err(error) if error.kind() == std::io::ErrorKind::NotADirectory => Err(wrong("are no directory".to_owned())),
            Err(error) => Err(wrong(format!("cannot be read: {error}"))),
        }
    }

    /// Waits until everything in it was looked at once, and what is good is in force. For a while: what stands in the way is told by whoever watches.
    pub async fn looked(&self) {
        let _ = tokio::time::timeout(FIRST, self.looked.clone().wait_for(|looked| *looked)).await;
    }

    /// Stops watching. A change that is being applied is waited for, for a moment.
    pub async fn close(mut self) {
        let _ = self.stop.send(true);
        let _ = tokio::time::timeout(LEAVE, &mut self.task).await;
    }
}

impl Drop for Directory {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl Looker {
    async fn run(mut self, mut stopped: watch::Receiver<bool>) {
        while !*stopped.borrow() {
            self.listen();
            let pause = match self.look(&stopped).await {
                Ok(()) => {
                    self.looked.send_replace(true);
                    self.policies.book.refresh()
                }
                Err(error) => {
                    tracing::warn!(folder = %self.folder.display(), %error, "the policies of a directory could not be looked at");
                    AGAIN
                }
            };
            tokio::select! {
                () = self.changed.notified() => {}
                () = tokio::time::sleep(pause) => {}
                _ = stopped.changed() => return,
            }
        }
    }

    /// Begins to hear of changes, where that folder is not listened to already. Where there are no file events, the slow look is what there is.
    fn listen(&mut self) {
        use std::os::unix::fs::MetadataExt;
        let Ok(about) = std::fs::metadata(&self.folder) else {
            self.files = None;
            return;
        };
        let which = (about.dev(), about.ino());
        if self.files.as_ref().is_some_and(|(watched, _)| *watched == which) {
            return;
        }
        let changed = self.changed.clone();
        let heard = move |event: notify::Result<notify::Event>| {
            // Reading is no change: otherwise each look would bring about the next.
            if event.is_ok_and(|event| matches!(event.kind, EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_))) {
                changed.notify_one();
            }
        };
        let watcher = notify::recommended_watcher(heard).and_then(|mut watcher| {
            watcher.watch(&self.folder, RecursiveMode::NonRecursive)?;
            Ok(watcher)
        });
        match watcher {
            Ok(watcher) => self.files = Some((which, watcher)),
            Err(error) => tracing::warn!(folder = %self.folder.display(), %error, "no file events: policies are looked at now and then"),
        }
    }

    async fn look(&mut self, stopped: &watch::Receiver<bool>) -> Result<()> {
        let folder = self.folder.clone();
        let found = match blocking(move || names(&folder)).await? {
            Ok(found) => found,
            // What is in force stays so: an empty place says nothing about what somebody wants.
            Err(error) => return self.refuse(".", &error.to_string(), &error).await,
        };
        self.clear(".").await?;
        let mut contents = BTreeMap::new();
        for name in &found {
            // What was changed while nobody watched is a change, and what was not is none.
            if !self.seen.contains_key(name)
                && let Some((_, seen)) = self.policies.store.json(self.last(name)).await?
            {
                self.seen.insert(name.clone(), seen);
            }
            let content = self.still(name).await?;
            contents.insert(name.clone(), content);
        }
        let gone: Vec<String> = self.seen.keys().filter(|name| !contents.contains_key(*name)).cloned().collect();
        for name in gone {
            let message = "it is gone; what it put in force stays so until it is withdrawn".to_owned();
            self.refuse(&name, "gone", &Error::invalid("policy_file_gone", message)).await?;
            self.forget(&name).await?;
        }
        for (name, (content, read)) in &contents {
            if *stopped.borrow() {
                return Ok(());
            }
            if self.seen.get(name).is_none_or(|seen| seen.content != *content) {
                match read {
                    Ok((text, policy)) => match twice(name, policy, &contents) {
                        None => self.take(name, content, text, policy).await?,
                        // Good by itself, so it is looked at again: what is wrong with it stands in another file.
                        Some(why) => self.refuse(name, content, &Error::invalid("bad_profile", why)).await?,
                    },
                    Err(why) => {
                        self.refuse(name, content, &Error::invalid("bad_profile", why)).await?;
                        self.saw(name, Seen { content: content.clone(), profile: self.known(name) }).await?;
                    }
                }
            } else if let Err(why) = read {
                self.tell(name, content, &Error::invalid("bad_profile", why.clone()));
            }
        }
        Ok(())
    }

    fn known(&self, name: &str) -> Option<(AgentId, u64)> {
        self.seen.get(name).and_then(|seen| seen.profile.clone())
    }

    /// What a file holds once it holds still: a digest of it, and what it says.
    async fn still(&self, name: &str) -> Result<(String, Content)> {
        let mut before = None;
        for _ in 0..READS {
            let path = self.folder.join(name);
            let now = blocking(move || content(&path)).await?;
            // Known already: it has held still.
            if self.seen.get(name).is_some_and(|seen| seen.content == now.0) || before.as_ref() == Some(&now.0) {
                return Ok(now);
            }
            before = Some(now.0);
            tokio::time::sleep(STILL).await;
        }
        let why = format!("`{}` is written to again and again: it is read once it holds still", visible(name));
        Ok((digest(&json!(before)), Err(why)))
    }

    /// Puts a good profile in force, unless it was already since this file was looked at last.
    async fn take(&mut self, name: &str, content: &str, text: &Text, policy: &Policy) -> Result<()> {
        let profile = &policy.profile().agent_id;
        let mut known = self.known(name).filter(|(known, _)| known == profile).map(|(_, version)| version);
        let mut tries = 0;
        let version = loop {
            let history = self.policies.history(profile).await?;
            let held = history.last().map_or(0, |held| held.version);
            // Of a file that was never seen before, only what is in force when it is seen first counts.
            let known = *known.get_or_insert(held.saturating_sub(1));
            if history.iter().any(|kept| kept.version > known && kept.hash.as_deref() == Some(policy.hash())) {
                break held;
            }
            let note = format!("{}, in {}", visible(name), visible(&self.folder.display().to_string()));
            let wish = Wish { note: Some(note), over: Some(held), ..Wish::of("the directory of policies") };
            match self.policies.apply(text, &wish).await {
                Ok(applied) => break applied.version.version,
                Err(error) if error.code() == "policy_conflict" && tries < TRIES => tries += 1,
                Err(error) if error.may_retry() => return Err(error),
                Err(error) => {
                    self.refuse(name, content, &error).await?;
                    break held;
                }
            }
        };
        self.clear(name).await?;
        self.saw(name, Seen { content: content.to_owned(), profile: Some((profile.clone(), version)) }).await
    }

    async fn saw(&mut self, name: &str, seen: Seen) -> Result<()> {
        let commit = Commit::default().put(self.last(name), to_json(&seen)?);
        self.policies.store.apply(commit).await?;
        self.seen.insert(name.to_owned(), seen);
        Ok(())
    }

    async fn forget(&mut self, name: &str) -> Result<()> {
        self.policies.store.apply(Commit::default().write(Write::Delete(self.last(name)))).await?;
        self.seen.remove(name);
        Ok(())
    }

    /// Tells whoever watches here, once for each content.
    fn tell(&mut self, name: &str, content: &str, why: &Error) {
        let Some(ear) = &self.ear else { return };
        if self.heard.insert(name.to_owned(), content.to_owned()).as_deref() != Some(content) {
            let _ = ear.send(Refusal { file: name.to_owned(), code: why.code().to_owned(), why: why.to_string() });
        }
    }

    /// Tells what was refused, once for each content, whoever else looks at the same directory.
    async fn refuse(&mut self, name: &str, content: &str, why: &Error) -> Result<()> {
        self.tell(name, content, why);
        let store = &self.policies.store;
        let (cell, said) = (self.cell(name), digest(&json!([content])));
        let known = store.cell(cell.clone()).await?;
        if known.as_ref().is_some_and(|known| *known.value == *said.as_bytes()) {
            return Ok(());
        }
        let data = json!({"directory": self.folder, "file": name, "code": why.code(), "why": why.to_string()});
        let commit = Commit::default().version(cell.clone(), known.map_or(0, |known| known.version)).put(cell, said);
        match store.commit(commit.write(alert(store, "policy_refused", &data)?)).await? {
            Outcome::Accepted(_) => self.policies.recorder.note(store, Action::Policy, (None, None), &json!({"refused": data})),
            // Somebody else has told it.
            Outcome::Refused(Refused::Conflict { .. }) => Ok(()),
            Outcome::Refused(refused) => Err(refused.into()),
        }
    }

    /// What was refused is good again: the same mistake would be told again.
    async fn clear(&mut self, name: &str) -> Result<()> {
        self.heard.remove(name);
        let (store, cell) = (&self.policies.store, self.cell(name));
        match store.cell(cell.clone()).await? {
            Some(known) if !known.value.is_empty() => {
                let commit = Commit::default().version(cell.clone(), known.version).put(cell, bytes::Bytes::new());
                store.commit(commit).await.map(drop)
            }
            _ => Ok(()),
        }
    }

    /// What was last refused of a file.
    fn cell(&self, name: &str) -> Cell {
        Cell::field(self.policies.store.keys().policies_refused(), self.field(name))
    }

    /// What was last seen of a file.
    fn last(&self, name: &str) -> Cell {
        Cell::field(self.policies.store.keys().policies_seen(), self.field(name))
    }

    /// By directory and file, hashed: a name may be longer than a field's.
    fn field(&self, name: &str) -> String {
        digest(&json!([self.folder, name]))
    }
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(|e| Error::internal("a directory could not be looked at").because(e))
}

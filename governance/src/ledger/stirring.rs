//! Notices that a segment stirs: it was opened, it grew, or its owner closed it, which a process that dies does too.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use notify::event::{AccessKind, AccessMode};
use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher as _};
use tokio::sync::Notify;

/// Rings a bell when a file of the segments' directory stirs, while it listens. Listens only when told to, so that segments which are
/// written all the time cost their writers nothing.
pub struct Stirring {
    directory: Box<Path>,
    listening: Arc<AtomicBool>,
    files: Mutex<Option<RecommendedWatcher>>,
    bell: Arc<Notify>,
}

impl Stirring {
    pub(super) fn new(directory: &Path, bell: Arc<Notify>) -> Self {
        Self { directory: directory.into(), listening: Arc::default(), files: Mutex::default(), bell }
    }

    /// What rings.
    #[must_use]
    pub fn bell(&self) -> Arc<Notify> {
        self.bell.clone()
    }

    /// Begins to listen: what stirs after this returns rings, once. False where the system has no file events to give.
    pub fn listen(&self) -> bool {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if self.listening.swap(true, Ordering::AcqRel) {
            return true;
        }
        let listens = self.watch(&mut files);
        if let Err(error) = &listens {
            tracing::debug!(%error, "the segments cannot be listened to");
            *files = None;
            self.listening.store(false, Ordering::Release);
        }
        listens.is_ok()
    }

    /// Stops listening.
    pub fn ignore(&self) {
        let mut files = self.files.lock().unwrap_or_else(PoisonError::into_inner);
        if self.listening.swap(false, Ordering::AcqRel)
            && let Some(watcher) = &mut *files
            && watcher.unwatch(&self.directory).is_err()
        {
            // The directory was replaced, say: begin anew.
            *files = None;
        }
    }

    fn watch(&self, files: &mut Option<RecommendedWatcher>) -> notify::Result<()> {
        let watcher = match files {
            Some(watcher) => watcher,
            none => {
                let (bell, listening) = (self.bell.clone(), self.listening.clone());
                let handler = move |event: notify::Result<notify::Event>| {
                    // What is lost or strange rings too.
                    if listening.load(Ordering::Acquire) && event.map_or(true, |event| is_a_stir(event.kind)) {
                        bell.notify_one();
                    }
                };
                none.insert(notify::recommended_watcher(handler)?)
            }
        };
        watcher.watch(&self.directory, RecursiveMode::NonRecursive)
    }
}

/// Reading is no stir: who counts what is not in the record yet opens every file.
fn is_a_stir(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(access) => access == AccessKind::Close(AccessMode::Write),
        EventKind::Any | EventKind::Other | EventKind::Create(_) | EventKind::Modify(_) | EventKind::Remove(_) => true,
    }
}

//! Who waits for what within this process: wake-ups for watched keys, signals for subscribers.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use bytes::Bytes;
use tokio::sync::{Notify, mpsc};

use super::crowd::Crowd;
use super::{Commit, Write};
use crate::vocabulary::Key;

/// How many signals wait for a slow subscriber before new ones are lost.
const SIGNALS_KEPT: usize = 1024;

/// Wakes whoever watches.
#[derive(Default)]
pub(crate) struct Hub {
    interested: AtomicUsize,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    watchers: HashMap<Key, Vec<Weak<Notify>>>,
    subscribers: HashMap<Key, Vec<mpsc::Sender<Bytes>>>,
    crowded: Crowd,
}

impl Waiting {
    /// Lets go of what nobody waits for any more: a key that is never written again wakes nobody who could be found to be gone.
    fn sweep(&mut self) {
        if self.crowded.is_over(self.watchers.len() + self.subscribers.len()) {
            self.watchers.retain(|_, watchers| watchers.iter().any(|w| w.strong_count() > 0));
            self.subscribers.retain(|_, subscribers| subscribers.iter().any(|s| !s.is_closed()));
            self.crowded.left(self.watchers.len() + self.subscribers.len());
        }
    }
}

impl Hub {
    /// Watches keys.
    pub fn watch(&self, keys: &[Key]) -> Watch {
        let notify = Arc::new(Notify::new());
        let mut waiting = self.lock();
        waiting.sweep();
        for key in keys {
            let watchers = waiting.watchers.entry(key.clone()).or_default();
            watchers.retain(|w| w.strong_count() > 0);
            watchers.push(Arc::downgrade(&notify));
        }
        self.count(&waiting);
        Watch { notify }
    }

    /// Listens on a channel.
    pub fn signals(&self, channel: &Key) -> Signals {
        let (sender, receiver) = mpsc::channel(SIGNALS_KEPT);
        let mut waiting = self.lock();
        waiting.sweep();
        waiting.subscribers.entry(channel.clone()).or_default().push(sender);
        self.count(&waiting);
        Signals { receiver }
    }

    /// Wakes the watchers of a key; false if there is none. Costs one atomic load while nobody watches.
    pub fn wake(&self, key: &Key) -> bool {
        if self.interested.load(Ordering::Acquire) == 0 {
            return false;
        }
        let mut waiting = self.lock();
        if let Some(watchers) = waiting.watchers.get_mut(key) {
            watchers.retain(|w| {
                w.upgrade().is_some_and(|n| {
                    n.notify_one();
                    true
                })
            });
            if watchers.is_empty() {
                waiting.watchers.remove(key);
            }
        }
        self.count(&waiting);
        waiting.watchers.contains_key(key)
    }

    /// Tells of an accepted commit: wakes the watchers of what it wrote, and hands out what it said.
    pub fn accepted(&self, commit: &Commit) {
        if self.interested.load(Ordering::Acquire) == 0 {
            return;
        }
        for write in &commit.writes {
            match write {
                Write::Signal { channel, payload } => {
                    self.signal(channel, payload);
                    continue;
                }
                Write::Put { event: Some(event), .. } => _ = self.wake(&event.log),
                Write::Claim { fence, .. } => _ = self.wake(fence),
                _ => {}
            }
            self.wake(write.key());
        }
    }

    /// Wakes every watcher: something changed, and it is not known what.
    pub fn wake_all(&self) {
        let waiting = self.lock();
        for watcher in waiting.watchers.values().flatten().filter_map(Weak::upgrade) {
            watcher.notify_one();
        }
    }

    /// Whether anyone watches this key or listens on this channel.
    #[cfg_attr(not(feature = "redis"), allow(dead_code))]
    pub fn is_wanted(&self, key: &Key) -> bool {
        let waiting = self.lock();
        let watched = waiting.watchers.get(key).is_some_and(|watchers| watchers.iter().any(|w| w.strong_count() > 0));
        watched || waiting.subscribers.get(key).is_some_and(|subscribers| subscribers.iter().any(|s| !s.is_closed()))
    }

    /// Hands a signal to whoever listens, false if nobody does; a subscriber whose queue is full misses it.
    pub fn signal(&self, channel: &Key, payload: &Bytes) -> bool {
        if self.interested.load(Ordering::Acquire) == 0 {
            return false;
        }
        let mut waiting = self.lock();
        if let Some(subscribers) = waiting.subscribers.get_mut(channel) {
            subscribers.retain(|s| !matches!(s.try_send(payload.clone()), Err(mpsc::error::TrySendError::Closed(_))));
            if subscribers.is_empty() {
                waiting.subscribers.remove(channel);
            }
        }
        self.count(&waiting);
        waiting.subscribers.contains_key(channel)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, waiting: &Waiting) {
        self.interested.store(waiting.watchers.len() + waiting.subscribers.len(), Ordering::Release);
    }
}

/// Wakes when a watched key may have changed.
pub struct Watch {
    notify: Arc<Notify>,
}

impl Watch {
    /// Waits for the next possible change since the last call. Cancel safe.
    pub async fn changed(&mut self) {
        self.notify.notified().await;
    }
}

/// What is said on a channel.
pub struct Signals {
    receiver: mpsc::Receiver<Bytes>,
}

impl Signals {
    /// The next signal; none when the store is closed. Cancel safe.
    pub async fn next(&mut self) -> Option<Bytes> {
        self.receiver.recv().await
    }
}

#[cfg(test)]
mod tests {
    use super::super::crowd::FEW;
    use super::*;
    use crate::vocabulary::Kind;

    #[test]
    fn who_is_gone_leaves_nothing_behind_although_its_keys_are_never_written_again() {
        let hub = Hub::default();
        let key = |name: u32| Key::new(format!("agent:{name}"), Kind::Record);
        let stays = hub.watch(&[key(0)]);
        for name in 1..10_000 {
            drop((hub.watch(&[key(name)]), hub.signals(&key(name))));
        }
        let held = hub.interested.load(Ordering::Acquire);
        assert!(held <= 2 * FEW && hub.is_wanted(&key(0)), "{held} keys are held");
        drop(stays);
    }
}

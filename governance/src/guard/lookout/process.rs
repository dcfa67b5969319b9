//! A process as the others know it: who it is, how long its word counts, and what it has confirmed.

use std::sync::OnceLock;

use serde::{Deserialize, Serialize};

use crate::machine;
use crate::vocabulary::{AgentId, Millis, SegmentId};

/// How many acts a process remembers of itself.
const ACTS: usize = 16;
/// How many agents an act names.
pub(super) const NAMED: usize = 32;

static RUNTIME: OnceLock<String> = OnceLock::new();

/// Says what this process is written in, as it is shown in receipts. The first word stands.
pub fn name_runtime(name: &str) {
    let _ = RUNTIME.set(name.chars().filter(|c| !c.is_control()).take(40).collect());
}

/// What this process is written in.
pub(in crate::guard) fn runtime() -> &'static str {
    RUNTIME.get().map_or("rust", String::as_str)
}

/// A process that works for agents, as it stands in `processes`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Process {
    /// Its name there.
    pub id: SegmentId,
    /// Its process id.
    pub pid: u32,
    /// Its host.
    pub host: String,
    /// What it is written in, as far as it says.
    pub runtime: String,
    /// The boot and the room of process ids that its id belongs to; empty where the system tells neither.
    pub place: String,
    /// When it was started, in the clock ticks of that place, so that another process with its id is not taken for it.
    pub started: u64,
    /// Since when it is registered, on the store's clock.
    pub since: Millis,
    /// Until when its last word counts, on the store's clock.
    pub until: Millis,
    /// The highest generation of the store that it has acted on.
    pub seen: u64,
    /// When it said so first.
    pub seen_at: Millis,
    /// Whether it works for nobody any more.
    #[serde(default)]
    pub left: bool,
    /// What it ended lately, oldest first.
    pub acts: Vec<Act>,
    /// What runs on although it was to end.
    pub unfinished: Vec<Unfinished>,
}

/// What a process ended on hearing of a revocation or a stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Act {
    /// The store's generation that it heard of.
    pub generation: u64,
    /// When, on the store's clock.
    pub at: Millis,
    /// When nothing of those whom it ended ran there any more, on the store's clock; none as long as something does.
    #[serde(default)]
    pub done_at: Option<Millis>,
    /// Whose admissions it knows to have ended by it; the first of them.
    pub agents: Vec<AgentId>,
    /// How many they are in all.
    pub count: u64,
}

/// What runs on although it was to end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unfinished {
    /// The store's generation that was to end it.
    pub generation: u64,
    /// For whom it runs.
    pub agent: AgentId,
    /// What it is.
    pub what: String,
}

impl Process {
    /// This one.
    pub(super) fn this(id: SegmentId) -> Self {
        let pid = std::process::id();
        Self {
            id,
            pid,
            host: rustix::system::uname().nodename().to_string_lossy().into_owned(),
            runtime: runtime().to_owned(),
            place: place(),
            started: machine::process(pid).map_or(0, |process| process.started),
            since: Millis(0),
            until: Millis(0),
            seen: 0,
            seen_at: Millis(0),
            left: false,
            acts: Vec::new(),
            unfinished: Vec::new(),
        }
    }

    /// Remembers what it ended.
    pub(super) fn ended(&mut self, act: Act) {
        self.acts.push(act);
        let surplus = self.acts.len().saturating_sub(ACTS);
        self.acts.drain(..surplus);
    }

    /// Whether something that it ended has come to an end and is not told yet. `owed` are the generations by which something was to end that runs on.
    pub(super) fn has_news(&self, owed: &[u64]) -> bool {
        self.acts.iter().any(|act| act.done_at.is_none() && !act.is_owed(owed))
    }

    /// Remembers since when nothing of what it ended runs any more.
    pub(super) fn done(&mut self, owed: &[u64], now: Millis) {
        let done = self.acts.iter_mut().filter(|act| act.done_at.is_none() && !act.is_owed(owed));
        done.for_each(|act| act.done_at = Some(now));
    }

    /// Whether it lives, where that can be seen from here: on the same machine, among the same process ids.
    #[must_use]
    pub fn lives(&self) -> Option<bool> {
        if self.place.is_empty() || self.place != place() {
            return None;
        }
        Some(machine::process(self.pid).is_some_and(|process| process.started == self.started && !process.ended))
    }

    /// Whether it is gone: works for nobody any more, is seen to be dead, or without a word for so long, where nobody can see.
    #[must_use]
    pub fn is_gone(&self, now: Millis) -> bool {
        self.left || self.lives().map_or(self.until < now, |lives| !lives)
    }
}

impl Act {
    /// Whether something runs on that it, or what came after it, was to end.
    fn is_owed(&self, owed: &[u64]) -> bool {
        owed.iter().any(|generation| *generation >= self.generation)
    }
}

#[cfg(target_os = "linux")]
fn place() -> String {
    machine::numbering().map_or_else(String::new, |numbering| format!("{} {numbering}", machine::boot()))
}

/// Elsewhere nobody can tell.
#[cfg(not(target_os = "linux"))]
fn place() -> String {
    String::new()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn this() -> Process {
        Process::this(SegmentId::new("p").unwrap())
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_process_is_told_from_another_with_its_id() {
        assert_eq!(this().lives(), Some(true));
        assert_eq!(Process { started: this().started + 1, ..this() }.lives(), Some(false));
        assert_eq!(Process { place: "elsewhere".into(), ..this() }.lives(), None);
    }

    #[test]
    fn nobody_sees_elsewhere_so_there_its_word_counts_for_its_time() {
        let far = Process { place: "elsewhere".into(), until: Millis(10), ..this() };
        assert!(!far.is_gone(Millis(10)) && far.is_gone(Millis(11)));
    }

    #[test]
    fn what_is_remembered_is_bounded_and_the_newest() {
        let mut process = this();
        (1..=40).for_each(|generation| process.ended(Act { generation, at: Millis(0), done_at: None, agents: Vec::new(), count: 1 }));
        assert_eq!((process.acts.len(), process.acts[ACTS - 1].generation), (ACTS, 40));
    }
}

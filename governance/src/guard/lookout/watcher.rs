//! The one task: hears of revocations, tells who is watched over, and says so to those who wait.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use super::process::NAMED;
use super::{Act, Lookout, Process, Unfinished, Watched};
use crate::error::Result;
use crate::guard::revocation::{Revocation, Stop};
use crate::store::{Answer, Cell, Commit, MAX_OPERATIONS, Query, Refused, Store, Watch, Write, from_json, to_json};
use crate::vocabulary::{Key, SegmentId};

/// How often a process says that it is still there, and how long that counts.
const WORD: (Duration, Duration) = (Duration::from_secs(10), Duration::from_secs(30));
/// How long a change may stay unseen where the store's own signal was lost.
const LOOK: Duration = Duration::from_secs(1);
/// The shortest time between two looks: a store that wakes for every write of others must not cost a look each.
const REST: Duration = Duration::from_millis(1);

pub(super) struct Watcher {
    store: Store,
    lookout: Arc<Lookout>,
    own: Process,
    watch: Watch,
    // What wakes: generation, and the epochs that no agent owns alone.
    keys: HashSet<Key>,
    numbers: HashMap<Key, u64>,
    // Who is not done yet with what was to end, and by which generation.
    owing: Vec<(u64, Arc<Watched>)>,
    said: Option<Process>,
    word_due: Duration,
}

impl Watcher {
    /// Looks, and registers this process. From then on whoever stops something knows of it.
    pub async fn begin(store: &Store, lookout: &Arc<Lookout>) -> Result<Self> {
        let ports = store.ports();
        let name = lookout.name.get_or_init(|| SegmentId::fresh(ports.clock.now(), &*ports.chance));
        let own = Process::this(name.clone());
        let keys = HashSet::from([store.keys().generation()]);
        let watch = store.watch(&keys.iter().cloned().collect::<Vec<_>>()).await?;
        let mut watcher = Self {
            store: store.clone(),
            lookout: lookout.clone(),
            own,
            watch,
            keys,
            numbers: HashMap::new(),
            owing: Vec::new(),
            said: None,
            word_due: Duration::ZERO,
        };
        watcher.own.since = store.now().await?;
        watcher.sweep().await?;
        // INVARIANT: registered first, looked after that: what is stopped in between is seen by the look, and confirmed.
        watcher.say().await?;
        watcher.look().await?;
        watcher.say().await?;
        Ok(watcher)
    }

    /// Until nobody is left to watch over.
    pub async fn watch(mut self) {
        loop {
            let word_left = LOOK.min(self.word_left());
            let woken = tokio::select! {
                () = self.watch.changed() => true,
                () = self.lookout.bell.notified() => false,
                () = tokio::time::sleep(word_left) => false,
            };
            self.owing.retain(|(_, watched)| !watched.running().is_empty());
            if self.owing.is_empty() && self.is_alone() && self.leave().await {
                return;
            }
            let done = async {
                self.look().await?;
                self.say().await
            };
            if let Err(error) = done.await {
                // The store refuses by itself what a revoked agent writes: this is only the early word.
                tracing::debug!(%error, "revocations could not be looked for");
                tokio::time::sleep(Duration::from_millis(50)).await;
            } else if woken {
                tokio::time::sleep(REST).await;
            }
        }
    }

    /// Whether nobody is held, and nothing runs any more for who was.
    fn is_alone(&self) -> bool {
        self.lookout.everybody().iter().all(|watched| watched.is_let_go() && watched.running().is_empty())
    }

    /// Leaves, unless somebody came meanwhile.
    async fn leave(&mut self) -> bool {
        // Whoever comes waits here, and finds this task ended or going on.
        let lookout = self.lookout.clone();
        let Some(mut watching) = lookout.watching.try_next() else { return false };
        if !self.is_alone() {
            return false;
        }
        let cell = self.cell(&self.own);
        match self.store.now().await {
            Ok(now) => self.own.done(&[], now),
            Err(error) => tracing::debug!(%error, "when the last tool had ended is not known"),
        }
        // What it ended lately stays for a while, for whoever waits for its word.
        let left = Process { left: true, unfinished: Vec::new(), ..self.own.clone() };
        let gone = match to_json(&left) {
            Ok(word) if !self.own.acts.is_empty() => Commit::default().put(cell, word),
            _ => Commit::default().write(Write::Delete(cell)),
        };
        if let Err(error) = self.store.within(LOOK).apply(gone).await {
            tracing::debug!(%error, "a process could not take its name off: it lapses");
        }
        // Whoever comes from now on begins anew.
        *watching = None;
        true
    }

    /// Finds out whose admission has ended.
    async fn look(&mut self) -> Result<()> {
        let seen = self.store.seen();
        let everybody = self.lookout.everybody();
        let generation_key = self.store.keys().generation();
        let mut shared: HashSet<Key> = HashSet::from([generation_key.clone()]);
        for watched in &everybody {
            let own = self.store.keys().agent_epoch(&watched.actor.id);
            shared.extend(watched.actor.admission.keys().into_iter().filter(|key| *key != own));
        }
        let rewatch = shared.iter().any(|key| !self.keys.contains(key)) || shared.len() * 2 < self.keys.len();
        if rewatch {
            self.keys = shared.into_iter().collect();
            self.watch = self.store.watch(&self.keys.iter().cloned().collect::<Vec<_>>()).await?;
        }
        let numbers = self.numbers(self.keys.iter().cloned().collect()).await?;
        let generation = numbers.get(&generation_key).copied().unwrap_or(0);
        if generation < seen {
            // It has lost what it held: that epochs are gone says nothing about anybody.
            return Err(Refused::RolledBack { seen, held: Some(generation).filter(|held| *held > 0) }.into());
        }
        let changed = self.numbers.iter().any(|(key, before)| numbers.get(key).is_some_and(|now| now != before));
        let tenant = self.store.keys().epoch();
        let stopped = self.numbers.get(&tenant).is_some_and(|before| numbers.get(&tenant) != Some(before));
        if stopped {
            self.owing.iter_mut().for_each(|(owed, _)| *owed = generation);
        }
        // While nothing was ended, only who came since the last look can be stale.
        let owed = |watched: &Arc<Watched>| self.owing.iter().any(|(_, owed)| Arc::ptr_eq(owed, watched));
        // What runs on although its agent left holds a stop up like anything else.
        let runs_on = |watched: &Arc<Watched>| watched.has_left() && !watched.running().is_empty();
        let matters = |watched: &Arc<Watched>| watched.why().is_none() || (runs_on(watched) && !owed(watched));
        let in_question = |watched: &&Arc<Watched>| (changed || watched.is_new()) && matters(watched);
        let living: Vec<_> = everybody.iter().filter(in_question).cloned().collect();
        let mut epochs: HashSet<Key> = living.iter().flat_map(|watched| watched.actor.admission.keys()).collect();
        epochs.retain(|key| !numbers.contains_key(key));
        let mut current = numbers.clone();
        current.extend(self.numbers(epochs.into_iter().collect()).await?);
        let stale = |watched: &Arc<Watched>| watched.actor.admission.0.iter().any(|(key, had)| current.get(key) != Some(had));
        let ended: Vec<_> = living.iter().filter(|watched| stale(watched)).cloned().collect();
        if !ended.is_empty() {
            self.end(&ended, &current, generation).await?;
        }
        living.iter().for_each(|watched| watched.seen());
        self.numbers = numbers;
        // Last: what is confirmed was acted on.
        self.own.seen = generation;
        Ok(())
    }

    async fn end(&mut self, ended: &[Arc<Watched>], current: &HashMap<Key, u64>, generation: u64) -> Result<()> {
        let keys = self.store.keys();
        let mut questions = vec![Query::Cell(keys.stop().into())];
        questions.extend(ended.iter().map(|watched| Query::Cell(keys.agent_revoke_signal(&watched.actor.id).into())));
        let mut answers = Vec::with_capacity(questions.len());
        for piece in questions.chunks(MAX_OPERATIONS) {
            answers.extend(self.store.read(piece).await?);
        }
        let stop: Option<Stop> = answers.first().and_then(told);
        let tenant = keys.epoch();
        let everything =
            |watched: &Watched| watched.actor.admission.0.iter().any(|(key, had)| *key == tenant && current.get(key) != Some(had));
        for (watched, answer) in ended.iter().zip(answers.iter().skip(1)) {
            let pipeline = watched.actor.pipeline.as_ref().map_or("it", |pipeline| pipeline.as_str());
            let why = match (told::<Revocation>(answer), &stop) {
                (Some(revocation), _) => revocation.to_string(),
                (None, Some(stop)) => format!("everything was stopped: {}", stop.reason),
                (None, None) if everything(watched) => {
                    "everything was stopped, or the store was recovered: what was admitted before must be admitted again".to_owned()
                }
                (None, None) => format!("`{pipeline}` was stopped or taken up by another process, or whoever began this agent was revoked"),
            };
            watched.end(&why);
            self.owing.push((generation, watched.clone()));
        }
        // One agent may be watched over for several reasons.
        let agents: BTreeSet<_> = ended.iter().map(|watched| watched.actor.id.clone()).collect();
        let count = agents.len() as u64;
        let act = Act { generation, at: self.store.now().await?, done_at: None, agents: agents.into_iter().take(NAMED).collect(), count };
        self.own.ended(act);
        Ok(())
    }

    /// Says what has changed, and now and then that this process is still there.
    async fn say(&mut self) -> Result<()> {
        let mut unfinished = Vec::new();
        // One look: what is owed and what is told of it must not differ.
        self.owing.retain(|(generation, watched)| {
            let (running, agent) = (watched.running(), &watched.actor.id);
            let runs = !running.is_empty();
            unfinished.extend(running.into_iter().map(|what| Unfinished { generation: *generation, agent: agent.clone(), what }));
            runs
        });
        unfinished.truncate(NAMED);
        self.own.unfinished = unfinished;
        let owed: Vec<u64> = self.owing.iter().map(|(generation, _)| *generation).collect();
        if self.said.as_ref() == Some(&self.own) && !self.own.has_news(&owed) && !self.word_left().is_zero() {
            return Ok(());
        }
        // INVARIANT: asked for after it was seen what runs, so nothing is told to have ended before it had.
        let now = self.store.now().await?;
        self.own.done(&owed, now);
        self.own.until = now.after(WORD.1);
        if self.said.as_ref().is_none_or(|said| said.seen != self.own.seen) {
            self.own.seen_at = now;
        }
        // A stop must be confirmed also where memory is short.
        let word = Commit::default().urgent().put(self.cell(&self.own), to_json(&self.own)?);
        self.store.apply(word).await?;
        self.said = Some(self.own.clone());
        self.word_due = self.store.ports().clock.elapsed() + WORD.0;
        Ok(())
    }

    /// Takes away who is gone.
    async fn sweep(&self) -> Result<()> {
        let (now, table) = (self.store.now().await?, self.store.table(self.store.keys().processes()).await?);
        for (_, found) in table {
            let process: Process = from_json("processes", &found.value)?;
            // Who stopped something a moment ago is still shown who was there.
            if process.is_gone(now) && now > process.until.after(WORD.1) {
                let cell = self.cell(&process);
                drop(self.store.commit(Commit::default().version(cell.clone(), found.version).write(Write::Delete(cell))).await?);
            }
        }
        Ok(())
    }

    fn cell(&self, process: &Process) -> Cell {
        Cell::field(self.store.keys().processes(), process.id.as_str())
    }

    fn word_left(&self) -> Duration {
        self.word_due.saturating_sub(self.store.ports().clock.elapsed())
    }

    async fn numbers(&self, keys: Vec<Key>) -> Result<HashMap<Key, u64>> {
        let mut numbers = HashMap::new();
        for piece in keys.chunks(MAX_OPERATIONS) {
            let answers = self.store.read(&piece.iter().cloned().map(Query::Number).collect::<Vec<_>>()).await?;
            numbers.extend(piece.iter().cloned().zip(answers).map(|(key, answer)| match answer {
                Answer::Number(number) => (key, number.unwrap_or(0)),
                _ => (key, 0),
            }));
        }
        Ok(numbers)
    }
}

fn told<T: serde::de::DeserializeOwned>(answer: &Answer) -> Option<T> {
    match answer {
        Answer::Cell(Some(found)) => serde_json::from_slice(&found.value).ok(),
        _ => None,
    }
}

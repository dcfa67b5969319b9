//! Who has confirmed a revocation or a stop, and who has not. ADR 14.
//!
//! That a revocation holds does not depend on it: the store refuses what was admitted before, whoever confirms. A receipt says what the store
//! cannot know: that nothing governed of it runs in that process any more.
//!
//! ```text
//!   issued ──▶ confirmed        the process has seen it, and nothing that was to end runs there any more
//!      ├─────▶ overdue          it has not, in time: frozen, cut off, or with a tool that does not end
//!      └─────▶ gone             it has ended, or left; where it cannot be seen, its last word has lapsed
//! ```

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::lookout::{Process, Unfinished};
use super::revocation::RevocationEngine;
use crate::error::{Error, ErrorKind, Result};
use crate::store::{Store, from_json};
use crate::vocabulary::{AgentId, Millis, named};

/// How long a process may take to confirm, unless told otherwise.
pub const CONFIRM: Duration = Duration::from_secs(5);
/// How often who waits looks whether somebody is gone, which nobody tells.
const LOOK: Duration = Duration::from_millis(100);

named! {
    /// Where a receipt stands.
    pub enum ReceiptState {
        /// Its process was told, and has not answered yet.
        Issued = "issued",
        /// Its process has ended all that was to end.
        Confirmed = "confirmed",
        /// Its process has not, in time.
        Overdue = "overdue",
        /// Its process is not there any more.
        Gone = "gone",
    }
}

/// What one process says of a revocation or a stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessReceipt {
    /// Where it stands.
    pub state: ReceiptState,
    /// The process id.
    pub pid: u32,
    /// Its host.
    pub host: String,
    /// What the process is written in, as far as it says.
    pub runtime: String,
    /// When it confirmed, on the store's clock: when nothing of those whom it ended ran there any more, or, where it ended nobody, when it had seen it.
    pub confirmed_at: Option<Millis>,
    /// Whose work it ended; the first of them.
    pub ended: Vec<AgentId>,
    /// How many they are in all.
    pub ended_count: u64,
    /// What runs on although it was to end.
    pub unfinished: Vec<Unfinished>,
}

/// What all processes say of a revocation or a stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Receipts {
    /// The store's generation that it came to.
    pub generation: u64,
    /// When it was issued, on the store's clock.
    pub issued_at: Millis,
    /// One of each process that worked for agents then.
    pub receipts: Vec<ProcessReceipt>,
}

impl Receipts {
    /// Whether every process has confirmed or is gone.
    #[must_use]
    pub fn is_confirmed(&self) -> bool {
        self.receipts.iter().all(|receipt| matches!(receipt.state, ReceiptState::Confirmed | ReceiptState::Gone))
    }

    /// Whether nobody is waited for any more.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        self.receipts.iter().all(|receipt| receipt.state != ReceiptState::Issued)
    }

    /// An `unconfirmed` error if a process is overdue, which says what is still possible.
    pub fn confirmed(&self) -> Result<()> {
        let overdue: Vec<_> = self.receipts.iter().filter(|receipt| receipt.state == ReceiptState::Overdue).collect();
        if overdue.is_empty() {
            return Ok(());
        }
        let named: Vec<_> = overdue.iter().map(|receipt| format!("{} on {}", receipt.pid, receipt.host)).collect();
        let message = format!(
            "not confirmed by process {}: nothing that was admitted before lands any more, but what runs there can still act outside of the \
             store; end it there with `kill -KILL {}`",
            named.join(", "),
            overdue.iter().map(|receipt| receipt.pid.to_string()).collect::<Vec<_>>().join(" ")
        );
        Err(Error::new(ErrorKind::Deadline, "unconfirmed", message).with("overdue", serde_json::json!(overdue)))
    }
}

/// Who must confirm what comes next. Taken before it is issued, so that nobody who goes meanwhile is missed.
#[derive(Debug, Clone, Default)]
pub struct Roll(BTreeMap<String, Process>);

impl Roll {
    /// Everybody who is there now.
    pub async fn call(store: &Store) -> Result<Self> {
        let mut processes = BTreeMap::new();
        for (id, found) in store.table(store.keys().processes()).await? {
            processes.insert(id, from_json("processes", &found.value)?);
        }
        Ok(Self(processes))
    }

    /// Those that are not gone.
    fn present(mut self, now: Millis) -> Self {
        self.0.retain(|_, process| !process.is_gone(now));
        self
    }

    /// What they say now of a generation that was issued at a time. Pure, but for whether a process of this machine lives.
    fn say(&self, now_there: &Self, generation: u64, times: (Millis, Millis), within: Duration) -> Receipts {
        let (issued_at, now) = times;
        let late = now.since(issued_at) >= within;
        let receipts = self.0.iter().map(|(id, then)| match now_there.0.get(id) {
            Some(process) => receipt(process, generation, late, process.is_gone(now)),
            None => receipt(then, generation, late, true),
        });
        Receipts { generation, issued_at, receipts: receipts.collect() }
    }
}

/// A generation is the time of the store at which it was raised, or a little more.
fn issued(generation: u64, now: Millis) -> Millis {
    Millis(generation.min(now.0))
}

fn receipt(process: &Process, generation: u64, late: bool, gone: bool) -> ProcessReceipt {
    let unfinished: Vec<_> = process.unfinished.iter().filter(|left| left.generation >= generation).cloned().collect();
    let state = match process.seen >= generation && unfinished.is_empty() {
        true => ReceiptState::Confirmed,
        false if gone => ReceiptState::Gone,
        false if late => ReceiptState::Overdue,
        false => ReceiptState::Issued,
    };
    let acts: Vec<_> = process.acts.iter().filter(|act| act.generation >= generation).collect();
    ProcessReceipt {
        state,
        pid: process.pid,
        host: process.host.clone(),
        runtime: process.runtime.clone(),
        confirmed_at: (state == ReceiptState::Confirmed)
            .then(|| acts.iter().map(|act| act.done_at.unwrap_or(act.at)).max().unwrap_or(process.seen_at)),
        ended: acts.iter().flat_map(|act| act.agents.iter().cloned()).collect(),
        ended_count: acts.iter().map(|act| act.count).sum(),
        unfinished,
    }
}

impl RevocationEngine {
    /// Who works for agents now, and would have to confirm.
    pub async fn roll(&self) -> Result<Roll> {
        Ok(Roll::call(&self.store).await?.present(self.store.now().await?))
    }

    /// The processes that work for agents now.
    pub async fn processes(&self) -> Result<Vec<Process>> {
        Ok(self.roll().await?.0.into_values().collect())
    }

    /// What the processes say of a revocation or a stop, by the generation that it came to. Who has not confirmed so long after it was issued
    /// is overdue.
    pub async fn receipts(&self, generation: u64, within: Duration) -> Result<Receipts> {
        let (all, now) = (Roll::call(&self.store).await?, self.store.now().await?);
        Ok(all.say(&all, generation, (issued(generation, now), now), within))
    }

    /// Waits until each process on the roll, and who has come since, has confirmed, is gone, or is overdue. `told` hears of each change.
    pub async fn confirmed(&self, roll: &Roll, generation: u64, within: Duration, mut told: impl FnMut(&Receipts)) -> Result<Receipts> {
        let key = self.store.keys().processes();
        let mut watch = self.store.watch(std::slice::from_ref(&key)).await?;
        let begun = issued(generation, self.store.now().await?);
        let mut roll = roll.clone();
        let mut last: Option<Receipts> = None;
        loop {
            let there = Roll::call(&self.store).await?;
            let now = self.store.now().await?;
            for (id, process) in &there.clone().present(now).0 {
                // Who came after it was issued began with what it left.
                if process.since <= begun {
                    roll.0.entry(id.clone()).or_insert_with(|| process.clone());
                }
            }
            let receipts = roll.say(&there, generation, (begun, now), within);
            if last.as_ref() != Some(&receipts) {
                told(&receipts);
            }
            if receipts.is_settled() {
                return Ok(receipts);
            }
            last = Some(receipts);
            let _ = tokio::time::timeout(LOOK, watch.changed()).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::guard::lookout::Act;

    fn process(seen: u64, lives: bool) -> Process {
        let word = if lives { r#""until": 1000000"# } else { r#""until": 1"# };
        let text = format!(
            r#"{{"id":"p","pid":7,"host":"h","runtime":"python","place":"elsewhere","started":1,"since":1,{word},"seen":{seen},"seen_at":9,"acts":[],"unfinished":[]}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    fn say(process: Option<Process>, now: u64) -> ReceiptState {
        let then = Roll(BTreeMap::from([("p".to_owned(), self::process(1, true))]));
        let there = Roll(process.map(|process| ("p".to_owned(), process)).into_iter().collect());
        then.say(&there, 100, (Millis(100), Millis(now)), Duration::from_millis(50)).receipts[0].state
    }

    #[test]
    fn a_receipt_is_issued_then_confirmed_or_overdue_or_gone() {
        assert_eq!(say(Some(process(1, true)), 149), ReceiptState::Issued);
        assert_eq!(say(Some(process(1, true)), 150), ReceiptState::Overdue);
        assert_eq!(say(Some(process(1, false)), 150), ReceiptState::Gone);
        assert_eq!(say(None, 101), ReceiptState::Gone);
        assert_eq!(say(Some(process(100, true)), 500), ReceiptState::Confirmed);
        // Who confirmed and then ended has confirmed.
        assert_eq!(say(Some(process(101, false)), 500), ReceiptState::Confirmed);
    }

    #[test]
    fn what_runs_on_holds_its_own_receipt_up_and_no_earlier_one() {
        let left = |generation| Unfinished { generation, agent: AgentId::new("alpha-1").unwrap(), what: "a tool".into() };
        assert_eq!(say(Some(Process { unfinished: vec![left(100)], ..process(100, true) }), 150), ReceiptState::Overdue);
        assert_eq!(say(Some(Process { unfinished: vec![left(99)], ..process(100, true) }), 150), ReceiptState::Confirmed);
    }

    #[test]
    fn a_receipt_says_what_was_ended_since() {
        let act = |generation, agent: &str| {
            let agents = vec![AgentId::new(agent).unwrap()];
            Act { generation, at: Millis(generation), done_at: Some(Millis(generation + 40)), agents, count: 1 }
        };
        let told = receipt(&Process { acts: vec![act(99, "old-1"), act(101, "alpha-1")], ..process(101, true) }, 100, false, false);
        assert_eq!((told.ended_count, told.ended[0].as_str(), told.confirmed_at), (1, "alpha-1", Some(Millis(141))));
        let told = receipt(&process(101, true), 100, false, false);
        assert_eq!(told.confirmed_at, Some(Millis(9)), "who ended nobody confirmed when it had seen it");
    }

    #[test]
    fn who_is_overdue_is_named_with_what_is_still_possible() {
        let all = Roll(BTreeMap::from([("p".to_owned(), process(1, true))]));
        let receipts = all.say(&all, 100, (Millis(100), Millis(900)), Duration::from_millis(50));
        let error = receipts.confirmed().unwrap_err();
        assert_eq!((error.code(), receipts.is_confirmed()), ("unconfirmed", false));
        assert!(error.to_string().contains("kill -KILL 7") && error.to_string().contains("on h"), "{error}");
    }
}

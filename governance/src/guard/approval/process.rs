//! Which processes belong to governed agents: none of them approves anything, nor does anything that they start.
//!
//! Three things tell: the numbers of the processes in which agents sit down, kept in the store, against the ancestors of this one; its process group
//! and session; and a mark that a supervisor puts on each agent's process, which the kernel hands down to everything that it starts, whatever
//! that does to its environment, its session or its parent. What an agent can still do is said in docs/approvals.md.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::error::{Error, ErrorKind, Result};
use crate::guard::alerts::alert;
use crate::machine;
use crate::store::{Actor, Cell, Commit, Store, Versioned, Write, to_json};
use crate::vocabulary::{AgentId, Keys, Millis, ttl};

/// The hard limit of a resource that kernels no longer count (`RLIMIT_LOCKS`): where it is no higher than this, a supervisor has set it, or whoever
/// it started lowered it further. Only the administrator can raise it again; and nobody else has a reason to set it this low.
pub(crate) const MARK: u64 = 1;

/// How often a process says that agents sit in it.
pub(crate) const SAID_AGAIN: Duration = Duration::from_secs(24 * 60 * 60);

/// What the store holds of a process.
#[derive(Serialize, Deserialize)]
struct Seat {
    agent: AgentId,
    /// When it was started, as the kernel counts: its number may be another's later.
    started: u64,
    /// When it said so last.
    #[serde(default)]
    at: Millis,
}

/// A process: its number, and when it was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Process {
    pid: u32,
    started: u64,
}

/// What says that this process is an agent's. Nothing where the machine cannot be told from others.
pub(super) fn seat(keys: &Keys, actor: &Actor, at: Millis) -> Option<Write> {
    let cell = Cell::field(keys.agent_processes(), format!("{}.{}", this_machine()?, std::process::id()));
    let seat = Seat { agent: actor.id.clone(), started: machine::process(std::process::id())?.started, at };
    Some(Write::Put { cell, value: to_json(&seat).ok()?, ttl: None, event: None })
}

/// Says that an agent lives in this process, for as long as the process does: who left may not approve either. To be said again each
/// [`SAID_AGAIN`].
///
/// Whether a process of another machine lives cannot be seen from here, and a machine that was started anew says nothing of those before: such a one is forgotten a week
/// after its last word.
pub(crate) async fn sit_down(store: &Store, actor: &Actor) -> Result<()> {
    let (keys, now) = (store.keys(), store.now().await?);
    let Some(seat) = seat(keys, actor, now) else { return Ok(()) };
    let (here, machine) = (std::process::id(), this_machine().unwrap_or_default());
    let gone = |(name, value): &(String, Versioned)| {
        let Ok(seat) = serde_json::from_slice::<Seat>(&value.value) else { return false };
        match number(name, &machine) {
            Some(pid) => pid != here && !is_alive(Process { pid, started: seat.started }),
            None => seat.at.after(ttl::ENDED) < now,
        }
    };
    let table = store.table(keys.agent_processes()).await?;
    let forget = table.into_iter().filter(gone).take(64).map(|(name, _)| Write::Delete(Cell::field(keys.agent_processes(), name)));
    store.apply(forget.fold(Commit::by(&actor.admission).write(seat), Commit::write)).await.map(drop)
}

/// The number of a process of this machine, by the name of its field.
fn number(name: &str, machine: &str) -> Option<u32> {
    name.strip_prefix(machine)?.strip_prefix('.')?.parse().ok()
}

/// Which agent this process belongs to, in words; none if it belongs to none that is known.
pub async fn governed_by(store: &Store) -> Result<Option<String>> {
    if is_marked() {
        return Ok(Some("an agent that a supervisor started".to_owned()));
    }
    let seats = seats(store).await?;
    // A parent may be gone: the leaders stay.
    let (line, leaders) = (ancestors(), machine::process(std::process::id()).map_or([0; 2], |status| status.leaders));
    let is_ours = |process: &Process| line.contains(process) || (leaders.contains(&process.pid) && !is_another(*process));
    Ok(seats.iter().find(|(process, _)| is_ours(process)).map(|(process, agent)| format!("`{agent}` (process {})", process.pid)))
}

/// Refuses what only people do in a process of a governed agent, or below one: approving, saying who may do what and how much, lifting a stop.
pub async fn refuse_agents(store: &Store) -> Result<()> {
    let Some(agent) = governed_by(store).await? else { return Ok(()) };
    let data = json!({"process_of": agent, "process": std::process::id()});
    store.apply(Commit::default().write(alert(store, "refused_to_agent", &data)?)).await?;
    let message = format!("this process belongs to {agent}: no agent approves, nor says who may do what, nor how much, nor lifts a stop");
    Err(Error::new(ErrorKind::Denied, "governed_process", message))
}

/// The processes of this machine in which agents sat down.
async fn seats(store: &Store) -> Result<Vec<(Process, AgentId)>> {
    let Some(machine) = this_machine() else { return Ok(Vec::new()) };
    let read = |(name, value): (String, Versioned)| {
        let pid = number(&name, &machine)?;
        let seat: Seat = serde_json::from_slice(&value.value).ok()?;
        Some((Process { pid, started: seat.started }, seat.agent))
    };
    Ok(store.table(store.keys().agent_processes()).await?.into_iter().filter_map(read).collect())
}

#[cfg(target_os = "linux")]
fn is_marked() -> bool {
    use rustix::process::{Resource, getrlimit};
    getrlimit(Resource::Locks).maximum.is_some_and(|most| most <= MARK)
}

#[cfg(not(target_os = "linux"))]
fn is_marked() -> bool {
    false
}

/// This boot of this machine, and the numbering of processes that is seen from here.
#[cfg(target_os = "linux")]
fn this_machine() -> Option<String> {
    let (boot, numbering) = (Some(machine::boot()).filter(|boot| !boot.is_empty())?, machine::numbering()?);
    Some(crate::guard::canonical::sha256(format!("{boot}\n{numbering}").as_bytes())[..16].to_owned())
}

#[cfg(not(target_os = "linux"))]
fn this_machine() -> Option<String> {
    Some(rustix::system::uname().nodename().to_string_lossy().chars().filter(char::is_ascii_alphanumeric).take(64).collect())
}

/// This process, whoever started it, and so on.
fn ancestors() -> Vec<Process> {
    let (mut line, mut pid) = (Vec::new(), std::process::id());
    while let Some(machine::Status { started, parent, .. }) = machine::process(pid) {
        line.push(Process { pid, started });
        if parent == 0 || line.len() > 1_000 {
            break;
        }
        pid = parent;
    }
    line
}

fn is_alive(process: Process) -> bool {
    machine::process(process.pid).is_some_and(|status| status.started == process.started)
}

/// Whether its number is another's by now.
fn is_another(process: Process) -> bool {
    machine::process(process.pid).is_some_and(|status| status.started != process.started)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::AgentId;

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn a_process_is_known_by_its_number_and_its_start_and_so_are_those_below() {
        let store = Store::memory().await.unwrap();
        assert_eq!(governed_by(&store).await.unwrap(), None);
        let keys = store.keys();
        let parent = machine::process(std::process::id()).unwrap().parent;
        let put = async |pid: u32, started: u64| {
            let cell = Cell::field(keys.agent_processes(), format!("{}.{pid}", this_machine().unwrap()));
            let seat = Seat { agent: AgentId::new("alpha-1").unwrap(), started, at: store.now().await.unwrap() };
            store.apply(Commit::default().put(cell, to_json(&seat).unwrap())).await.unwrap();
        };
        let started = machine::process(parent).unwrap().started;
        put(parent, started + 1).await;
        assert_eq!(governed_by(&store).await.unwrap(), None, "the number is another's by now");
        put(parent, started).await;
        assert!(governed_by(&store).await.unwrap().unwrap().contains("alpha-1"));
        // Who sits down forgets who is gone.
        put(parent, started + 1).await;
        let actor = Actor::system(&store, "beta-1").await.unwrap();
        sit_down(&store, &actor).await.unwrap();
        let names: Vec<_> = seats(&store).await.unwrap().into_iter().map(|(process, agent)| (process.pid, agent.to_string())).collect();
        assert_eq!(names, [(std::process::id(), "beta-1".to_owned())]);
        // Of another machine it forgets who has said nothing for longer than anything is kept, and nobody else.
        let now = store.now().await.unwrap();
        for (name, age) in [("elsewhere.7", ttl::ENDED + Duration::from_secs(60)), ("elsewhere.8", ttl::ENDED / 2)] {
            let at = Millis(now.0 - crate::vocabulary::millis(age));
            let seat = Seat { agent: AgentId::new("alpha-1").unwrap(), started, at };
            store.apply(Commit::default().put(Cell::field(keys.agent_processes(), name), to_json(&seat).unwrap())).await.unwrap();
        }
        sit_down(&store, &actor).await.unwrap();
        let table = store.table(keys.agent_processes()).await.unwrap();
        let elsewhere: Vec<_> = table.iter().map(|(name, _)| name.as_str()).filter(|name| name.starts_with("elsewhere")).collect();
        assert_eq!(elsewhere, ["elsewhere.8"]);
        assert!(governed_by(&store).await.unwrap().unwrap().contains("beta-1"));
    }
}

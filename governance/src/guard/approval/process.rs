//! Which processes belong to governed agents: none of them approves anything, nor does anything that they start.
//!
//! Three things tell: the numbers of the processes in which agents sit down, kept in the store, against the ancestors of this one; its process group
//! and session; and a mark that a supervisor puts on each agent's process, which the kernel hands down to everything that it starts, whatever
//! that does to its environment, its session or its parent. What an agent can still do is said in docs/approvals.md.

use serde::{Deserialize, Serialize};

use crate::error::Result;
use crate::store::{Actor, Cell, Commit, Store, Versioned, Write, to_json};
use crate::vocabulary::{AgentId, Keys};

/// The hard limit of a resource that kernels no longer count (`RLIMIT_LOCKS`): where it is no higher than this, a supervisor has set it. Only the
/// administrator can raise it again.
pub(crate) const MARK: u64 = 0x676f_7665_726e;

/// What the store holds of a process.
#[derive(Serialize, Deserialize)]
struct Seat {
    agent: AgentId,
    /// When it was started, as the kernel counts: its number may be another's later.
    started: u64,
}

/// A process: its number, and when it was started.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Process {
    pid: u32,
    started: u64,
}

/// What says that this process is an agent's. Nothing where the machine cannot be told from others.
pub(super) fn seat(keys: &Keys, actor: &Actor) -> Option<Write> {
    let cell = Cell::field(keys.agent_processes(), format!("{}.{}", machine()?, std::process::id()));
    let seat = Seat { agent: actor.id.clone(), started: look(std::process::id())?.0 };
    Some(Write::Put { cell, value: to_json(&seat).ok()?, ttl: None, event: None })
}

/// Says that an agent lives in this process, for as long as the process does: who left may not approve either.
pub(crate) async fn sit_down(store: &Store, actor: &Actor) -> Result<()> {
    let keys = store.keys();
    let Some(seat) = seat(keys, actor) else { return Ok(()) };
    let here = std::process::id();
    let gone = seats(store).await?.into_iter().filter(|(process, _)| process.pid != here && !is_alive(*process));
    let machine = machine().unwrap_or_default();
    let forget = gone.take(64).map(|(process, _)| Write::Delete(Cell::field(keys.agent_processes(), format!("{machine}.{}", process.pid))));
    store.apply(forget.fold(Commit::by(&actor.admission).write(seat), Commit::write)).await.map(drop)
}

/// Which agent this process belongs to, in words; none if it belongs to none that is known.
pub async fn governed_by(store: &Store) -> Result<Option<String>> {
    if is_marked() {
        return Ok(Some("an agent that a supervisor started".to_owned()));
    }
    let seats = seats(store).await?;
    let (line, groups) = (ancestors(), groups());
    let is_ours = |process: &Process| line.contains(process) || (groups.contains(&process.pid) && !is_another(*process));
    Ok(seats.iter().find(|(process, _)| is_ours(process)).map(|(process, agent)| format!("`{agent}` (process {})", process.pid)))
}

/// The processes of this machine in which agents sat down.
async fn seats(store: &Store) -> Result<Vec<(Process, AgentId)>> {
    let Some(machine) = machine() else { return Ok(Vec::new()) };
    let read = |(name, value): (String, Versioned)| {
        let pid = name.strip_prefix(&machine)?.strip_prefix('.')?.parse().ok()?;
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
fn machine() -> Option<String> {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let numbering = std::fs::read_link("/proc/self/ns/pid").ok()?;
    Some(crate::guard::canonical::sha256(format!("{boot}{}", numbering.display()).as_bytes())[..16].to_owned())
}

#[cfg(not(target_os = "linux"))]
fn machine() -> Option<String> {
    Some(rustix::system::uname().nodename().to_string_lossy().chars().filter(char::is_ascii_alphanumeric).take(64).collect())
}

/// When a process was started, and by whom; nothing if it is gone.
#[cfg(target_os = "linux")]
fn look(pid: u32) -> Option<(u64, u32)> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // Behind the name, which may hold anything: state, parent, … and the start as the twentieth.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(1);
    let parent = fields.next()?.parse().ok()?;
    Some((fields.nth(17)?.parse().ok()?, parent))
}

/// Elsewhere only the nearest are known.
#[cfg(not(target_os = "linux"))]
fn look(pid: u32) -> Option<(u64, u32)> {
    let parent = rustix::process::getppid().map_or(0, |pid| pid.as_raw_nonzero().get().cast_unsigned());
    Some((0, if pid == std::process::id() { parent } else { 0 }))
}

/// This process, whoever started it, and so on.
fn ancestors() -> Vec<Process> {
    let (mut line, mut pid) = (Vec::new(), std::process::id());
    while let Some((started, parent)) = look(pid) {
        line.push(Process { pid, started });
        if parent == 0 || line.len() > 1_000 {
            break;
        }
        pid = parent;
    }
    line
}

/// The leaders of this process's group and session: a parent may be gone, these stay.
fn groups() -> Vec<u32> {
    let group = rustix::process::getpgrp().as_raw_nonzero().get().cast_unsigned();
    let session = rustix::process::getsid(None).map(|session| session.as_raw_nonzero().get().cast_unsigned());
    std::iter::once(group).chain(session).collect()
}

fn is_alive(process: Process) -> bool {
    look(process.pid).is_some_and(|(started, _)| started == process.started)
}

/// Whether its number is another's by now.
fn is_another(process: Process) -> bool {
    look(process.pid).is_some_and(|(started, _)| started != process.started)
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
        let parent = look(std::process::id()).unwrap().1;
        let put = async |pid: u32, started: u64| {
            let cell = Cell::field(keys.agent_processes(), format!("{}.{pid}", machine().unwrap()));
            let seat = Seat { agent: AgentId::new("alpha-1").unwrap(), started };
            store.apply(Commit::default().put(cell, to_json(&seat).unwrap())).await.unwrap();
        };
        let (started, _) = look(parent).unwrap();
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
        assert!(governed_by(&store).await.unwrap().unwrap().contains("beta-1"));
    }
}

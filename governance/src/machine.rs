//! What tells this machine, its boot, and a process on it from others.

/// A process's state as the kernel tells it. A number is 0 where the process that bears it is outside of the numbering that is seen from here, as those who
/// start programs in a container are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Status {
    /// When it was started, in the kernel's clock ticks: its number may be another's later.
    pub started: u64,
    /// Who started it, or took it over.
    pub parent: u32,
    /// The leaders of its group and its session.
    pub leaders: [u32; 2],
    /// Whether it has ended and only waits to be noticed.
    pub ended: bool,
}

/// The id of this boot; empty where the system tells none.
pub(crate) fn boot() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id").map(|boot| boot.trim().to_owned()).unwrap_or_default()
}

/// The numbering of processes that is seen from here; none where the system does not tell.
#[cfg(target_os = "linux")]
pub(crate) fn numbering() -> Option<String> {
    std::fs::read_link("/proc/self/ns/pid").ok().map(|numbering| numbering.display().to_string())
}

/// What the kernel says of a process; nothing if it is gone.
#[cfg(target_os = "linux")]
pub(crate) fn process(pid: u32) -> Option<Status> {
    status(&std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

#[cfg(target_os = "linux")]
fn status(stat: &str) -> Option<Status> {
    // Behind the name, which may hold anything: state, parent, group, session, … and the start as the twentieth.
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let ended = matches!(fields.next()?, "Z" | "X");
    let parent = fields.next()?.parse().ok()?;
    let leaders = [fields.next()?.parse().ok()?, fields.next()?.parse().ok()?];
    Some(Status { started: fields.nth(15)?.parse().ok()?, parent, leaders, ended })
}

/// Elsewhere only the nearest are known, and nobody is told from another with its number.
#[cfg(not(target_os = "linux"))]
pub(crate) fn process(pid: u32) -> Option<Status> {
    use rustix::process::{getpgrp, getppid, getsid};
    let number = |pid: rustix::process::Pid| pid.as_raw_nonzero().get().cast_unsigned();
    let is_own = pid == std::process::id();
    let group = number(getpgrp());
    let leaders = if is_own { [group, getsid(None).map_or(group, number)] } else { [0; 2] };
    Some(Status { started: 0, parent: if is_own { getppid().map_or(0, number) } else { 0 }, leaders, ended: false })
}

#[cfg(test)]
mod tests {
    #[cfg(target_os = "linux")]
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn a_leader_outside_of_a_container_is_nobody_here() {
        let line = |leaders: &str| format!("7 (a) b (c) S 1 {leaders} 0 -1 4194560 2 0 0 0 0 0 0 0 20 0 1 0 4711 0 0");
        let known = Status { started: 4711, parent: 1, leaders: [7, 3], ended: false };
        assert_eq!(status(&line("7 3")), Some(known));
        assert_eq!(status(&line("0 0")), Some(Status { leaders: [0, 0], ..known }));
        assert_eq!(status(&line("7 3").replace(") S", ") Z")), Some(Status { ended: true, ..known }));
        assert_eq!(status("7 (a) S 1"), None);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn this_process_is_there_and_another_is_not() {
        assert!(process(std::process::id()).is_some_and(|status| !status.ended && status.started > 0));
        assert_eq!(process(u32::MAX), None);
        assert!(!boot().is_empty() && !boot().contains('\n'));
    }
}

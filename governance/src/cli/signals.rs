//! What asks this program to end.

use std::sync::OnceLock;

use tokio::signal::unix::{SignalKind, signal};

/// Ctrl-C, a polite request to end, or the terminal's end: but for whoever asked to outlive that, as `nohup` does.
pub async fn interrupted() {
    let heard = |kind: SignalKind| async move {
        match signal(kind) {
            Ok(mut signals) => signals.recv().await.unwrap_or(()),
            Err(_) => std::future::pending().await,
        }
    };
    let hung_up = async { if outlives_its_terminal() { std::future::pending().await } else { heard(SignalKind::hangup()).await } };
    tokio::select! {
        () = heard(SignalKind::interrupt()) => {}
        () = heard(SignalKind::terminate()) => {}
        () = hung_up => {}
    }
}

/// Whether this program was started so that the end of its terminal does not end it: SIGHUP was ignored before it could say anything about it.
fn outlives_its_terminal() -> bool {
    static OUTLIVES: OnceLock<bool> = OnceLock::new();
    // Asked before a handler stands, which would hide the answer. Where the system does not tell, nobody has asked for it.
    *OUTLIVES.get_or_init(|| std::fs::read_to_string("/proc/self/status").is_ok_and(|status| ignores_hangup(&status)))
}

fn ignores_hangup(status: &str) -> bool {
    let ignored = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    // Signal 1 is the lowest bit.
    ignored.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).is_some_and(|mask| mask & 1 == 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_ignores_a_hangup_is_told_from_who_ignores_another_signal() {
        let status = |mask: &str| format!("Name:\tgovernance\nSigBlk:\t0000000000000001\nSigIgn:\t{mask}\nSigCgt:\t0000000000000001\n");
        assert!(ignores_hangup(&status("0000000000001001")));
        assert!(!ignores_hangup(&status("0000000000001000")) && !ignores_hangup(""));
    }
}

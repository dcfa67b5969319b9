//! The scripts, as a server wants them.

const COMMIT: &str = include_str!("commit.lua");
const PUT: &str = include_str!("put.lua");
const LOG: &str = include_str!("log.lua");
const GUARD: &str = include_str!("guard.lua");

/// A script that every connection knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Script {
    /// Judges and writes commits.
    Commit,
    /// The same of those that put a field with its event.
    Put,
    /// The same, also when the server's memory is full.
    Urgent,
    /// Reads a piece of a log.
    Log,
}

impl Script {
    pub const ALL: [Self; 4] = [Self::Commit, Self::Put, Self::Urgent, Self::Log];

    /// The text. `flags` says whether the server knows what stands in the first line (Dragonfly does not); with it, a server whose memory
    /// is full refuses the script as a whole before it wrote anything.
    pub fn text(self, flags: bool, guarded: bool) -> String {
        let first = match (flags, self) {
            (false, _) => "",
            (true, Self::Commit | Self::Put) => "#!lua\n",
            (true, Self::Urgent) => "#!lua flags=allow-oom\n",
            (true, Self::Log) => "#!lua flags=no-writes\n",
        };
        let body = match self {
            Self::Commit | Self::Urgent => COMMIT,
            Self::Put => PUT,
            Self::Log => LOG,
        };
        format!("{first}{}{}", if guarded { GUARD } else { "" }, compact(body))
    }
}

/// Without comments and indentation, so that less travels.
fn compact(body: &str) -> String {
    let mut text = String::with_capacity(body.len());
    for line in body.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with("--")) {
        text.push_str(line);
        text.push('\n');
    }
    text
}

/// A script behind the guard.
#[cfg(any(test, feature = "testing"))]
pub(super) fn guarded(body: &str) -> String {
    format!("{GUARD}{body}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vocabulary::ttl;

    #[test]
    fn an_answer_is_remembered_as_long_on_a_server_as_elsewhere() {
        for script in [COMMIT, PUT] {
            assert!(script.contains(&format!("now + {})", ttl::ANSWER.as_millis())));
        }
    }
}

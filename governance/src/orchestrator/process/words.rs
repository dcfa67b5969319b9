//! What a child says on its outputs: line by line, each of bounded length, and no more of them than can be kept.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};

use crate::orchestrator::broadcast::Stream;

/// The longest line, in bytes. What is beyond is cut off.
pub const MAX_LINE: usize = 4096;
/// How many lines may come at once.
const BURST: u64 = 100;
/// How long it takes until another line may come: 5 a second.
const REFILL: Duration = Duration::from_millis(200);
/// How many of the last lines are kept to explain an end.
const LAST: usize = 6;
/// How much of each is kept.
const LAST_LINE: usize = 240;

/// Reads lines of bounded length.
pub struct Lines<R> {
    from: BufReader<R>,
    line: Vec<u8>,
    cut: usize,
}

impl<R: AsyncRead + Unpin> Lines<R> {
    /// Of this output.
    pub fn new(from: R) -> Self {
        Self { from: BufReader::new(from), line: Vec::new(), cut: 0 }
    }

    /// The next line; none at the end.
    pub async fn next(&mut self) -> Option<String> {
        loop {
            let read = match self.from.fill_buf().await {
                Ok([]) | Err(_) if self.line.is_empty() => return None,
                Ok([]) | Err(_) => return Some(self.take()),
                Ok(read) => read,
            };
            let end = read.iter().position(|byte| *byte == b'\n');
            let piece = &read[..end.unwrap_or(read.len())];
            let room = (MAX_LINE - self.line.len()).min(piece.len());
            self.line.extend_from_slice(&piece[..room]);
            self.cut += piece.len() - room;
            let used = piece.len() + usize::from(end.is_some());
            self.from.consume(used);
            if end.is_some() {
                return Some(self.take());
            }
        }
    }

    fn take(&mut self) -> String {
        text(&std::mem::take(&mut self.line), std::mem::take(&mut self.cut))
    }
}

/// A line without what could steer a terminal.
fn text(line: &[u8], cut: usize) -> String {
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let mut text: String =
        String::from_utf8_lossy(line).chars().map(|c| if c.is_control() && c != '\t' { char::REPLACEMENT_CHARACTER } else { c }).collect();
    if cut > 0 {
        text.push_str(&format!("… ({cut} bytes more)"));
    }
    text
}

/// How many lines may pass. Pure: time is told.
#[derive(Debug, Default)]
pub struct Flow {
    // The time at which as many lines as may come at once were free.
    full: Duration,
    dropped: u64,
}

impl Flow {
    /// Whether a line may pass now, and then how many were held back before it.
    pub fn pass(&mut self, now: Duration) -> Option<u64> {
        let full = self.full.max(now) + REFILL;
        if full > now + REFILL * u32::try_from(BURST).unwrap_or(u32::MAX) {
            self.dropped += 1;
            return None;
        }
        self.full = full;
        Some(std::mem::take(&mut self.dropped))
    }

    /// How many were held back since the last one that passed.
    pub fn held_back(&self) -> u64 {
        self.dropped
    }
}

/// The last lines that a child wrote, to explain its end with.
#[derive(Debug, Clone, Default)]
pub struct LastWords(Arc<Mutex<Said>>);

#[derive(Debug, Default)]
struct Said {
    out: VecDeque<String>,
    err: VecDeque<String>,
}

impl LastWords {
    /// One more.
    pub fn heard(&self, stream: Stream, line: &str) {
        if line.trim().is_empty() {
            return;
        }
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = if stream == Stream::Stdout { &mut said.out } else { &mut said.err };
        if last.len() == LAST {
            last.pop_front();
        }
        let mut kept: String = line.trim().chars().take(LAST_LINE).collect();
        if kept.len() < line.trim().len() {
            kept.push('…');
        }
        last.push_back(kept);
    }

    /// Forgets them: another process begins.
    pub fn forget(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Said::default();
    }

    /// As the end of a sentence: its errors, or else its other output; nothing if it said nothing.
    pub fn told(&self) -> String {
        let said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = if said.err.is_empty() { &said.out } else { &said.err };
        if last.is_empty() { String::new() } else { format!("; it last said: {}", last.iter().cloned().collect::<Vec<_>>().join(" | ")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(bytes: &[u8]) -> Vec<String> {
        let (mut lines, mut seen) = (Lines::new(bytes), Vec::new());
        while let Some(line) = lines.next().await {
            seen.push(line);
        }
        seen
    }

    #[tokio::test]
    async fn lines_are_bounded_and_steer_no_terminal() {
        assert_eq!(read(b"a\r\n\x1b[31mb\n\xffc").await, ["a", "\u{fffd}[31mb", "\u{fffd}c"]);
        assert!(read(b"").await.is_empty());
        let long = [vec![b'x'; MAX_LINE + 7], b"\nnext\n".to_vec()].concat();
        let seen = read(&long).await;
        assert_eq!(seen[0], format!("{}… (7 bytes more)", "x".repeat(MAX_LINE)));
        assert_eq!(seen[1..], ["next"]);
    }

    #[test]
    fn a_flood_is_held_back_and_counted() {
        let (mut flow, start) = (Flow::default(), Duration::from_secs(1000));
        let passed = (0..1000).filter(|_| flow.pass(start).is_some()).count();
        assert_eq!((passed as u64, flow.held_back()), (BURST, 1000 - BURST));
        assert_eq!(flow.pass(start + REFILL), Some(1000 - BURST));
        assert_eq!(flow.pass(start + REFILL), None);
        // In a minute 300 more, never more than a burst at once.
        let steady = (1..=300).filter(|n| flow.pass(start + REFILL * (1 + n)).is_some()).count();
        assert_eq!(steady, 300);
        let later = start + Duration::from_secs(1000);
        assert_eq!((0..1000).filter(|_| flow.pass(later).is_some()).count() as u64, BURST);
    }

    #[test]
    fn the_last_words_are_few_and_short() {
        let words = LastWords::default();
        assert_eq!(words.told(), "");
        words.heard(Stream::Stdout, "starting");
        assert_eq!(words.told(), "; it last said: starting");
        (0..20).for_each(|n| words.heard(Stream::Stderr, &format!("line {n} {}", "x".repeat(1000))));
        words.heard(Stream::Stderr, "  ");
        let told = words.told();
        assert!(told.contains("line 19") && told.contains("line 14") && !told.contains("line 13"), "{told}");
        assert!(told.len() < 2_000, "{told}");
    }
}

//! How answers are shown: text for people, one JSON object a line for programs. Colours only on a terminal.

use std::io::{self, Write};
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use serde::Serialize;
use serde_json::{Value, json};

use crate::error::{Error, ErrorKind, Result};
use crate::vocabulary::Millis;

/// The code of the error that says that nobody reads our output any more.
pub const CLOSED: &str = "output_closed";

pub const BOLD: Style = Style::new().bold();
pub const DIM: Style = Style::new().dimmed();
pub const GOOD: Style = AnsiColor::Green.on_default();
pub const BAD: Style = AnsiColor::Red.on_default();
pub const WARN: Style = AnsiColor::Yellow.on_default();

/// Prints.
#[derive(Debug, Clone, Copy)]
pub struct Printer {
    pub json: bool,
}

impl Printer {
    pub fn new(json: bool) -> Self {
        Self { json }
    }

    /// One line for people.
    pub fn line(self, text: impl AsRef<str>) -> Result<()> {
        written(writeln!(anstream::stdout(), "{}", text.as_ref()))
    }

    /// One object for programs.
    pub fn object(self, value: &impl Serialize) -> Result<()> {
        let text = serde_json::to_string(value).map_err(|e| Error::internal("an answer is not JSON").because(e))?;
        written(writeln!(io::stdout().lock(), "{text}"))
    }

    /// The object or the line, as asked for.
    pub fn either(self, value: &impl Serialize, text: impl FnOnce() -> String) -> Result<()> {
        if self.json { self.object(value) } else { self.line(text()) }
    }

    /// Text that is an answer as it is.
    pub fn text(self, text: &[u8]) -> Result<()> {
        written(io::stdout().lock().write_all(text))
    }

    /// Something beside the answer, on standard error: for programs an object as well.
    pub fn note(self, text: impl AsRef<str>) -> Result<()> {
        written(match self.json {
            true => writeln!(io::stderr().lock(), "{}", json!({"note": text.as_ref()})),
            false => writeln!(anstream::stderr(), "{DIM}{}{DIM:#}", text.as_ref()),
        })
    }

    /// One of several files is not good: on standard error, or as an object among the answers.
    pub fn wrong(self, file: &str, error: &Error) -> Result<()> {
        if self.json { self.object(&json!({"file": file, "error": told(error)})) } else { written(explained(error)) }
    }

    /// An error, on standard error, with what caused it; for programs an object among the answers.
    pub fn fail(self, error: &Error) -> ExitCode {
        let _ = if self.json { writeln!(io::stdout().lock(), "{}", json!({"error": told(error)})) } else { explained(error) };
        match error.code() {
            "stopped" => ExitCode::from(3),
            _ => ExitCode::from(1),
        }
    }
}

/// What is logged, as notes.
pub struct Notes(pub Printer);

impl Write for Notes {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        // A log that cannot be written ends nothing.
        let _ = self.0.note(String::from_utf8_lossy(line).trim());
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// An error for programs.
fn told(error: &Error) -> Value {
    json!({"kind": error.kind(), "code": error.code(), "message": error.to_string(), "details": error.details()})
}

/// An error for people, with what caused it.
fn explained(error: &Error) -> io::Result<()> {
    let mut text = String::new();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text.push_str(&format!("\n  {DIM}because: {error}{DIM:#}"));
        cause = error.source();
    }
    writeln!(anstream::stderr(), "{BAD}error{BAD:#}: {error}{text}")
}

pub fn written(done: io::Result<()>) -> Result<()> {
    done.map_err(|error| match error.kind() {
        io::ErrorKind::BrokenPipe => Error::new(ErrorKind::Unavailable, CLOSED, "the output is closed"),
        _ => Error::unavailable("output_failed", "the output cannot be written").because(error),
    })
}

/// A time of day, UTC, as people read it.
pub fn clock(at: Millis) -> String {
    let seconds = at.0 / 1000 % 86_400;
    format!("{:02}:{:02}:{:02}.{:03}", seconds / 3600, seconds / 60 % 60, seconds % 60, at.0 % 1000)
}

/// A day and a time of day, UTC.
pub fn moment(at: Millis) -> String {
    // Days since 1970 as a date: years begin in March, so that the leap day is the last one.
    let days = at.0 / 86_400_000 + 719_468;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let march = (5 * of_year + 2) / 153;
    let (day, month) = (of_year - (153 * march + 2) / 5 + 1, if march < 10 { march + 3 } else { march - 9 });
    format!("{:04}-{month:02}-{day:02} {}", year + era * 400 + u64::from(month <= 2), &clock(at)[..8])
}

/// A text on one line, cut to a length, without what could steer a terminal.
pub fn short(text: &str, length: usize) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(length + 1).collect();
    if clean.chars().count() > length {
        return format!("{}…", clean.chars().take(length.saturating_sub(1)).collect::<String>());
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_a_day_and_a_time() {
        for (at, told) in [
            (0, "1970-01-01 00:00:00"),
            (951_782_399_999, "2000-02-28 23:59:59"),
            (951_782_400_000, "2000-02-29 00:00:00"),
            (951_868_800_000, "2000-03-01 00:00:00"),
            (1_767_225_599_000, "2025-12-31 23:59:59"),
            (4_107_542_400_000, "2100-03-01 00:00:00"),
        ] {
            assert_eq!(moment(Millis(at)), told);
        }
    }

    #[test]
    fn a_text_that_is_shown_is_on_one_line_and_steers_no_terminal() {
        assert_eq!(short("a\x1b[31m\nb", 20), "a [31m b");
        assert_eq!(short("abcdef", 4), "abc…");
    }
}

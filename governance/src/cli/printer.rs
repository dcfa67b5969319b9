//! How answers are shown: text for people, one JSON object a line for programs. Colours only on a terminal.

use std::io::{self, Write};
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use serde::Serialize;

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

    /// Something beside the answer, on standard error.
    pub fn note(self, text: impl AsRef<str>) -> Result<()> {
        written(writeln!(anstream::stderr(), "{DIM}{}{DIM:#}", text.as_ref()))
    }

    /// An error, on standard error, with what caused it.
    pub fn fail(self, error: &Error) -> ExitCode {
        let mut text = String::new();
        let mut cause = std::error::Error::source(error);
        while let Some(error) = cause {
            text.push_str(&format!("\n  {DIM}because: {error}{DIM:#}"));
            cause = error.source();
        }
        let _ = if self.json {
            let told = serde_json::json!({"error": {"kind": error.kind(), "code": error.code(), "message": error.to_string(), "details": error.details()}});
            writeln!(io::stdout().lock(), "{told}")
        } else {
            writeln!(anstream::stderr(), "{BAD}error{BAD:#}: {error}{text}")
        };
        match error.code() {
            "stopped" => ExitCode::from(3),
            _ => ExitCode::from(1),
        }
    }
}

fn written(done: io::Result<()>) -> Result<()> {
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

/// A text on one line, cut to a length, without what could steer a terminal.
pub fn short(text: &str, length: usize) -> String {
    let clean: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(length + 1).collect();
    if clean.chars().count() > length {
        return format!("{}…", clean.chars().take(length.saturating_sub(1)).collect::<String>());
    }
    clean
}

//! The command line, inside an interpreter.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use pyo3::prelude::*;

/// Runs the command line with these words. Answers its exit code.
#[pyfunction]
pub fn _run(py: Python<'_>, words: Vec<OsString>, program: Option<PathBuf>) -> u8 {
    let code = py.detach(|| ::governance::cli::run(words, program));
    (0..u8::MAX).find(|known| ExitCode::from(*known) == code).unwrap_or(u8::MAX)
}

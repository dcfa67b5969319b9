//! The command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    governance::cli::main()
}

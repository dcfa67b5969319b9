//! How the parts are.

use clap::Args as Arguments;

#[derive(Debug, Arguments)]
#[command(after_help = "Exit codes:\n  0  every part is healthy\n  1  one is degraded, unhealthy or unknown\n\nExamples:\n  \
governance health\n  governance health --watch\n  governance health --json")]
pub struct Health {
    /// Go on, and tell each change, until interrupted
    #[arg(long)]
    pub watch: bool,
}

//! Ending admissions.

use std::time::Duration;

use clap::Args as Arguments;

use crate::vocabulary::RevocationType;

/// How long it is waited for those who must confirm.
#[derive(Debug, Clone, Copy, Arguments)]
pub struct Waiting {
    /// Seconds that each process may take to confirm that nothing of it runs there any more
    #[arg(long, value_name = "SECONDS", default_value = "5", value_parser = super::seconds)]
    pub within: Duration,
    /// Do not wait for confirmations: what was admitted is refused all the same
    #[arg(long, conflicts_with = "within")]
    pub no_wait: bool,
    /// Show each confirmation as it comes
    #[arg(long, conflicts_with = "no_wait")]
    pub watch: bool,
}

#[derive(Debug, Arguments)]
#[command(
    after_help = "Examples:\n  governance revoke alpha-7f3k2q\n  governance revoke alpha-7f3k2q --type policy --reason \"left its paths\"\n  \
governance revoke pipeline-mksufe23 --watch"
)]
pub struct Revoke {
    /// The agent, as `alpha-7f3k2q`, or a run with each of its agents
    #[arg(value_name = "AGENT|PIPELINE")]
    pub what: String,
    /// Why, for people
    #[arg(long, default_value = "revoked by an operator")]
    pub reason: String,
    /// As what it is counted
    #[arg(long = "type", value_name = "TYPE", default_value = "manual")]
    pub kind: RevocationType,
    #[command(flatten)]
    pub waiting: Waiting,
}

#[derive(Debug, Arguments)]
#[command(
    group = clap::ArgGroup::new("what").required(true),
    after_help = "Examples:\n  governance stop pipeline-mksufe23\n  governance stop --all --reason \"a drill\"\n  governance stop --lift --reason \"the drill is over\""
)]
pub struct Stop {
    /// One run
    #[arg(group = "what")]
    pub pipeline: Option<String>,
    /// Everything, also what is just beginning; nothing new begins until it is lifted
    #[arg(long, group = "what")]
    pub all: bool,
    /// Lift a stop of everything: new runs may begin
    #[arg(long, group = "what")]
    pub lift: bool,
    /// Why, for people; lifting a stop demands one [default: stopped by an operator]
    #[arg(long, required_if_eq("lift", "true"))]
    pub reason: Option<String>,
    #[command(flatten)]
    pub waiting: Waiting,
}

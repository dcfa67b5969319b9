//! Ending admissions.

use clap::Args as Arguments;

use crate::vocabulary::RevocationType;

#[derive(Debug, Arguments)]
#[command(
    after_help = "Examples:\n  governance revoke alpha-7f3k2q\n  governance revoke alpha-7f3k2q --type policy --reason \"left its paths\""
)]
pub struct Revoke {
    /// The agent, as `alpha-7f3k2q`
    pub agent: String,
    /// Why, for people
    #[arg(long, default_value = "revoked by an operator")]
    pub reason: String,
    /// As what it is counted
    #[arg(long = "type", value_name = "TYPE", default_value = "manual")]
    pub kind: RevocationType,
}

#[derive(Debug, Arguments)]
#[command(
    group = clap::ArgGroup::new("what").required(true),
    after_help = "Examples:\n  governance stop pipeline-mksufe23\n  governance stop --all --reason \"a drill\"\n  governance stop --lift"
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
    /// Why, for people
    #[arg(long, default_value = "stopped by an operator")]
    pub reason: String,
}

//! What is going on in a run, and its end.

use clap::{Args as Arguments, Subcommand};

use super::{How, Waiting};
use crate::vocabulary::{FallbackAction, RevocationType};

#[derive(Debug, Subcommand)]
pub enum Pipeline {
    /// Every run, newest last
    #[command(after_help = "Examples:\n  governance pipeline list\n  governance pipeline list --json")]
    List,
    /// One run: its state and why, its agents, what waits for its user
    #[command(
        visible_alias = "show",
        after_help = "Examples:\n  governance pipeline status\n  governance pipeline show pipeline-mksufe23 --json"
    )]
    Status {
        /// The run [default: the newest]
        id: Option<String>,
    },
    /// Go on with a run that waits at its report, was stopped, or whose process died
    #[command(after_help = "Examples:\n  governance pipeline continue\n  governance pipeline continue pipeline-mksufe23 --timeout 300")]
    Continue {
        /// The run [default: the newest]
        id: Option<String>,
        #[command(flatten)]
        how: How,
    },
    /// Go on with a run whose votes closed without a decision
    #[command(
        after_help = "Actions:\n  rerun_same      fresh agents, who are told what failed\n  rerun_gamma     the same, with a mediator\n  \
escalate_tier   the same, trusted one tier further\n  accept_partial  the best proposal becomes the decision\n  \
download_log    everything that is known, as JSON; the run goes on waiting\n\nExamples:\n  \
governance pipeline fallback pipeline-mksufe23 rerun_gamma\n  governance pipeline fallback pipeline-mksufe23 download_log --out context.json"
    )]
    Fallback {
        /// The run
        id: String,
        /// How to go on
        action: FallbackAction,
        #[command(flatten)]
        how: How,
    },
    /// Give up on a decision: the run ends as CONSENSUS_FAILED
    #[command(after_help = "Examples:\n  governance pipeline give-up pipeline-mksufe23")]
    GiveUp {
        /// The run
        id: String,
    },
    /// Stop a run: no write that it or its agents were admitted to lands any more
    #[command(after_help = "Examples:\n  governance pipeline stop pipeline-mksufe23 --reason \"wrong objective\"")]
    Stop {
        /// The run
        id: String,
        /// Why, for people
        #[arg(long, default_value = "stopped by an operator")]
        reason: String,
        #[command(flatten)]
        waiting: Waiting,
    },
    /// Revoke a run and each of its agents: as a stop, and each agent gets its signal, its alert and its handoff
    Revoke(RevokeRun),
    /// What happened in a run, line by line
    Logs(Logs),
    /// A run's votes: proposals, ballots, outcome, and what stood in the way of one
    #[command(after_help = "Examples:\n  governance pipeline consensus\n  governance pipeline consensus pipeline-mksufe23 --json")]
    Consensus {
        /// The run [default: the newest]
        id: Option<String>,
    },
}

#[derive(Debug, Arguments)]
#[command(after_help = "Examples:\n  governance pipeline revoke pipeline-mksufe23 --type policy --reason \"left its paths\"\n  \
governance pipeline revoke pipeline-mksufe23 --agent beta-9k2m4p")]
pub struct RevokeRun {
    /// The run
    pub id: String,
    /// Only this agent of it; the run goes on without it, if it can
    #[arg(long, value_name = "ID")]
    pub agent: Option<String>,
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
#[command(after_help = "Examples:\n  governance pipeline logs\n  governance pipeline logs pipeline-mksufe23 --follow\n  \
governance pipeline logs --last 20 --json")]
pub struct Logs {
    /// The run [default: the newest]
    pub id: Option<String>,
    /// Go on until the run ends or waits for its user
    #[arg(long, short)]
    pub follow: bool,
    /// Only so many lines, the newest [default: all that are kept]
    #[arg(long, value_name = "N")]
    pub last: Option<u64>,
}

#[derive(Debug, Subcommand)]
pub enum Blackboard {
    /// The entries as they stand
    #[command(after_help = "Examples:\n  governance blackboard show\n  governance blackboard show pipeline-mksufe23 --json")]
    Show {
        /// The run [default: the newest]
        id: Option<String>,
    },
    /// Every write as it comes, until the run ends
    #[command(after_help = "Examples:\n  governance blackboard watch\n  governance blackboard watch pipeline-mksufe23 --json")]
    Watch {
        /// The run [default: the one under way, or the next]
        id: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub enum Bus {
    /// Every message as it comes, until the run ends
    #[command(after_help = "Examples:\n  governance bus tail\n  governance bus tail pipeline-mksufe23 --json")]
    Tail {
        /// The run [default: the one under way, or the next]
        id: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub enum Budget {
    /// Spending and faults by agent, and the limits of the run and the tenant
    #[command(
        after_help = "Examples:\n  governance budget show\n  governance budget show pipeline-mksufe23 --json\n  governance budget show --tenant"
    )]
    Show {
        /// The run [default: the newest]
        #[arg(conflicts_with = "whose")]
        id: Option<String>,
        #[command(flatten)]
        whose: Whose,
    },
    /// Every limit that was set, of the tenant, of runs that go on, and of their agents
    #[command(after_help = "Examples:\n  governance budget list\n  governance budget list --json")]
    List,
    /// Say how much an agent, a run or the tenant may use, what is used already included; opens a limit that an overrun closed
    #[command(
        override_usage = "governance budget set [OPTIONS] <AGENT> <UNIT> <LIMIT>\n       \
governance budget set [OPTIONS] <--agent <ID>|--pipeline <ID>|--tenant> <UNIT> <LIMIT>",
        after_help = "Units:\n  calls             calls of models and tools in all; of an agent its model's\n  calls_per_minute  calls within any \
minute\n  concurrency       calls at the same time\n  tokens            tokens of models\n  cost              millionths of a dollar\n  \
errors            calls that failed\n  wall_time         seconds since it began\n\nExamples:\n  governance budget set alpha-7f3k2q calls \
100\n  governance budget set --pipeline pipeline-mksufe23 tokens 500000\n  governance budget set --tenant calls_per_minute 600\n  \
governance budget set --tenant calls_per_minute none"
    )]
    Set {
        #[command(flatten)]
        whose: Whose,
        /// The agent, as `alpha-7f3k2q`, unless an option says whose it is; of what; and how much, or `none` to take the limit away
        #[arg(required = true, num_args = 2..=3, value_name = "WORDS")]
        words: Vec<String>,
    },
}

/// Whose limits.
#[derive(Debug, Default, Arguments)]
#[group(id = "whose", multiple = false)]
pub struct Whose {
    /// An agent's
    #[arg(long, value_name = "ID")]
    pub agent: Option<String>,
    /// A run's, with all of its agents
    #[arg(long, value_name = "ID")]
    pub pipeline: Option<String>,
    /// Everybody's
    #[arg(long)]
    pub tenant: bool,
}

//! What can be said on the command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as Arguments, Parser, Subcommand, ValueEnum};

use crate::config::Flags;
use crate::ledger::Durability;
use crate::llm::Mode;
use crate::vocabulary::{FallbackAction, RevocationType};

const AFTER: &str = "\
Exit codes: 0 success, 1 error, 2 votes closed without a decision, 3 aborted or stopped.

Configuration: flags first, then the environment (GOVERNANCE_HOME, GOVERNANCE_STORE, GOVERNANCE_DURABILITY, AUTO_ORCHESTRATE,
ORCHESTRATION_TIMEOUT, GOVERNANCE_MODE, OPENROUTER_MODEL, OPENROUTER_BASE_URL, GOVERNANCE_CALL_TIMEOUT; the model's key only there:
OPENROUTER_API_KEY), then config.toml in the home directory.

Examples:
  governance run \"Design a caching strategy\" --out solution.md
  governance blackboard watch            follow a run from a second terminal
  governance ledger verify               check that the record is what was written
  governance stop --all                  stop everything, now";

/// Governs AI agents: they work on shared state, a vote decides, the ledger shows what happened.
#[derive(Debug, Parser)]
#[command(name = "governance", version, after_help = AFTER, max_term_width = 120)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
    /// Where the embedded store, the ledger and config.toml are [default: .governance, or GOVERNANCE_HOME]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Common options")]
    home: Option<PathBuf>,
    /// Shared state: sqlite:PATH, redis://HOST:PORT, or another form of docs/stores.md [default: a file in the home directory]
    #[arg(long, global = true, value_name = "URL", help_heading = "Common options")]
    store: Option<String>,
    /// What an acknowledged record survives: the death of the process, or of the machine
    #[arg(long, global = true, value_name = "process|disk", help_heading = "Common options")]
    durability: Option<Durability>,
    /// Print JSON, one object a line
    #[arg(long, global = true, help_heading = "Common options")]
    pub json: bool,
}

impl Args {
    pub fn flags(&self) -> Flags {
        let common = Flags { home: self.home.clone(), store: self.store.clone(), durability: self.durability, ..Flags::default() };
        let (how, auto_orchestrate) = match &self.command {
            Command::Run(run) => (&run.how, run.auto_orchestrate),
            Command::Pipeline { command: Pipeline::Continue { how, .. } | Pipeline::Fallback { how, .. } } => (how, None),
            _ => return common,
        };
        Flags {
            timeout: how.timeout,
            auto_orchestrate,
            mode: how.model.mode,
            model: how.model.model.clone(),
            base_url: how.model.base_url.clone(),
            call_timeout: how.model.call_timeout,
            ..common
        }
    }
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run an objective: agents propose, evaluate and vote; the decision is printed
    Run(Run),
    /// The runs and their states
    Pipeline {
        #[command(subcommand)]
        command: Pipeline,
    },
    /// What the agents of a run know together
    Blackboard {
        #[command(subcommand)]
        command: Blackboard,
    },
    /// What the agents of a run say to each other
    Bus {
        #[command(subcommand)]
        command: Bus,
    },
    /// What agents may still spend, and how many faults they may still make
    Budget {
        #[command(subcommand)]
        command: Budget,
    },
    /// The final states of runs, to go on from
    Checkpoint {
        #[command(subcommand)]
        command: Checkpoint,
    },
    /// End an agent's admission: no write of it lands any more
    Revoke(Revoke),
    /// Stop a run, or everything
    Stop(Stop),
    /// The tamper-evident record of what was done
    Ledger {
        #[command(subcommand)]
        command: Ledger,
    },
    /// The shared state itself
    Store {
        #[command(subcommand)]
        command: Store,
    },
    /// Live as an agent of a run that starts this process
    #[command(hide = true)]
    Agent,
}

#[derive(Debug, Arguments)]
#[command(
    after_help = "Examples:\n  governance run \"Design a caching strategy\"\n  governance run --file objective.txt --out solution.md\n  \
echo \"Speed up the build\" | governance run - --json"
)]
pub struct Run {
    /// What is to be decided; `-` reads it from standard input
    #[arg(required_unless_present = "file", conflicts_with = "file")]
    pub objective: Option<String>,
    /// Read the objective from a file
    #[arg(long, value_name = "FILE")]
    pub file: Option<PathBuf>,
    /// Whether to go on from the report to the vote without being asked [default: true, or AUTO_ORCHESTRATE]
    #[arg(long, value_name = "true|false")]
    pub auto_orchestrate: Option<bool>,
    #[command(flatten)]
    pub how: How,
}

/// How a run is carried out.
#[derive(Debug, Default, Arguments)]
pub struct How {
    /// Write the product as Markdown
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Seconds that the agents may work, and then orchestrate [default: 120, or ORCHESTRATION_TIMEOUT]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub timeout: Option<Duration>,
    /// What runs the agents
    #[arg(long, value_enum, default_value_t = Agents::BuiltIn)]
    pub agents: Agents,
    #[command(flatten)]
    pub model: Model,
}

/// Which model thinks for the agents.
#[derive(Debug, Default, Arguments)]
#[command(next_help_heading = "Model")]
pub struct Model {
    /// Where agents get their thoughts from [default: local, or GOVERNANCE_MODE]
    #[arg(long, value_name = "openrouter|local")]
    pub mode: Option<Mode>,
    /// Which model, where there are several [default: anthropic/claude-sonnet-4, or OPENROUTER_MODEL]
    #[arg(long, value_name = "NAME")]
    pub model: Option<String>,
    /// Any server that speaks the OpenAI protocol [default: https://openrouter.ai/api/v1, or OPENROUTER_BASE_URL]
    #[arg(long, value_name = "URL")]
    pub base_url: Option<String>,
    /// Seconds that one call of the model may take [default: 60, or GOVERNANCE_CALL_TIMEOUT]
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub call_timeout: Option<Duration>,
    /// Stage what can go wrong: conflicts, silence, errors, crashes. See docs/scenarios.md
    #[arg(long, value_name = "FILE")]
    pub script: Option<PathBuf>,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Agents {
    /// Tasks in this process
    #[default]
    BuiltIn,
    /// A process each
    Process,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("`{text}` is not a number of seconds"))?;
    let span = Duration::try_from_secs_f64(seconds).map_err(|_| format!("`{text}` is not a possible number of seconds"))?;
    if span.is_zero() || span > Duration::from_secs(24 * 60 * 60) {
        return Err("a run may take more than nothing and at most a day".to_owned());
    }
    Ok(span)
}

#[derive(Debug, Subcommand)]
pub enum Pipeline {
    /// Every run, newest last
    List,
    /// One run and its agents
    Status {
        /// The run [default: the newest]
        id: Option<String>,
    },
    /// Go on with a run that waits at its report, was stopped, or whose process died
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
download_log    everything that is known, as JSON; the run goes on waiting"
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
    GiveUp {
        /// The run
        id: String,
    },
}

#[derive(Debug, Subcommand)]
pub enum Blackboard {
    /// The entries as they stand
    Show {
        /// The run [default: the newest]
        id: Option<String>,
    },
    /// Every write as it comes, until the run ends
    Watch {
        /// The run [default: the one under way, or the next]
        id: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub enum Bus {
    /// Every message as it comes, until the run ends
    Tail {
        /// The run [default: the one under way, or the next]
        id: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub enum Budget {
    /// Spending and faults by agent
    Show {
        /// The run [default: the newest]
        id: Option<String>,
    },
}

#[derive(Debug, Subcommand)]
pub enum Checkpoint {
    /// Every checkpoint, newest last
    List,
    /// One checkpoint
    Load {
        /// The checkpoint, as `ckpt-20260131-235959-0f3a9c21`
        id: String,
    },
}

#[derive(Debug, Arguments)]
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
#[command(group = clap::ArgGroup::new("what").required(true))]
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

#[derive(Debug, Subcommand)]
pub enum Ledger {
    /// Entries, oldest first
    List {
        /// Only those of a run
        #[arg(long, value_name = "ID")]
        pipeline: Option<String>,
        /// Only those of an agent
        #[arg(long, value_name = "ID")]
        agent: Option<String>,
        /// Only those about an action, as `vote`
        #[arg(long)]
        action: Option<crate::ledger::Action>,
        /// Only those after a number
        #[arg(long, default_value_t = 0)]
        after: u64,
        /// At most so many, the newest of them
        #[arg(long, default_value_t = 200)]
        limit: u32,
    },
    /// Check every entry, every chain and every head; names the first bad one. Changes nothing
    Verify {
        /// A head kept elsewhere, as a file or as JSON: finds rows cut together with their heads
        #[arg(long, value_name = "FILE|JSON")]
        head: Option<String>,
    },
    /// The newest signed head: keep it elsewhere
    Head,
}

#[derive(Debug, Subcommand)]
pub enum Store {
    /// What the store is, what it can promise, and whether it has lost anything
    Check,
    /// Bring a store that has lost acknowledged writes back into use; everything admitted before stays refused
    Recover,
}

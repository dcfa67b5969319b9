//! What can be said on the command line.

mod agents;
mod alerts;
mod approvals;
mod end;
mod health;
mod look;
mod policy;
mod record;
mod setup;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as Arguments, Parser, Subcommand, ValueEnum};

use crate::config::Flags;
use crate::ledger::Durability;
use crate::llm::Mode;
pub use agents::{Agents as Register, Promote};
pub use alerts::Alerts;
pub use approvals::{AddApprover, Approvals, Approvers, Decide, WithKey};
pub use end::{Revoke, Stop, Waiting};
pub use health::Health;
pub use look::{Blackboard, Budget, Bus, Logs, Pipeline, RevokeRun, Whose};
pub use policy::{Change, Explain, Policy};
pub use record::{Checkpoint, Export, Format, Ledger, Retain, Store};
pub use setup::{Completions, Configuration, Manual};

const AFTER: &str = "\
Exit codes:
  0  success
  1  an error: wrong use, wrong input, something that cannot be reached, a record that is not intact
  2  the votes closed without a decision; the run waits for its user
  3  the run was aborted or stopped

Output: answers on standard output, errors and notes on standard error. With --json everything is one JSON object a line, an error
as {\"error\": {kind, code, message, details}}.

Configuration: flags first, then the environment (GOVERNANCE_HOME, GOVERNANCE_STORE, GOVERNANCE_DURABILITY, GOVERNANCE_POLICIES,
GUVNOR_POLICY_REFRESH_INTERVAL, AUTO_ORCHESTRATE,
ORCHESTRATION_TIMEOUT, GUVNOR_AUDIT_RETENTION_DAYS, GOVERNANCE_MODE, OPENROUTER_MODEL, OPENROUTER_BASE_URL, GOVERNANCE_CALL_TIMEOUT; the model's key only there:
OPENROUTER_API_KEY), then config.toml in the home directory. `governance config show` says which of them holds.

Examples:
  governance run \"Design a caching strategy\" --out solution.md
  governance blackboard watch            follow a run from a second terminal
  governance pipeline consensus          how the newest run's vote went
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
    /// A directory of profiles: a change there comes into force [default: none, or GOVERNANCE_POLICIES]
    #[arg(long, global = true, value_name = "DIR", help_heading = "Common options")]
    policies: Option<PathBuf>,
    /// Print JSON, one object a line
    #[arg(long, global = true, help_heading = "Common options")]
    pub json: bool,
}

impl Args {
    pub fn flags(&self) -> Flags {
        let (home, store, policies) = (self.home.clone(), self.store.clone(), self.policies.clone());
        let common = Flags { home, store, durability: self.durability, policies, ..Flags::default() };
        let (how, auto_orchestrate, quorum) = match &self.command {
            Command::Run(run) => (&run.how, run.auto_orchestrate, run.quorum),
            Command::Pipeline { command: Pipeline::Continue { how, .. } | Pipeline::Fallback { how, .. } } => (how, None, None),
            _ => return common,
        };
        Flags {
            timeout: how.timeout,
            auto_orchestrate,
            quorum,
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
    /// The runs: their states, logs and votes, and their end
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
    /// The agents, and how far their profiles are trusted
    Agents {
        #[command(subcommand)]
        command: Register,
    },
    /// The final states of runs, to go on from
    Checkpoint {
        #[command(subcommand)]
        command: Checkpoint,
    },
    /// End an agent's admission, or a run's: no write of it lands any more
    Revoke(Revoke),
    /// Stop a run, or everything
    Stop(Stop),
    /// What a person should hear of: violations, revocations, stops
    Alerts(Alerts),
    /// The tamper-evident record of what was done
    Ledger {
        #[command(subcommand)]
        command: Ledger,
    },
    /// How every part is: store, ledger, disk, model, tools, agents, caretaker
    Health(Health),
    /// The shared state itself
    Store {
        #[command(subcommand)]
        command: Store,
    },
    /// Who may do what: profiles, and what they decide
    Policy {
        #[command(subcommand)]
        command: Policy,
    },
    /// What agents may do only once a person approves
    Approvals {
        #[command(subcommand)]
        command: Approvals,
    },
    /// Who may approve
    Approvers {
        #[command(subcommand)]
        command: Approvers,
    },
    /// What this program is configured to do
    Config {
        #[command(subcommand)]
        command: Configuration,
    },
    /// Print what makes a shell complete commands and options
    Completions(Completions),
    /// Write manual pages, or the whole reference as Markdown
    Man(Manual),
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
    /// How many ballots a decision needs, 1 to 3; 1 lets an agent whose partner is lost decide alone, 3 asks for GAMMA's too [default: 2]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=3))]
    pub quorum: Option<u32>,
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
    /// What runs the agents [default: built-in, or `[agents.ROLE]` of config.toml]
    #[arg(long, value_enum, value_name = "WHAT")]
    pub agents: Option<Agents>,
    /// A program of your own for one role, in any language; may be given for each. See docs/agents.md
    #[arg(long = "agent", value_name = "ROLE=COMMAND", value_parser = super::crew::named)]
    pub agent: Vec<super::crew::Named>,
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

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Agents {
    /// Tasks in this process
    BuiltIn,
    /// A process each
    Process,
    /// ALPHA in Python, BETA in Bun, GAMMA built in; the first time, what they need is built
    Polyglot,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| format!("`{text}` is not a number of seconds"))?;
    let span = Duration::try_from_secs_f64(seconds).map_err(|_| format!("`{text}` is not a possible number of seconds"))?;
    if span.is_zero() || span > Duration::from_secs(24 * 60 * 60) {
        return Err("it must be more than nothing and at most a day".to_owned());
    }
    Ok(span)
}

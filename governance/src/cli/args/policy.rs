//! Who may do what.

use std::path::PathBuf;

use clap::{Args as Arguments, Subcommand};
use serde_json::Value;

use crate::vocabulary::{AgentPhase, AgentRole, Millis, Tier};

#[derive(Debug, Subcommand)]
pub enum Policy {
    /// Check profiles: every field, every pattern
    #[command(after_help = "Says for each what it holds, and its hash, which decisions in the ledger name.\n\nExamples:\n  \
governance policy check profiles/deployer.yaml\n  governance policy check profiles/*.json --json")]
    Check {
        /// Profiles, as YAML or JSON, or directories of them
        #[arg(required = true, value_name = "FILE|DIR")]
        files: Vec<PathBuf>,
    },
    /// What a profile decides, step by step
    Explain(Explain),
    /// What conditions may speak of: the Cedar schema
    #[command(after_help = "Examples:\n  governance policy schema > profile.cedarschema")]
    Schema,
    /// Watch a directory of profiles: a change there comes into force, one that is not good is an alert
    #[command(
        after_help = "Any process that stays does the same where `policies` is configured: GOVERNANCE_POLICIES, --policies, config.toml.\n\nExamples:\n  \
governance policy watch /etc/governance/policies"
    )]
    Watch {
        /// The directory
        #[arg(value_name = "DIR")]
        dir: PathBuf,
    },
    /// Put profiles in force, in every process within a second
    #[command(
        after_help = "A profile that is not good changes nothing. One that is in force already, as it is, stays so.\n\nExamples:\n  \
governance policy apply profiles/deployer.yaml --note \"staging too\"\n  governance policy apply profiles/ --by ann\n  \
governance policy apply profiles/deployer.yaml --over 3"
    )]
    Apply {
        /// Profiles, as YAML or JSON, or directories of them
        #[arg(required = true, value_name = "FILE|DIR")]
        files: Vec<PathBuf>,
        /// Only over this version; 0 where none may be in force
        #[arg(long, value_name = "VERSION")]
        over: Option<u64>,
        #[command(flatten)]
        change: Change,
    },
    /// The profiles in force
    #[command(after_help = "Examples:\n  governance policy list\n  governance policy list --json")]
    List,
    /// A profile in force, as it was written
    #[command(after_help = "Examples:\n  governance policy show deployer\n  governance policy show deployer --version 2")]
    Show {
        /// The profile's name
        name: String,
        /// An earlier version
        #[arg(long)]
        version: Option<u64>,
    },
    /// What is different between two versions, or between a file and what is in force
    #[command(
        after_help = "Without versions: the last two. With a version: from that one to what is in force. With a file: what applying it would change, \
from what is in force to the file. `+` is what comes, `-` what goes.\n\nExamples:\n  governance policy diff deployer\n  \
governance policy diff deployer 2 5\n  governance policy diff deployer profiles/deployer.yaml"
    )]
    Diff {
        /// The profile's name
        name: String,
        /// A version or a file
        #[arg(value_name = "FROM")]
        from: Option<String>,
        /// A version or a file
        #[arg(value_name = "TO")]
        to: Option<String>,
    },
    /// A profile's versions: who, when, why
    #[command(after_help = "The last 100; the ledger keeps them all.\n\nExamples:\n  governance policy history deployer")]
    History {
        /// The profile's name
        name: String,
    },
    /// Put an earlier version in force again, as a new one
    #[command(
        after_help = "Examples:\n  governance policy rollback deployer --note \"too wide\"\n  governance policy rollback deployer --to 3"
    )]
    Rollback {
        /// The profile's name
        name: String,
        /// Which version [default: the one before]
        #[arg(long, value_name = "VERSION")]
        to: Option<u64>,
        #[command(flatten)]
        change: Change,
    },
    /// Take a profile out of force: its agents are denied everything; a shipped one is itself again
    #[command(after_help = "Examples:\n  governance policy withdraw deployer --note \"no longer used\"")]
    Withdraw {
        /// The profile's name
        name: String,
        #[command(flatten)]
        change: Change,
    },
}

/// Who changes something, and why.
#[derive(Debug, Arguments)]
pub struct Change {
    /// Why
    #[arg(long, value_name = "TEXT")]
    pub note: Option<String>,
    /// Who [default: the name of the user]
    #[arg(long, value_name = "NAME")]
    pub by: Option<String>,
}

#[derive(Debug, Arguments)]
#[command(
    after_help = "Exit code 0 if it may be done as it was asked, 1 if it is denied or needs an approval, so that a script can ask. Nothing is looked \
up on the disk: a path is taken as the one that it really is, below the agent's root.\n\nExamples:\n  \
governance policy explain --profile t1 --action write_file --target prod-db\n  \
governance policy explain --profile t0 --action read_file --path docs/guide.md\n  \
governance policy explain --profile profiles/deployer.yaml --action terraform_apply --target staging-1 --json"
)]
pub struct Explain {
    /// A profile in force; a shipped one (t0, t1, t2, t3, t4) where nothing of its name is; or a file
    #[arg(long, value_name = "NAME|TIER|FILE")]
    pub profile: String,
    /// The shipped profile, whatever is in force
    #[arg(long)]
    pub shipped: bool,
    /// What is to be done, as `write_file`
    #[arg(long, value_name = "ACTION")]
    pub action: String,
    /// To what, as `sandbox-1`
    #[arg(long, value_name = "TARGET")]
    pub target: Option<String>,
    /// Where, below the agent's root, as `src/main.rs`
    #[arg(long, value_name = "PATH")]
    pub path: Option<String>,
    /// An argument of the call, as `amount=100`; may be given again. What is not JSON is a text
    #[arg(long, value_name = "NAME=VALUE", value_parser = argument, help_heading = "For conditions")]
    pub argument: Vec<Argument>,
    /// Which agent asks
    #[arg(long, value_name = "ID", help_heading = "For conditions")]
    pub agent: Option<String>,
    /// As what it was admitted [default: the profile's tier]
    #[arg(long, value_name = "TIER", help_heading = "For conditions")]
    pub tier: Option<Tier>,
    /// What it is for
    #[arg(long, value_name = "alpha|beta|gamma", help_heading = "For conditions")]
    pub role: Option<AgentRole>,
    /// Where it is in its life, as `EXECUTE`
    #[arg(long, value_name = "PHASE", help_heading = "For conditions")]
    pub phase: Option<AgentPhase>,
    /// In which pipeline
    #[arg(long, value_name = "ID", help_heading = "For conditions")]
    pub pipeline: Option<String>,
    /// When, UTC, as `2026-11-23T09:30` [default: now]
    #[arg(long, value_name = "TIME", value_parser = time, help_heading = "For conditions")]
    pub at: Option<Millis>,
    /// A risk that whoever wraps the tool says of the call; may be given again
    #[arg(long, value_name = "NAME", help_heading = "For conditions")]
    pub risk: Vec<String>,
}

/// An argument of a call.
#[derive(Debug, Clone)]
pub struct Argument {
    /// Its name.
    pub name: String,
    /// What it is.
    pub value: Value,
}

fn argument(text: &str) -> Result<Argument, String> {
    let (name, value) = text.split_once('=').filter(|(name, _)| !name.is_empty()).ok_or("it takes NAME=VALUE")?;
    Ok(Argument { name: name.to_owned(), value: serde_json::from_str(value).unwrap_or_else(|_| Value::from(value)) })
}

/// A day and a time, UTC.
fn time(text: &str) -> Result<Millis, String> {
    let wrong = || format!("`{}` is not a time as `2026-11-23T09:30`", text.escape_debug());
    let parts: Vec<u64> =
        text.trim_end_matches('Z').split(['-', 'T', ':']).map(|part| part.parse().map_err(|_| wrong())).collect::<Result<_, _>>()?;
    let [year @ 1970..=9999, month @ 1..=12, day @ 1..=31, hour @ 0..=23, minute @ 0..=59] = parts[..] else { return Err(wrong()) };
    // Years begin in March, so that the leap day is the last one.
    let (year, march) = (year - u64::from(month <= 2), if month > 2 { month - 3 } else { month + 9 });
    let (era, of_era) = (year / 400, year % 400);
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + (153 * march + 2) / 5 + day - 1 - 719_468;
    Ok(Millis(((days * 24 + hour) * 60 + minute) * 60_000))
}

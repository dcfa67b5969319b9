//! Who may do what.

use std::path::PathBuf;

use clap::{Args as Arguments, Subcommand};

#[derive(Debug, Subcommand)]
pub enum Policy {
    /// Check profiles: every field, every pattern
    #[command(after_help = "Says for each what it holds, and its hash, which decisions in the ledger name.\n\nExamples:\n  \
governance policy check profiles/deployer.yaml\n  governance policy check profiles/*.json --json")]
    Check {
        /// Profiles, as YAML or JSON
        #[arg(required = true, value_name = "FILE")]
        files: Vec<PathBuf>,
    },
    /// What a profile decides, step by step
    Explain(Explain),
    /// What conditions may speak of: the Cedar schema
    Schema,
    /// Watch a directory of profiles: a change there comes into force, one that is not good is an alert
    #[command(after_help = "Any process that stays does the same where `policies` is configured: GOVERNANCE_POLICIES, --policies, config.toml.\n\nExamples:\n  \
governance policy watch /etc/governance/policies")]
    Watch {
        /// The directory
        #[arg(value_name = "DIR")]
        dir: PathBuf,
    },
    /// Put profiles in force, in every process within a second
    #[command(after_help = "A profile that is not good changes nothing. One that is in force already, as it is, stays so.\n\nExamples:\n  \
governance policy apply profiles/deployer.yaml --note \"staging too\"\n  governance policy apply profiles/ --by ann\n  \
governance policy apply profiles/deployer.yaml --over 3")]
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
    List,
    /// A profile in force, as it was written
    Show {
        /// The profile's name
        name: String,
        /// An earlier version
        #[arg(long)]
        version: Option<u64>,
    },
    /// What is different between two versions, or between a file and what is in force
    #[command(after_help = "Without versions: the last two. With one: that one and what is in force.\n\nExamples:\n  governance policy diff deployer\n  \
governance policy diff deployer 2 5\n  governance policy diff deployer profiles/deployer.yaml")]
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
    History {
        /// The profile's name
        name: String,
    },
    /// Put an earlier version in force again, as a new one
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
    /// A shipped profile (t0, t1, t2, t3, t4) or a file
    #[arg(long, value_name = "TIER|FILE")]
    pub profile: String,
    /// What is to be done, as `write_file`
    #[arg(long, value_name = "ACTION")]
    pub action: String,
    /// To what, as `sandbox-1`
    #[arg(long, value_name = "TARGET")]
    pub target: Option<String>,
    /// Where, below the agent's root, as `src/main.rs`
    #[arg(long, value_name = "PATH")]
    pub path: Option<String>,
}

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

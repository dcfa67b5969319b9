//! The agents, and how far their profiles are trusted.

use std::path::PathBuf;

use clap::{Args as Arguments, Subcommand};

use crate::agent::AgentHealth;
use crate::vocabulary::{AgentRole, AgentStatus, Tier};

#[derive(Debug, Subcommand)]
pub enum Agents {
    /// The register: who was admitted, what runs each, how each is
    List(ListAgents),
    /// One agent: its phase, what it was told, put out, showed, spent, did wrong
    #[command(after_help = "Examples:\n  governance agents show alpha-7f3k2q\n  governance agents show alpha-7f3k2q --json")]
    Show {
        /// The agent
        id: String,
    },
    /// What a profile lacks to be trusted further, requirement by requirement
    #[command(after_help = "Counts every agent of it that has ended first.\n\nExamples:\n  governance agents promotion alpha\n  \
governance agents promotion --json")]
    Promotion {
        /// The profile [default: every one that something is known of]
        profile: Option<String>,
    },
    /// Register a profile at the tier that you answer for; from then on it acts at no more than it stands at
    #[command(after_help = "Only for a profile without a standing: afterwards it rises by the rules.\n\nExamples:\n  \
governance agents register deployer --tier T1 --reason \"reviewed in March\"\n  governance agents register deployer --tier T1 --file deployer.yaml")]
    Register {
        /// The profile
        profile: String,
        /// Its tier
        #[arg(long)]
        tier: Tier,
        /// Its file, for what it asks for before it rises
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
        /// Why, for people
        #[arg(long, default_value = "registered by an operator")]
        reason: String,
    },
    /// Let a profile rise by one tier, if it meets what that takes
    Promote(Promote),
    /// Let a profile fall
    #[command(
        after_help = "Its agents that live keep the tier that they were admitted at: `governance revoke` ends them.\n\nExamples:\n  \
governance agents demote alpha --reason \"wrote outside of its sandbox\"\n  governance agents demote alpha --to T0"
    )]
    Demote {
        /// The profile
        profile: String,
        /// To which tier [default: the one below]
        #[arg(long, value_name = "TIER")]
        to: Option<Tier>,
        /// Why, for people
        #[arg(long, default_value = "demoted by an operator")]
        reason: String,
    },
}

#[derive(Debug, Arguments)]
#[command(
    after_help = "From T2 on people are asked: the state is pending_review, and it rises once enough of them have approved, whoever looks next. To T4 \
it takes two, one of them an administrator. What it waits for: `governance agents promotion PROFILE`.\n\nExit code with --wait: 0 if it has risen, 1 \
otherwise.\n\nExamples:\n  governance agents promote alpha\n  governance agents promote alpha --to T1 --reason \"five good runs\"\n  \
governance agents promote deployer --to T3 --wait"
)]
pub struct Promote {
    /// The profile
    pub profile: String,
    /// To which tier [default: the next]
    #[arg(long, value_name = "TIER")]
    pub to: Option<Tier>,
    /// Why, for people
    #[arg(long, default_value = "promoted by an operator")]
    pub reason: String,
    /// Wait until people have decided
    #[arg(long)]
    pub wait: bool,
    /// For how many seconds at most [default: until the request's deadline]
    #[arg(long, value_name = "SECONDS", requires = "wait")]
    pub timeout: Option<u64>,
}

#[derive(Debug, Arguments)]
#[command(after_help = "Examples:\n  governance agents list\n  governance agents list --health lost --json\n  \
governance agents list --pipeline pipeline-mksufe23 --role alpha")]
pub struct ListAgents {
    /// Only those of a tier
    #[arg(long)]
    pub tier: Option<Tier>,
    /// Only those of a role
    #[arg(long)]
    pub role: Option<AgentRole>,
    /// Only those in a state, as `running`
    #[arg(long)]
    pub status: Option<AgentStatus>,
    /// Only those of a run
    #[arg(long, value_name = "ID")]
    pub pipeline: Option<String>,
    /// Only those that are starting, healthy, degraded, lost, ended or revoked
    #[arg(long)]
    pub health: Option<AgentHealth>,
    /// Only those of a profile
    #[arg(long)]
    pub profile: Option<String>,
}

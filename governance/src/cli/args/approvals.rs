//! What people approve, and who may.

use std::path::PathBuf;

use clap::{Args as Arguments, Subcommand};

#[derive(Debug, Subcommand)]
pub enum Approvals {
    /// What waits for somebody
    #[command(after_help = "Examples:\n  governance approvals list\n  governance approvals list --all --json")]
    List {
        /// Also what was decided, used or has expired
        #[arg(long)]
        all: bool,
    },
    /// Everything that an approval would cover: who, what, where, with which arguments
    #[command(after_help = "Control characters, escapes and what cannot be seen are shown as \\u{…}.\n\nExamples:\n  \
governance approvals show approval-7f3k2q9xab")]
    Show {
        /// The request, as `approval-7f3k2q9xab`
        #[arg(value_name = "APPROVAL")]
        id: String,
    },
    /// Sign that it may be done, once, exactly as it is shown
    #[command(
        after_help = "Shows the request and asks. Your key signs its hash: if anything in it changes, the signature is of no use.\n\nExamples:\n  \
governance approvals approve approval-7f3k2q9xab\n  \
governance approvals approve approval-7f3k2q9xab --hash 3f2a… --yes --passphrase-file pass.txt"
    )]
    Approve(Decide),
    /// Sign that it may not be done; that ends it
    #[command(after_help = "Examples:\n  governance approvals deny approval-7f3k2q9xab --note \"not on a Friday\"")]
    Deny(Decide),
    /// Wait until it is decided; exit code 0 if it was approved, 1 otherwise
    #[command(after_help = "Examples:\n  governance approvals wait approval-7f3k2q9xab --timeout 600")]
    Wait {
        /// The request
        #[arg(value_name = "APPROVAL")]
        id: String,
        /// For how many seconds at most [default: until its deadline]
        #[arg(long, value_name = "SECONDS")]
        timeout: Option<u64>,
    },
}

#[derive(Debug, Arguments)]
pub struct Decide {
    /// The request, as `approval-7f3k2q9xab`
    #[arg(value_name = "APPROVAL")]
    pub id: String,
    #[command(flatten)]
    pub with: WithKey,
    /// Why, for people; signed and recorded
    #[arg(long)]
    pub note: Option<String>,
    /// The hash that `show` printed: refused if the request has another
    #[arg(long, value_name = "SHA256")]
    pub hash: Option<String>,
    /// Do not ask
    #[arg(long)]
    pub yes: bool,
}

#[derive(Debug, Arguments)]
pub struct WithKey {
    /// Your key [default: GOVERNANCE_APPROVER_KEY, or governance/approver.key in XDG_CONFIG_HOME, ~/.config]
    #[arg(long, value_name = "FILE")]
    pub key: Option<PathBuf>,
    /// A file that holds its passphrase [default: GOVERNANCE_APPROVER_PASSPHRASE, or asked for on the terminal]
    #[arg(long, value_name = "FILE")]
    pub passphrase_file: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub enum Approvers {
    /// Make a key pair, and register its public half
    #[command(
        after_help = "The first approver registers themselves, so do it before any agent runs. Every later one is registered by one who is: with --by \
and the key of that one, or, where each has a machine or a user of their own, with `approvers key` there and --public here.\n\nExamples:\n  \
governance approvers add ann\n  governance approvers add bob --key bob.key --by ann.key\n  governance approvers add root --administrator --key root.key --by ann.key\n  governance approvers add bob --public 3f2a… --by ann.key"
    )]
    Add(AddApprover),
    /// Make a key pair without registering it, and print its public half
    #[command(after_help = "Examples:\n  governance approvers key bob")]
    Key {
        /// Whose
        name: String,
        #[command(flatten)]
        with: WithKey,
        /// Keep the key unencrypted: whoever reads the file approves in your name
        #[arg(long)]
        no_passphrase: bool,
    },
    /// Who may approve, as the ledger says
    #[command(after_help = "Examples:\n  governance approvers list --json")]
    List,
    /// Take somebody out of the register
    #[command(after_help = "Their key never comes back. What they approved and nobody used yet no longer counts.\n\nExamples:\n  \
governance approvers remove bob")]
    Remove {
        /// Who
        name: String,
        #[command(flatten)]
        with: WithKey,
    },
}

#[derive(Debug, Arguments)]
pub struct AddApprover {
    /// Whose; letters, digits, `.`, `_`, `-`
    pub name: String,
    #[command(flatten)]
    pub with: WithKey,
    /// Keep the key unencrypted: whoever reads the file approves in your name
    #[arg(long, conflicts_with = "public")]
    pub no_passphrase: bool,
    /// They are an administrator: a rise to T4 takes one; the first approver is one, and only they make others
    #[arg(long)]
    pub administrator: bool,
    /// A public key that was made elsewhere; no key is made here
    #[arg(long, value_name = "KEY", requires = "by", conflicts_with_all = ["key", "passphrase_file"])]
    pub public: Option<String>,
    /// The key of an approver who is registered; not for the first one
    #[arg(long, value_name = "FILE")]
    pub by: Option<PathBuf>,
    /// A file that holds the passphrase of --by
    #[arg(long, value_name = "FILE", requires = "by")]
    pub by_passphrase_file: Option<PathBuf>,
}

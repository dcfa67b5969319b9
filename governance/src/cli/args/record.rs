//! The record, and the shared state itself.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args as Arguments, Subcommand, ValueEnum};

#[derive(Debug, Subcommand)]
pub enum Ledger {
    /// Entries, oldest first
    #[command(
        after_help = "Examples:\n  governance ledger list --action vote\n  governance ledger list --pipeline pipeline-mksufe23 --json"
    )]
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
    /// Write the record out, with the signed head over it
    Export(Export),
    /// Drop old payloads from the record; their hashes stay, and everything is still checked. Says what would go; goes with --yes
    Retain(Retain),
    /// Check every entry, every chain and every head; names the first bad one. Changes nothing
    #[command(
        after_help = "With --file the home needs nothing but keys/ledger.pub: an exported record can be checked anywhere.\n\nExamples:\n  \
governance ledger verify\n  governance ledger verify --head head.json\n  governance ledger verify --file record.jsonl --home elsewhere"
    )]
    Verify {
        /// A head kept elsewhere, as a file or as JSON: finds rows cut together with their heads
        #[arg(long, value_name = "FILE|JSON")]
        head: Option<String>,
        /// Check what `ledger export` wrote instead of the ledger
        #[arg(long, value_name = "FILE")]
        file: Option<PathBuf>,
    },
    /// The newest signed head: keep it elsewhere
    #[command(after_help = "Examples:\n  governance ledger head > head.json")]
    Head,
}

#[derive(Debug, Arguments)]
#[command(
    after_help = "An entry is as old as the first signed head that covers it. What present rights rest on (stops, revocations, promotions, \
spending) and the ledger's own bookkeeping keep their payloads. The record itself asks for what goes, and whoever keeps house carries it \
out; by itself it does so for what is older than GUVNOR_AUDIT_RETENTION_DAYS. Dropped payloads cannot be brought back.\n\nExamples:\n  \
governance ledger retain --older-than 30d\n  governance ledger retain --older-than 30d --yes"
)]
pub struct Retain {
    /// How long ago it must have come into the record, as 30d, 12h, 45m or 10s
    #[arg(long, value_name = "AGE", value_parser = age)]
    pub older_than: Duration,
    /// Drop them
    #[arg(long)]
    pub yes: bool,
}

fn age(text: &str) -> Result<Duration, String> {
    let wrong = || format!("`{text}` is not an age: give a whole number and d, h, m or s, as 30d");
    let (number, unit) = text.split_at_checked(text.len().saturating_sub(1)).ok_or_else(wrong)?;
    let seconds: u64 = match unit {
        "d" => 24 * 60 * 60,
        "h" => 60 * 60,
        "m" => 60,
        "s" => 1,
        _ => return Err(wrong()),
    };
    let number: u64 = number.parse().map_err(|_| wrong())?;
    number.checked_mul(seconds).map(Duration::from_secs).ok_or_else(wrong)
}

#[derive(Debug, Arguments)]
#[command(
    after_help = "A file of JSON lines begins with what it is and ends with the head; `ledger verify --file` checks it. One that holds a single run \
proves that each entry is in the record and in order, but not that none was left out. CSV is for spreadsheets and cannot be checked: its head \
is told on standard error.\n\nExamples:\n  governance ledger export --out record.jsonl\n  \
governance ledger export --from 1000 | gzip > record.jsonl.gz\n  governance ledger export --pipeline pipeline-mksufe23 --format csv --out run.csv"
)]
pub struct Export {
    /// Where to; is replaced when all of it is written [default: standard output]
    #[arg(long, value_name = "FILE")]
    pub out: Option<PathBuf>,
    /// Begin with this entry
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    pub from: u64,
    /// Only the entries of a run
    #[arg(long, value_name = "ID")]
    pub pipeline: Option<String>,
    /// In which form
    #[arg(long, value_enum, default_value_t = Format::Jsonl)]
    pub format: Format,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// A JSON object a line, which can be checked
    Jsonl,
    /// A table with a header, for spreadsheets; cannot be checked
    Csv,
}

#[derive(Debug, Subcommand)]
pub enum Store {
    /// What the store is, what it can promise, and whether it has lost anything
    #[command(after_help = "Examples:\n  governance store check\n  governance store check --store redis://127.0.0.1:6379 --json")]
    Check,
    /// Bring a store that has lost acknowledged writes back into use; everything admitted before stays refused
    #[command(after_help = "Examples:\n  governance store recover")]
    Recover,
}

#[derive(Debug, Subcommand)]
pub enum Checkpoint {
    /// Every checkpoint, newest last
    #[command(after_help = "Examples:\n  governance checkpoint list")]
    List,
    /// One checkpoint
    #[command(after_help = "Examples:\n  governance checkpoint load ckpt-20260131-235959-0f3a9c21")]
    Load {
        /// The checkpoint, as `ckpt-20260131-235959-0f3a9c21`
        id: String,
    },
}

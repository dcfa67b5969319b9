//! The program itself: its configuration, its help elsewhere.

use std::path::PathBuf;

use clap::{Args as Arguments, Subcommand};

#[derive(Debug, Subcommand)]
pub enum Configuration {
    /// Every value that holds and where it came from; nothing secret
    #[command(after_help = "Examples:\n  governance config show\n  governance config show --json")]
    Show,
}

#[derive(Debug, Arguments)]
#[command(after_help = "Examples:\n  governance completions bash > ~/.local/share/bash-completion/completions/governance\n  \
governance completions zsh > ~/.zfunc/_governance\n  governance completions fish > ~/.config/fish/completions/governance.fish")]
pub struct Completions {
    /// For which shell
    pub shell: clap_complete::Shell,
}

#[derive(Debug, Arguments)]
#[command(
    group = clap::ArgGroup::new("form").required(true),
    after_help = "Examples:\n  governance man --out ~/.local/share/man/man1\n  governance man --markdown > docs/cli.md"
)]
pub struct Manual {
    /// A page for each command, into this directory
    #[arg(long, value_name = "DIR", group = "form")]
    pub out: Option<PathBuf>,
    /// The whole reference, to standard output
    #[arg(long, group = "form")]
    pub markdown: bool,
}

//! What only people do. One place decides it, before such a command does anything: a governed agent's process, and what it starts, is refused.

use super::args::{Approvals, Approvers, Budget, Command, Ledger, Pipeline, Policy, Register, Store as Shared};
use crate::config::{Config, Flags};
use crate::error::Result;
use crate::guard::approval::{governed_by, refuse_agents};
use crate::store::Store;
use crate::vocabulary::{DEFAULT_LEDGER_PATH, FallbackAction, Ports};

/// What the environment says of the rules, in place of the home's configuration.
const POLICIES: &str = "GOVERNANCE_POLICIES";
const RETENTIONS: [&str; 2] = ["GUVNOR_AUDIT_RETENTION_DAYS", "GOVERNANCE_RUN_RETENTION_DAYS"];

impl Command {
    /// Whether it says who may do what, how much, or what is done where people were asked; that a stop is over; or takes something from the record. Ending
    /// agents and stopping everything is open to all. Every command is named, so that a new one is decided too.
    fn is_for_people(&self) -> bool {
        match self {
            Self::Approvals { command } => match command {
                Approvals::Approve(_) | Approvals::Deny(_) => true,
                Approvals::List { .. } | Approvals::Show { .. } | Approvals::Wait { .. } => false,
            },
            Self::Approvers { command } => match command {
                Approvers::Add(_) | Approvers::Remove { .. } => true,
                // A pair of keys is nobody's before it is registered.
                Approvers::Key { .. } | Approvers::List => false,
            },
            Self::Policy { command } => match command {
                Policy::Apply { .. } | Policy::Rollback { .. } | Policy::Withdraw { .. } | Policy::Watch { .. } => true,
                Policy::Check { .. } | Policy::Explain(_) | Policy::Schema | Policy::List => false,
                Policy::Show { .. } | Policy::Diff { .. } | Policy::History { .. } => false,
            },
            Self::Agents { command } => match command {
                Register::Register { .. } | Register::Promote(_) | Register::Demote { .. } => true,
                Register::List(_) | Register::Show { .. } | Register::Promotion { .. } => false,
            },
            Self::Budget { command } => match command {
                Budget::Set { .. } => true,
                Budget::Show { .. } | Budget::List => false,
            },
            Self::Pipeline { command } => match command {
                // What a run waits for its user to say. To go on after it was stopped is to lift that stop.
                Pipeline::Continue { .. } | Pipeline::GiveUp { .. } => true,
                Pipeline::Fallback { action, .. } => *action != FallbackAction::DownloadLog,
                Pipeline::Stop { .. } | Pipeline::Revoke(_) => false,
                Pipeline::List | Pipeline::Status { .. } | Pipeline::Logs(_) | Pipeline::Consensus { .. } => false,
            },
            Self::Ledger { command } => match command {
                Ledger::Retain(_) => true,
                Ledger::List { .. } | Ledger::Export(_) | Ledger::Verify { .. } | Ledger::Head => false,
            },
            Self::Store { command } => match command {
                Shared::Recover => true,
                Shared::Check => false,
            },
            Self::Stop(stop) => stop.lift,
            Self::Run(_)
            | Self::Blackboard { .. }
            | Self::Bus { .. }
            | Self::Checkpoint { .. }
            | Self::Revoke(_)
            | Self::Alerts(_)
            | Self::Health(_)
            | Self::Config { .. }
            | Self::Completions(_)
            | Self::Man(_)
            | Self::Agent => false,
        }
    }

    /// Whether it puts in force what a directory of policies says.
    fn brings_policies(&self) -> bool {
        matches!(self, Self::Run(_))
    }
}

/// Refuses a command that is for people in a process of a governed agent, or below one: `governed_process`. The configuration that it may go on with: what
/// is kept of the record and of runs is not for an agent's environment to say, so its processes drop nothing.
pub async fn admit(command: &Command, flags: &Flags, config: Config, env: impl Fn(&str) -> Option<String>) -> Result<Config> {
    let says = |name: &str| env(name).is_some_and(|value| !value.is_empty());
    let brings = command.brings_policies() && (flags.policies.is_some() || says(POLICIES));
    let is_for_people = command.is_for_people() || brings;
    if !is_for_people && !RETENTIONS.iter().any(|name| says(name)) {
        return Ok(config);
    }
    // Where nothing was begun, only the process itself can tell; a look makes nothing.
    let begun = config.home.join(DEFAULT_LEDGER_PATH).exists();
    let store = if begun { Store::open_as(&config.store_url()?, &config.tenant, Ports::default()).await? } else { Store::memory().await? };
    if is_for_people {
        refuse_agents(&store).await?;
    } else if governed_by(&store).await?.is_some() {
        return Ok(Config { retention: None, run_retention: None, ..config });
    }
    Ok(config)
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::super::args::Args;
    use super::*;
    use crate::governance::Governance;
    use crate::guard::approval::sit_down;
    use crate::store::Actor;

    /// The words of a command, what the environment says, and whether it is open to an agent's process.
    type Case = (&'static [&'static str], &'static [(&'static str, &'static str)], bool);

    /// Each command by its words, without aliases and what is hidden.
    fn commands(of: &clap::Command, words: &str, found: &mut Vec<String>) {
        for command in of.get_subcommands().filter(|command| !command.is_hide_set()) {
            let words = format!("{words} {}", command.get_name()).trim().to_owned();
            if command.has_subcommands() { commands(command, &words, found) } else { found.push(words) }
        }
    }

    #[test]
    fn what_each_command_is_open_to_is_said() {
        let page = include_str!("../../../docs/security.md");
        let (_, list) = page.split_once("## What only people do by the program").unwrap();
        let list = list.split("\n## ").next().unwrap();
        let mut found = Vec::new();
        commands(&Args::command(), "", &mut found);
        assert!(found.len() > 40, "{found:?}");
        let unsaid: Vec<_> = found.iter().filter(|words| !list.contains(&format!("`{words}`"))).collect();
        assert!(unsaid.is_empty(), "not in the list: {unsaid:?}");
    }

    #[tokio::test]
    async fn an_agents_process_brings_no_policies_and_drops_nothing_of_the_record() {
        let home = tempfile::tempdir().unwrap();
        let config = Config { home: home.path().to_owned(), ..Config::default() };
        let governance = Governance::visit(config.clone()).await.unwrap();
        let plain = |words: &[&str]| Args::try_parse_from([&["governance"], words].concat()).unwrap();
        let tried = async |words: &[&str], said: &[(&str, &str)]| {
            let (args, env) =
                (plain(words), |name: &str| said.iter().find(|(known, _)| *known == name).map(|(_, value)| (*value).to_owned()));
            admit(&args.command, &args.flags(), config.clone(), env).await
        };
        let cases: [Case; 7] = [
            (&["run", "x"], &[], true),
            (&["run", "x", "--policies", "mine"], &[], false),
            (&["run", "x"], &[(POLICIES, "mine")], false),
            (&["run", "x"], &[(POLICIES, "")], true),
            // These leave a directory of policies to those that stay.
            (&["stop", "--all", "--policies", "mine"], &[(POLICIES, "mine")], true),
            (&["pipeline", "fallback", "pipeline-1", "download_log"], &[], true),
            (&["pipeline", "fallback", "pipeline-1", "escalate_tier"], &[], false),
        ];
        for (words, said, _) in cases {
            assert!(tried(words, said).await.is_ok(), "a person may: {words:?}");
        }
        let kept = async |said| {
            let config = tried(&["health"], &[(said, "1")]).await.unwrap();
            (config.retention.is_some(), config.run_retention.is_some())
        };
        for said in RETENTIONS {
            assert_eq!(kept(said).await, (true, true), "{said}");
        }
        let actor = Actor::system(governance.store(), "beta-1").await.unwrap();
        sit_down(governance.store(), &actor).await.unwrap();
        for (words, said, open) in cases {
            let code = tried(words, said).await.err().map(|error| error.code().to_owned());
            assert_eq!(code.as_deref(), (!open).then_some("governed_process"), "{words:?} {said:?}");
        }
        assert!(tried(&["health"], &[]).await.unwrap().retention.is_some(), "what the home's own configuration says holds");
        for said in RETENTIONS {
            assert_eq!(kept(said).await, (false, false), "{said}");
        }
        governance.close().await.unwrap();
    }
}

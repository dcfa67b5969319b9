//! `governance policy`: what is in force.

use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::args::{Change, Policy as Command};
use super::printer::{BAD, BOLD, DIM, GOOD, Printer, moment, short};
use crate::config::Config;
use crate::error::{Error, ErrorKind, Result};
use crate::governance::Governance;
use crate::guard::policies::{Applied, Difference, Directory, Policies, PolicyVersion, Refusal, Text, Wish, profiles};
use crate::guard::policy::visible;
use crate::vocabulary::AgentId;

pub async fn policies(config: Config, command: Command, printer: &Printer) -> Result<ExitCode> {
    // Who may do what can be said before anything has run here.
    let changes = matches!(command, Command::Apply { .. });
    if let Command::Watch { dir } = command {
        return watch(config, &dir, printer).await;
    }
    let governance = if changes { Governance::open(super::passing(config)).await? } else { super::existing(config).await? };
    let done = act(governance.policies(), command, printer).await;
    governance.close().await?;
    done
}

async fn act(policies: &Policies, command: Command, printer: &Printer) -> Result<ExitCode> {
    match command {
        Command::Apply { files, over, change } => {
            // All are read before the first is applied: a mistake in one changes nothing.
            let mut texts = Vec::new();
            for file in &files {
                for (name, text) in profiles(file)? {
                    text.compile_as(&name)?;
                    texts.push(text);
                }
            }
            for text in texts {
                applied(&policies.apply(&text, &Wish { over, ..wish(&change) }).await?, "applied", printer)?;
            }
        }
        Command::Rollback { name, to, change } => {
            applied(&policies.rollback(&AgentId::new(name)?, to, &wish(&change)).await?, "rolled back", printer)?;
        }
        Command::Withdraw { name, change } => {
            applied(&policies.withdraw(&AgentId::new(name)?, &wish(&change)).await?, "withdrawn", printer)?;
        }
        Command::List => list(policies, printer).await?,
        Command::Show { name, version } => show(policies, &AgentId::new(name)?, version, printer).await?,
        Command::Diff { name, from, to } => diff(policies, &AgentId::new(name)?, [from, to], printer).await?,
        Command::History { name } => {
            let name = AgentId::new(name)?;
            let history = policies.history(&name).await?;
            if history.is_empty() {
                let message = format!("nothing was ever in force as `{name}`: see `governance policy list`");
                return Err(Error::new(ErrorKind::NotFound, "no_such_policy", message));
            }
            for version in history {
                printer.either(&told(&version), || line(&version))?;
            }
        }
        Command::Check { .. } | Command::Explain(_) | Command::Schema | Command::Watch { .. } => {}
    }
    Ok(ExitCode::SUCCESS)
}

/// Watches a directory until somebody ends it, and shows what it does not put in force.
async fn watch(config: Config, folder: &Path, printer: &Printer) -> Result<ExitCode> {
    Directory::must_be(folder)?;
    let governance = Governance::open(super::passing(config)).await?;
    let (ear, mut refusals) = mpsc::unbounded_channel();
    let directory = governance.policies().watch_telling(folder, ear);
    printer.note("watching; press Ctrl-C to end")?;
    let end = super::interrupted();
    tokio::pin!(end);
    loop {
        let Refusal { file, code, why } = tokio::select! {
            () = &mut end => break,
            refusal = refusals.recv() => match refusal {
                Some(refusal) => refusal,
                None => break,
            },
        };
        printer.either(&json!({"refused": {"directory": folder, "file": file, "code": code, "why": why}}), || {
            format!("{BAD}refused{BAD:#}  {BOLD}{}{BOLD:#}: {}", visible(&file), short(&why, 1_000))
        })?;
    }
    directory.close().await;
    governance.close().await?;
    Ok(ExitCode::SUCCESS)
}

fn wish(change: &Change) -> Wish {
    let user = || std::env::var("USER").ok().filter(|user| !user.is_empty()).unwrap_or_else(|| "somebody".to_owned());
    Wish { note: change.note.clone(), ..Wish::of(change.by.clone().unwrap_or_else(user)) }
}

/// A version without its text.
fn told(version: &PolicyVersion) -> Value {
    let mut told = json!(version);
    if let Some(fields) = told.as_object_mut() {
        fields.remove("text");
        fields.insert("withdrawn".to_owned(), version.text.is_none().into());
    }
    told
}

fn line(version: &PolicyVersion) -> String {
    let tier = version.tier.map_or_else(|| format!("{BAD}withdrawn{BAD:#}"), |tier| tier.to_string());
    let of = version.of.map_or_else(String::new, |of| format!(", version {of} again"));
    let note = version.note.as_ref().map_or_else(String::new, |note| format!(": {}", short(note, 100)));
    let hash = version.hash.as_deref().map_or("", |hash| hash.get(..12).unwrap_or_default());
    let (name, number, at, by) = (&version.name, version.version, moment(version.at), short(&version.by, 60));
    format!("{BOLD}{name}{BOLD:#} {number}  {tier}  {at}  by {by}{of}{note}  {DIM}{hash}{DIM:#}")
}

fn applied(applied: &Applied, done: &str, printer: &Printer) -> Result<()> {
    let mut object = told(&applied.version);
    object["changed"] = applied.changed.into();
    let done = if applied.changed { done } else { "unchanged" };
    printer.either(&object, || format!("{GOOD}{done}{GOOD:#}  {}", line(&applied.version)))
}

async fn list(policies: &Policies, printer: &Printer) -> Result<()> {
    let versions = policies.list().await?;
    if versions.is_empty() && !printer.json {
        return printer.line("the shipped profiles are in force, one for each tier: see docs/policies.md");
    }
    versions.iter().try_for_each(|version| printer.either(&told(version), || line(version)))
}

async fn show(policies: &Policies, name: &AgentId, version: Option<u64>, printer: &Printer) -> Result<()> {
    let found = found(policies, name, version).await?;
    if printer.json {
        return printer.object(&found);
    }
    printer.line(line(&found))?;
    let Some(text) = &found.text else { return Ok(()) };
    printer.line(shown(&text.profile))?;
    text.conditions.iter().try_for_each(|conditions| printer.line(shown(conditions)))
}

async fn found(policies: &Policies, name: &AgentId, version: Option<u64>) -> Result<PolicyVersion> {
    policies.version(name, version).await?.ok_or_else(|| {
        let which = version.map_or_else(|| "is not in force".to_owned(), |version| format!("has no version {version} that is kept"));
        let message = format!("`{name}` {which}: see `governance policy list` and `governance policy history {name}`");
        Error::new(ErrorKind::NotFound, "no_such_policy", message)
    })
}

async fn diff(policies: &Policies, name: &AgentId, sides: [Option<String>; 2], printer: &Printer) -> Result<()> {
    let current = found(policies, name, None).await?;
    let [from, to] = match sides {
        [None, _] => {
            let before = policies.history(name).await?.into_iter().rev().find(|kept| kept.version < current.version);
            let before = before.map_or_else(|| ("nothing".to_owned(), None), |before| (format!("version {}", before.version), before.text));
            [before, (format!("version {}", current.version), current.text)]
        }
        [Some(one), None] => {
            let (in_force, other) = ((format!("version {}, in force", current.version), current.text), side(policies, name, &one).await?);
            // A file is what may come, a version what was.
            if one.parse::<u64>().is_ok() { [other, in_force] } else { [in_force, other] }
        }
        [Some(from), Some(to)] => [side(policies, name, &from).await?, side(policies, name, &to).await?],
    };
    let difference = Difference::between(from.1.as_ref(), to.1.as_ref())?;
    if printer.json {
        return printer.object(&json!({"profile": name, "from": from.0, "to": to.0, "changes": difference.changes}));
    }
    printer.line(format!("{BOLD}{name}{BOLD:#}  from {} to {}", short(&from.0, 200), short(&to.0, 200)))?;
    if difference.changes.is_empty() {
        return printer.line("they decide the same");
    }
    for change in &difference.changes {
        let where_ = visible(&change.field);
        change.removed.iter().try_for_each(|text| printer.line(format!("{BAD}- {where_}: {}{BAD:#}", visible(text))))?;
        change.added.iter().try_for_each(|text| printer.line(format!("{GOOD}+ {where_}: {}{GOOD:#}", visible(text))))?;
    }
    Ok(())
}

/// A version by its number, or a file.
async fn side(policies: &Policies, name: &AgentId, named: &str) -> Result<(String, Option<Text>)> {
    match named.parse::<u64>() {
        Ok(version) => Ok((format!("version {version}"), found(policies, name, Some(version)).await?.text)),
        Err(_) => {
            let mut texts = profiles(std::path::Path::new(named))?;
            let (file, text) = texts.pop().filter(|_| texts.is_empty()).ok_or_else(|| Error::invalid("usage", "compare with one file"))?;
            Ok((file, Some(text)))
        }
    }
}

/// A text as it is, line by line, with what could steer a terminal made visible.
fn shown(text: &str) -> String {
    text.lines().map(|line| line.split('\t').map(visible).collect::<Vec<_>>().join("\t")).collect::<Vec<_>>().join("\n")
}

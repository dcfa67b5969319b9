//! The usual checks of a preflight, and those that one may add: a sandbox, an inventory, what the work depends on, a command.

use std::ffi::OsString;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde::{Deserialize, Serialize};

use super::Desk;
use super::preflight::{Check, Found};
use crate::disk::reading;
use crate::guard::Unit;
use crate::guard::policy::Request;

/// The largest inventory that is read, in bytes.
const MAX_INVENTORY: u64 = 16 << 20;
/// How much of what a command says is kept, in bytes.
const SAID: usize = 400;

/// A check that can be said as plain data, as `{"dependencies": ["git", "terraform"]}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum KnownCheck {
    /// A folder is there, and can be written to.
    Sandbox(PathBuf),
    /// A file is there, can be read, and names each of these targets.
    Inventory {
        /// The file.
        file: PathBuf,
        /// What it must name.
        #[serde(default)]
        targets: Vec<String>,
    },
    /// Each of these programs is there to be run.
    Dependencies(Vec<String>),
    /// A command ends with exit code 0.
    Command(Vec<String>),
}

impl KnownCheck {
    /// The check, under a name of its own.
    #[must_use]
    pub fn named(self, name: &str) -> Check {
        let check = match self {
            Self::Sandbox(folder) => Check::sandbox(folder),
            Self::Inventory { file, targets } => Check::inventory(file, targets),
            Self::Dependencies(programs) => Check::dependencies(programs),
            Self::Command(command) => Check::command(name, command),
        };
        check.called(name)
    }
}

impl Check {
    /// `sandbox`: a folder is there, and can be written to.
    #[must_use]
    pub fn sandbox(folder: impl Into<PathBuf>) -> Self {
        let folder = folder.into();
        Self::new("sandbox", beside(move || writable(&folder)))
    }

    /// `inventory`: a file is there, can be read, and names each of these targets.
    #[must_use]
    pub fn inventory(file: impl Into<PathBuf>, targets: Vec<String>) -> Self {
        let file = file.into();
        Self::new("inventory", beside(move || named_in(&file, &targets)))
    }

    /// `dependencies`: each of these programs is there to be run.
    #[must_use]
    pub fn dependencies(programs: Vec<String>) -> Self {
        Self::new("dependencies", beside(move || programs.iter().try_for_each(|program| runnable(program))))
    }

    /// A command that ends with exit code 0. It is killed when its time is over.
    #[must_use]
    pub fn command(name: impl Into<String>, command: Vec<String>) -> Self {
        Self::new(name, async move {
            let (program, arguments) = command.split_first().ok_or("there is no command to run")?;
            let run = tokio::process::Command::new(program)
                .args(arguments)
                .stdin(Stdio::null())
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .kill_on_drop(true)
                .output();
            let ended = run.await.map_err(|error| format!("`{program}` cannot be started: {error}"))?;
            if ended.status.success() {
                return Ok(());
            }
            let said = String::from_utf8_lossy(&ended.stderr[ended.stderr.len().saturating_sub(SAID)..]).trim().to_owned();
            Err(format!("`{program}` ended with {}: {}", ended.status, said.escape_debug()))
        })
    }
}

impl Desk {
    /// What is looked at in any case.
    pub(super) fn usual_checks(&self) -> Vec<Check> {
        let (store, actor, budget) = (self.store().clone(), self.actor().clone(), self.budget().clone());
        let limits = self.guard().policy().profile().governance.error_budget;
        let reached = store.clone();
        let (admitted, of) = (store.clone(), actor.clone());
        let lock = store.keys().agent_lock(&actor.id);
        let mut checks = vec![
            Check::new("store", async move { reached.now().await.map(drop).map_err(|error| error.to_string()) }),
            Check::new("admission", async move { admitted.still_admitted(&of).await.map_err(|error| error.to_string()) }),
            Check::new("lock", async move {
                let held = store.cell(lock).await.map_err(|error| error.to_string())?;
                held.map(drop).ok_or_else(|| "nobody holds the agent's execution lock".to_owned())
            }),
            Check::new("budget", async move {
                let usage = budget.usage(Unit::Calls).await.map_err(|error| error.to_string())?;
                if usage.is_some_and(|usage| usage.remaining() == 0) {
                    return Err("no calls are left to spend".to_owned());
                }
                let faults = budget.faults().await.map_err(|error| error.to_string())?;
                let used_up =
                    faults.total_errors > limits.max_total_errors || faults.procedure_violations > limits.max_procedure_violations;
                if used_up { Err("the error budget is exceeded".to_owned()) } else { Ok(()) }
            }),
        ];
        let policy = self.guard().policy();
        let (profile, tier) = (policy.profile(), self.tier());
        let above = (profile.tier > tier)
            .then(|| format!("the profile `{}` is of {}, and the agent was admitted at {tier}", profile.agent_id, profile.tier));
        checks.push(Check::new("profile", async move { above.map_or(Ok(()), Err) }));
        if let Some(root) = self.guard().root() {
            let folder = root.path().to_owned();
            let writes = self.guard().policy().decide(&Request::new("write_file")).is_allowed();
            checks.push(Check::new("root", beside(move || if writes { writable(&folder) } else { is_folder(&folder) })));
        }
        checks
    }
}

/// Looks at files on a thread of its own.
async fn beside(look: impl FnOnce() -> Found + Send + 'static) -> Found {
    tokio::task::spawn_blocking(look).await.unwrap_or_else(|_| Err("the check itself failed".to_owned()))
}

fn is_folder(folder: &Path) -> Found {
    let shown = folder.display();
    match folder.metadata() {
        Ok(found) if found.is_dir() => Ok(()),
        Ok(_) => Err(format!("`{shown}` is not a folder")),
        Err(error) => Err(format!("`{shown}` is not there: {error}")),
    }
}

fn writable(folder: &Path) -> Found {
    is_folder(folder)?;
    let probe = folder.join(format!(".governance-preflight-{}", std::process::id()));
    let made = std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(&probe);
    made.map_err(|error| format!("`{}` cannot be written to: {error}", folder.display()))?;
    std::fs::remove_file(&probe).map_err(|error| format!("`{}` cannot be tidied up: {error}", probe.display()))
}

fn named_in(file: &Path, targets: &[String]) -> Found {
    let shown = file.display();
    let text = reading::read_text(file, MAX_INVENTORY).map_err(|error| format!("`{shown}` cannot be read: {error}"))?;
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    let names: std::collections::HashSet<_> = text.split(|c| !is_part(c)).collect();
    match targets.iter().find(|target| !names.contains(target.as_str())) {
        Some(missing) => Err(format!("`{missing}` is not in `{shown}`")),
        None => Ok(()),
    }
}

fn runnable(program: &str) -> Found {
    let is_runnable = |path: &Path| path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0);
    let found = if program.contains('/') {
        is_runnable(Path::new(program))
    } else {
        let path = std::env::var_os("PATH").unwrap_or_else(|| OsString::from("/usr/bin:/bin"));
        std::env::split_paths(&path).any(|folder| is_runnable(&folder.join(program)))
    };
    if found { Ok(()) } else { Err(format!("`{program}` is not there to be run")) }
}

//! Agents of one's own: `[agents.alpha]`, `[agents.beta]` and `[agents.gamma]` in `config.toml`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::error::{Error, Result};
use crate::orchestrator::{Program, Quota};
use crate::vocabulary::AgentRole;

/// Kilobytes of kilobytes.
const MEBIBYTE: u64 = 1 << 20;
/// More restarts than this help nobody.
const MAX_RESTARTS: u32 = 100;

/// What runs the agents of one role, and how much it may use. Limits and restarts hold for any process of the role, whatever names its command.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct AgentSettings {
    /// The program and its arguments.
    pub command: Option<Vec<String>>,
    /// What it is called where it is shown.
    pub name: Option<String>,
    /// Its working directory.
    pub dir: Option<PathBuf>,
    /// What it is given of variables.
    pub env: BTreeMap<String, String>,
    /// MiB of memory that it can write to.
    pub memory_mb: Option<u64>,
    /// Seconds of processor time.
    pub cpu_seconds: Option<u64>,
    /// How often it is started again when it dies.
    pub restarts: u32,
}

impl AgentSettings {
    /// The program that it names, if it names one.
    pub fn program(&self) -> Result<Option<Program>> {
        let Some(command) = &self.command else { return Ok(None) };
        let (program, arguments) =
            command.split_first().filter(|(program, _)| !program.is_empty()).ok_or_else(|| wrong("its command is empty"))?;
        let mut program = Program::new(program).args(arguments);
        if let Some(name) = &self.name {
            program = program.named(name)?;
        }
        program.directory.clone_from(&self.dir);
        program.environment.clone_from(&self.env);
        Ok(Some(self.limit(program)))
    }

    /// A program, held to these limits.
    #[must_use]
    pub fn limit(&self, mut program: Program) -> Program {
        program.quota = Quota { memory: self.memory_mb.map(|mb| mb * MEBIBYTE), cpu_seconds: self.cpu_seconds };
        program.restarts = self.restarts;
        program
    }

    fn check(&self) -> Result<()> {
        if self.memory_mb.is_some_and(|mb| mb == 0 || mb > u64::MAX / MEBIBYTE / 2) {
            return Err(wrong("`memory_mb` must be a number of MiB above 0"));
        }
        if self.cpu_seconds.is_some_and(|seconds| seconds == 0 || seconds > u64::MAX / 2) {
            return Err(wrong("`cpu_seconds` must be a number of seconds above 0"));
        }
        if self.restarts > MAX_RESTARTS {
            return Err(wrong(&format!("`restarts` may be at most {MAX_RESTARTS}")));
        }
        if self.env.keys().any(|name| name.is_empty() || name.contains(['=', '\0'])) || self.env.values().any(|value| value.contains('\0'))
        {
            return Err(wrong("a variable in `env` can have no such name or value"));
        }
        let alone = self.name.is_some() || self.dir.is_some() || !self.env.is_empty();
        if self.command.is_none() && alone {
            return Err(wrong("`name`, `dir` and `env` belong to a `command`, which is missing"));
        }
        if self.command.iter().flatten().any(|word| word.contains('\0')) {
            return Err(wrong("its command holds a NUL byte"));
        }
        self.program().map(drop)
    }

    /// As it is shown: of its variables only the names.
    fn shown(&self) -> Value {
        let mut shown = json!(self);
        shown["env"] = json!(self.env.keys().collect::<Vec<_>>());
        if let Value::Object(fields) = &mut shown {
            fields.retain(|_, value| !value.is_null());
        }
        shown
    }
}

/// Every role's settings, checked.
pub(super) fn checked(agents: BTreeMap<AgentRole, AgentSettings>) -> Result<BTreeMap<AgentRole, AgentSettings>> {
    for (role, settings) in &agents {
        settings.check().map_err(|error| Error::invalid("bad_config", format!("`[agents.{role}]` in config.toml: {error}")))?;
    }
    Ok(agents)
}

/// Every role's settings, as they are shown.
pub(super) fn shown(agents: &BTreeMap<AgentRole, AgentSettings>) -> Value {
    agents.iter().map(|(role, settings)| (role.to_string(), settings.shown())).collect()
}

fn wrong(what: &str) -> Error {
    Error::invalid("bad_value", what)
}

#[cfg(test)]
mod tests {
    use super::super::{Config, Flags};
    use super::*;

    fn load(text: &str) -> Result<Config> {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("config.toml"), text).unwrap();
        Config::load(Flags { home: Some(home.path().into()), ..Flags::default() }, |_| None)
    }

    #[test]
    fn an_agent_of_ones_own_is_named_in_the_file() {
        let text = "[agents.alpha]\ncommand = ['python3', 'alpha.py', '--fast']\ndir = '/srv'\nmemory_mb = 512\ncpu_seconds = 60\nrestarts = 2\n\
            [agents.alpha.env]\nTOKEN = 'hunter2'\n[agents.beta]\nmemory_mb = 64\n";
        let config = load(text).unwrap();
        let alpha = config.agents[&AgentRole::Alpha].program().unwrap().unwrap();
        assert_eq!((alpha.name.as_str(), alpha.arguments.len(), alpha.restarts), ("python", 2, 2));
        assert_eq!(alpha.quota, Quota { memory: Some(512 << 20), cpu_seconds: Some(60) });
        assert_eq!(alpha.directory, Some("/srv".into()));
        let beta = &config.agents[&AgentRole::Beta];
        assert_eq!(beta.program().unwrap(), None);
        assert_eq!(beta.limit(Program::new("bun")).quota.memory, Some(64 << 20));
        let told = shown(&config.agents).to_string();
        assert!(told.contains("TOKEN") && !told.contains("hunter2"), "{told}");
    }

    #[test]
    fn what_is_wrong_with_it_is_told() {
        for (section, says) in [
            ("[agents.delta]\ncommand = ['x']", "delta"),
            ("[agents.alpha]\ncommand = []", "its command is empty"),
            ("[agents.alpha]\ncommand = ['x']\nmemory_mb = 0", "memory_mb"),
            ("[agents.alpha]\ncommand = ['x']\ncpu_seconds = 0", "cpu_seconds"),
            ("[agents.alpha]\ncommand = ['x']\nrestarts = 1000", "restarts"),
            ("[agents.alpha]\ncommand = ['x']\nname = 'a b'", "a b"),
            ("[agents.alpha]\ndir = '/srv'", "belong to a `command`"),
            ("[agents.alpha]\ncommand = ['x']\nenv = {'a=b' = 'c'}", "env"),
            ("[agents.alpha]\ncomand = ['x']", "comand"),
        ] {
            let error = load(section).unwrap_err().to_string();
            assert!(error.contains(says), "{section}: {error}");
        }
    }
}

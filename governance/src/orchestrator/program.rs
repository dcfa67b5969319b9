//! A program that lives as an agent: in any language, with what it is given and how much it may use.

use std::collections::BTreeMap;
use std::path::PathBuf;

use crate::error::{Error, Result};
use crate::llm::{Mode, ModelSettings};

/// What a process is called that gives no other name.
pub const PROCESS: &str = "process";
/// The longest name.
const MAX_NAME: usize = 32;

/// What every agent's process is given of this process's environment, where it is set. Nothing else is.
const PASSED: &[&str] = &[
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "LC_ALL",
    "LC_CTYPE",
    "TZ",
    "TMPDIR",
    // How the model's server is reached, and what proves that it is the right one.
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "ALL_PROXY",
    "NO_PROXY",
    "http_proxy",
    "https_proxy",
    "all_proxy",
    "no_proxy",
    "SSL_CERT_FILE",
    "SSL_CERT_DIR",
    // What it logs.
    "GOVERNANCE_LOG",
];

/// A program that lives as an agent.
#[derive(Clone, PartialEq, Eq)]
pub struct Program {
    /// What it is called where it is shown: `python`, `bun`, `node`, `process`.
    pub name: String,
    /// What is started: a path, or a name that is looked up in `PATH`.
    pub command: PathBuf,
    /// With which arguments. Other users of the machine can read them.
    pub arguments: Vec<String>,
    /// Where; this process's own directory if none is named.
    pub directory: Option<PathBuf>,
    /// What it is given beside the few variables that each agent is given.
    pub environment: BTreeMap<String, String>,
    /// How much it may use.
    pub quota: Quota,
    /// How often it is started again when it dies.
    pub restarts: u32,
}

/// How much of the machine an agent's process may use. Each process that it starts has the same again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Quota {
    /// Bytes of memory that it can write to.
    pub memory: Option<u64>,
    /// Seconds of processor time.
    pub cpu_seconds: Option<u64>,
}

impl Program {
    /// A program under the name that its command suggests, without arguments or limits.
    #[must_use]
    pub fn new(command: impl Into<PathBuf>) -> Self {
        let command = command.into();
        let stem = command.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
        let name = ["python", "bun", "node", "deno"].into_iter().find(|known| stem.starts_with(known)).unwrap_or(PROCESS);
        Self {
            name: name.to_owned(),
            command,
            arguments: Vec::new(),
            directory: None,
            environment: BTreeMap::new(),
            quota: Quota::default(),
            restarts: 0,
        }
    }

    /// The same, with these arguments.
    #[must_use]
    pub fn args(mut self, arguments: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.arguments = arguments.into_iter().map(Into::into).collect();
        self
    }

    /// The same, under this name.
    pub fn named(mut self, name: impl Into<String>) -> Result<Self> {
        self.name = name.into();
        let plain = self.name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'));
        if self.name.is_empty() || self.name.len() > MAX_NAME || !plain {
            let message = format!(
                "`{}` names no runtime: 1 to {MAX_NAME} letters, digits, `-`, `_` or `.`",
                self.name.chars().take(60).collect::<String>().escape_default()
            );
            return Err(Error::invalid("bad_value", message));
        }
        Ok(self)
    }

    /// The whole environment of its process. The model's key is in it only where a model needs one.
    pub(super) fn environment(&self, model: &ModelSettings, own: impl Fn(&str) -> Option<std::ffi::OsString>) -> Environment {
        let key = key(model);
        let passed = PASSED.iter().copied().chain(key).filter_map(|name| Some((name.to_owned(), own(name)?)));
        let given = self.environment.iter().map(|(name, value)| (name.clone(), value.into()));
        // What is given comes later and so counts.
        passed.chain(given).collect()
    }
}

pub(super) type Environment = BTreeMap<String, std::ffi::OsString>;

#[cfg(feature = "llm")]
fn key(model: &ModelSettings) -> Option<&'static str> {
    (model.mode == Mode::OpenRouter).then_some(crate::llm::API_KEY)
}

#[cfg(not(feature = "llm"))]
fn key(model: &ModelSettings) -> Option<&'static str> {
    // Such a model cannot be opened by this build at all.
    let _ = model.mode == Mode::OpenRouter;
    None
}

impl std::fmt::Debug for Program {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // The environment may hold secrets: its names are enough.
        f.debug_struct("Program")
            .field("name", &self.name)
            .field("command", &self.command)
            .field("arguments", &self.arguments)
            .field("directory", &self.directory)
            .field("environment", &self.environment.keys())
            .field("quota", &self.quota)
            .field("restarts", &self.restarts)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_called_after_its_language() {
        for (command, name) in [("/usr/bin/python3.11", "python"), ("bun", "bun"), ("node", "node"), ("./agent", "process")] {
            assert_eq!(Program::new(command).name, name);
        }
        for bad in ["", "a b", "\x1b[31m", &"x".repeat(33)] {
            assert!(Program::new("x").named(bad).is_err(), "{bad}");
        }
        assert_eq!(Program::new("python3").named("crewai").unwrap().name, "crewai");
    }

    #[test]
    fn a_process_is_given_little_and_the_models_key_only_where_it_is_needed() {
        let own = |name: &str| Some(format!("own {name}").into());
        let mut program = Program::new("x");
        program.environment.insert("LANG".into(), "C".into());
        let local = program.environment(&ModelSettings::default(), own);
        assert_eq!((&local["LANG"], &local["PATH"]), (&"C".into(), &"own PATH".into()));
        assert!(!local.keys().any(|name| name.contains("KEY") || name.starts_with("GOVERNANCE_STORE")), "{local:?}");
        let remote = ModelSettings { mode: Mode::OpenRouter, ..ModelSettings::default() };
        assert_eq!(program.environment(&remote, own).contains_key("OPENROUTER_API_KEY"), cfg!(feature = "llm"));
        assert!(!format!("{program:?}").contains("\"C\""), "no value of the environment is shown");
    }
}

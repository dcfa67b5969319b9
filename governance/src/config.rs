//! What can be configured, and where it is read from: flags first, then the environment, then `config.toml` in the home directory.

mod agents;
mod limits;
mod policies;
mod shown;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::disk::reading;
use crate::error::{Error, Result};
use crate::guard::policies::REFRESH;
use crate::ledger::Durability;
use crate::llm::{Mode, ModelSettings};
use crate::orchestrator::{DEFAULT_TIMEOUT, Grants, Limits, RunLimits};
use crate::vocabulary::{AgentRole, TenantId};
pub use agents::AgentSettings;
pub use limits::DEFAULT_RETENTION;
pub use shown::{Setting, Source};

/// The home directory, unless told otherwise.
pub const DEFAULT_HOME: &str = ".governance";
/// The longest that one call of the model may be given.
const MAX_CALL: Duration = Duration::from_secs(60 * 60);
/// The largest `config.toml`, in bytes.
const MAX_FILE: u64 = 1 << 20;

/// Everything that opening [`Governance`](crate::Governance) needs to know.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Where the embedded store, the ledger and its segments are.
    pub home: PathBuf,
    /// Shared state by URL; a file in the home directory if none is given.
    pub store: Option<String>,
    /// Whose state.
    pub tenant: TenantId,
    /// What an acknowledged record survives.
    pub durability: Durability,
    /// How long the ledger keeps payloads, counted from when they came into the record; none for ever.
    pub retention: Option<Duration>,
    /// How long the shared state keeps a run after its end; none for ever.
    pub run_retention: Option<Duration>,
    /// Whether runs go on from REPORT by themselves.
    pub auto_orchestrate: bool,
    /// How long a run may take.
    pub timeout: Duration,
    /// Which model thinks.
    pub model: ModelSettings,
    /// When a run needs help.
    pub limits: Limits,
    /// What each agent of a run may spend on its model.
    pub grants: Grants,
    /// How much a run, and each of its agents, may use.
    pub use_limits: RunLimits,
    /// What runs its agents, where that is not built in.
    pub agents: BTreeMap<AgentRole, AgentSettings>,
    /// A directory of profiles that is watched: what is changed there comes into force.
    pub policies: Option<PathBuf>,
    /// How often policies are looked at where nothing tells of a change.
    pub policy_refresh: Duration,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            home: DEFAULT_HOME.into(),
            store: None,
            tenant: TenantId::default(),
            durability: Durability::Process,
            retention: Some(DEFAULT_RETENTION),
            run_retention: Some(DEFAULT_RETENTION),
            auto_orchestrate: true,
            timeout: DEFAULT_TIMEOUT,
            model: ModelSettings::default(),
            limits: Limits::default(),
            grants: Grants::default(),
            use_limits: RunLimits::default(),
            agents: BTreeMap::new(),
            policies: None,
            policy_refresh: REFRESH,
        }
    }
}

/// The file, `config.toml`. Every field may be left out; an unknown one is refused.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct File {
    store: Option<String>,
    tenant: Option<TenantId>,
    durability: Option<Durability>,
    audit_retention_days: Option<u64>,
    run_retention_days: Option<u64>,
    auto_orchestrate: Option<bool>,
    timeout_seconds: Option<u64>,
    mode: Option<Mode>,
    model: Option<String>,
    base_url: Option<String>,
    call_timeout_seconds: Option<u64>,
    gamma_stuck_threshold: Option<f64>,
    gamma_conflict_threshold: Option<u32>,
    gamma_complexity_threshold: Option<f64>,
    recoveries: Option<u32>,
    quorum: Option<u32>,
    calls_per_agent: Option<u64>,
    tokens_per_agent: Option<u64>,
    dollars_per_agent: Option<f64>,
    limits: RunLimits,
    agents: BTreeMap<AgentRole, AgentSettings>,
    policies: Option<PathBuf>,
    policy_refresh_seconds: Option<u64>,
}

/// What a command line says; everything else is looked up.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Flags {
    /// `--home`.
    pub home: Option<PathBuf>,
    /// `--store`.
    pub store: Option<String>,
    /// `--durability`.
    pub durability: Option<Durability>,
    /// `--auto-orchestrate`.
    pub auto_orchestrate: Option<bool>,
    /// `--quorum`.
    pub quorum: Option<u32>,
    /// `--timeout`.
    pub timeout: Option<Duration>,
    /// `--mode`.
    pub mode: Option<Mode>,
    /// `--model`.
    pub model: Option<String>,
    /// `--base-url`.
    pub base_url: Option<String>,
    /// `--call-timeout`.
    pub call_timeout: Option<Duration>,
    /// `--policies`.
    pub policies: Option<PathBuf>,
}

impl Config {
    /// Reads flags, then the environment through `env`, then the home directory's `config.toml`, then the defaults.
    pub fn load(flags: Flags, env: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let set = |name: &str| env(name).filter(|value| !value.is_empty());
        let home = flags.home.or_else(|| set("GOVERNANCE_HOME").map(PathBuf::from)).unwrap_or_else(|| DEFAULT_HOME.into());
        if home.exists() && !home.is_dir() {
            let message = format!("the home `{}` is a file: name a directory with --home or GOVERNANCE_HOME", home.display());
            return Err(Error::invalid("bad_home", message));
        }
        whole(&home)?;
        let file = File::read(&home)?;
        let default = Self::default();
        let parsed = |name: &str| {
            set(name).map(|value| value.parse::<u64>().map_err(|_| bad_value(name, &value, "a number of seconds"))).transpose()
        };
        let switch = |name: &str| set(name).map(|value| truth(name, &value)).transpose();
        let seconds = parsed("ORCHESTRATION_TIMEOUT")?.or(file.timeout_seconds).map(Duration::from_secs);
        if seconds.is_some_and(|seconds| seconds.is_zero()) {
            return Err(bad_value("the time of a run (ORCHESTRATION_TIMEOUT, timeout_seconds)", "0", "a number of seconds, at least 1"));
        }
        let durable = set("GOVERNANCE_DURABILITY").map(|value| value.parse()).transpose()?;
        let mode = set("GOVERNANCE_MODE").map(|value| mode("GOVERNANCE_MODE", &value)).transpose()?;
        let attempt = parsed("GOVERNANCE_CALL_TIMEOUT")?.or(file.call_timeout_seconds).map(Duration::from_secs);
        let mut limits = limits::limits(&set, &file)?;
        limits.quorum = flags.quorum.unwrap_or(limits.quorum);
        let mode = flags.mode.or(mode).or(file.mode).unwrap_or(default.model.mode);
        let grants = limits::grants(&set, &file, mode)?;
        let (retention, run_retention) = (limits::retention(&set, &file)?, limits::run_retention(&set, &file)?);
        let policy_refresh = policies::refresh(&set, &file)?;
        let model = ModelSettings {
            mode,
            model: flags.model.or_else(|| set("OPENROUTER_MODEL")).or(file.model).unwrap_or(default.model.model),
            base_url: flags.base_url.or_else(|| set("OPENROUTER_BASE_URL")).or(file.base_url).unwrap_or(default.model.base_url),
            deadline: flags.call_timeout.or(attempt).unwrap_or(default.model.deadline),
            script: None,
        };
        if model.deadline.is_zero() || model.deadline > MAX_CALL {
            return Err(Error::invalid("bad_value", format!("a call of the model may take 1 to {} seconds", MAX_CALL.as_secs())));
        }
        let policies = flags.policies.or_else(|| set("GOVERNANCE_POLICIES").map(PathBuf::from)).or_else(|| file.policies.clone());
        if let Some(folder) = policies.as_ref().filter(|folder| folder.to_str().is_none()) {
            return Err(Error::invalid("bad_value", format!("the directory of policies `{}` is not UTF-8 text", visible(folder))));
        }
        Ok(Self {
            policies,
            policy_refresh,
            limits,
            grants,
            use_limits: file.limits,
            model,
            agents: agents::checked(file.agents)?,
            retention,
            run_retention,
            store: flags.store.or_else(|| set("GOVERNANCE_STORE")).or_else(|| set("GUVNOR_REDIS_URL")).or(file.store),
            tenant: set("GOVERNANCE_TENANT").map(TenantId::new).transpose()?.or(file.tenant).unwrap_or_default(),
            durability: flags.durability.or(durable).or(file.durability).unwrap_or(default.durability),
            auto_orchestrate: flags.auto_orchestrate.or(switch("AUTO_ORCHESTRATE")?).or(file.auto_orchestrate).unwrap_or(true),
            timeout: flags.timeout.or(seconds).unwrap_or(default.timeout),
            home,
        })
    }

    /// The store's URL, spelled the same from every working directory.
    pub fn store_url(&self) -> Result<String> {
        let home = whole(&self.home)?;
        Ok(self.store.clone().unwrap_or_else(|| format!("sqlite:{home}/state.db")))
    }
}

/// A home from the root on, as text: SQLite takes no other name, and what is only similar is another directory.
fn whole(home: &Path) -> Result<String> {
    let path = std::path::absolute(home).map_err(|e| Error::invalid("bad_home", "the home directory has no path").because(e))?;
    let text = path.to_str().map(|text| text.trim_end_matches('/').to_owned());
    text.ok_or_else(|| {
        let message = format!("the home `{}` is not UTF-8 text: name another directory with --home or GOVERNANCE_HOME", visible(&path));
        Error::invalid("bad_home", message)
    })
}

/// A path with what is no text in it made visible.
fn visible(path: &Path) -> String {
    path.as_os_str().as_encoded_bytes().escape_ascii().to_string()
}

impl File {
    fn read(home: &Path) -> Result<Self> {
        let path = home.join("config.toml");
        let text = match reading::read_text(&path, MAX_FILE) {
            Ok(text) => text,
            Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
                return Ok(Self::default());
            }
            Err(error) => return Err(Error::invalid("config_unreadable", format!("`{}` cannot be read: {error}", path.display()))),
        };
        toml::from_str(&text).map_err(|error| {
            let line = error.span().map_or(1, |span| 1 + text[..span.start.min(text.len())].matches('\n').count());
            let what = error.message().lines().next().unwrap_or_default();
            Error::invalid("bad_config", format!("`{}`, line {line}: {what}", path.display()))
        })
    }
}

fn truth(name: &str, value: &str) -> Result<bool> {
    match value.to_ascii_lowercase().as_str() {
        "1" | "true" | "yes" | "on" => Ok(true),
        "0" | "false" | "no" | "off" => Ok(false),
        _ => Err(bad_value(name, value, "true or false")),
    }
}

fn mode(name: &str, value: &str) -> Result<Mode> {
    let names: Vec<_> = Mode::ALL.iter().map(|mode| mode.as_str()).collect();
    value.parse().map_err(|_| bad_value(name, value, &names.join(" or ")))
}

fn bad_value(name: &str, value: &str, wanted: &str) -> Error {
    Error::invalid("bad_value", format!("{name} is `{}`: it takes {wanted}", value.escape_default()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flags_win_over_the_environment_and_that_over_the_file() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("config.toml"), "store = \"redis://file\"\ntimeout_seconds = 7\n").unwrap();
        let flags = |store: Option<&str>| Flags { home: Some(home.path().into()), store: store.map(Into::into), ..Flags::default() };
        let env = |name: &str| (name == "GOVERNANCE_STORE").then(|| "redis://env".to_owned());
        let store = |flags, env: &dyn Fn(&str) -> Option<String>| Config::load(flags, env).unwrap().store.unwrap();
        assert_eq!(store(flags(Some("redis://flag")), &env), "redis://flag");
        assert_eq!(store(flags(None), &env), "redis://env");
        assert_eq!(store(flags(None), &|_| None), "redis://file");
        assert_eq!(Config::load(flags(None), |_| None).unwrap().timeout, Duration::from_secs(7));
    }

    #[test]
    fn a_wrong_value_or_an_unknown_field_is_explained() {
        let home = tempfile::tempdir().unwrap();
        let flags = Flags { home: Some(home.path().into()), ..Flags::default() };
        let bad = Config::load(flags.clone(), |name| (name == "ORCHESTRATION_TIMEOUT").then(|| "soon".into())).unwrap_err();
        assert!(bad.to_string().contains("`soon`"), "{bad}");
        for days in ["36501", "-1", "1.5", "ever"] {
            let env = |name: &str| (name == "GUVNOR_AUDIT_RETENTION_DAYS").then(|| days.to_owned());
            let bad = Config::load(flags.clone(), env).unwrap_err().to_string();
            assert!(bad.contains(&format!("`{days}`")) && bad.contains("whole days"), "{bad}");
        }
        for grant in ["GOVERNANCE_CALLS_PER_AGENT", "GOVERNANCE_TOKENS_PER_AGENT"] {
            for amount in ["0", "-1", "18446744073709551615"] {
                let bad = Config::load(flags.clone(), |name| (name == grant).then(|| amount.to_owned())).unwrap_err().to_string();
                assert!(bad.contains(&format!("`{amount}`")) && bad.contains("from 1 to"), "{bad}");
            }
        }
        std::fs::write(home.path().join("config.toml"), "calls_per_agent = 0").unwrap();
        let bad = Config::load(flags.clone(), |_| None).unwrap_err().to_string();
        assert!(bad.contains("calls_per_agent") && bad.contains("from 1 to"), "{bad}");
        std::fs::write(home.path().join("config.toml"), "stoer = \"x\"").unwrap();
        let unknown = Config::load(flags, |_| None).unwrap_err().to_string();
        assert!(unknown.contains("stoer") && unknown.contains("line 1"), "{unknown}");
    }

    #[test]
    fn the_model_is_chosen_by_flag_environment_and_file_in_that_order() {
        let home = tempfile::tempdir().unwrap();
        std::fs::write(home.path().join("config.toml"), "mode = \"openrouter\"\nmodel = \"file\"\ncall_timeout_seconds = 9\n").unwrap();
        let flags = Flags { home: Some(home.path().into()), model: Some("flag".into()), ..Flags::default() };
        let env = |name: &str| match name {
            "OPENROUTER_MODEL" => Some("env".to_owned()),
            "OPENROUTER_BASE_URL" => Some("http://127.0.0.1:8000/v1".to_owned()),
            _ => None,
        };
        let model = Config::load(flags.clone(), env).unwrap().model;
        assert_eq!((model.model.as_str(), model.base_url.as_str()), ("flag", "http://127.0.0.1:8000/v1"));
        assert_eq!((model.mode, model.deadline), (Mode::OpenRouter, Duration::from_secs(9)));
        let model = Config::load(Flags { model: None, ..flags.clone() }, env).unwrap().model;
        assert_eq!(model.model, "env");
        let model = Config::load(Flags { model: None, mode: Some(Mode::Local), ..flags.clone() }, |_| None).unwrap().model;
        assert_eq!((model.model.as_str(), model.mode), ("file", Mode::Local));
        for (name, value, says) in [("GOVERNANCE_MODE", "cloud", "openrouter or local"), ("GOVERNANCE_CALL_TIMEOUT", "0", "1 to 3600")] {
            let bad = Config::load(flags.clone(), |asked| (asked == name).then(|| value.to_owned())).unwrap_err();
            assert!(bad.to_string().contains(says), "{bad}");
        }
    }
}

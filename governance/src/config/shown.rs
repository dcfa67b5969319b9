//! The configuration as it holds, and where each value came from.

use std::path::Path;

use serde_json::{Value, json};

use super::limits::DAY;
use super::{Config, File, Flags};
use crate::error::Result;
use crate::llm::ModelSettings;
use crate::orchestrator::RunLimits;
use crate::store::StoreUrl;

/// Where a value came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Source {
    /// A flag.
    Flag(&'static str),
    /// A variable of the environment.
    Environment(&'static str),
    /// `config.toml` in the home directory.
    File,
    /// Nobody said anything.
    Default,
}

/// One value of the configuration, nothing secret in it.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// Its name, as in `config.toml`.
    pub name: &'static str,
    /// Its value.
    pub value: Value,
    /// Where it came from.
    pub source: Source,
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Flag(name) | Self::Environment(name) => f.write_str(name),
            Self::File => f.write_str("config.toml"),
            Self::Default => f.write_str("default"),
        }
    }
}

impl Source {
    /// What kind of place: `flag`, `environment`, `file` or `default`.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Flag(_) => "flag",
            Self::Environment(_) => "environment",
            Self::File => "file",
            Self::Default => "default",
        }
    }
}

impl Config {
    /// What [`load`](Self::load) comes to, value by value. Passwords and keys are left out.
    pub fn settings(flags: &Flags, env: impl Fn(&str) -> Option<String>) -> Result<Vec<Setting>> {
        let config = Self::load(flags.clone(), &env)?;
        let file = File::read(&config.home)?;
        let store = StoreUrl::parse(&config.store_url()?)?.to_string();
        // Every field by its name: a new one is shown too.
        let Self {
            home,
            store: _,
            tenant,
            durability,
            retention,
            run_retention,
            auto_orchestrate,
            timeout,
            model,
            limits,
            grants,
            use_limits,
            agents,
            policies,
            policy_refresh,
        } = config;
        let ModelSettings { mode, model, base_url, deadline, script: _ } = model;
        let from = |flag: Option<&'static str>, names: &[&'static str], in_file: bool| {
            let set = names.iter().find(|name| env(name).is_some_and(|value| !value.is_empty()));
            let source = flag.map(Source::Flag).or(set.map(|name| Source::Environment(name)));
            source.unwrap_or(if in_file { Source::File } else { Source::Default })
        };
        let given = |is: bool, flag: &'static str| is.then_some(flag);
        let setting = |name, value, source| Setting { name, value, source };
        let key = if env("OPENROUTER_API_KEY").is_some_and(|key| !key.is_empty()) { "set, not shown" } else { "not set" };
        Ok(vec![
            setting("home", json!(home.to_string_lossy()), from(given(flags.home.is_some(), "--home"), &["GOVERNANCE_HOME"], false)),
            setting(
                "store",
                json!(store),
                from(given(flags.store.is_some(), "--store"), &["GOVERNANCE_STORE", "GUVNOR_REDIS_URL"], file.store.is_some()),
            ),
            setting("tenant", json!(tenant), from(None, &["GOVERNANCE_TENANT"], file.tenant.is_some())),
            setting(
                "durability",
                json!(durability),
                from(given(flags.durability.is_some(), "--durability"), &["GOVERNANCE_DURABILITY"], file.durability.is_some()),
            ),
            setting(
                "audit_retention_days",
                json!(retention.map_or(0, |age| age.as_secs() / DAY)),
                from(None, &["GUVNOR_AUDIT_RETENTION_DAYS"], file.audit_retention_days.is_some()),
            ),
            setting(
                "run_retention_days",
                json!(run_retention.map_or(0, |age| age.as_secs() / DAY)),
                from(None, &["GOVERNANCE_RUN_RETENTION_DAYS"], file.run_retention_days.is_some()),
            ),
            setting(
                "auto_orchestrate",
                json!(auto_orchestrate),
                from(given(flags.auto_orchestrate.is_some(), "--auto-orchestrate"), &["AUTO_ORCHESTRATE"], file.auto_orchestrate.is_some()),
            ),
            setting(
                "timeout_seconds",
                json!(timeout.as_secs_f64()),
                from(given(flags.timeout.is_some(), "--timeout"), &["ORCHESTRATION_TIMEOUT"], file.timeout_seconds.is_some()),
            ),
            setting("mode", json!(mode), from(given(flags.mode.is_some(), "--mode"), &["GOVERNANCE_MODE"], file.mode.is_some())),
            setting("model", json!(model), from(given(flags.model.is_some(), "--model"), &["OPENROUTER_MODEL"], file.model.is_some())),
            setting(
                "base_url",
                json!(without_secrets(&base_url)),
                from(given(flags.base_url.is_some(), "--base-url"), &["OPENROUTER_BASE_URL"], file.base_url.is_some()),
            ),
            setting(
                "call_timeout_seconds",
                json!(deadline.as_secs_f64()),
                from(
                    given(flags.call_timeout.is_some(), "--call-timeout"),
                    &["GOVERNANCE_CALL_TIMEOUT"],
                    file.call_timeout_seconds.is_some(),
                ),
            ),
            setting(
                "gamma_stuck_threshold",
                json!(limits.patience.mediate.as_secs_f64()),
                from(None, &["GAMMA_STUCK_THRESHOLD"], file.gamma_stuck_threshold.is_some()),
            ),
            setting(
                "gamma_conflict_threshold",
                json!(limits.conflicts),
                from(None, &["GAMMA_CONFLICT_THRESHOLD"], file.gamma_conflict_threshold.is_some()),
            ),
            setting(
                "gamma_complexity_threshold",
                json!(limits.complexity),
                from(None, &["GAMMA_COMPLEXITY_THRESHOLD"], file.gamma_complexity_threshold.is_some()),
            ),
            setting("agents", super::agents::shown(&agents), from(None, &[], !agents.is_empty())),
            setting("recoveries", json!(limits.recoveries), from(None, &["GOVERNANCE_RECOVERIES"], file.recoveries.is_some())),
            setting(
                "quorum",
                json!(limits.quorum),
                from(given(flags.quorum.is_some(), "--quorum"), &["GOVERNANCE_QUORUM"], file.quorum.is_some()),
            ),
            setting("calls_per_agent", json!(grants.calls), from(None, &["GOVERNANCE_CALLS_PER_AGENT"], file.calls_per_agent.is_some())),
            setting(
                "tokens_per_agent",
                json!(grants.tokens),
                from(None, &["GOVERNANCE_TOKENS_PER_AGENT"], file.tokens_per_agent.is_some()),
            ),
            setting(
                "dollars_per_agent",
                json!(grants.cost.map(|millionths| millionths as f64 / 1e6)),
                from(None, &["GOVERNANCE_DOLLARS_PER_AGENT"], file.dollars_per_agent.is_some()),
            ),
            setting("limits", json!(use_limits), from(None, &[], file.limits != RunLimits::default())),
            setting(
                "policies",
                json!(policies.as_deref().map(Path::to_string_lossy)),
                from(given(flags.policies.is_some(), "--policies"), &["GOVERNANCE_POLICIES"], file.policies.is_some()),
            ),
            setting(
                "policy_refresh_seconds",
                json!(policy_refresh.as_secs()),
                from(None, &["GUVNOR_POLICY_REFRESH_INTERVAL"], file.policy_refresh_seconds.is_some()),
            ),
            setting("api_key", json!(key), from(None, &["OPENROUTER_API_KEY"], false)),
        ])
    }
}

/// An address without what may be secret in it: who logs in, and the query.
fn without_secrets(address: &str) -> String {
    let Ok(mut url) = url::Url::parse(address) else { return "not an address".to_owned() };
    let (login, query) = (!url.username().is_empty() || url.password().is_some(), url.query().is_some());
    if !login && !query {
        return address.to_owned();
    }
    if login && url.set_username("hidden").and_then(|()| url.set_password(None)).is_err() {
        return "not an address".to_owned();
    }
    if query {
        url.set_query(Some("hidden"));
    }
    url.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(flags: &Flags, env: &[(&str, &str)], name: &str) -> (Value, Source) {
        let look = |asked: &str| env.iter().find(|(name, _)| *name == asked).map(|(_, value)| (*value).to_owned());
        let settings = Config::settings(flags, look).unwrap();
        let setting = settings.into_iter().find(|setting| setting.name == name).unwrap();
        (setting.value, setting.source)
    }

    #[test]
    fn every_value_says_where_it_came_from() {
        let home = tempfile::tempdir().unwrap();
        let plain = Flags { home: Some(home.path().into()), ..Flags::default() };
        let seconds = std::time::Duration::from_secs(5);
        let cases: [(&str, &str, &str, &str, Flags); 8] = [
            (
                "store",
                "GOVERNANCE_STORE",
                "redis://env:1",
                "store = 'redis://file:1'",
                Flags { store: Some("redis://flag:1".into()), ..plain.clone() },
            ),
            (
                "durability",
                "GOVERNANCE_DURABILITY",
                "disk",
                "durability = 'disk'",
                Flags { durability: Some("disk".parse().unwrap()), ..plain.clone() },
            ),
            (
                "auto_orchestrate",
                "AUTO_ORCHESTRATE",
                "no",
                "auto_orchestrate = false",
                Flags { auto_orchestrate: Some(false), ..plain.clone() },
            ),
            ("timeout_seconds", "ORCHESTRATION_TIMEOUT", "7", "timeout_seconds = 8", Flags { timeout: Some(seconds), ..plain.clone() }),
            (
                "mode",
                "GOVERNANCE_MODE",
                "openrouter",
                "mode = 'openrouter'",
                Flags { mode: Some("openrouter".parse().unwrap()), ..plain.clone() },
            ),
            ("model", "OPENROUTER_MODEL", "env", "model = 'file'", Flags { model: Some("flag".into()), ..plain.clone() }),
            (
                "base_url",
                "OPENROUTER_BASE_URL",
                "http://env/",
                "base_url = 'http://file/'",
                Flags { base_url: Some("http://flag/".into()), ..plain.clone() },
            ),
            (
                "call_timeout_seconds",
                "GOVERNANCE_CALL_TIMEOUT",
                "7",
                "call_timeout_seconds = 8",
                Flags { call_timeout: Some(seconds), ..plain.clone() },
            ),
        ];
        let file = home.path().join("config.toml");
        for (name, variable, value, line, flags) in cases {
            std::fs::write(&file, "").unwrap();
            let default = shown(&plain, &[], name);
            assert_eq!(default.1, Source::Default, "{name}");
            std::fs::write(&file, line).unwrap();
            let in_file = shown(&plain, &[], name);
            let in_env = shown(&plain, &[(variable, value)], name);
            let flag = shown(&flags, &[(variable, value)], name);
            assert_eq!((in_file.1, in_env.1), (Source::File, Source::Environment(variable)), "{name}");
            assert!(matches!(flag.1, Source::Flag(_)), "{name}");
            assert!([in_file, in_env, flag].iter().all(|found| found.0 != default.0), "{name}");
        }
        let retentions = [("audit_retention_days", "GUVNOR_AUDIT_RETENTION_DAYS"), ("run_retention_days", "GOVERNANCE_RUN_RETENTION_DAYS")];
        for (name, variable) in retentions {
            let days = |said: &[(&str, &str)]| shown(&plain, said, name);
            std::fs::write(&file, "").unwrap();
            assert_eq!(days(&[]), (json!(90), Source::Default));
            std::fs::write(&file, format!("{name} = 0")).unwrap();
            assert_eq!((days(&[]), days(&[(variable, "7")])), ((json!(0), Source::File), (json!(7), Source::Environment(variable))));
        }
        assert_eq!(shown(&plain, &[("GOVERNANCE_TENANT", "acme")], "tenant"), (json!("acme"), Source::Environment("GOVERNANCE_TENANT")));
    }

    #[test]
    fn nothing_secret_is_shown() {
        let home = tempfile::tempdir().unwrap();
        let flags = Flags { home: Some(home.path().into()), ..Flags::default() };
        let secret = [
            ("GOVERNANCE_STORE", "redis://:hunter2@h:1"),
            ("OPENROUTER_API_KEY", "hunter2"),
            ("OPENROUTER_BASE_URL", "https://hunter2:hunter2@h/v1?key=hunter2"),
        ];
        let settings =
            Config::settings(&flags, |asked| secret.iter().find(|(name, _)| *name == asked).map(|(_, value)| (*value).to_owned()));
        let text = format!("{:?}", settings.unwrap());
        assert!(!text.contains("hunter2") && text.contains("set, not shown") && text.contains("https://hidden@h/v1?hidden"), "{text}");
    }
}

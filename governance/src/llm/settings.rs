//! Which model thinks: what is configured, and told to agents in processes of their own. It holds no secret.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{LocalModel, Model};
use crate::error::Result;
use crate::vocabulary::{Ports, named};

/// Where models are asked, unless told otherwise.
pub const DEFAULT_BASE_URL: &str = "https://openrouter.ai/api/v1";
/// Which model is asked, unless told otherwise.
pub const DEFAULT_MODEL: &str = "anthropic/claude-sonnet-4";
/// How long an attempt may take, unless told otherwise.
pub const DEFAULT_DEADLINE: Duration = Duration::from_secs(60);

named! {
    /// Where agents get their thoughts from.
    pub enum Mode {
        /// A server that speaks the OpenAI protocol, OpenRouter unless another is named.
        OpenRouter = "openrouter",
        /// This machine, without a network.
        Local = "local",
    }
}

/// Which model thinks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelSettings {
    /// Where.
    pub mode: Mode,
    /// Which, where there are several.
    pub model: String,
    /// At which address.
    pub base_url: String,
    /// How long an attempt may take.
    pub deadline: Duration,
    /// What is staged instead of some of its answers.
    pub script: Option<ScriptText>,
}

/// A scenario as it was written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ScriptText {
    /// The file's name, for errors.
    pub name: String,
    /// What is in it.
    pub text: String,
}

impl Default for ModelSettings {
    fn default() -> Self {
        Self {
            mode: Mode::Local,
            model: DEFAULT_MODEL.to_owned(),
            base_url: DEFAULT_BASE_URL.to_owned(),
            deadline: DEFAULT_DEADLINE,
            script: None,
        }
    }
}

impl ModelSettings {
    /// The model, ready to be asked. The key is looked up through `env`.
    pub fn open(&self, ports: &Ports, env: impl Fn(&str) -> Option<String>) -> Result<Arc<dyn Model>> {
        let model: Arc<dyn Model> = match self.mode {
            Mode::Local => Arc::new(LocalModel),
            Mode::OpenRouter => self.remote(env)?,
        };
        match &self.script {
            Some(script) => self.scripted(script, model, ports),
            None => Ok(model),
        }
    }

    #[cfg(feature = "llm")]
    fn remote(&self, env: impl Fn(&str) -> Option<String>) -> Result<Arc<dyn Model>> {
        let key = env(super::API_KEY).filter(|key| !key.trim().is_empty());
        let key = key.ok_or_else(|| {
            let missing = format!("{} is not set: it takes the key of `{}`; `--mode local` needs none", super::API_KEY, self.base_url);
            crate::error::Error::invalid("no_key", missing)
        })?;
        Ok(Arc::new(super::RemoteModel::open(&self.base_url, &self.model, key.trim().into())?))
    }

    #[cfg(feature = "llm")]
    #[expect(clippy::unused_self, reason = "the same shape with and without the feature")]
    fn scripted(&self, script: &ScriptText, model: Arc<dyn Model>, ports: &Ports) -> Result<Arc<dyn Model>> {
        let scenario = super::Scenario::parse(&script.name, &script.text)?;
        Ok(Arc::new(super::ScriptedModel::new(scenario, model, ports.clock.clone())))
    }

    #[cfg(not(feature = "llm"))]
    fn remote(&self, _env: impl Fn(&str) -> Option<String>) -> Result<Arc<dyn Model>> {
        Err(left_out(&format!("the mode `{}`", self.mode)))
    }

    #[cfg(not(feature = "llm"))]
    fn scripted(&self, script: &ScriptText, _model: Arc<dyn Model>, _ports: &Ports) -> Result<Arc<dyn Model>> {
        Err(left_out(&format!("the script `{}`", script.name)))
    }
}

#[cfg(not(feature = "llm"))]
fn left_out(what: &str) -> crate::error::Error {
    crate::error::Error::invalid("left_out", format!("{what} is not part of this build: it needs the feature `llm`"))
}

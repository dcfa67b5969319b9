//! Preflight: what is looked at before an agent changes anything. Named checks, each with its time, each with a reason.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::Desk;
use crate::error::{Error, Result};
use crate::ledger::Action;
use crate::store::to_json;
use crate::vocabulary::{AgentId, Clock, Millis, millis};

/// How long a check may take, unless said otherwise.
pub const CHECK_TIME: Duration = Duration::from_secs(10);
/// The most checks of one preflight.
const MAX_CHECKS: usize = 64;
/// The longest name of a check, in bytes.
const MAX_NAME: usize = 256;
/// The longest reason that is kept, in characters.
const MAX_REASON: usize = 500;

/// What a check comes to: nothing, or why it fails.
pub(super) type Found = std::result::Result<(), String>;

/// One thing to look at before work begins.
pub struct Check {
    name: String,
    within: Duration,
    look: Pin<Box<dyn Future<Output = Found> + Send>>,
}

/// What came of a check.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CheckResult {
    /// Its name.
    pub name: String,
    /// Whether it passed.
    pub passed: bool,
    /// Why not, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// How long it took, in milliseconds.
    pub took: u64,
}

/// What came of a preflight; what `agent:{id}:preflight` holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PreflightReport {
    /// Whose.
    pub agent_id: AgentId,
    /// Whether every check passed, and none was missing that the profile asks for.
    pub passed: bool,
    /// Each check.
    pub checks: Vec<CheckResult>,
    /// When.
    pub at: Millis,
}

impl Check {
    /// A check of one's own: anything that ends with nothing, or with why it fails.
    pub fn new(name: impl Into<String>, look: impl Future<Output = std::result::Result<(), String>> + Send + 'static) -> Self {
        Self { name: name.into(), within: CHECK_TIME, look: Box::pin(look) }
    }

    /// The same, with other time.
    #[must_use]
    pub fn within(mut self, span: Duration) -> Self {
        self.within = span;
        self
    }

    /// The same, under another name.
    pub(super) fn called(mut self, name: &str) -> Self {
        name.clone_into(&mut self.name);
        self
    }

    async fn run(self, clock: &dyn Clock) -> CheckResult {
        let Self { name, within, look } = self;
        let begun = clock.elapsed();
        // In a task of its own: a check that panics or never gives way fails, and nothing else does.
        let mut task = tokio::spawn(look);
        let found = match tokio::time::timeout(within, &mut task).await {
            Ok(Ok(found)) => found,
            Ok(Err(_)) => Err("the check itself failed".to_owned()),
            Err(_) => {
                task.abort();
                Err(format!("the check took longer than {} ms", within.as_millis()))
            }
        };
        let reason = found.err().map(|why| why.chars().take(MAX_REASON).collect());
        CheckResult { name, passed: reason.is_none(), reason, took: millis(clock.elapsed().saturating_sub(begun)) }
    }
}

impl std::fmt::Debug for Check {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Check").field("name", &self.name).field("within", &self.within).finish_non_exhaustive()
    }
}

impl Desk {
    /// Looks whether work can begin: the usual checks (`store`, `admission`, `lock`, `budget`, `profile`, `root`), and these. The result is kept and
    /// recorded; one that fails keeps the agent out of EXECUTE, where its profile wants a preflight, until a later one passes.
    pub async fn preflight(&self, checks: Vec<Check>) -> Result<PreflightReport> {
        if checks.len() > MAX_CHECKS {
            return Err(Error::invalid("too_many_checks", format!("a preflight has at most {MAX_CHECKS} checks")));
        }
        if checks.iter().any(|check| check.name.is_empty() || check.name.len() > MAX_NAME) {
            return Err(Error::invalid("bad_check", format!("the name of a check has 1 to {MAX_NAME} bytes")));
        }
        let mut results = Vec::new();
        for check in self.usual_checks().into_iter().chain(checks) {
            results.push(check.run(&*self.store().ports().clock).await);
        }
        for wanted in &self.guard().policy().profile().governance.preflight_checks {
            if !results.iter().any(|result| result.name == *wanted) {
                let reason = Some("the profile asks for this check, and nobody made it".to_owned());
                results.push(CheckResult { name: wanted.clone(), passed: false, reason, took: 0 });
            }
        }
        let report = PreflightReport {
            agent_id: self.actor().id.clone(),
            passed: results.iter().all(|result| result.passed),
            checks: results,
            at: self.store().ports().clock.now(),
        };
        // INVARIANT: the gate is open only while the last preflight that is written down has passed.
        self.gate.set_passed(false);
        let key = self.store().keys().agent_preflight(&self.actor().id);
        self.recorder
            .record(self.store(), Action::Preflight, self.subject(), &report, async |token| {
                self.store().apply(self.actor().commit().token(token).put(key, to_json(&report)?)).await.map(drop)
            })
            .await?;
        self.gate.set_passed(report.passed);
        Ok(report)
    }

    /// The usual checks, unless a preflight has passed. Also where the profile asks for none: a guard may be given another one later. What they find
    /// is in the report, and no error.
    pub(super) async fn first_preflight(&self) -> Result<()> {
        if self.gate.has_passed() {
            return Ok(());
        }
        let report = self.preflight(Vec::new()).await?;
        for failed in report.checks.iter().filter(|check| !check.passed) {
            tracing::warn!(agent = %report.agent_id, check = failed.name, reason = failed.reason, "a preflight check failed");
        }
        Ok(())
    }
}

//! The native half of a preflight that JavaScript makes checks for.

use std::sync::Mutex as Once;
use std::sync::PoisonError;

use ::governance::agent::{KnownCheck, Look, Looked, Looking};
use napi::bindgen_prelude::Either;
use napi_derive::napi;
use serde_json::Value;
use tokio::sync::Mutex;

use crate::agent::Agent;
use crate::error::Result;
use crate::house::House;
use crate::json::{given, span, text as written};

/// A preflight under way.
#[napi]
pub struct Preflight {
    house: House,
    looking: Mutex<Looking>,
}

/// A check that JavaScript makes.
#[napi]
pub struct Check {
    look: Once<Option<Look>>,
    name: String,
}

#[napi]
impl Agent {
    /// Begins one, with these checks by name: what each looks at, or none where JavaScript makes it.
    #[napi]
    pub fn preflight(&self, text: String) -> Result<Preflight> {
        given!(text => checks: Vec<(String, Option<KnownCheck>)>, within: Option<Value>);
        self.house.check()?;
        let looking = self.core.looking(checks, within.as_ref().map(span).transpose()?);
        Ok(Preflight { house: self.house.clone(), looking: Mutex::new(looking) })
    }
}

#[napi]
impl Preflight {
    /// The next check to make, or the report as JSON.
    #[napi]
    pub async fn next(&self) -> Result<Either<Check, String>> {
        let next = self.house.ask(async { self.looking.lock().await.next().await }).await?;
        Ok(match next {
            Looked::Check(look) => {
                let name = look.name().to_owned();
                Either::A(Check { look: Once::new(Some(look)), name })
            }
            Looked::Done(report) => Either::B(written(&report)?),
        })
    }
}

#[napi]
impl Check {
    #[napi(getter)]
    pub fn name(&self) -> String {
        self.name.clone()
    }

    /// What it found: nothing, or why it fails. Only the first word counts, and only in time.
    #[napi]
    pub fn tell(&self, why: Option<String>) {
        if let Some(look) = self.look.lock().unwrap_or_else(PoisonError::into_inner).take() {
            look.tell(why);
        }
    }
}

//! A tool's calls that were begun, by number: JavaScript ends each of them.

use std::collections::HashMap;
use std::os::fd::IntoRawFd;
use std::sync::{Mutex, MutexGuard, PoisonError};

use ::governance::guard::policy::Request;
use ::governance::guard::{Arguments, Call, Running, Terms};
use ::governance::{Error as Core, ErrorKind, Result as Answer};
use napi::bindgen_prelude::within_runtime_if_available;
use napi_derive::napi;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::agent::Agent;
use crate::error::Result;
use crate::json::{exact, given, is_canonical, read, span};

/// The calls of an agent that are under way.
#[derive(Default)]
pub struct Calls(Mutex<Open>);

#[derive(Default)]
struct Open {
    calls: HashMap<u32, Under>,
    left: HashMap<u32, Running>,
    last: u32,
}

struct Under {
    call: Call,
    // Ends the watch over it, where there is one.
    watched: Option<CancellationToken>,
}

impl Calls {
    fn open(&self) -> MutexGuard<'_, Open> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn add(&self, call: Call) -> u32 {
        let mut open = self.open();
        // Never 0: that says that there is none.
        let mut number = open.last.wrapping_add(1).max(1);
        while open.calls.contains_key(&number) || open.left.contains_key(&number) {
            number = number.wrapping_add(1).max(1);
        }
        open.last = number;
        open.calls.insert(number, Under { call, watched: None });
        number
    }

    fn with<R>(&self, number: u32, look: impl FnOnce(&mut Under) -> Answer<R>) -> Answer<R> {
        let over = || Core::new(ErrorKind::Conflict, "call_ended", "this call has ended already");
        self.open().calls.get_mut(&number).ok_or_else(over).and_then(look)
    }

    /// Ends a call; nothing if it has ended already.
    fn end(&self, number: u32, end: impl FnOnce(Call) -> Answer<()>) -> Answer<()> {
        let under = self.open().calls.remove(&number);
        Self::close(under, end)
    }

    /// Ends a call whose tool may go on: it runs until that is told to be gone.
    fn leave(&self, number: u32, end: impl FnOnce(Call) -> Answer<()>) -> Answer<()> {
        let mut open = self.open();
        let under = open.calls.remove(&number);
        if let Some(under) = &under {
            open.left.insert(number, under.call.running());
        }
        drop(open);
        Self::close(under, end)
    }

    fn close(under: Option<Under>, end: impl FnOnce(Call) -> Answer<()>) -> Answer<()> {
        let Some(Under { call, watched }) = under else { return Ok(()) };
        if let Some(watched) = watched {
            watched.cancel();
        }
        // What an end leads to is settled on the runtime.
        within_runtime_if_available(|| end(call))
    }
}

/// What a tool is to its guard.
#[napi]
pub struct Tool {
    action: String,
    terms: Terms,
    risks: Vec<String>,
}

#[napi]
impl Tool {
    /// From the text of its terms.
    #[napi(constructor)]
    pub fn new(text: String) -> Result<Self> {
        given!(
            text => action: String, target: Option<String>, within: Option<Value>, waiting: Option<Value>, approval: Option<String>, risks: Option<Vec<String>>,
            counting_failures: Option<bool>
        );
        let terms = Terms {
            within: within.as_ref().map(span).transpose()?,
            waiting: waiting.as_ref().map(span).transpose()?,
            approval: approval.map(|id| id.parse()).transpose()?,
            counting_failures,
        };
        Request { target: target.as_deref(), ..Request::new(&action) }.check()?;
        terms.check()?;
        Ok(Self { action, terms, risks: risks.unwrap_or_default() })
    }
}

impl Tool {
    fn risks(&self) -> Vec<&str> {
        self.risks.iter().map(String::as_str).collect()
    }

    fn request<'a>(&'a self, target: Option<&'a str>, path: Option<&'a str>, risks: &'a [&'a str]) -> Request<'a> {
        Request { action: &self.action, target, path, risks }
    }
}

/// A call's arguments, which come as JSON of their own.
fn arguments(text: String) -> Result<Arguments> {
    if is_canonical(&text) { Ok(Arguments::canonical(text)) } else { Ok(Arguments::of(&exact(read(&text)?)?)) }
}

#[napi]
impl Agent {
    /// Begins a tool's call without waiting: its number, or 0 where it takes a round trip to say. One that has risks always does.
    #[napi]
    pub fn try_begin(&self, tool: &Tool, given: String, target: Option<String>, path: Option<String>) -> Result<u32> {
        self.house.check()?;
        let (risks, arguments) = (tool.risks(), arguments(given)?);
        let request = tool.request(target.as_deref(), path.as_deref(), &risks);
        match within_runtime_if_available(|| self.core.try_begin_call(&request, &arguments, &tool.terms))? {
            Some(call) => Ok(self.calls.add(call)),
            None => Ok(0),
        }
    }

    /// The same, waiting. The terms are the tool's, as it was made from them.
    #[napi]
    pub async fn begin(&self, terms: String, asked: String) -> Result<u32> {
        given!(asked => given: String, target: Option<String>, path: Option<String>);
        let (tool, arguments) = (Tool::new(terms)?, arguments(given)?);
        let risks = tool.risks();
        let request = tool.request(target.as_deref(), path.as_deref(), &risks);
        let call = self.house.ask(self.core.begin_call(&request, &arguments, &tool.terms)).await?;
        Ok(self.calls.add(call))
    }

    #[napi]
    pub fn call_done(&self, number: u32) -> Result<()> {
        Ok(self.calls.end(number, Call::done)?)
    }

    #[napi]
    pub fn call_failed(&self, number: u32, code: String) -> Result<()> {
        Ok(self.calls.end(number, |call| call.failed(&code))?)
    }

    #[napi]
    pub fn call_lost(&self, number: u32, code: String) -> Result<()> {
        Ok(self.calls.end(number, |call| call.lost(&code))?)
    }

    /// Its tool would be called with something else: throws that.
    #[napi]
    pub fn call_changed(&self, number: u32) -> Result<()> {
        Ok(self.calls.end(number, |call| Err(call.changed()))?)
    }

    /// Nobody knows what it did, and its tool may go on until `callGone`.
    #[napi]
    pub fn call_left(&self, number: u32, code: String) -> Result<()> {
        Ok(self.calls.leave(number, |call| call.lost(&code))?)
    }

    /// What was left behind has ended.
    #[napi]
    pub fn call_gone(&self, number: u32) {
        let gone = self.calls.open().left.remove(&number);
        drop(gone);
    }

    /// Where its path really leads.
    #[napi]
    pub fn call_path(&self, number: u32) -> Result<String> {
        let none = || Core::invalid("no_path", "this call names no path");
        let path = self.calls.with(number, |under| under.call.granted().place.as_ref().map(|place| place.path()).ok_or_else(none))?;
        Ok(path.to_string_lossy().into_owned())
    }

    /// The file that is there, open: to `r`ead, to `w`rite anew, or `x`, made.
    #[napi]
    pub fn call_open(&self, number: u32, mode: String) -> Result<i32> {
        let none = || Core::invalid("no_path", "this call names no path");
        let place = self.calls.with(number, |under| under.call.granted().place.clone().ok_or_else(none))?;
        let opened = match &*mode {
            "r" => place.read(),
            "w" => place.write(),
            _ => place.create(),
        };
        Ok(opened?.into_raw_fd())
    }

    /// Whether the agent is admitted, as far as is known without waiting. Throws once it is not.
    #[napi]
    pub fn call_is_admitted(&self, number: u32) -> Result<bool> {
        Ok(self.calls.with(number, |under| under.call.is_admitted())?)
    }

    /// The same, asking the store.
    #[napi]
    pub async fn call_check(&self, number: u32) -> Result<()> {
        let asking = self.calls.with(number, |under| Ok(under.call.ask()))?;
        self.house.ask(asking).await
    }

    /// Waits until the call has ended, or throws why it has to; of its time so many milliseconds are gone.
    #[napi]
    pub async fn call_over(&self, number: u32, gone: f64) -> Result<()> {
        let gone = span(&Value::from(gone))?;
        let watching = self.calls.with(number, |under| Ok((under.call.until_over(gone), under.watched.get_or_insert_default().clone())));
        // Ended before anybody watched.
        let Ok((over, watched)) = watching else { return Ok(()) };
        tokio::select! {
            biased;
            () = watched.cancelled() => Ok(()),
            why = self.house.ask(async { Err(over.await) }) => why,
        }
    }
}

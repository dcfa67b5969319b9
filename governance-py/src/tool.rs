//! Governed tools: what a tool is, and a call of it that was begun.

use std::os::fd::IntoRawFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ::governance::guard::path::Place as Found;
use ::governance::guard::policy::Request;
use ::governance::guard::{Arguments, Call as Begun, Running, Terms};
use ::governance::vocabulary::ApprovalId;
use ::governance::{Error, ErrorKind, Result, process};
use pyo3::exceptions::{PyException, PyTimeoutError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyString, PyTuple};
use tokio::sync::Notify;

use crate::answer::Answer;
use crate::arguments::{Parameter, Parameters, steady};
use crate::error::raise;
use crate::given::{Named, Span};
use crate::hosted::{Hosted, Kept, Place};
use crate::living::Living;

type Answered<'py> = PyResult<Bound<'py, PyAny>>;

/// Where a tool's target or path comes from.
enum Source {
    /// Always the same.
    Always(String),
    /// What the tool is given under this name, or in order at this place; or else its default.
    Given { name: String, place: Option<usize>, default: Option<Py<PyAny>> },
}

/// What a tool is to its guard.
#[pyclass(name = "_Tool", module = "governance._governance", frozen)]
pub struct Tool {
    target: Option<Source>,
    path: Option<Source>,
    parameters: Parameters,
    described: Described,
}

/// What is the same in each of its calls.
#[derive(Clone)]
struct Described {
    action: String,
    terms: Terms,
    risks: Vec<String>,
}

impl Described {
    fn risks(&self) -> Vec<&str> {
        self.risks.iter().map(String::as_str).collect()
    }

    fn request<'a>(&'a self, asked: &'a Asked, risks: &'a [&'a str]) -> Request<'a> {
        Request { action: &self.action, target: asked.target.as_deref(), path: asked.path.as_deref(), risks }
    }
}

#[pymethods]
impl Tool {
    #[new]
    #[allow(clippy::too_many_arguments, reason = "made in one place, by Python's own reading of a signature")]
    #[pyo3(signature = (
        action, positional, only_positional, skipped, named, rest, others, defaults, *,
        target=None, target_from=None, path=None, path_from=None, timeout=None, waiting=None, approval=None, risks=None, counting_failures=None,
    ))]
    fn new(
        action: String,
        positional: Vec<String>,
        only_positional: usize,
        skipped: usize,
        named: Vec<String>,
        rest: Option<String>,
        others: Option<String>,
        defaults: &Bound<'_, PyDict>,
        target: Option<String>,
        target_from: Option<String>,
        path: Option<String>,
        path_from: Option<String>,
        #[pyo3(from_py_with = timeout)] timeout: Option<Span>,
        waiting: Option<Span>,
        approval: Option<Named<ApprovalId>>,
        #[pyo3(from_py_with = risks)] risks: Option<Vec<String>>,
        counting_failures: Option<bool>,
    ) -> PyResult<Self> {
        let py = defaults.py();
        let each = |names: Vec<String>| names.into_iter().map(|name| Parameter::new(py, name)).collect();
        let parameters = Parameters { positional: each(positional), skipped, only_positional, named: each(named), rest, others };
        let source = |what: &str, always: Option<String>, from: Option<String>| match (always, from) {
            (Some(_), Some(_)) => Err(raise(py, &unclear(format!("`{what}` and `{what}_from` exclude each other")))),
            (Some(always), None) => Ok(Some(Source::Always(always))),
            (None, None) => Ok(None),
            (None, Some(name)) => {
                let place = parameters.place(&name);
                if !parameters.has(&name) {
                    let many = [&parameters.rest, &parameters.others].into_iter().flatten().any(|own| *own == name);
                    let why =
                        if many { "holds any number of values: name a parameter that holds one" } else { "is no parameter of the tool" };
                    return Err(raise(py, &unclear(format!("`{what}_from`: `{name}` {why}"))));
                }
                let default = defaults.get_item(&name)?.map(Bound::unbind);
                Ok(Some(Source::Given { name, place, default }))
            }
        };
        let (target, path) = (source("target", target, target_from)?, source("path", path, path_from)?);
        let (within, waiting, approval) = (timeout.map(|span| span.0), waiting.map(|span| span.0), approval.map(|id| id.0));
        let terms = Terms { within, waiting, approval, counting_failures };
        let risks = risks.unwrap_or_default();
        let always = match &target {
            Some(Source::Always(target)) => Some(&**target),
            _ => None,
        };
        let request = Request { target: always, ..Request::new(&action) };
        request.check().and_then(|()| terms.check()).map_err(|error| raise(py, &error))?;
        Ok(Self { target, path, parameters, described: Described { action, terms, risks } })
    }
}

/// How long a tool may take.
fn timeout(given: &Bound<'_, PyAny>) -> PyResult<Option<Span>> {
    let py = given.py();
    given.extract().map_err(|error: PyErr| match error.is_instance_of::<PyTypeError>(py) {
        true => error,
        false => raise(py, &Error::invalid("invalid_span", format!("`timeout`: {}", error.value(py)))),
    })
}

fn risks(given: &Bound<'_, PyAny>) -> PyResult<Option<Vec<String>>> {
    // A text is a sequence of texts.
    let wrong = || raise(given.py(), &unclear("`risks` takes a list of texts, as `[\"irreversible\"]`".to_owned()));
    if given.is_instance_of::<PyString>() { Err(wrong()) } else { given.extract().map_err(|_| wrong()) }
}

/// What one call of a tool asks for, beside what all of them do.
#[derive(PartialEq)]
struct Asked {
    target: Option<String>,
    path: Option<String>,
    arguments: Arguments,
}

impl Tool {
    fn asked(&self, args: &Bound<'_, PyTuple>, kwargs: Option<&Bound<'_, PyDict>>) -> PyResult<Asked> {
        let text = |source: &Option<Source>| source.as_ref().map(|source| source.text(args, kwargs)).transpose().map(Option::flatten);
        Ok(Asked { target: text(&self.target)?, path: text(&self.path)?, arguments: self.parameters.arguments(args, kwargs)? })
    }
}

impl Source {
    /// What it says in this call. Nothing where a call says none, as Python has it: then there is nothing to be touched.
    fn text(&self, args: &Bound<'_, PyTuple>, kwargs: Option<&Bound<'_, PyDict>>) -> PyResult<Option<String>> {
        let py = args.py();
        let (name, place, default) = match self {
            Self::Always(text) => return Ok(Some(text.clone())),
            Self::Given { name, place, default } => (name, place, default),
        };
        let in_order = place.and_then(|place| args.get_item(place).ok());
        let value = match in_order {
            Some(value) => Some(value),
            None => kwargs.map(|kwargs| kwargs.get_item(name)).transpose()?.flatten(),
        };
        let value = value.or_else(|| default.as_ref().map(|default| default.bind(py).clone()));
        let Some(value) = value else { return Err(PyTypeError::new_err(format!("the argument `{name}` is missing"))) };
        if value.is_none() {
            return Err(raise(py, &unclear(format!("the argument `{name}` says what is touched: it cannot be none"))));
        }
        let value = value.getattr_opt("__fspath__")?.map_or(Ok(value), |path| path.call0())?;
        // A default is not among the arguments, where this is asked of all.
        if let Ok(text) = value.cast::<PyString>() {
            steady(text)?;
        }
        value.extract().map(Some).map_err(|_| raise(py, &unclear(format!("the argument `{name}` says what is touched: it takes a text"))))
    }
}

fn unclear(why: String) -> Error {
    Error::invalid("unclear_tool", why)
}

impl Living {
    /// Begins a call without a round trip, where that can be.
    pub fn begin_now<'py>(
        own: &Hosted<Self>,
        py: Python<'py>,
        tool: &Tool,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> PyResult<Option<Call>> {
        let asked = tool.asked(args, kwargs)?;
        let call = own.look(py, |living| {
            let _entered = own.place().handle().enter();
            let of = &tool.described;
            living.agent.try_begin_call(&of.request(&asked, &of.risks()), &asked.arguments, &of.terms)
        })?;
        Ok(call.map(|call| Call::new(own, call, asked)))
    }

    /// Begins a call, and waits for the store where that must be.
    pub fn begin<'py>(
        own: &Hosted<Self>,
        place: &Place,
        py: Python<'py>,
        tool: &Tool,
        args: &Bound<'py, PyTuple>,
        kwargs: Option<&Bound<'py, PyDict>>,
    ) -> Answered<'py> {
        let (asked, of) = (tool.asked(args, kwargs)?, tool.described.clone());
        let kept = own.clone();
        own.call_at(place, py, move |living| async move {
            let call = living.agent.begin_call(&of.request(&asked, &of.risks()), &asked.arguments, &of.terms).await?;
            Ok(Call::new(&kept, call, asked))
        })
    }
}

/// A call that was begun. It belongs to the process that began it.
#[pyclass(name = "_Call", module = "governance._governance", frozen)]
pub struct Call {
    process: u32,
    call: Mutex<Option<Begun>>,
    asked: Asked,
    // Outlives the call: the last handle on a store waits for its threads.
    _kept: Arc<Kept<Living>>,
    place: Place,
}

impl Call {
    fn new(own: &Hosted<Living>, call: Begun, asked: Asked) -> Self {
        Self { process: process::id(), call: Mutex::new(Some(call)), asked, _kept: own.kept(), place: own.place().clone() }
    }

    fn slot(&self) -> Result<MutexGuard<'_, Option<Begun>>> {
        if self.process != process::id() {
            return Err(Error::invalid("forked", "this call was begun before a fork: its end is its parent's to tell"));
        }
        Ok(self.call.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn end(&self, py: Python<'_>, end: impl FnOnce(Begun) -> Result<()>) -> PyResult<()> {
        // What an end leads to is settled on the runtime.
        let _entered = self.place.handle().enter();
        let taken = self.slot().map(|mut slot| slot.take());
        taken.and_then(|call| call.map_or(Ok(()), end)).map_err(|error| raise(py, &error))
    }

    fn with<R>(&self, py: Python<'_>, look: impl FnOnce(&Begun) -> Result<R>) -> PyResult<R> {
        let over = || Error::new(ErrorKind::Conflict, "call_ended", "this call has ended already");
        self.slot().and_then(|slot| slot.as_ref().ok_or_else(over).and_then(look)).map_err(|error| raise(py, &error))
    }

    fn found(&self, py: Python<'_>) -> PyResult<Found> {
        let none = || Error::invalid("no_path", "this call names no path");
        self.with(py, |call| call.granted().place.clone().ok_or_else(none))
    }
}

#[pymethods]
impl Call {
    /// Refuses if the tool would be called with anything else than what was decided on: whoever waits leaves others time to change it.
    fn same(&self, py: Python<'_>, tool: &Tool, args: &Bound<'_, PyTuple>, kwargs: Option<&Bound<'_, PyDict>>) -> PyResult<()> {
        if tool.asked(args, kwargs)? == self.asked {
            return Ok(());
        }
        self.end(py, |call| Err(call.changed()))
    }

    /// That its tool runs, for who leaves it behind.
    fn running(&self, py: Python<'_>) -> PyResult<StillRunning> {
        self.with(py, |call| Ok(StillRunning { running: Mutex::new(Some(call.running())), ended: Notify::new() }))
    }

    /// It was done.
    fn done(&self, py: Python<'_>) -> PyResult<()> {
        self.end(py, Begun::done)
    }

    /// It ended with an exception: failed, or nobody knows. Never in that exception's way.
    fn raised(&self, py: Python<'_>, error: &Bound<'_, PyAny>) -> PyResult<()> {
        let code = match error.getattr("code").and_then(|code| code.extract::<String>()) {
            Ok(code) => code,
            Err(_) => error.get_type().name()?.to_string(),
        };
        let kind = error.getattr("kind").and_then(|kind| kind.extract::<String>()).unwrap_or_default();
        let late = error.is_instance_of::<PyTimeoutError>() || ["unavailable", "deadline"].contains(&&*kind);
        // Whoever is interrupted, cancelled or made to exit was stopped somewhere in between.
        let lost = late || !error.is_instance_of::<PyException>();
        let ended = self.end(py, |call| if lost { call.lost(&code) } else { call.failed(&code) });
        match ended {
            Err(refused) if refused.value(py).getattr("code").is_ok_and(|code| code.eq("forked").unwrap_or(false)) => Err(refused),
            _ => Ok(()),
        }
    }

    /// Nobody knows what it did.
    fn lost(&self, py: Python<'_>, code: &str) -> PyResult<()> {
        self.end(py, |call| call.lost(code))
    }

    /// Waits until its tool has ended, which runs elsewhere; raises once the call has to end before, of whose time so many seconds are gone already.
    fn wait(&self, py: Python<'_>, running: &StillRunning, gone: Span) -> PyResult<()> {
        let over = self.with(py, |call| Ok(call.until_over(gone.0)))?;
        let waited = crate::runtime::wait(py, self.place.handle(), async {
            Ok(tokio::select! { biased; () = running.ended.notified() => None, why = over => Some(why) })
        })?;
        let Some(why) = waited else { return Ok(()) };
        self.end(py, |call| call.dropped(&why))?;
        Err(raise(py, &why))
    }

    /// It took too long: raises that.
    fn late(&self, py: Python<'_>) -> PyResult<()> {
        let late = self.with(py, |call| Ok(call.late()))?;
        self.end(py, |call| call.dropped(&late))?;
        Err(raise(py, &late))
    }

    /// How long it may take, in seconds.
    #[getter]
    fn time(&self, py: Python<'_>) -> PyResult<f64> {
        self.with(py, |call| Ok(call.time().as_secs_f64()))
    }

    /// The place that the path leads to, as an absolute path.
    #[getter]
    fn path(&self, py: Python<'_>) -> PyResult<std::path::PathBuf> {
        Ok(self.found(py)?.path())
    }

    /// The file that is there, open: to `r`ead, to `w`rite anew, or `x`, made.
    fn open(&self, py: Python<'_>, mode: &str) -> PyResult<i32> {
        let found = self.found(py)?;
        let opened = match mode.as_bytes().first() {
            Some(b'r') => found.read(),
            Some(b'w') => found.write(),
            _ => found.create(),
        };
        opened.map(IntoRawFd::into_raw_fd).map_err(|error| raise(py, &error))
    }

    /// Refuses once the agent's admission has ended; false where the store has to be asked.
    fn is_admitted(&self, py: Python<'_>) -> PyResult<bool> {
        self.dropping(py, |call| call.is_admitted())
    }

    /// The same, asking the store.
    fn check(&self, py: Python<'_>) -> PyResult<()> {
        let asking = self.with(py, |call| Ok(call.ask()))?;
        let answered = crate::runtime::wait(py, self.place.handle(), async { Ok(asking.await) })?;
        self.dropping(py, |_| answered)
    }

    /// The same, awaited.
    fn ask<'py>(&self, py: Python<'py>) -> Answered<'py> {
        let asking = self.with(py, |call| Ok(call.ask()))?;
        self.place.awaited().answer(py, asking)
    }

    /// Raises once the call has to end, of whose time so many seconds are gone already.
    fn over<'py>(&self, py: Python<'py>, gone: Span) -> Answered<'py> {
        let over = self.with(py, |call| Ok(call.until_over(gone.0)))?;
        self.place.awaited().answer::<(), _>(py, async move { Err(over.await) })
    }
}

impl Call {
    /// Whoever is not admitted any more is dropped where it stands.
    fn dropping<R>(&self, py: Python<'_>, look: impl FnOnce(&Begun) -> Result<R>) -> PyResult<R> {
        let looked = self.with(py, |call| Ok(look(call)))?;
        looked.map_err(|error| {
            let told = self.end(py, |call| call.dropped(&error));
            told.err().unwrap_or_else(|| raise(py, &error))
        })
    }
}

/// A tool that was left behind and goes on: as long as it does, its process confirms no stop.
#[pyclass(name = "_StillRunning", module = "governance._governance", frozen)]
pub struct StillRunning {
    running: Mutex<Option<Running>>,
    ended: Notify,
}

#[pymethods]
impl StillRunning {
    /// It has ended.
    fn ended(&self) {
        drop(self.running.lock().unwrap_or_else(PoisonError::into_inner).take());
        self.ended.notify_one();
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        let call = self.call.get_mut().unwrap_or_else(PoisonError::into_inner).take();
        if self.process == process::id() {
            let _entered = self.place.handle().enter();
            drop(call);
        } else {
            // The parent of this fork tells its end.
            std::mem::forget(call);
        }
    }
}

impl Answer for Call {
    fn answer<'py>(self, py: Python<'py>, _: &Place) -> Answered<'py> {
        Ok(Bound::new(py, self)?.into_any())
    }
}

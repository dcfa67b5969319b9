//! A call that asyncio awaits.
//!
//! It begins when it is first awaited. What can be answered at once is: the future is looked at on the loop's own thread, and only what has to wait moves
//! to the runtime, which rings the loop's bell when it is done.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;

use ::governance::{Error, Result};
use futures_util::FutureExt;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use tokio::runtime::Handle;
use tokio::task::AbortHandle;

use crate::answer::Answer;
use crate::desk::{Bell, Ticket, running_loop};
use crate::error::raise;
use crate::hosted::Place;
use crate::{gate, runtime};

type Begin = Box<dyn FnOnce(Python<'_>) -> PyResult<(State, Option<Py<PyAny>>)> + Send>;
type Read = Box<dyn FnOnce(Python<'_>) -> PyResult<Py<PyAny>> + Send>;

enum State {
    Made(Begin),
    Begun { ticket: Option<(Ticket, AbortHandle)>, read: Read },
    Over,
}

/// A call: `begin()`, wait for the future it answers if it answers one, `answer()`; `end()` however that went.
#[pyclass(frozen, name = "_Call", module = "governance._governance")]
pub struct Call(Mutex<State>);

impl Call {
    fn replace(&self, state: State) -> State {
        std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), state)
    }
}

#[pymethods]
impl Call {
    /// Begins. Answers what is to be waited for, if anything is.
    fn begin(&self, py: Python<'_>) -> PyResult<Option<Py<PyAny>>> {
        // Begun later than it was made, perhaps after a fork.
        let _inside = gate::enter(py).map_err(|error| raise(py, &error))?;
        let State::Made(begin) = self.replace(State::Over) else { return Err(raise(py, &Error::internal("a call was begun twice"))) };
        let (begun, future) = begin(py)?;
        self.replace(begun);
        Ok(future)
    }

    /// Its answer.
    fn answer(&self, py: Python<'_>) -> PyResult<Py<PyAny>> {
        let _inside = gate::enter(py).map_err(|error| raise(py, &error))?;
        match self.replace(State::Over) {
            State::Begun { read, .. } => read(py),
            _ => Err(raise(py, &Error::internal("a call was not begun"))),
        }
    }

    /// Nobody waits for it any more.
    fn end(&self, py: Python<'_>) -> PyResult<()> {
        let _inside = gate::enter(py).map_err(|error| raise(py, &error))?;
        if let State::Begun { ticket: Some((ticket, task)), .. } = self.replace(State::Over) {
            task.abort();
            ticket.give_back();
        }
        Ok(())
    }
}

/// A coroutine of a call.
pub fn coroutine<'py, R: Answer>(
    py: Python<'py>,
    place: &Place,
    future: impl Future<Output = Result<R>> + Send + 'static,
) -> PyResult<Bound<'py, PyAny>> {
    static COROUTINE: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let place = place.clone();
    let begin: Begin = Box::new(move |py| begin(py, place, future));
    COROUTINE.import(py, "governance._coroutine", "coroutine")?.call1((Call(Mutex::new(State::Made(begin))),))
}

fn begin<R: Answer>(
    py: Python<'_>,
    place: Place,
    future: impl Future<Output = Result<R>> + Send + 'static,
) -> PyResult<(State, Option<Py<PyAny>>)> {
    place.check_process().map_err(|error| raise(py, &error))?;
    let running = running_loop(py).map_err(|error| raise(py, &error))?;
    let mut future = Box::pin(future);
    if let Poll::Ready(value) = py.detach(|| runtime::glance(place.handle(), future.as_mut())) {
        let read: Read = Box::new(move |py| read(py, value, &place));
        return Ok((State::Begun { ticket: None, read }, None));
    }
    let (ticket, awaited) = Ticket::new(&running)?;
    let (bell, number) = ticket.bell();
    let slot = Arc::new(Slot { value: Mutex::new(None), handle: place.handle().clone() });
    let task = place.handle().spawn({
        let ringing = Ringing { bell, number };
        let slot = slot.clone();
        async move {
            let _ringing = ringing;
            let ended = AssertUnwindSafe(future).catch_unwind().await;
            slot.put(ended.unwrap_or_else(|_| Err(Error::internal("a call did not end"))));
        }
    });
    let read: Read = Box::new(move |py| {
        let value = slot.take().unwrap_or_else(|| Err(Error::unavailable("no_runtime", "the interpreter is ending")));
        read(py, value, &place)
    });
    Ok((State::Begun { ticket: Some((ticket, task.abort_handle())), read }, Some(awaited.unbind())))
}

fn read<R: Answer>(py: Python<'_>, value: Result<R>, place: &Place) -> PyResult<Py<PyAny>> {
    value.map_err(|error| raise(py, &error))?.answer(py, place).map(Bound::unbind)
}

/// Rings when a call is over, however it ended.
struct Ringing {
    bell: Arc<Bell>,
    number: u64,
}

impl Drop for Ringing {
    fn drop(&mut self) {
        self.bell.ring(self.number);
    }
}

/// Where an answer waits to be read.
struct Slot<R: Send + 'static> {
    value: Mutex<Option<Result<R>>>,
    handle: Handle,
}

impl<R: Send> Slot<R> {
    fn put(&self, value: Result<R>) {
        *self.value.lock().unwrap_or_else(PoisonError::into_inner) = Some(value);
    }

    fn take(&self) -> Option<Result<R>> {
        self.value.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl<R: Send> Drop for Slot<R> {
    fn drop(&mut self) {
        // What nobody read can be the last handle on a store, which waits for its threads: not with the interpreter held.
        if let Some(Ok(value)) = self.take()
            && Handle::try_current().is_err()
        {
            drop(self.handle.spawn(async move { drop(value) }));
        }
    }
}

//! What a handle of Python's holds: something of the core, where it lives, and how its calls are answered.

use std::any::Any;
use std::mem::ManuallyDrop;
use std::ops::Deref;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use ::governance::{Error, Result, process};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use crate::answer::Answer;
use crate::call::coroutine;
use crate::error::raise;
use crate::gate::{self, Inside};
use crate::runtime::{self, wait};

/// How calls are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mode {
    /// By a coroutine.
    Async,
    /// When they are done.
    Blocking,
}

impl Mode {
    /// The module with the classes for it.
    fn module(self) -> &'static str {
        match self {
            Self::Async => "governance._handles",
            Self::Blocking => "governance.blocking",
        }
    }

    /// That of a class of Python's.
    pub fn of(class: &Bound<'_, PyAny>) -> PyResult<Self> {
        Ok(if class.getattr("_blocking")?.is_truthy()? { Self::Blocking } else { Self::Async })
    }
}

/// Where something lives: a process, its runtime, and what it was opened from.
#[derive(Clone)]
pub struct Place {
    process: u32,
    mode: Mode,
    handle: Handle,
    closed: Arc<Closing>,
}

/// Whether this was closed: as a flag too, because those that ask a token take turns.
#[derive(Default)]
struct Closing {
    is_closed: AtomicBool,
    token: CancellationToken,
}

impl Place {
    pub fn new(py: Python<'_>, mode: Mode) -> PyResult<Self> {
        let handle = gate::enter(py).and_then(|_inside| runtime::handle()).map_err(|error| raise(py, &error))?;
        Ok(Self { process: process::id(), mode, handle, closed: Arc::default() })
    }

    pub fn mode(&self) -> Mode {
        self.mode
    }

    /// The runtime of its process.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// The same place, for who awaits.
    pub fn awaited(&self) -> Self {
        Self { mode: Mode::Async, ..self.clone() }
    }

    /// The same place, for who waits.
    pub fn waited(&self) -> Self {
        Self { mode: Mode::Blocking, ..self.clone() }
    }

    /// Whether calls still make sense here.
    fn check(&self) -> Result<()> {
        self.check_process()?;
        if self.closed.is_closed.load(Ordering::Acquire) { Err(closed()) } else { Ok(()) }
    }

    pub fn check_process(&self) -> Result<()> {
        if self.process == process::id() {
            return Ok(());
        }
        Err(Error::invalid("forked", "this was opened before a fork: open it again in this process"))
    }

    /// Begins something at once, and answers with its end.
    pub fn begin<R: Send + 'static>(
        &self,
        future: impl Future<Output = Result<R>> + Send + 'static,
    ) -> impl Future<Output = Result<R>> + Send + 'static {
        let task = self.handle.spawn(future);
        async move { task.await.unwrap_or_else(|e| Err(Error::internal("what was begun did not end").because(e))) }
    }

    /// Ends a call when this is closed. One that was under way may have happened.
    fn until_closed<R, F: Future<Output = Result<R>>>(&self, future: F) -> impl Future<Output = Result<R>> + use<R, F> {
        let token = self.closed.token.clone();
        async move {
            if token.is_cancelled() {
                return Err(closed());
            }
            tokio::select! {
                biased;
                done = future => done,
                () = token.cancelled() => Err(closed()),
            }
        }
    }

    /// Answers with what a future answers: now, or by a coroutine that begins when it is awaited.
    pub fn answer<'py, R: Answer, F>(&self, py: Python<'py>, future: F) -> PyResult<Bound<'py, PyAny>>
    where
        F: Future<Output = Result<R>> + Send + 'static,
    {
        match self.mode {
            Mode::Blocking => wait(py, &self.handle, future)?.answer(py, self),
            Mode::Async => coroutine(py, self, future),
        }
    }

    /// Opens something: what is answered can be awaited or, at once, be a context manager.
    pub fn open<'py, R: Answer, F>(&self, py: Python<'py>, future: F) -> PyResult<Bound<'py, PyAny>>
    where
        F: Future<Output = Result<R>> + Send + 'static,
    {
        static OPENING: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        let _inside = gate::enter(py).map_err(|error| raise(py, &error))?;
        let answer = self.answer(py, future)?;
        if self.mode == Mode::Blocking { Ok(answer) } else { OPENING.import(py, "governance._coroutine", "Opening")?.call1((answer,)) }
    }

    /// Something that lives here, as Python's class for it.
    pub fn host<'py, T: Send + Sync + 'static>(&self, py: Python<'py>, class: &str, value: T) -> PyResult<Bound<'py, PyAny>> {
        let _inside = gate::enter(py).map_err(|error| raise(py, &error))?;
        let made: Box<dyn Any + Send + Sync> = Box::new(Hosted::new(self.clone(), value));
        py.import(self.mode.module())?.getattr(class)?.call1((Made(Mutex::new(Some(made))),))
    }
}

fn closed() -> Error {
    Error::invalid("closed", "this was closed: open it again")
}

/// What a class of Python's is made from: nobody else can make one.
#[pyclass(frozen, name = "_Made", module = "governance._governance")]
pub struct Made(Mutex<Option<Box<dyn Any + Send + Sync>>>);

impl Made {
    pub fn take<T: Send + Sync + 'static>(&self) -> PyResult<Hosted<T>> {
        let made = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let made = made.and_then(|made| made.downcast::<Hosted<T>>().ok());
        made.map(|made| *made).ok_or_else(|| pyo3::exceptions::PyTypeError::new_err("handles are opened, not made"))
    }
}

/// Something of the core, with its place. It belongs to the process that made it.
#[derive(Clone)]
pub struct Hosted<T: Send>(Arc<Kept<T>>);

impl<T: Send + Sync + 'static> Hosted<T> {
    pub fn new(place: Place, value: T) -> Self {
        Self(Arc::new(Kept { place, value: ManuallyDrop::new(value) }))
    }

    pub fn place(&self) -> &Place {
        &self.0.place
    }

    /// What is held, for whoever needs it longer than this handle.
    pub fn kept(&self) -> Arc<Kept<T>> {
        self.0.clone()
    }

    /// Goes in, if calls still make sense here.
    fn enter(&self, py: Python<'_>) -> PyResult<Inside> {
        let inside = gate::enter(py).and_then(|inside| self.place().check().map(|()| inside));
        inside.map_err(|error| raise(py, &error))
    }

    /// Looks at something that is known without waiting.
    pub fn look<R>(&self, py: Python<'_>, look: impl FnOnce(&T) -> Result<R>) -> PyResult<R> {
        // Nothing here lets go of the interpreter, so nobody need know that somebody is inside: until an error becomes one of Python's.
        let looked = gate::check(py).and_then(|()| self.place().check()).and_then(|()| look(&self.0));
        looked.map_err(|error| {
            let _inside = gate::enter(py);
            raise(py, &error)
        })
    }

    /// Carries a call out.
    pub fn call<'py, R: Answer, F>(&self, py: Python<'py>, begin: impl FnOnce(Arc<Kept<T>>) -> F) -> PyResult<Bound<'py, PyAny>>
    where
        F: Future<Output = Result<R>> + Send + 'static,
    {
        self.call_at(self.place(), py, begin)
    }

    /// The same, answered as another place does.
    pub fn call_at<'py, R: Answer, F>(
        &self,
        place: &Place,
        py: Python<'py>,
        begin: impl FnOnce(Arc<Kept<T>>) -> F,
    ) -> PyResult<Bound<'py, PyAny>>
    where
        F: Future<Output = Result<R>> + Send + 'static,
    {
        let _inside = self.enter(py)?;
        place.answer(py, place.until_closed(begin(self.0.clone())))
    }

    /// Carries out a call that may read much: never on the thread of an event loop.
    pub fn call_apart<'py, R: Answer, F>(&self, py: Python<'py>, begin: impl FnOnce(Arc<Kept<T>>) -> F) -> PyResult<Bound<'py, PyAny>>
    where
        F: Future<Output = Result<R>> + Send + 'static,
    {
        self.call(py, |own| {
            let work = begin(own);
            async move {
                // Not answered at once, so it moves to the runtime.
                tokio::task::yield_now().await;
                work.await
            }
        })
    }

    /// Opens something that lives here too.
    pub fn open<'py, R: Answer, F>(&self, py: Python<'py>, begin: impl FnOnce(Arc<Kept<T>>) -> F) -> PyResult<Bound<'py, PyAny>>
    where
        F: Future<Output = Result<R>> + Send + 'static,
    {
        let _inside = self.enter(py)?;
        self.place().open(py, self.place().until_closed(begin(self.0.clone())))
    }

    /// Carries out the last call of this and of everything that was opened from it; nothing if that was done already.
    pub fn close<'py, F>(&self, py: Python<'py>, begin: impl FnOnce(Arc<Kept<T>>) -> F) -> PyResult<Bound<'py, PyAny>>
    where
        F: Future<Output = Result<()>> + Send + 'static,
    {
        let (place, closing) = (self.place().clone(), begin(self.0.clone()));
        let closing = async move {
            if place.closed.is_closed.swap(true, Ordering::AcqRel) {
                return Ok(());
            }
            place.closed.token.cancel();
            closing.await
        };
        let inside = gate::enter(py).and_then(|inside| self.place().check_process().map(|()| inside));
        let _inside = inside.map_err(|error| raise(py, &error))?;
        self.place().answer(py, closing)
    }
}

/// Keeps a value until nobody calls it any more.
pub struct Kept<T: Send> {
    place: Place,
    value: ManuallyDrop<T>,
}

impl<T: Send> Deref for Kept<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.value
    }
}

impl<T: Send> Drop for Kept<T> {
    #[allow(unsafe_code, reason = "the value is dropped here and nowhere else, and only where its threads are")]
    fn drop(&mut self) {
        if self.place.process != process::id() {
            return;
        }
        let (handle, value) = (&self.place.handle, &mut self.value);
        let mut drop_value = || {
            let _entered = handle.enter();
            // SAFETY: `drop` runs once, and nobody sees the value after it.
            unsafe { ManuallyDrop::drop(value) }
        };
        // The last handle on a store waits for its threads: not with the interpreter held, which no thread of the runtime does.
        if Handle::try_current().is_ok() {
            drop_value();
        } else {
            // An interpreter that is ending waits for nothing more.
            Python::attach(|py| gate::enter(py).map(|_inside| py.detach(drop_value))).unwrap_or_default();
        }
    }
}

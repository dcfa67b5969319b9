//! What comes one by one: an iterator, or an asynchronous one.

use ::governance::Result;
use ::governance::coordination::{Cursor, Events, Item, Told};
use futures_util::stream::{BoxStream, Stream, StreamExt, unfold};
use pyo3::exceptions::{PyStopAsyncIteration, PyStopIteration};
use pyo3::prelude::*;
use tokio::sync::Mutex;

use crate::answer::{Answer, record, records};
use crate::hosted::{Hosted, Mode, Place};
use crate::json;

type Answered<'py> = PyResult<Bound<'py, PyAny>>;
type Made = Box<dyn for<'py> FnOnce(Python<'py>, &Place) -> Answered<'py> + Send>;

/// One piece, of whichever kind; none at the end.
struct Piece(Option<Made>);

impl Answer for Piece {
    fn answer<'py>(self, py: Python<'py>, place: &Place) -> Answered<'py> {
        match (self.0, place.mode()) {
            (Some(made), _) => made(py, place),
            (None, Mode::Async) => Err(PyStopAsyncIteration::new_err(())),
            (None, Mode::Blocking) => Err(PyStopIteration::new_err(())),
        }
    }
}

fn made<A: Answer>(piece: A) -> Made {
    Box::new(move |py, place| piece.answer(py, place))
}

/// Pieces as they come. Who stops waiting for the next one loses none.
struct Pieces(Hosted<Mutex<BoxStream<'static, Result<Made>>>>);

impl Pieces {
    fn next<'py>(&self, py: Python<'py>) -> Answered<'py> {
        self.0.call(py, |coming| async move { coming.lock().await.next().await.transpose().map(Piece) })
    }
}

/// Pieces to be awaited.
#[pyclass(name = "_Stream", module = "governance._governance", frozen)]
pub struct Awaited(Pieces);

#[pymethods]
impl Awaited {
    fn __aiter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __anext__<'py>(&self, py: Python<'py>) -> Answered<'py> {
        self.0.next(py)
    }
}

/// Pieces to be waited for.
#[pyclass(name = "_Iterator", module = "governance._governance", frozen)]
pub struct Waited(Pieces);

#[pymethods]
impl Waited {
    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> Answered<'py> {
        self.0.next(py)
    }
}

impl Place {
    /// Hands pieces out one by one.
    pub fn stream<'py, A: Answer>(&self, py: Python<'py>, coming: impl Stream<Item = Result<A>> + Send + 'static) -> Answered<'py> {
        let pieces = Pieces(Hosted::new(self.clone(), Mutex::new(coming.map(|piece| piece.map(made)).fuse().boxed())));
        Ok(match self.mode() {
            Mode::Async => Bound::new(py, Awaited(pieces))?.into_any(),
            Mode::Blocking => Bound::new(py, Waited(pieces))?.into_any(),
        })
    }
}

/// Says which fields an event has in Python, behind its cursor.
macro_rules! events {
    ($($core:ty => $class:literal { $($field:ident),+ })+) => { $(
        impl $crate::stream::Event for $core {
            fn with<'py>(self, py: Python<'py>, place: &$crate::hosted::Place, cursor: Cursor) -> PyResult<Bound<'py, PyAny>> {
                let Self { $($field,)+ .. } = self;
                let fields = [cursor.answer(py, place) $(, $crate::answer::Answer::answer($field, py, place))+];
                $crate::answer::record(py, $class, fields)
            }
        }
    )+ };
}

pub(crate) use events;

/// Something that a log tells.
pub trait Event: Send + 'static {
    fn with<'py>(self, py: Python<'py>, place: &Place, cursor: Cursor) -> Answered<'py>;
}

impl<T: Event> Answer for Item<T> {
    fn answer<'py>(self, py: Python<'py>, place: &Place) -> Answered<'py> {
        match self {
            Self::Event { event, cursor } => event.with(py, place, cursor),
            Self::Missed { gap, cursor } => record(py, "Gap", [cursor.answer(py, place), json::shaped(py, &gap)]),
        }
    }
}

impl Place {
    /// Hands out what a log tells.
    pub fn follow<'py, T: Event + Told>(&self, py: Python<'py>, events: Events<T>) -> Answered<'py> {
        self.stream(py, unfold(events, |mut events| async move { Some((events.item().await, events)) }))
    }
}

/// An answer of one kind, or of the other.
impl<T: Answer, E: Answer> Answer for Result<T, E> {
    fn answer<'py>(self, py: Python<'py>, place: &Place) -> Answered<'py> {
        match self {
            Ok(value) => value.answer(py, place),
            Err(value) => value.answer(py, place),
        }
    }
}

records! {
    Cursor => "Cursor" { lineage, position }
}

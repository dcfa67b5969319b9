//! What comes one by one: an iterator, or an asynchronous one.

use ::governance::coordination::{Cursor, Entries, Gap};
use ::governance::store::Entry;
use ::governance::Result;
use futures_util::stream::{BoxStream, Stream, StreamExt, unfold};
use pyo3::IntoPyObjectExt;
use pyo3::exceptions::{PyStopAsyncIteration, PyStopIteration};
use pyo3::prelude::*;
use tokio::sync::Mutex;

use crate::answer::{Answer, record, records};
use crate::hosted::{Hosted, Mode, Place};

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
        let pieces = Pieces(Hosted::new(self.clone(), Mutex::new(coming.map(|piece| piece.map(made)).boxed())));
        Ok(match self.mode() {
            Mode::Async => Bound::new(py, Awaited(pieces))?.into_any(),
            Mode::Blocking => Bound::new(py, Waited(pieces))?.into_any(),
        })
    }
}

/// Something that a log tells, and where to go on behind it.
pub struct At<T>(pub Cursor, pub T);

/// Follows a log and reads each of its entries, or what was missed of it.
pub fn told<T: Send + 'static>(
    entries: Entries,
    read: impl Fn(Entry) -> Result<T> + Send + 'static,
) -> impl Stream<Item = Result<Result<At<T>, At<Gap>>>> + Send + 'static {
    unfold((entries, read), |(mut entries, read)| async move {
        let next = entries.next().await;
        let cursor = entries.cursor();
        let told = next.and_then(|next| match next {
            Ok(entry) => Ok(Ok(At(cursor, read(entry)?))),
            Err(gap) => Ok(Err(At(cursor, gap))),
        });
        Some((told, (entries, read)))
    })
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

impl Answer for At<Gap> {
    fn answer<'py>(self, py: Python<'py>, place: &Place) -> Answered<'py> {
        let dropped = match self.1 {
            Gap::Dropped { from, through } => Some((from, through)),
            Gap::Recovered => None,
        };
        let dropped = dropped.map(|(from, through)| record(py, "Dropped", [from.answer(py, place), through.answer(py, place)])).transpose()?;
        record(py, "Gap", [self.0.answer(py, place), dropped.into_bound_py_any(py)])
    }
}

//! `Blackboard`.

use ::governance::coordination::{self, BoardEntry, BoardEvent, Cursor, Written};
use ::governance::vocabulary::Section;
use futures_util::stream::unfold;
use pyo3::prelude::*;

use crate::answer::{Answer, handle, record, records, variants};
use crate::given::{Json, Named, Shaped};
use crate::hosted::{Hosted, Made, Place};
use crate::stream::At;

type Answered<'py> = PyResult<Bound<'py, PyAny>>;

/// What the agents of a task know together.
#[pyclass(name = "_Blackboard", module = "governance._governance", frozen, subclass)]
pub struct Blackboard(Hosted<coordination::Blackboard>);

#[pymethods]
impl Blackboard {
    #[new]
    fn new(made: &Made) -> PyResult<Self> {
        made.take().map(Self)
    }

    /// Writes a new entry. Answers its version, 1. A `ConflictError` if the name is taken.
    fn post<'py>(&self, py: Python<'py>, section: Named<Section>, name: String, content: Json) -> Answered<'py> {
        self.0.call(py, move |board| async move { board.post(section.0, &name, &content.0).await })
    }

    /// Replaces a version of an entry; 0 for an entry that is not there yet.
    fn put_if<'py>(&self, py: Python<'py>, section: Named<Section>, name: String, content: Json, version: u64) -> Answered<'py> {
        self.0.call(py, move |board| async move { board.put_if(section.0, &name, &content.0, version).await })
    }

    /// Removes a version of an entry. Its history stays, and its name stays taken.
    fn remove_if<'py>(&self, py: Python<'py>, section: Named<Section>, name: String, version: u64) -> Answered<'py> {
        self.0.call(py, move |board| async move { board.remove_if(section.0, &name, version).await })
    }

    /// One entry, also when it was removed; none if it never was.
    fn entry<'py>(&self, py: Python<'py>, section: Named<Section>, name: String) -> Answered<'py> {
        self.0.call(py, move |board| async move { board.entry(section.0, &name).await })
    }

    /// The entries of a section that were not removed, by name.
    fn entries<'py>(&self, py: Python<'py>, section: Named<Section>) -> Answered<'py> {
        self.0.call(py, move |board| async move { board.entries(section.0).await })
    }

    /// What an entry said, oldest first, as far as the events reach.
    fn history<'py>(&self, py: Python<'py>, section: Named<Section>, name: String) -> Answered<'py> {
        self.0.call(py, move |board| async move { board.history(section.0, &name).await })
    }

    /// Every write behind a cursor, in order, as it comes; what was missed comes as a `Gap`.
    #[pyo3(signature = (after=None))]
    fn events<'py>(&self, py: Python<'py>, after: Option<Shaped<Cursor>>) -> Answered<'py> {
        let events = self.0.look(py, |board| Ok(board.events(after.map_or_else(Cursor::default, |after| after.0))))?;
        self.0.place().stream(py, unfold(events, |mut events| async move {
            let next = events.next().await;
            let cursor = events.cursor();
            Some((next.map(|next| next.map(|event| At(cursor, event)).map_err(|gap| At(cursor, gap))), events))
        }))
    }
}

impl Answer for At<BoardEvent> {
    fn answer<'py>(self, py: Python<'py>, place: &Place) -> Answered<'py> {
        let Self(cursor, BoardEvent { position, at, entry, token }) = self;
        let fields = [cursor.answer(py, place), position.answer(py, place), at.answer(py, place), entry.answer(py, place)];
        record(py, "BoardEvent", fields.into_iter().chain([token.answer(py, place)]))
    }
}

handle!(coordination::Blackboard => "Blackboard");

records! {
    BoardEntry => "BoardEntry" { section, name, version, author, at, content, removed }
}

variants! {
    Written => "Written" { Accepted(version) => "accepted", Conflict(found) => "conflict", }
}

//! `Blackboard`.

use ::governance::coordination::{self, BoardEntry, BoardEvent, Cursor, Written};
use ::governance::vocabulary::Section;
use pyo3::prelude::*;

use crate::answer::{Answer, handle, records, variants};
use crate::given::{Content, Named, Shaped, Whole, cursor};
use crate::hosted::{Hosted, Made};
use crate::stream::events;

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
    fn post<'py>(&self, py: Python<'py>, section: Named<Section>, name: String, content: Content) -> Answered<'py> {
        self.0.call(py, move |board| async move { board.post(section.0, &name, &content.0).await })
    }

    /// Replaces a version of an entry; 0 for an entry that is not there yet.
    fn put_if<'py>(&self, py: Python<'py>, section: Named<Section>, name: String, content: Content, version: Whole<u64>) -> Answered<'py> {
        self.0.call(py, move |board| async move { board.put_if(section.0, &name, &content.0, version.0).await })
    }

    /// Removes a version of an entry. Its history stays, and its name stays taken.
    fn remove_if<'py>(&self, py: Python<'py>, section: Named<Section>, name: String, version: Whole<u64>) -> Answered<'py> {
        self.0.call(py, move |board| async move { board.remove_if(section.0, &name, version.0).await })
    }

    /// One entry, also when it was removed; none if it never was.
    fn entry<'py>(&self, py: Python<'py>, section: Named<Section>, name: String) -> Answered<'py> {
        self.0.call(py, move |board| async move { board.entry(section.0, &name).await })
    }

    /// The entries of a section that were not removed, by name.
    fn entries<'py>(&self, py: Python<'py>, section: Named<Section>) -> Answered<'py> {
        self.0.call_apart(py, move |board| async move { board.entries(section.0).await })
    }

    /// What an entry said, oldest first, as far as the events reach.
    fn history<'py>(&self, py: Python<'py>, section: Named<Section>, name: String) -> Answered<'py> {
        self.0.call_apart(py, move |board| async move { board.history(section.0, &name).await })
    }

    /// Every write behind a cursor, in order, as it comes; what was missed comes as a `Gap`.
    #[pyo3(signature = (after=None))]
    fn events<'py>(&self, py: Python<'py>, after: Option<Shaped<Cursor>>) -> Answered<'py> {
        let events = self.0.look(py, |board| Ok(board.events(cursor(after))))?;
        self.0.place().follow(py, events)
    }
}

events! {
    BoardEvent => "BoardEvent" { position, at, entry, token }
}

handle!(coordination::Blackboard => "Blackboard");

records! {
    BoardEntry => "BoardEntry" { section, name, version, author, at, content, removed }
}

variants! {
    Written => "Written" { Accepted(version) => "accepted", Conflict(found) => "conflict", }
}

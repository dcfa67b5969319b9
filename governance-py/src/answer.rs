//! What the core answers, as Python's own values: plain ones, and the records of `governance.records`.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::time::Duration;

use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDateTime, PyDelta, PyDict, PyList, PyTuple, PyTzInfo};
use serde_json::Value;

use ::governance::agent::AgentHealth;
use ::governance::coordination::DecisionRule;
use ::governance::guard::approval::{ApprovalKind, ApprovalState};
use ::governance::guard::health::{Component, HealthState};
use ::governance::guard::{ReceiptState, Unit};
use ::governance::ledger::{Action, EntryKind, OutcomeResult};
use ::governance::vocabulary::*;

use crate::hosted::Place;
use crate::{json, vocabulary};

/// A value as Python sees it.
pub trait Answer: Send + Sized + 'static {
    fn answer<'py>(self, py: Python<'py>, place: &Place) -> PyResult<Bound<'py, PyAny>>;
}

/// A record of Python's, from its fields in order.
pub fn record<'py>(
    py: Python<'py>,
    class: &str,
    fields: impl IntoIterator<Item = PyResult<Bound<'py, PyAny>>>,
) -> PyResult<Bound<'py, PyAny>> {
    let fields = PyTuple::new(py, fields.into_iter().collect::<PyResult<Vec<_>>>()?)?;
    class_of(py, class)?.call1(fields)
}

fn class_of<'py>(py: Python<'py>, name: &str) -> PyResult<Bound<'py, PyAny>> {
    static RECORDS: PyOnceLock<Py<PyDict>> = PyOnceLock::new();
    let records = RECORDS.get_or_try_init(py, || PyResult::Ok(py.import("governance.records")?.dict().unbind()))?;
    records.bind(py).as_any().get_item(name)
}

/// A record of Python's of which one field says something.
pub fn variant<'py>(py: Python<'py>, class: &str, name: &str, value: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let named = PyDict::new(py);
    named.set_item(name, value)?;
    class_of(py, class)?.call((), Some(&named))
}

/// Says which fields of a record of the core make which record of Python's: `records!(core::Record => "Record" { field, … })`.
macro_rules! records {
    ($($core:ty => $class:literal { $($field:ident),+ $(,)? })+) => { $(
        impl $crate::answer::Answer for $core {
            fn answer<'py>(self, py: Python<'py>, place: &$crate::hosted::Place) -> PyResult<Bound<'py, PyAny>> {
                let Self { $($field,)+ .. } = self;
                $crate::answer::record(py, $class, [$($crate::answer::Answer::answer($field, py, place)),+])
            }
        }
    )+ };
}

/// Says which handle of Python's a handle of the core becomes.
macro_rules! handle {
    ($($core:ty => $class:literal)+) => { $(
        impl $crate::answer::Answer for $core {
            fn answer<'py>(self, py: Python<'py>, place: &$crate::hosted::Place) -> PyResult<Bound<'py, PyAny>> {
                place.host(py, $class, self)
            }
        }
    )+ };
}

/// Says what each variant of an answer is called in Python; exactly one field of such a record says something.
macro_rules! variants {
    ($($core:ty => $class:literal { $($variant:ident $({ $($field:ident),+ } as $record:literal)? $(($value:ident))? => $name:literal,)+ })+) => { $(
        impl $crate::answer::Answer for $core {
            fn answer<'py>(self, py: Python<'py>, place: &$crate::hosted::Place) -> PyResult<Bound<'py, PyAny>> {
                let (name, value) = match self { $(
                    Self::$variant $({ $($field),+ })? $(($value))? => {
                        ($name, $crate::answer::said!(py, place, $({ $($field),+ } $record)? $($value)?))
                    }
                )+ };
                $crate::answer::variant(py, $class, name, value?)
            }
        }
    )+ };
}

/// What a variant says: that it is so, one value, or several.
macro_rules! said {
    ($py:ident, $place:ident, { $($field:ident),+ } $record:literal) => {
        $crate::answer::record($py, $record, [$($crate::answer::Answer::answer($field, $py, $place)),+])
    };
    ($py:ident, $place:ident, $value:ident) => { $crate::answer::Answer::answer($value, $py, $place) };
    ($py:ident, $place:ident,) => { $crate::answer::Answer::answer(true, $py, $place) };
}

pub(crate) use {handle, records, said, variants};

macro_rules! plain {
    ($($plain:ty),+) => { $(
        impl Answer for $plain {
            fn answer<'py>(self, py: Python<'py>, _: &Place) -> PyResult<Bound<'py, PyAny>> {
                self.into_bound_py_any(py)
            }
        }
    )+ };
}

plain!(bool, u32, u64, usize, NonZeroU32, String);

macro_rules! texts {
    ($($named:ty),+) => { $(
        impl Answer for $named {
            fn answer<'py>(self, py: Python<'py>, _: &Place) -> PyResult<Bound<'py, PyAny>> {
                self.as_str().into_bound_py_any(py)
            }
        }
    )+ };
}

texts!(
    Action,
    AgentHealth,
    AgentId,
    ApprovalId,
    ApprovalKind,
    ApprovalState,
    ApproverName,
    Component,
    DecisionRule,
    EntryKind,
    EntryName,
    HealthState,
    LedgerId,
    OutcomeResult,
    PipelineId,
    ProposalId,
    ReceiptState,
    SegmentId,
    Token,
    Unit
);

macro_rules! named {
    ($($named:ty => $class:literal),+ $(,)?) => { $(
        impl Answer for $named {
            fn answer<'py>(self, py: Python<'py>, _: &Place) -> PyResult<Bound<'py, PyAny>> {
                vocabulary::value(py, $class, self.as_str())
            }
        }
    )+ };
}

named!(
    AgentPhase => "AgentPhase",
    AgentRole => "AgentRole",
    AgentStatus => "AgentStatus",
    Capability => "Capability",
    GammaReason => "GammaReason",
    OutputType => "OutputType",
    PromotionStatus => "PromotionStatus",
    RevocationType => "RevocationType",
    Section => "Section",
    Tier => "Tier",
);

impl Answer for () {
    fn answer<'py>(self, py: Python<'py>, _: &Place) -> PyResult<Bound<'py, PyAny>> {
        Ok(py.None().into_bound(py))
    }
}

impl Answer for Value {
    fn answer<'py>(self, py: Python<'py>, _: &Place) -> PyResult<Bound<'py, PyAny>> {
        json::to_python(py, &self)
    }
}

/// A time, in UTC.
impl Answer for Millis {
    fn answer<'py>(self, py: Python<'py>, _: &Place) -> PyResult<Bound<'py, PyAny>> {
        static EPOCH: PyOnceLock<Py<PyDateTime>> = PyOnceLock::new();
        let epoch =
            EPOCH.get_or_try_init(py, || PyDateTime::new(py, 1970, 1, 1, 0, 0, 0, 0, Some(&*PyTzInfo::utc(py)?)).map(Bound::unbind))?;
        let (days, rest) = (self.0 / 86_400_000, self.0 % 86_400_000);
        let days = i32::try_from(days).unwrap_or(i32::MAX);
        let since = PyDelta::new(py, days, (rest / 1000) as i32, (rest % 1000 * 1000) as i32, false)?;
        epoch.bind(py).as_any().add(since)
    }
}

/// A span, in seconds.
impl Answer for Duration {
    fn answer<'py>(self, py: Python<'py>, _: &Place) -> PyResult<Bound<'py, PyAny>> {
        self.as_secs_f64().into_bound_py_any(py)
    }
}

impl<T: Answer> Answer for Option<T> {
    fn answer<'py>(self, py: Python<'py>, place: &Place) -> PyResult<Bound<'py, PyAny>> {
        self.map_or_else(|| ().answer(py, place), |value| value.answer(py, place))
    }
}

impl<T: Answer> Answer for Vec<T> {
    fn answer<'py>(self, py: Python<'py>, place: &Place) -> PyResult<Bound<'py, PyAny>> {
        let items = self.into_iter().map(|item| item.answer(py, place)).collect::<PyResult<Vec<_>>>()?;
        Ok(PyList::new(py, items)?.into_any())
    }
}

impl<K: Answer, V: Answer> Answer for BTreeMap<K, V> {
    fn answer<'py>(self, py: Python<'py>, place: &Place) -> PyResult<Bound<'py, PyAny>> {
        let dict = PyDict::new(py);
        for (key, value) in self {
            dict.set_item(key.answer(py, place)?, value.answer(py, place)?)?;
        }
        Ok(dict.into_any())
    }
}

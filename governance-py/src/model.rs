//! `Model`.

use ::governance::llm::{Charge, ChatMessage, ChatReply};
use pyo3::prelude::*;

use crate::answer::records;
use crate::given::Shaped;
use crate::hosted::{Hosted, Made};

type Answered<'py> = PyResult<Bound<'py, PyAny>>;

/// What thinks for an agent: budgeted, recorded, behind the shared breaker.
#[pyclass(name = "_Model", module = "governance._governance", frozen, subclass)]
pub struct Model(Hosted<::governance::Agent>);

#[pymethods]
impl Model {
    #[new]
    fn new(made: &Made) -> PyResult<Self> {
        made.take().map(Self)
    }

    /// Its name.
    #[getter]
    fn name(&self, py: Python<'_>) -> PyResult<String> {
        self.0.look(py, |agent| Ok(agent.desk().model().port().name().to_owned()))
    }

    /// Whether the breaker is known to be open: calls would be refused.
    fn is_open(&self, py: Python<'_>) -> PyResult<bool> {
        self.0.look(py, |agent| Ok(agent.desk().model().breaker().is_open()))
    }

    /// Asks whatever an agent of one's own asks. The answer is words; nothing checks what they say.
    fn chat<'py>(&self, py: Python<'py>, messages: Shaped<Vec<ChatMessage>>) -> Answered<'py> {
        self.0.call(py, move |agent| async move { agent.desk().model().chat(&messages.0).await })
    }
}

records! {
    ChatReply => "ChatReply" { content, charge }
    Charge => "Charge" { input_tokens, output_tokens, cost, estimated }
}

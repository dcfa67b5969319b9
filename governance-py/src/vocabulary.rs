//! The vocabulary, built from the core's tables when the module is loaded.

use ::governance::vocabulary::{
    self as core, AGENT_PHASES_ORDERED, AgentId, AgentPhase, DEFAULT_LEDGER_PATH, DEFAULT_REDIS_HOST, DEFAULT_REDIS_PORT, Keys, ProjectId,
    table,
};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyDict, PyTuple};

use crate::error::raise;

static ENUMS: PyOnceLock<Py<PyDict>> = PyOnceLock::new();

pub fn add(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    enums(module)?;
    let proxy = py.import("types")?.getattr("MappingProxyType")?;
    for map in table::maps() {
        let rows = PyDict::new(py);
        for (from, to) in map.rows {
            rows.set_item(value(py, map.from, from)?, to.map(|to| value(py, map.to, to)).transpose()?)?;
        }
        module.add(map.name, proxy.call1((rows,))?)?;
    }
    let phases = AGENT_PHASES_ORDERED.iter().map(|phase| value(py, "AgentPhase", phase.as_str()));
    module.add("AGENT_PHASES_ORDERED", PyTuple::new(py, phases.collect::<PyResult<Vec<_>>>()?)?)?;
    module.add("AGENT_PHASE_NAMES", PyTuple::new(py, AgentPhase::ALL.iter().map(|phase| phase.as_str()))?)?;
    module.add("DEFAULT_REDIS_HOST", DEFAULT_REDIS_HOST)?;
    module.add("DEFAULT_REDIS_PORT", DEFAULT_REDIS_PORT)?;
    module.add("DEFAULT_LEDGER_PATH", DEFAULT_LEDGER_PATH)?;
    module.add_class::<RedisKeys>()?;
    module.add_function(wrap_pyfunction!(get_output_type_for_phase, module)?)?;
    module.add_function(wrap_pyfunction!(is_terminal_phase, module)?)?;
    module.add_function(wrap_pyfunction!(next_phase, module)?)
}

/// Texts too, so that JSON and existing code take them as they are.
fn enums(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    let make = py.import("enum")?.getattr("Enum")?;
    let classes = PyDict::new(py);
    for names in table::names() {
        let members: Vec<_> = names.values.iter().map(|value| (value.to_ascii_uppercase(), *value)).collect();
        let named = PyDict::new(py);
        named.set_item("module", "governance")?;
        named.set_item("type", py.get_type::<pyo3::types::PyString>())?;
        let class = make.call((names.name, members), Some(&named))?;
        module.add(names.name, &class)?;
        classes.set_item(names.name, class)?;
    }
    module.add("ViolationSeverity", classes.as_any().get_item("Severity")?)?;
    let _ = ENUMS.set(py, classes.unbind());
    Ok(())
}

/// A value of one of the enums.
pub fn value<'py>(py: Python<'py>, name: &str, spelled: &str) -> PyResult<Bound<'py, PyAny>> {
    let classes = ENUMS.get(py).ok_or_else(|| pyo3::exceptions::PyRuntimeError::new_err("the module is not loaded"))?;
    classes.bind(py).as_any().get_item(name)?.call1((spelled,))
}

fn phase(py: Python<'_>, name: &str) -> PyResult<AgentPhase> {
    name.parse().map_err(|error| raise(py, &error))
}

/// The class of output that a phase yields; none for REVOKED.
#[pyfunction]
#[pyo3(signature = (phase))]
fn get_output_type_for_phase<'py>(py: Python<'py>, phase: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
    let output = core::get_output_type_for_phase(self::phase(py, phase)?);
    output.map(|output| value(py, "OutputType", output.as_str())).transpose()
}

/// Whether nothing follows this phase.
#[pyfunction]
fn is_terminal_phase(py: Python<'_>, phase: &str) -> PyResult<bool> {
    Ok(core::is_terminal_phase(self::phase(py, phase)?))
}

/// The phase after this one; none after EXIT and REVOKED.
#[pyfunction]
fn next_phase<'py>(py: Python<'py>, phase: &str) -> PyResult<Option<Bound<'py, PyAny>>> {
    core::next_phase(self::phase(py, phase)?).map(|next| value(py, "AgentPhase", next.as_str())).transpose()
}

/// The spelling of the default tenant's keys.
#[pyclass(module = "governance", frozen)]
struct RedisKeys;

#[pymethods]
impl RedisKeys {
    /// An agent's state.
    #[staticmethod]
    fn agent_state(py: Python<'_>, agent_id: &str) -> PyResult<String> {
        let id = AgentId::new(agent_id).map_err(|error| raise(py, &error))?;
        Ok(Keys::default().agent_state(&id).to_string())
    }

    /// An agent's execution lock.
    #[staticmethod]
    fn agent_lock(py: Python<'_>, agent_id: &str) -> PyResult<String> {
        let id = AgentId::new(agent_id).map_err(|error| raise(py, &error))?;
        Ok(Keys::default().agent_lock(&id).to_string())
    }

    /// The agents of a project.
    #[staticmethod]
    fn project_agents(py: Python<'_>, project_id: &str) -> PyResult<String> {
        let id = ProjectId::new(project_id).map_err(|error| raise(py, &error))?;
        Ok(Keys::default().project_agents(&id).to_string())
    }
}

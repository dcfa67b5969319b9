//! `import governance`: the core for Python. Nothing here decides anything.

mod answer;
mod blackboard;
mod error;
mod given;
mod governance;
mod hosted;
mod json;
mod runtime;
mod vocabulary;

use pyo3::prelude::*;

#[pymodule]
fn _governance(module: &Bound<'_, PyModule>) -> PyResult<()> {
    error::add(module)?;
    vocabulary::add(module)?;
    runtime::add(module)?;
    module.add_class::<governance::Governance>()?;
    module.add_class::<blackboard::Blackboard>()?;
    // What is public is said by the package's own modules.
    module.delattr("__all__")
}

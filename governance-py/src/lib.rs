//! `import governance`: the core for Python. Nothing here decides anything.

mod blackboard;
mod error;
mod governance;
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
    module.add_class::<blackboard::BoardEntry>()?;
    module.add_class::<blackboard::Written>()?;
    // What is public is said by the package's own modules.
    module.delattr("__all__")
}

//! `import governance`: the core for Python. Nothing here decides anything.

mod agent;
mod answer;
mod approval;
mod arguments;
mod blackboard;
mod budget;
mod bus;
mod call;
mod consensus;
mod desk;
mod error;
mod gate;
mod given;
mod governance;
mod hosted;
mod json;
mod ledger;
mod limits;
mod living;
mod model;
mod policies;
mod preflight;
mod program;
mod promotions;
mod register;
mod revocation;
mod runtime;
mod step;
mod stream;
mod tool;
mod vocabulary;

use pyo3::prelude::*;

#[pymodule]
fn _governance(module: &Bound<'_, PyModule>) -> PyResult<()> {
    ::governance::guard::name_runtime("python");
    error::add(module)?;
    vocabulary::add(module)?;
    runtime::add(module)?;
    module.add_class::<desk::Desk>()?;
    module.add_class::<governance::Governance>()?;
    module.add_class::<blackboard::Blackboard>()?;
    module.add_class::<agent::Agent>()?;
    module.add_class::<step::Step>()?;
    module.add_class::<model::Model>()?;
    module.add_class::<preflight::Preflight>()?;
    module.add_class::<preflight::Check>()?;
    module.add_class::<tool::Tool>()?;
    module.add_class::<bus::MessageBus>()?;
    module.add_class::<bus::Delivery>()?;
    module.add_class::<budget::ErrorBudget>()?;
    module.add_class::<budget::Allowance>()?;
    module.add_class::<budget::Reservation>()?;
    module.add_class::<revocation::RevocationEngine>()?;
    module.add_class::<approval::Approvals>()?;
    module.add_class::<policies::Policies>()?;
    module.add_class::<promotions::Promotions>()?;
    module.add_class::<limits::Limits>()?;
    module.add_class::<consensus::Consensus>()?;
    module.add_class::<ledger::Ledger>()?;
    module.add_class::<ledger::Head>()?;
    module.add_function(wrap_pyfunction!(program::_run, module)?)?;
    // What is public is said by the package's own modules.
    module.delattr("__all__")
}

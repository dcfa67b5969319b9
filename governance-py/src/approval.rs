//! `Approvals`.

use std::path::PathBuf;

use ::governance::guard::approval::{self, Approval, ApprovalRequest, ApprovalVerdict, Given, KeyFile, Signed, Statement, Uncounted, Used};
use ::governance::vocabulary::ApprovalId;
use ::governance::{Error, Result};
use pyo3::prelude::*;

use crate::answer::{handle, records};
use crate::given::{Named, Shaped, Span, Whole};
use crate::hosted::{Hosted, Made};

type Answered<'py> = PyResult<Bound<'py, PyAny>>;

/// The queue of a home: no approver's key may lie in it.
pub struct Queue {
    pub(crate) approvals: approval::Approvals,
    pub(crate) home: PathBuf,
}

impl Queue {
    /// Opens an approver's key.
    fn key(&self, file: PathBuf, passphrase: Option<String>) -> Result<approval::ApproverKey> {
        let missing = || Error::invalid("no_passphrase", "the key is encrypted: give its passphrase");
        KeyFile::at(&file, &self.home)?.open(|| passphrase.map(Into::into).ok_or_else(missing))
    }
}

/// What people are asked to approve.
#[pyclass(name = "_Approvals", module = "governance._governance", frozen, subclass)]
pub struct Approvals(Hosted<Queue>);

#[pymethods]
impl Approvals {
    #[new]
    fn new(made: &Made) -> PyResult<Self> {
        made.take().map(Self)
    }

    /// The newest requests that are still known, oldest first.
    fn list<'py>(&self, py: Python<'py>, last: Whole<u64>) -> Answered<'py> {
        self.0.call_apart(py, move |queue| async move { queue.approvals.list(last.0).await })
    }

    /// A request, and where it stands.
    fn approval<'py>(&self, py: Python<'py>, id: Named<ApprovalId>) -> Answered<'py> {
        self.0.call(py, move |queue| async move { queue.approvals.approval(&id.0).await })
    }

    /// Waits until it stands open no more, at most so long. Answers where it stands then.
    fn wait<'py>(&self, py: Python<'py>, id: Named<ApprovalId>, within: Span) -> Answered<'py> {
        self.0.call(py, move |queue| async move { queue.approvals.wait(&id.0, within.0).await })
    }

    /// Signs a verdict on a request as it was shown, and hands it in.
    #[allow(clippy::too_many_arguments, reason = "as Python calls it")]
    #[pyo3(signature = (id, hash, verdict, key_file, *, passphrase=None, note=None))]
    fn decide<'py>(
        &self,
        py: Python<'py>,
        id: Named<ApprovalId>,
        hash: String,
        verdict: Named<ApprovalVerdict>,
        key_file: PathBuf,
        passphrase: Option<String>,
        note: Option<String>,
    ) -> Answered<'py> {
        // Opening a key takes its time: not on a loop's thread.
        self.0.call_apart(py, move |queue| async move {
            let key = queue.key(key_file, passphrase)?;
            queue.approvals.decide(&key, &id.0, &hash, verdict.0, note.as_deref()).await
        })
    }

    /// Takes what an approver signed elsewhere.
    fn submit<'py>(&self, py: Python<'py>, signed: Shaped<Signed<Statement>>) -> Answered<'py> {
        self.0.call(py, move |queue| async move { queue.approvals.submit(&signed.0).await })
    }
}

handle!(Queue => "Approvals");

records! {
    Approval => "Approval" { request, hash, arguments, state, approved, denied, used, uncounted }
    ApprovalRequest => "ApprovalRequest" {
        id, kind, agent, pipeline, action, target, path, arguments, risks, phase, reason, policy, quorum, administrator, asked_at, deadline
    }
    Given => "ApprovalGiven" { approver, administrator, at, note }
    Used => "ApprovalUse" { token, at }
    Uncounted => "Uncounted" { approver, why }
}

//! What a person must approve, and what became of it. ADR 12.
//!
//! ```text
//!   ask ─▶ request: who, what, the arguments' digest, until when, how many people        store (arguments with a deadline), ledger (digest only)
//!             │ show, on a person's terminal
//!             ▼
//!   a registered approver's key signs: this request, approve or deny                     store and ledger
//!             │
//!             ▼
//!   redeem: everything is verified again by whoever is about to act ─▶ one commit, once ─▶ it runs
//! ```
//!
//! Nobody believes a word "approved" in the store: signatures are checked, by the process that uses them, against the keys that the ledger knows
//! to be registered.

mod asked;
mod evidence;
mod keeping;
mod key;
mod open;
mod process;
mod queue;
mod registry;
mod shown;
mod state;
mod statement;
mod submit;
mod superseding;
mod waiting;

pub use asked::{ApprovalKind, ApprovalRequest, Asked, MAX_ARGUMENTS, MAX_WITHIN};
pub use key::{ApproverKey, KeyFile};
pub(crate) use process::{MARK, SAID_AGAIN, sit_down};
pub use process::{governed_by, refuse_agents};
pub use queue::Approvals;
pub(crate) use queue::{refusal, told};
pub use registry::{Approver, Approvers, Registration, RegistryChange};
pub use shown::{shown, shown_json};
pub use state::{Approval, ApprovalState, Given, Uncounted, Used};
pub use statement::{ApprovalVerdict, Signed, Statement};

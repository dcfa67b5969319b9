//! Floor 3: the governed agent. What it has in hand, how it lives, and the three that are built in.
//!
//! ```text
//!   governor ── Instruction ──▶ inbox ──▶ live() ──▶ Worker ──▶ Desk ──▶ blackboard, consensus, model (budgeted, recorded)
//!      ▲                                     │
//!      └────────────── Report ◀──────────────┘
//! ```
//!
//! An agent and its governor share nothing but the store, so an agent may as well live in another process.

mod alpha;
mod beta;
mod desk;
mod gamma;
mod life;
mod model;
mod protocol;
mod scores;
mod worker;

pub use alpha::Alpha;
pub use beta::Beta;
pub use desk::{Desk, FAILURE, Proposed};
pub use gamma::Gamma;
pub use life::{GOVERNOR, live};
pub use model::GovernedModel;
pub use protocol::{Instruction, Report, Said, Stage};
pub use scores::scores;
pub use worker::{Worker, built_in};

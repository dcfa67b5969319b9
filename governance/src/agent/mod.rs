//! Floor 3: the governed agent. What it has in hand, how it lives, and the three that are built in.
//!
//! ```text
//!   governor ── Instruction ──▶ inbox ──▶ live() ──▶ Worker ──▶ Desk ──▶ blackboard, consensus, model (budgeted, recorded)
//!      ▲                                     │
//!      └────────────── Report ◀──────────────┘
//! ```
//!
//! An agent and its governor share nothing but the store, so an agent may as well live in another process. There, and in other languages, it is
//! an [`Agent`]: a desk and a life in one.

mod alpha;
mod beta;
mod checks;
mod conduct;
mod desk;
mod evidence;
mod gamma;
mod life;
mod looking;
mod member;
mod model;
mod output;
mod packet;
mod phases;
mod plan;
mod preflight;
mod promotion;
mod protocol;
mod registry;
mod scores;
mod signs;
mod step;
mod stillness;
mod thought;
mod worker;

pub use alpha::Alpha;
pub use beta::Beta;
pub use checks::KnownCheck;
pub(crate) use desk::everything_of;
pub use desk::{Desk, FAILURE};
pub use evidence::{EVIDENCE, Exhibit, package};
pub use gamma::Gamma;
pub use life::{GOVERNOR, Life, live};
pub use looking::{Look, Looked, Looking};
pub(crate) use member::Acquaintance;
pub use member::Agent;
pub use model::GovernedModel;
pub use output::OUTPUTS;
pub use packet::{Instructions, instruct, instruct_by, packet};
pub use preflight::{CHECK_TIME, Check, CheckResult, PreflightReport};
pub use promotion::{Conduct, ProfileStanding, Promotions, Register, Review, Reviews, StandingChange};
pub use protocol::{Instruction, Report, Said, Stage};
pub use registry::{AgentDetail, AgentFilter, AgentHealth, AgentRecord, Registry, Vitals, health};
pub use scores::scores;
pub use signs::AgentEvent;
pub use step::Step;
pub use thought::Proposed;
pub use worker::{Worker, built_in};

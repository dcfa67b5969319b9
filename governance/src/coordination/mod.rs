//! Floor 1: what agents share. Each type stands alone on a [`Store`](crate::store::Store).
//!
//! ```text
//!   Blackboard   what is known      compare-and-set, history, watch
//!   MessageBus   what is said       durable inboxes, signals, request and reply
//!   Consensus    what is decided    frozen electorate, one ballot each, one outcome ever
//!   Lease        who may            fenced
//!   Caretaker    who stays awake    one a tenant
//! ```

mod ballot;
mod blackboard;
mod bus;
mod care;
mod caretaker;
mod consensus;
mod events;
mod follow;
mod lease;
mod mailbox;
mod message;
mod proposal;
mod register;
mod roster;
mod rounds;
mod tally;

pub use blackboard::{BOARD_EVENTS_KEPT, Blackboard, BoardEntry, BoardEvent, BoardEvents, Written};
pub use bus::{BUS_LOG_KEPT, MessageBus, Sent};
pub use care::{Ballots, Inboxes};
pub use caretaker::{
    Alarm, CARETAKER_LEASE, Caretaker, CaretakerStatus, Charge, ChargeKind, Chore, Den, Housekeeping, Keeper, Look, Overdue,
};
pub use consensus::{Cast, Consensus};
pub use events::{BusEvent, Events, Item, Told, VoteEvent, VoteStep};
pub use follow::{Cursor, Follower, Gap, Step};
pub use lease::Lease;
pub use mailbox::{Delivery, MailboxOptions, Overflow};
pub use message::{BusMessage, DeadLetter, MAX_MESSAGE};
pub use proposal::{Electorate, Member, Opening, Proposal, ProposalState};
pub(crate) use rounds::{Comes, Recurrence, Recurring, Rounds};
pub use tally::{Ballot, Choice, DecisionRule, Outcome, Undecided, tally};

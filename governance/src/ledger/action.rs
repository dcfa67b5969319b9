//! What an entry can be about.

use crate::vocabulary::named;

named! {
    /// Whether an entry comes before, after, or beside what it tells of.
    pub enum EntryKind {
        /// Something is about to be done.
        Intent = "intent",
        /// What came of an intent.
        Outcome = "outcome",
        /// Something that is so.
        Note = "note",
    }
}

named! {
    /// How an intent ended.
    pub enum OutcomeResult {
        /// It was done.
        Ok = "ok",
        /// It failed.
        Error = "error",
        /// Nobody can tell: whoever did it died.
        Unknown = "unknown",
    }
}

named! {
    /// What is done.
    pub enum Action {
        /// A segment was opened.
        Open = "open",
        /// A segment was closed by its owner.
        Close = "close",
        /// A dead process's segment was taken over.
        Adopt = "adopt",
        /// A segment was gone before it was read to its end.
        Vanished = "vanished",
        /// A segment was found damaged.
        Damaged = "damaged",
        /// A model is called.
        ModelCall = "model_call",
        /// A tool is called.
        ToolCall = "tool_call",
        /// A ballot is cast.
        Vote = "vote",
        /// A proposal is made.
        Proposal = "proposal",
        /// A decision is made.
        Decision = "decision",
        /// Somebody approves or refuses.
        Approval = "approval",
        /// Somebody may approve from now on, or no longer.
        Approver = "approver",
        /// A message is sent.
        Message = "message",
        /// An agent's rights end.
        Revoke = "revoke",
        /// An agent is started.
        Spawn = "spawn",
        /// A run is taken up by another process, or goes on as its user chose.
        Resume = "resume",
        /// An agent or a pipeline changes its phase.
        Phase = "phase",
        /// An agent puts something out, or shows evidence for it.
        Output = "output",
        /// An agent's governor tells it what to do.
        Instruct = "instruct",
        /// An agent looks whether it can begin.
        Preflight = "preflight",
        /// A way out that the user chose.
        Fallback = "fallback",
        /// Everything is stopped.
        Stop = "stop",
        /// A stop is lifted.
        Lift = "lift",
        /// A store is brought back into use.
        Recover = "recover",
        /// Old payloads are dropped from the record.
        Retention = "retention",
        /// The shared state lets go of a run that ended long ago.
        Retire = "retire",
        /// Something is spent.
        Spend = "spend",
        /// Work is handed to a successor.
        Handoff = "handoff",
        /// A place to go on from is kept.
        Checkpoint = "checkpoint",
        /// A policy changes.
        Policy = "policy",
        /// A rule was broken; shown in the table `violations`.
        Violation = "violation",
        /// An agent rises or falls; shown in the table `promotions`.
        Promotion = "promotion",
        /// A number was measured; shown in the table `agent_metrics`.
        Metric = "metric",
    }
}

impl Action {
    /// Whether an entry about this keeps its payload whatever its age: the ledger's own bookkeeping, and what present rights rest on.
    /// Without them a record could not be checked, nor a lost stop be brought back into force, nor a retired run be told from one that never was. They hold no
    /// content of agents.
    #[must_use]
    pub fn is_kept(self) -> bool {
        use Action::{
            Adopt, Approver, Close, Damaged, Lift, Open, Policy, Promotion, Recover, Retention, Retire, Revoke, Spend, Stop, Vanished,
        };
        matches!(
            self,
            Open | Close
                | Adopt
                | Approver
                | Vanished
                | Damaged
                | Retention
                | Retire
                | Revoke
                | Stop
                | Lift
                | Recover
                | Promotion
                | Policy
                | Spend
        )
    }
}

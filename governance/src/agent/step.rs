//! What comes to an agent's inbox: an instruction of its governor, or something that another agent said.

use super::protocol::{Instruction, Stage};
use crate::coordination::{BusMessage, Delivery};
use crate::vocabulary::{GammaReason, ProposalId};

/// One thing to do. Report it done or failed; one that is neither comes again, to whoever acts as the agent then.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    pub(super) order: Order,
    pub(super) delivery: Delivery,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Order {
    Instruction(Instruction),
    Message(BusMessage),
}

impl Step {
    /// What kind of work it is.
    #[must_use]
    pub fn stage(&self) -> Stage {
        match &self.order {
            Order::Instruction(instruction) => instruction.stage(),
            Order::Message(_) => Stage::Message,
        }
    }

    /// Why a mediator is called, where it is to mediate.
    #[must_use]
    pub fn reason(&self) -> Option<GammaReason> {
        match self.order {
            Order::Instruction(Instruction::Mediate(reason)) => Some(reason),
            _ => None,
        }
    }

    /// What is voted on, where it is to vote.
    #[must_use]
    pub fn proposal(&self) -> Option<&ProposalId> {
        match &self.order {
            Order::Instruction(Instruction::Vote(proposal)) => Some(proposal),
            _ => None,
        }
    }

    /// What was said, where somebody said something.
    #[must_use]
    pub fn message(&self) -> Option<&BusMessage> {
        match &self.order {
            Order::Message(message) => Some(message),
            Order::Instruction(_) => None,
        }
    }
}

//! `Consensus`.

use ::governance::coordination::{
    self, Cast, Choice, Cursor, DecisionRule, Member, Opening, Outcome, Proposal, ProposalState, Undecided, VoteEvent, VoteStep,
};
use ::governance::vocabulary::{AgentId, ProposalId};
use pyo3::IntoPyObjectExt;
use pyo3::prelude::*;

use crate::answer::{Answer, handle, record, records, variants};
use crate::given::{Json, Named, Shaped, Span, Whole, cursor};
use crate::hosted::{Hosted, Made, Place};
use crate::json;
use crate::stream::Event;

type Answered<'py> = PyResult<Bound<'py, PyAny>>;

/// A task's votes.
#[pyclass(name = "_Consensus", module = "governance._governance", frozen, subclass)]
pub struct Consensus(Hosted<coordination::Consensus>);

#[pymethods]
impl Consensus {
    #[new]
    fn new(made: &Made) -> PyResult<Self> {
        made.take().map(Self)
    }

    /// Puts something to the vote. The electorate is frozen.
    #[pyo3(signature = (id, question, options, electorate, within, *, rule=None, quorum=None, sealed=false))]
    #[expect(clippy::too_many_arguments, reason = "what a vote is made of")]
    fn propose<'py>(
        &self,
        py: Python<'py>,
        id: Named<ProposalId>,
        question: Json,
        options: Shaped<Vec<String>>,
        electorate: Shaped<Vec<(AgentId, u32)>>,
        within: Span,
        rule: Option<Named<DecisionRule>>,
        quorum: Option<Whole<u32>>,
        sealed: bool,
    ) -> Answered<'py> {
        let rule = rule.map_or(DecisionRule::Majority, |rule| rule.0);
        let opening = Opening {
            question: question.0,
            options: options.0,
            rule,
            quorum: quorum.map(|quorum| quorum.0),
            electorate: electorate.0,
            within: within.0,
            sealed,
        };
        self.0.call(py, move |consensus| async move { consensus.propose(&id.0, opening).await })
    }

    /// A proposal as it stands; none if there is none.
    fn proposal<'py>(&self, py: Python<'py>, id: Named<ProposalId>) -> Answered<'py> {
        self.0.call(py, move |consensus| async move { consensus.proposal(&id.0).await })
    }

    /// Casts this member's ballot. One a member; the first that is not void stands.
    fn vote<'py>(&self, py: Python<'py>, id: Named<ProposalId>, choice: Shaped<Choice>) -> Answered<'py> {
        self.0.call(py, move |consensus| async move { consensus.vote(&id.0, choice.0).await })
    }

    /// What this member's sealed ballot shows before it is revealed: a hash, in hex.
    fn commitment<'py>(&self, py: Python<'py>, id: Named<ProposalId>, choice: Shaped<Choice>, nonce: String) -> Answered<'py> {
        self.0.call(py, move |consensus| async move { consensus.commitment(&id.0, &choice.0, &nonce) })
    }

    /// Casts a sealed ballot.
    fn commit_vote<'py>(&self, py: Python<'py>, id: Named<ProposalId>, commitment: String) -> Answered<'py> {
        self.0.call(py, move |consensus| async move { consensus.commit_vote(&id.0, commitment).await })
    }

    /// Opens a sealed ballot, once every member has committed or the time for that is over.
    fn reveal<'py>(&self, py: Python<'py>, id: Named<ProposalId>, choice: Shaped<Choice>, nonce: String) -> Answered<'py> {
        self.0.call(py, move |consensus| async move { consensus.reveal(&id.0, choice.0, &nonce).await })
    }

    /// Closes a vote when every member has voted or time is up, and counts. None while ballots can still come.
    fn settle<'py>(&self, py: Python<'py>, id: Named<ProposalId>) -> Answered<'py> {
        self.0.call(py, move |consensus| async move { consensus.settle(&id.0).await })
    }

    /// The outcome, if the proposal is closed. Changes nothing.
    fn settled<'py>(&self, py: Python<'py>, id: Named<ProposalId>) -> Answered<'py> {
        self.0.call(py, move |consensus| async move { consensus.settled(&id.0).await })
    }

    /// Waits for the outcome.
    fn outcome<'py>(&self, py: Python<'py>, id: Named<ProposalId>) -> Answered<'py> {
        self.0.call(py, move |consensus| async move { consensus.outcome(&id.0).await })
    }

    /// Who voted what, as far as it is open.
    fn votes<'py>(&self, py: Python<'py>, id: Named<ProposalId>) -> Answered<'py> {
        self.0.call(py, move |consensus| async move { consensus.votes(&id.0).await })
    }

    /// What happens to the task's proposals behind a cursor, as it happens; what was missed comes as a `Gap`.
    #[pyo3(signature = (after=None))]
    fn events<'py>(&self, py: Python<'py>, after: Option<Shaped<Cursor>>) -> Answered<'py> {
        let events = self.0.look(py, |consensus| Ok(consensus.events(cursor(after)).told::<VoteEvent>()))?;
        self.0.place().follow(py, events)
    }
}

handle!(coordination::Consensus => "Consensus");

impl Answer for Choice {
    fn answer<'py>(self, py: Python<'py>, _: &Place) -> Answered<'py> {
        json::shaped(py, &self)
    }
}

impl Answer for Cast {
    fn answer<'py>(self, py: Python<'py>, _: &Place) -> Answered<'py> {
        record(py, "Cast", [json::shaped(py, &self)])
    }
}

impl Answer for Outcome {
    fn answer<'py>(self, py: Python<'py>, place: &Place) -> Answered<'py> {
        let (outcome, option, reason, counts) = match self {
            Self::Decided { option, counts } => ("decided", Some(option), None, counts),
            Self::Undecided { reason, counts } => ("undecided", None, Some(reason), counts),
        };
        record(py, "Outcome", [outcome.into_bound_py_any(py), option.answer(py, place), reason.answer(py, place), counts.answer(py, place)])
    }
}

impl Event for VoteEvent {
    fn with<'py>(self, py: Python<'py>, place: &Place, cursor: Cursor) -> Answered<'py> {
        let Self { position, at, proposal_id, what } = self;
        let (kind, by, member, state) = match what {
            VoteStep::Opened { by } => ("opened", Some(by), None, None),
            VoteStep::Vote { member } => ("vote", None, Some(member), None),
            VoteStep::Moved { state } => ("moved", None, None, Some(state)),
        };
        let which = [cursor.answer(py, place), position.answer(py, place), at.answer(py, place), proposal_id.answer(py, place)];
        let what = [kind.into_bound_py_any(py), by.answer(py, place), member.answer(py, place), state.answer(py, place)];
        record(py, "VoteEvent", which.into_iter().chain(what))
    }
}

records! {
    Member => "Voter" { id, weight, epoch }
}

impl Answer for Proposal {
    fn answer<'py>(self, py: Python<'py>, place: &Place) -> Answered<'py> {
        let Self { question, options, rule, quorum, electorate, deadline, reveal_until, opened_by, state } = self;
        let what = [question.answer(py, place), options.answer(py, place), rule.answer(py, place), quorum.answer(py, place)];
        let who = [electorate.0.answer(py, place), deadline.answer(py, place), reveal_until.answer(py, place), opened_by.answer(py, place)];
        record(py, "Proposal", what.into_iter().chain(who).chain([state.answer(py, place)]))
    }
}

variants! {
    ProposalState => "ProposalState" { Open => "open", Revealing => "revealing", Closing => "closing", Closed(outcome) => "closed", }
    Undecided => "Undecided" {
        NoQuorum { cast, needed } as "NoQuorum" => "no_quorum",
        Tie(options) => "tie",
        ShortOf { best, got, of } as "ShortOf" => "short_of",
        NoVotes => "no_votes",
    }
}

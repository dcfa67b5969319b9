//! The queue of requests: looked at, waited for, used.

use std::time::Duration;

use serde_json::json;

use super::asked::{ApprovalRequest, Asked};
use super::evidence::Evidence;
use super::registry::Approvers;
use super::state::{Approval, ApprovalState, Ended, Known, Used, are_enough, weigh};
use super::statement::{Signed, Statement};
use super::waiting::Sign;
use crate::error::{Error, ErrorKind, Result};
use crate::guard::alerts::alert;
use crate::guard::recorder::Recorder;
use crate::ledger::{Action, Ledger};
use crate::store::{Actor, Answer, Commit, Outcome, Query, Refused, Store, Versioned, Write, from_json, to_json};
use crate::vocabulary::{AgentId, ApprovalId, Key, PipelineId, Token};

/// How long what became of a request can still be looked at after its deadline.
pub(super) const KEPT: Duration = Duration::from_secs(24 * 60 * 60);
/// The version of a request's cell, which nobody who may writes a second time.
pub(super) const WRITTEN_ONCE: u64 = 1;
/// How long a change may stay unseen where the store's own signal was lost.
const LOOK: Duration = Duration::from_secs(2);

/// Requests for approval, and what becomes of them. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Approvals {
    pub(super) store: Store,
    pub(super) recorder: Recorder,
}

/// A request as it was found, with the versions that its use depends on.
pub(super) struct Looked {
    pub approval: Approval,
    pub version: u64,
    pub arguments: u64,
    pub decisions: u64,
    pub said: Vec<Signed<Statement>>,
    pub approvers: Approvers,
    /// How it ended, as the ledger has it.
    pub told: Option<Ended>,
    // Whether it may still have been used at this moment: its asker is admitted, its time is not over, and nobody denied it.
    is_live: bool,
}

/// What the store holds of a request.
pub(super) struct Found {
    pub request: ApprovalRequest,
    version: u64,
    text: Option<String>,
    arguments: u64,
    decisions: u64,
    said: Vec<Signed<Statement>>,
    ended: Option<Ended>,
}

impl Approvals {
    /// The queue of a store, with the ledger that knows who may approve.
    #[must_use]
    pub fn open(store: &Store, recorder: &Recorder) -> Self {
        Self { store: store.clone(), recorder: recorder.clone() }
    }

    /// A request, and where it stands.
    pub async fn approval(&self, id: &ApprovalId) -> Result<Approval> {
        Ok(self.look(id).await?.approval)
    }

    /// The newest requests that are still known, oldest first.
    pub async fn list(&self, last: u64) -> Result<Vec<Approval>> {
        let evidence = self.evidence().await?;
        let mut approvals = Vec::new();
        for id in self.store.list(self.store.keys().approvals(), last).await? {
            let id = ApprovalId::new(String::from_utf8_lossy(&id))?;
            if let Some(found) = self.found(&id).await? {
                approvals.push(self.weighed(found, &evidence).await?.approval);
            }
        }
        Ok(approvals)
    }

    /// Waits until nothing stands open any more: approved, denied, expired, void or used; at most so long. Answers where it stands then. Cancel safe.
    pub async fn wait(&self, id: &ApprovalId, within: Duration) -> Result<Approval> {
        self.waited(None, id, within).await
    }

    /// The same for whoever asked: while it waits for people it is `waiting`, and its clocks stand still.
    pub(crate) async fn wait_as(&self, actor: &Actor, id: &ApprovalId, within: Duration) -> Result<Approval> {
        let mut sign = Sign::new(&self.store, actor, id);
        let waited = self.waited(Some(&mut sign), id, within).await;
        match sign.over().await {
            // Whose admission has ended waits for nothing.
            Err(error) if waited.is_ok() => Err(error),
            _ => waited,
        }
    }

    async fn waited(&self, mut sign: Option<&mut Sign>, id: &ApprovalId, within: Duration) -> Result<Approval> {
        let (keys, clock) = (self.store.keys(), &self.store.ports().clock);
        let until = clock.elapsed().saturating_add(within);
        let first = self.approval(id).await?;
        let mut watched = vec![keys.approval_decisions(id), keys.approval_use(id)];
        watched.extend(first.request.epochs.keys());
        let mut watch = self.store.watch(&watched).await?;
        loop {
            let approval = self.approval(id).await?;
            let left = until.saturating_sub(clock.elapsed());
            if approval.state != ApprovalState::Pending || left.is_zero() {
                return Ok(approval);
            }
            if let Some(sign) = &mut sign {
                sign.waits(left).await?;
            }
            let _ = tokio::time::timeout(left.min(LOOK), watch.changed()).await;
        }
    }

    /// Uses an approval of exactly this, once: the commit bears the token of the intent that it is used for. Everything is verified here, by whoever
    /// is about to act.
    ///
    /// `approval_required`, `approval_denied`, `approval_superseded`, `approval_expired`, `approval_used`, `approval_void` say where it stands;
    /// `approval_bypass` that it is an approval of something else. Same token, same answer: who asks again with the token that it was used for hears
    /// that it was.
    pub async fn redeem(&self, actor: &Actor, id: &ApprovalId, asked: &Asked, token: &Token) -> Result<Approval> {
        self.redeem_with(actor, id, asked, token, &Commit::default()).await
    }

    /// The same, in one commit with what it is used for. A conflict of that is an error, and nothing is used.
    pub(crate) async fn redeem_with(
        &self,
        actor: &Actor,
        id: &ApprovalId,
        asked: &Asked,
        token: &Token,
        with: &Commit,
    ) -> Result<Approval> {
        let own = [
            self.store.keys().approval(id),
            self.store.keys().approval_arguments(id),
            self.store.keys().approval_decisions(id),
            self.store.keys().approval_use(id),
        ];
        loop {
            let found = self.look(id).await?;
            self.report_uncounted(&found.approval).await?;
            if let Some(again) = used_for(&found, actor, asked, token)? {
                if found.told.is_none() {
                    self.tell_use(&again)?;
                }
                return Ok(again);
            }
            let approval = usable(found.approval, actor, asked)?;
            must_be_untouched(id, found.version)?;
            let keys = self.store.keys();
            let used = Used { token: token.clone(), at: self.store.ports().clock.now() };
            let ttl = Some(approval.request.deadline.since(self.store.now().await?) + KEPT);
            // INVARIANT: one use, before the deadline (its arguments are gone after it), with no word of an approver unseen, by the admission that asked.
            let commit = Commit { admission: actor.admission.clone(), ..with.clone() }
                .token(token.clone())
                .version(keys.approval(id), WRITTEN_ONCE)
                .version(keys.approval_arguments(id), found.arguments)
                .version(keys.approval_decisions(id), found.decisions)
                .absent(keys.approval_use(id))
                .write(Write::Put { cell: keys.approval_use(id).into(), value: to_json(&used)?, ttl, event: None })
                .write(Write::Delete(keys.approval_arguments(id).into()))
                .write(self.broadcast("approval_used", &json!({"approval_id": id, "agent_id": actor.id, "token": token}))?);
            match self.store.commit(commit).await? {
                Outcome::Accepted(_) => {
                    let done = Approval { state: ApprovalState::Used, used: Some(used), ..approval };
                    self.tell_use(&done)?;
                    return Ok(done);
                }
                // Somebody was first, or said something: what it is now tells.
                Outcome::Refused(Refused::Conflict { cell, .. }) if own.contains(&cell.key) => {}
                Outcome::Refused(refused) => return Err(refused.into()),
            }
        }
    }

    fn tell_use(&self, approval: &Approval) -> Result<()> {
        let Some(Used { token, at }) = &approval.used else { return Ok(()) };
        let told = json!({"used": approval.request.id, "token": token, "at": at, "arguments": approval.request.arguments});
        self.recorder.note(&self.store, Action::Approval, subject(&approval.request), &told)
    }

    /// Signatures that do not count are no accident.
    async fn report_uncounted(&self, approval: &Approval) -> Result<()> {
        if approval.uncounted.is_empty() {
            return Ok(());
        }
        let data = json!({"approval_id": approval.request.id, "agent_id": approval.request.agent, "uncounted": approval.uncounted});
        tracing::error!(approval = %approval.request.id, uncounted = ?approval.uncounted, "the store holds approvals that nobody registered has given");
        self.store.apply(Commit::default().write(alert(&self.store, "approval_not_genuine", &data)?)).await.map(drop)
    }

    /// A request with everything that it depends on.
    pub(super) async fn look(&self, id: &ApprovalId) -> Result<Looked> {
        let missing =
            || Error::new(ErrorKind::NotFound, "no_such_approval", format!("there is no request `{id}`: see `governance approvals list`"));
        let found = self.found(id).await?.ok_or_else(missing)?;
        let evidence = self.evidence_of(&found.request.agent).await?;
        self.weighed(found, &evidence).await
    }

    async fn evidence(&self) -> Result<Evidence> {
        Evidence::of(self.ledger()?, self.store.keys().prefix()).await
    }

    /// What the ledger knows of one agent's requests.
    pub(super) async fn evidence_of(&self, agent: &AgentId) -> Result<Evidence> {
        Evidence::by(agent, self.ledger()?, self.store.keys().prefix()).await
    }

    /// What the store holds of a request, which is its own: nothing of it is believed yet.
    pub(super) async fn found(&self, id: &ApprovalId) -> Result<Option<Found>> {
        let keys = self.store.keys();
        let cells = [keys.approval(id), keys.approval_arguments(id), keys.approval_decisions(id), keys.approval_use(id)];
        let [request, arguments, decisions, ended] = self.cells(cells).await?;
        let Some(request) = request else { return Ok(None) };
        let written = request.version;
        let request: ApprovalRequest = from_json("a request for approval", &request.value)?;
        if request.id != *id {
            return Err(Error::corrupt("approval_damaged", format!("`{id}` does not hold the request of this name")));
        }
        let text = arguments.as_ref().map(|found| String::from_utf8_lossy(&found.value).into_owned());
        if text.as_ref().is_some_and(|text| !request.is_of(text)) {
            let message =
                format!("the arguments of `{id}` are not those of which the request holds the hash: somebody wrote into the store");
            return Err(Error::corrupt("approval_damaged", message));
        }
        let said = decisions.as_ref().map_or(Ok(Vec::new()), |found| from_json("approvals", &found.value))?;
        let ended = ended.map(|ended| from_json("the end of an approval", &ended.value)).transpose()?;
        let version = |cell: Option<Versioned>| cell.map_or(0, |found| found.version);
        Ok(Some(Found { request, version: written, text, arguments: version(arguments), decisions: version(decisions), said, ended }))
    }

    /// Where it stands, by what the ledger knows.
    pub(super) async fn weighed(&self, found: Found, evidence: &Evidence) -> Result<Looked> {
        let Found { request, version, text, arguments, decisions, said: stored, ended } = found;
        let told = evidence.ended(&request.id).cloned();
        // Of a use the ledger has the last word. Of a plan that is another, the store: only it knows whether a use came first.
        let ended = match &told {
            Some(Ended::Used(_)) => told.clone(),
            _ => ended.or_else(|| told.clone()),
        };
        let said: Vec<_> = stored.iter().chain(evidence.denials(&request.id)).cloned().collect();
        let keys = self.store.keys();
        let here =
            request.ledger == *self.ledger()?.id() && request.tenant == keys.prefix() && request.lineage == self.store.lineage().await?;
        let admitted = here && self.still_admitted(&request).await?;
        let now = self.store.now().await?;
        let is_in_time = now < request.deadline;
        let approval = weigh(request, text, Known { said: &said, approvers: &evidence.approvers, ended, admitted, now });
        let is_live = admitted && is_in_time && approval.denied.is_none();
        Ok(Looked { approval, version, arguments, decisions, said: stored, approvers: evidence.approvers.clone(), told, is_live })
    }

    async fn still_admitted(&self, request: &ApprovalRequest) -> Result<bool> {
        match self.store.still_admitted(&request.actor()).await {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == ErrorKind::Revoked => Ok(false),
            Err(error) => Err(error),
        }
    }

    async fn cells<const N: usize>(&self, keys: [Key; N]) -> Result<[Option<Versioned>; N]> {
        let queries = keys.map(|key| Query::Cell(key.into()));
        let mut answers = self.store.read(&queries).await?.into_iter();
        let mut cells = [const { None }; N];
        for cell in &mut cells {
            let Some(Answer::Cell(found)) = answers.next() else { return Err(Error::internal("a store answered another question")) };
            *cell = found;
        }
        Ok(cells)
    }

    /// The ledger: without one nobody is registered, and nothing can be approved.
    pub(super) fn ledger(&self) -> Result<&Ledger> {
        self.recorder.ledger().ok_or_else(|| {
            Error::new(
                ErrorKind::Denied,
                "no_record",
                "approvals need a ledger, which knows who may give them: open the store with its home",
            )
        })
    }

    pub(super) fn broadcast(&self, kind: &str, data: &serde_json::Value) -> Result<Write> {
        let payload = to_json(&json!({"type": kind, "data": data}))?;
        Ok(Write::Signal { channel: self.store.keys().ws_broadcast(), payload })
    }
}

/// Who an entry of the ledger about a request is about.
pub(super) fn subject(request: &ApprovalRequest) -> (Option<&AgentId>, Option<&PipelineId>) {
    (Some(&request.agent), request.pipeline.as_ref())
}

/// Refuses a request that was written a second time, even if it says the same: nobody who may does that.
pub(super) fn must_be_untouched(id: &ApprovalId, version: u64) -> Result<()> {
    if version == WRITTEN_ONCE {
        return Ok(());
    }
    Err(Error::corrupt(
        "approval_damaged",
        format!("the request `{id}` was written again since it was made: somebody wrote into the store"),
    ))
}

/// The approval, if it was used for exactly this before: as it was answered then.
///
/// INVARIANT: what only the store says of a use is believed where it could be used right now, people having approved it: tokens can be foretold.
fn used_for(found: &Looked, actor: &Actor, asked: &Asked, token: &Token) -> Result<Option<Approval>> {
    let approval = &found.approval;
    let is_believed = match &found.told {
        Some(Ended::Used(_)) => true,
        Some(Ended::Superseded { .. }) => false,
        None => found.is_live,
    };
    let is_same = approval.used.as_ref().is_some_and(|used| used.token == *token)
        && is_believed
        && approval.request.differs_from(actor, asked).is_none()
        && are_enough(&approval.approved, approval.request.quorum, approval.request.administrator);
    // Its arguments are gone from the store; these have their digest.
    is_same.then(|| Ok(Approval { arguments: Some(asked.text()?), ..approval.clone() })).transpose()
}

/// The approval, if it may be used for this now.
fn usable(approval: Approval, actor: &Actor, asked: &Asked) -> Result<Approval> {
    if let Some(what) = approval.request.differs_from(actor, asked) {
        let message = format!("`{}` is not an approval of this: what differs is its {what}", approval.request.id);
        return Err(Error::new(ErrorKind::Denied, "approval_bypass", message).with("approval", told(&approval)));
    }
    // The policy may want more people by now.
    let enough = are_enough(&approval.approved, asked.rules.quorum, asked.rules.administrator);
    match approval.state {
        ApprovalState::Approved if enough => Ok(approval),
        ApprovalState::Approved => Err(refusal(&approval, ApprovalState::Pending)),
        state => Err(refusal(&approval, state)),
    }
}

/// Why a request is no leave to act.
pub(crate) fn refusal(approval: &Approval, state: ApprovalState) -> Error {
    let id = &approval.request.id;
    let (code, says) = match state {
        ApprovalState::Pending | ApprovalState::Approved => {
            let (has, needs) = (approval.approved.len(), approval.request.quorum);
            let who = if approval.lacks_an_administrator() { ", and lacks an administrator's" } else { "" };
            ("approval_required", format!("`{id}` has {has} of {needs} approvals{who}: `governance approvals show {id}`"))
        }
        ApprovalState::Denied => {
            let by = approval.denied.as_ref().map_or("somebody", |given| given.approver.as_str());
            ("approval_denied", format!("`{id}` was denied by {by}"))
        }
        ApprovalState::Expired => ("approval_expired", format!("`{id}` was not approved and used before its deadline")),
        ApprovalState::Superseded => ("approval_superseded", format!("`{id}` was asked for a plan that is no longer the agent's")),
        ApprovalState::Void => ("approval_void", format!("`{id}` is void: the admission that it was asked under has ended")),
        ApprovalState::Used => ("approval_used", format!("`{id}` was used already: an approval is of one call")),
    };
    Error::new(ErrorKind::Denied, code, says).with("approval", told(approval))
}

/// What an error says of a request, for programs.
pub(crate) fn told(approval: &Approval) -> serde_json::Value {
    let request = &approval.request;
    json!({
        "id": request.id, "state": approval.state, "kind": request.kind, "arguments": request.arguments, "hash": approval.hash,
        "quorum": request.quorum, "administrator": request.administrator, "approved": approval.approved.len(), "deadline": request.deadline,
    })
}

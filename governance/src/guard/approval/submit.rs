//! What approvers do: decide requests, and change who is registered.

use std::time::Duration;

use serde_json::json;

use super::key::ApproverKey;
use super::process::refuse_agents;
use super::queue::{Approvals, KEPT, Looked, WRITTEN_ONCE, must_be_untouched, refusal, subject};
use super::registry::{Approver, Approvers, Registration, RegistryChange};
use super::state::{Approval, counts};
use super::statement::{ApprovalVerdict, Signed, Statement};
use crate::error::{Error, ErrorKind, Result};
use crate::guard::alerts::alert;
use crate::ledger::{Action, hex};
use crate::store::{Commit, Write, to_json};
use crate::vocabulary::{ApprovalId, ApproverName};

/// How long somebody else's change of the register may be under way.
const UNDER_WAY: Duration = Duration::from_secs(2);
/// The pause between two looks at it.
const PAUSE: Duration = Duration::from_millis(10);

impl Approvals {
    /// Signs a verdict on a request as it stands and hands it in. Refused (`governed_process`) in a process of a governed agent.
    ///
    /// `hash` is the hash of the request that the person was shown: if it is another by now, nothing is signed.
    pub async fn decide(
        &self,
        key: &ApproverKey,
        id: &ApprovalId,
        hash: &str,
        verdict: ApprovalVerdict,
        note: Option<&str>,
    ) -> Result<Approval> {
        refuse_agents(&self.store).await?;
        let approval = self.approval(id).await?;
        if approval.hash != hash {
            let message =
                format!("`{id}` is not what was shown (`{hash}`): nothing was signed; look again with `governance approvals show {id}`");
            return Err(Error::new(ErrorKind::Conflict, "not_what_was_shown", message));
        }
        let now = self.store.ports().clock.now();
        let said = Statement::of(&approval.request, verdict, key.name(), note.map(str::to_owned), now);
        self.submit(&key.sign(said)).await
    }

    /// Takes what an approver signed. Verified here, and again by whoever uses it.
    pub async fn submit(&self, signed: &Signed<Statement>) -> Result<Approval> {
        let said = &signed.said;
        loop {
            let Looked { approval, version, arguments, decisions, said: before, approvers, .. } = self.look(&said.request).await?;
            if !said.is_about(&approval.request) {
                let message = format!("what was signed is not about `{}` as it stands", said.request);
                return Err(Error::invalid("not_this_request", message));
            }
            if let Err(why) = counts(&approval.request, signed, &approvers) {
                return Err(Error::new(ErrorKind::Denied, "unregistered_approver", format!("`{}`: {why}", said.approver)));
            }
            if approval.is_over() {
                return Err(refusal(&approval, approval.state));
            }
            // One voice each; saying it again changes nothing, taking it back is a denial.
            if said.verdict == ApprovalVerdict::Approve && approval.approved.iter().any(|given| given.approver == said.approver) {
                return Ok(approval);
            }
            must_be_untouched(&said.request, version)?;
            let keys = self.store.keys();
            let mut all = before;
            all.push(signed.clone());
            let left = approval.request.deadline.since(self.store.now().await?);
            let (id, decided) = (&said.request, json!({"approval_id": said.request, "verdict": said.verdict, "approver": said.approver}));
            let mut commit = Commit::by(&self.store.admission().await?)
                .version(keys.approval(id), WRITTEN_ONCE)
                .version(keys.approval_arguments(id), arguments)
                .version(keys.approval_decisions(id), decisions)
                .absent(keys.approval_use(id))
                .write(Write::Put { cell: keys.approval_decisions(id).into(), value: to_json(&all)?, ttl: Some(left + KEPT), event: None })
                .write(self.broadcast("approval_decided", &decided)?);
            if said.verdict == ApprovalVerdict::Deny {
                commit = commit.write(Write::Delete(keys.approval_arguments(id).into()));
            }
            let told = json!({"approval_id": id, "signed": signed});
            let done = self.recorder.record(&self.store, Action::Approval, subject(&approval.request), &told, async |token| {
                self.store.apply(commit.token(token)).await.map(drop)
            });
            match done.await {
                Ok(()) => return self.approval(id).await,
                // Somebody else decided, it was used, or its time is over.
                Err(error) if error.code() == "version_conflict" => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Who may approve: what the ledger says, with every signature verified.
    pub async fn approvers(&self) -> Result<Approvers> {
        Approvers::of(self.ledger()?, self.store.keys().prefix()).await
    }

    /// Registers a public key under a name. The first approver registers themselves, and is an administrator; every later one is registered by one
    /// who is, and as an administrator by an administrator only (`not_an_administrator`).
    /// Refused (`governed_process`) in a process of a governed agent.
    pub async fn register(&self, name: &ApproverName, public: &str, administrator: bool, by: &ApproverKey) -> Result<Approver> {
        refuse_agents(&self.store).await?;
        let said = Registration { administrator, ..self.registration(RegistryChange::Add, name, public, by.name())? };
        self.enroll(&by.sign(said)).await?;
        let missing = || Error::internal("an approver was registered and is not there");
        self.approvers().await?.named(name).cloned().ok_or_else(missing)
    }

    /// Takes an approver out of the register; what they approved and nobody used yet no longer counts. Signed by one who is registered.
    pub async fn unregister(&self, name: &ApproverName, by: &ApproverKey) -> Result<()> {
        refuse_agents(&self.store).await?;
        let missing = || {
            Error::new(ErrorKind::NotFound, "no_such_approver", format!("there is no approver `{name}`: see `governance approvers list`"))
        };
        let public = self.approvers().await?.named(name).map(|approver| approver.key.clone()).ok_or_else(missing)?;
        let said = self.registration(RegistryChange::Remove, name, &public, by.name())?;
        self.enroll(&by.sign(said)).await
    }

    /// A change of this state's register, to be signed.
    pub fn registration(&self, change: RegistryChange, name: &ApproverName, public: &str, by: &ApproverName) -> Result<Registration> {
        if hex::decode::<32>(public).is_none_or(|bytes| ed25519_dalek::VerifyingKey::from_bytes(&bytes).is_err()) {
            return Err(Error::invalid(
                "bad_public_key",
                "a public key is 64 hexadecimal digits, as `governance approvers key` prints them",
            ));
        }
        Ok(Registration {
            change,
            name: name.clone(),
            public: public.to_ascii_lowercase(),
            administrator: false,
            by: by.clone(),
            ledger: self.ledger()?.id().clone(),
            tenant: self.store.keys().prefix().to_owned(),
            at: self.store.ports().clock.now(),
        })
    }

    /// Takes a signed change of the register. Verified here, and again by whoever believes it.
    pub async fn enroll(&self, signed: &Signed<Registration>) -> Result<()> {
        let (said, keys) = (&signed.said, self.store.keys());
        if said.ledger != *self.ledger()?.id() || said.tenant != keys.prefix() {
            return Err(Error::invalid("not_this_request", "what was signed is a change of another register"));
        }
        let (version, mut register) = self.settled_register().await?;
        register.apply(signed)?;
        let data = json!({
            "change": said.change, "approver": said.name, "key": said.public, "administrator": said.administrator, "by": said.by,
        });
        let commit = Commit::by(&self.store.admission().await?)
            .version(keys.approvers(), version)
            .put(keys.approvers(), to_json(&register.all())?)
            .write(alert(&self.store, "approvers_changed", &data)?)
            .write(self.broadcast("approvers_changed", &data)?);
        let done = self.recorder.record(&self.store, Action::Approver, (None, None), signed, async |token| {
            self.store.apply(commit.token(token)).await.map(drop)
        });
        done.await
    }

    /// The register, and the version of the store's copy that goes with it: where the copy says more, somebody's change is not in the record yet, and is
    /// waited for. A copy that stays another one was written by nobody who may.
    async fn settled_register(&self) -> Result<(u64, Approvers)> {
        let key = self.store.keys().approvers();
        let end = self.store.ports().clock.elapsed() + UNDER_WAY;
        loop {
            // The version first, then the ledger: whoever changes it in between makes the commit fail.
            let copy = self.store.cell(key.clone()).await?;
            let register = self.approvers().await?;
            let version = copy.as_ref().map_or(0, |copy| copy.version);
            let same = match &copy {
                Some(copy) => copy.value[..] == to_json(&register.all())?[..],
                None => true,
            };
            if same || self.store.ports().clock.elapsed() > end {
                return Ok((version, register));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

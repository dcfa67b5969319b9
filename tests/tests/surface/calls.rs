//! What each member of the surface is in Rust. A name that is missing here is a test that fails.

use std::path::Path;
use std::sync::Arc;

use governance::agent::{AgentFilter, Exhibit, Instructions, KnownCheck, Looked, PreflightReport, Promotions, Step};
use governance::coordination::{BusEvent, Delivery, Events, MailboxOptions, Opening, Told, VoteEvent};
use governance::guard::approval::KeyFile;
use governance::guard::limits::Scope;
use governance::guard::policies::{Policies, Text, Wish};
use governance::guard::policy::Request;
use governance::guard::{Allowance, Fault, Roll};
use governance::ledger::{Filter, Ledger};
use governance::llm::ChatMessage;
use governance::store::{Actor, from_json};
use governance::vocabulary::{TaskId, millis};
use governance::{Agent, Blackboard, Config, Consensus, ErrorBudget, Governance, Joining, MessageBus, Result, RevocationEngine};
use serde::Serialize;
use serde_json::{Value, json};

use super::with::With;

#[derive(Clone)]
pub enum Handle {
    Governance(Governance),
    Blackboard(Blackboard),
    MessageBus(MessageBus),
    ErrorBudget(ErrorBudget, Actor),
    Allowance(Arc<Allowance>),
    Approvals(Governance),
    Policies(Policies),
    Promotions(Promotions),
    Limits(Governance),
    RevocationEngine(RevocationEngine),
    Consensus(Consensus),
    Ledger(Ledger),
    Agent(Agent),
    Step(Agent, Box<Step>),
    Model(Agent),
}

pub enum Answer {
    Value(Value),
    Handle(Box<Handle>),
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Value(value) => write!(f, "{value}"),
            Self::Handle(handle) => f.write_str(handle.class()),
        }
    }
}

/// Anything that a call answers, as JSON.
fn value(answer: impl Serialize) -> Answer {
    Answer::Value(serde_json::to_value(answer).unwrap())
}

fn handle(handle: Handle) -> Answer {
    Answer::Handle(Box::new(handle))
}

async fn items<T: Told + Serialize>(mut events: Events<T>, with: &With) -> Result<Answer> {
    let mut items = Vec::new();
    while items.len() < with.take {
        items.push(events.item().await?);
    }
    Ok(value(items))
}

macro_rules! classes {
    ($($class:ident($of:ident: $($kind:ty),+; $with:ident) { $($method:literal => $answer:expr,)+ })+) => {
        /// `Class.member` of everything that is here.
        pub fn known() -> impl Iterator<Item = String> {
            [$((stringify!($class), &[$($method),+][..])),+]
                .into_iter()
                .flat_map(|(class, methods)| methods.iter().map(move |method| format!("{class}.{method}")))
        }

        $(
            #[allow(non_snake_case, reason = "named after the class")]
            async fn $class($of: ($(&mut $kind,)+), method: &str, $with: &With) -> Result<Answer> {
                match method {
                    $($method => Ok($answer),)+
                    other => panic!("`{}.{other}` is not known here", stringify!($class)),
                }
            }
        )+
    };
}

classes! {
    Governance(of: Governance; with) {
        "open" => {
            let config = Config { home: with.text("home").into(), store: with.maybe("store"), ..Config::default() };
            handle(Handle::Governance(Governance::open(config).await?))
        },
        "close" => value(of.0.close().await?),
        "store_url" => value(of.0.store_url()),
        "policies" => handle(Handle::Policies(of.0.policies().clone())),
        "promotions" => handle(Handle::Promotions(of.0.promotions())),
        "limits" => handle(Handle::Limits(of.0.clone())),
        "approvals" => handle(Handle::Approvals(of.0.clone())),
        "revocations" => handle(Handle::RevocationEngine(of.0.revocations())),
        "ledger" => handle(Handle::Ledger(of.0.ledger().clone())),
        "blackboard" => handle(Handle::Blackboard(of.0.blackboard(&task(with)?, &of.0.actor(with.text("author")).await?))),
        "bus" => handle(Handle::MessageBus(of.0.bus(&task(with)?, &of.0.actor(with.text("member")).await?))),
        "consensus" => handle(Handle::Consensus(of.0.consensus(&task(with)?, &of.0.actor(with.text("member")).await?))),
        "budget" => {
            let owner = of.0.actor(with.text("owner")).await?;
            handle(Handle::ErrorBudget(of.0.budget(&owner), of.0.actor("operator").await?))
        },
        "begin" => value(of.0.begin(with.text("objective")).await?),
        "end" => value(of.0.end(&with.named("pipeline")?).await?),
        "agent" => {
            let joining = Joining { role: with.maybe_named("role")?, tier: with.maybe_named("tier")?, root: with.maybe("root") };
            handle(Handle::Agent(of.0.agent(with.text("profile"), &with.named("pipeline")?, joining).await?))
        },
        "instruct" => value(of.0.instruct(&with.named("agent")?, &instructions(with)).await?),
        "health" => value(of.0.health().await),
        "agents" => value(of.0.agents(&agents(with)?).await?),
        "agent_record" => value(of.0.agent_record(&with.named("agent")?).await?),
        "alerts" => value(of.0.alerts().list(with.number("last")).await?),
        "catch_up" => value(of.0.catch_up(with.span("within")).await?),
        "new_alerts" => {
            let (mut news, mut told) = (of.0.alerts().follow().await?, Vec::new());
            while told.len() < with.take {
                told.push(news.next().await?);
            }
            value(told)
        },
    }
    Approvals(of: Governance; with) {
        "list" => value(of.0.approvals().list(with.number("last")).await?),
        "approval" => value(of.0.approvals().approval(&with.named("id")?).await?),
        "wait" => value(of.0.approvals().wait(&with.named("id")?, with.span("within")).await?),
        "decide" => {
            let file = KeyFile::at(Path::new(with.text("key_file")), &of.0.config().home)?;
            let key = file.open(|| Ok(with.text("passphrase").to_owned().into()))?;
            let note: Option<String> = with.maybe("note");
            let (id, hash, verdict) = (with.named("id")?, with.text("hash"), with.named("verdict")?);
            value(of.0.approvals().decide(&key, &id, hash, verdict, note.as_deref()).await?)
        },
        "submit" => value(of.0.approvals().submit(&with.shaped("signed")).await?),
    }
    Blackboard(of: Blackboard; with) {
        "post" => value(of.0.post(with.named("section")?, with.text("name"), with.json("content")).await?),
        "put_if" => value(of.0.put_if(with.named("section")?, with.text("name"), with.json("content"), with.number("version")).await?),
        "remove_if" => value(of.0.remove_if(with.named("section")?, with.text("name"), with.number("version")).await?),
        "entry" => value(of.0.entry(with.named("section")?, with.text("name")).await?),
        "entries" => value(of.0.entries(with.named("section")?).await?),
        "history" => value(of.0.history(with.named("section")?, with.text("name")).await?),
        "events" => items(of.0.events(with.after()), with).await?,
    }
    MessageBus(of: MessageBus; with) {
        "join" => value(of.0.join(inbox(with)).await?),
        "leave" => value(of.0.clone().leave().await?),
        "members" => {
            let member = |(id, inbox): (_, MailboxOptions)| json!({
                "id": id, "capacity": inbox.capacity, "overflow": inbox.overflow,
                "redeliver_after": millis(inbox.redeliver_after), "max_deliveries": inbox.max_deliveries,
            });
            value(of.0.members().await?.into_iter().map(member).collect::<Vec<_>>())
        },
        "send" => value(of.0.send(&with.named("to")?, with.json("body")).await?),
        "broadcast" => value(of.0.broadcast(with.json("body")).await?),
        "reply" => value(of.0.reply(&with.shaped::<Delivery>("delivery"), with.json("body")).await?),
        "request" => value(of.0.request(&with.named("to")?, with.json("body"), with.span("within")).await?),
        "take" => value(of.0.take().await?),
        "receive" => value(of.0.receive_within(with.maybe_span("within")).await?),
        "acknowledge" => value(of.0.acknowledge(&with.shaped::<Delivery>("delivery")).await?),
        "signal" => value(of.0.signal(with.json("body")).await?),
        "dead_letters" => value(of.0.dead_letters().await?),
        "messages" => {
            let mut messages = Vec::new();
            while messages.len() < with.take {
                messages.push(of.0.receive().await?);
            }
            value(messages)
        },
        "signals" => {
            let (mut signals, mut heard) = (of.0.listen().await?, Vec::<Value>::new());
            while heard.len() < with.take {
                heard.push(from_json("bus", &signals.next().await.expect("the store is open"))?);
            }
            value(heard)
        },
        "record" => items(of.0.record(with.after()).told::<BusEvent>(), with).await?,
    }
    ErrorBudget(of: ErrorBudget, Actor; with) {
        "grant" => value(of.0.grant(of.1, with.named("unit")?, with.number("limit")).await?),
        "usage" => value(of.0.usage(with.named("unit")?).await?),
        "remaining" => value(of.0.remaining(with.named("unit")?).await?),
        "spend" => value(of.0.spend(with.named("unit")?, with.number("amount")).await?),
        "reserve" => match of.0.reserve(with.named("unit")?, with.number("amount"), with.span("ttl")).await? {
            Ok(reservation) => value(reservation),
            Err(refused) => value(refused),
        },
        "settle" => value(of.0.settle(&with.shaped("reservation"), with.number("used")).await?),
        "allowance" => handle(Handle::Allowance(Arc::new(of.0.allowance(with.named("unit")?, with.number("piece"), with.span("ttl"))))),
        "error" => {
            let fault = Fault::Error { kind: with.text("kind").to_owned(), message: with.text("message").to_owned() };
            value(of.0.fault(&fault).await?)
        },
        "procedure_violation" => value(of.0.fault(&Fault::ProcedureViolation).await?),
        "faults" => value(of.0.faults().await?),
    }
    Allowance(of: Arc<Allowance>; with) {
        "left" => value(of.0.left()),
        "try_draw" => value(of.0.try_draw(with.number("amount"))?),
        "draw" => value(of.0.draw(with.number("amount")).await?),
        "close" => value(of.0.close().await?),
    }
    Policies(of: Policies; with) {
        "list" => value(of.0.list().await?),
        "version" => value(of.0.version(&with.named("name")?, with.maybe("version")).await?),
        "history" => value(of.0.history(&with.named("name")?).await?),
        "apply" => value(of.0.apply(&Text::new(with.text("text")), &wish(with)).await?),
        "rollback" => value(of.0.rollback(&with.named("name")?, with.maybe("to"), &wish(with)).await?),
        "withdraw" => value(of.0.withdraw(&with.named("name")?, &wish(with)).await?),
    }
    Promotions(of: Promotions; with) {
        "standings" => value(of.0.standings().await?),
        "standing" => value(of.0.standing(&with.named("profile")?).await?),
        "eligibility" => value(of.0.eligibility(&with.named("profile")?).await?),
        "register" => {
            let (terms, by, reason) = (with.maybe("terms"), with.text("by"), with.text("reason"));
            value(of.0.register(&with.named("profile")?, with.named("tier")?, terms.as_ref(), by, reason).await?)
        },
        "promote" => {
            let (profile, to) = (with.named("profile")?, with.maybe_named("to")?);
            value(of.0.promote(&profile, to, with.text("by"), with.text("reason")).await?)
        },
        "demote" => {
            let (profile, to) = (with.named("profile")?, with.maybe_named("to")?);
            value(of.0.demote(&profile, to, with.text("by"), with.text("reason")).await?)
        },
    }
    Limits(of: Governance; with) {
        "set" => {
            let operator = of.0.actor("operator").await?;
            value(of.0.limits().set(&operator, &with.shaped("scope"), with.named("unit")?, with.number("limit")).await?)
        },
        "unset" => {
            let operator = of.0.actor("operator").await?;
            value(of.0.limits().unset(&operator, &with.shaped("scope"), with.named("unit")?).await?)
        },
        "usage" => value(of.0.limits().usage(&with.shaped::<Vec<Scope>>("scopes")).await?),
    }
    RevocationEngine(of: RevocationEngine; with) {
        "revoke" => value(of.0.revoke(&with.named("agent")?, with.named("kind")?, with.text("reason")).await?),
        "stop_pipeline" => value(of.0.stop_pipeline(&with.named("pipeline")?, with.text("reason")).await?),
        "revoke_pipeline" => value(of.0.revoke_pipeline(&with.named("pipeline")?, with.named("kind")?, with.text("reason")).await?),
        "stop_all" => value(of.0.stop_all(with.text("reason")).await?),
        "receipts" => value(of.0.receipts(with.number("generation"), with.span("within")).await?),
        "confirmed" => value(of.0.confirmed(&Roll::default(), with.number("generation"), with.span("within"), |_| ()).await?),
        "lift" => value(of.0.lift().await?),
        "stop_in_force" => value(of.0.stop_in_force().await?),
        "revocation_of" => value(of.0.revocation_of(&with.named("agent")?).await?),
        "revocations" => value(of.0.revocations(with.number("last")).await?),
        "violation" => value(of.0.violation(&with.named("agent")?, with.named("violation")?, with.text("detail")).await?),
        "error" => value(of.0.error(&with.named("agent")?, with.text("message")).await?),
        "api_call" => value(of.0.api_call(&with.named("agent")?).await?),
        "idle" => value(of.0.idle(&with.named("agent")?, with.span("span")).await?),
    }
    Consensus(of: Consensus; with) {
        "propose" => value(of.0.propose(&with.named("id")?, opening(with)?).await?),
        "proposal" => value(of.0.proposal(&with.named("id")?).await?),
        "vote" => value(of.0.vote(&with.named("id")?, with.shaped("choice")).await?),
        "commitment" => value(of.0.commitment(&with.named("id")?, &with.shaped("choice"), with.text("nonce"))?),
        "commit_vote" => value(of.0.commit_vote(&with.named("id")?, with.text("commitment").to_owned()).await?),
        "reveal" => value(of.0.reveal(&with.named("id")?, with.shaped("choice"), with.text("nonce")).await?),
        "settle" => value(of.0.settle(&with.named("id")?).await?),
        "settled" => value(of.0.settled(&with.named("id")?).await?),
        "outcome" => value(of.0.outcome(&with.named("id")?).await?),
        "votes" => value(of.0.votes(&with.named("id")?).await?),
        "events" => items(of.0.events(with.after()).told::<VoteEvent>(), with).await?,
    }
    Ledger(of: Ledger; with) {
        "id" => value(of.0.id()),
        "home" => value(of.0.home()),
        "list" => value(of.0.list(&filter(with)?).await?),
        "head" => value(of.0.head().await?),
        "verify" => {
            let report = of.0.verify(with.maybe("head")).await?;
            let mut answer = serde_json::to_value(&report).unwrap();
            answer["intact"] = report.is_intact().into();
            value(answer)
        },
    }
    Agent(of: Agent; with) {
        "seated" => handle(Handle::Agent(Governance::seated_in(with.maybe("root")).await?.1)),
        "id" => value(&of.0.desk().actor().id),
        "role" => value(of.0.desk().role()),
        "pipeline" => value(&of.0.desk().actor().pipeline),
        "tier" => value(of.0.desk().tier()),
        "objective" => value(of.0.desk().objective()),
        "tries" => value(of.0.desk().tries()),
        "blackboard" => handle(Handle::Blackboard(of.0.desk().board().clone())),
        "bus" => handle(Handle::MessageBus(of.0.desk().bus())),
        "consensus" => handle(Handle::Consensus(of.0.desk().consensus().clone())),
        "budget" => handle(Handle::ErrorBudget(of.0.desk().budget().clone(), of.0.desk().actor().clone())),
        "model" => handle(Handle::Model(of.0.clone())),
        "check" => value(of.0.check()?),
        "govern" => value(of.0.govern(&Request::new(with.text("action")), with.json("arguments"), async |_| Ok(())).await?),
        "phase" => value(of.0.phase().await?),
        "enter" => value(of.0.enter_waiting(with.named("phase")?, with.maybe_span("waiting").unwrap_or_default()).await?),
        "output" => value(of.0.output(with.json("content").clone()).await?),
        "outputs" => value(of.0.outputs().await?),
        "packet" => value(of.0.packet().await?),
        "preflight" => value(preflight(of.0, with).await?),
        "package" => value(of.0.package(&with.shaped::<Vec<Exhibit>>("exhibits")).await?),
        "analyse" => value(of.0.desk().analyse().await?),
        "propose" => value(of.0.desk().propose_own().await?),
        "offer" => value(of.0.desk().offer(with.text("name"), &with.shaped("idea")).await?),
        "proposals" => value(of.0.desk().proposals().await?),
        "evaluate" => value(of.0.evaluate().await?),
        "combine" => value(of.0.desk().combine_all().await?),
        "mediate" => value(of.0.mediate(with.named("reason")?).await?),
        "hand_in" => value(of.0.desk().hand_in().await?),
        "request_plan" => {
            let (desk, guard) = (of.0.desk(), of.0.desk().guard());
            let rules = guard.policy().profile().governance.approval;
            value(guard.approvals().request_plan(desk.actor(), with.json("plan").clone(), rules).await?)
        },
        "demote" => value(of.0.desk().demote(&with.named("profile")?, with.text("reason")).await?),
        "vote" => value(of.0.desk().vote(&with.named("proposal")?, with.shaped("choice")).await?),
        "vote_best" => value(of.0.desk().vote_best(&with.named("proposal")?).await?),
        "next_step" => match of.0.next_step().await? {
            Some(step) => handle(Handle::Step(of.0.clone(), Box::new(step))),
            None => value(()),
        },
        "next_event" => value(of.0.next_event().await),
        "leave" => value(of.0.leave().await?),
        "steps" => {
            let mut steps = Vec::new();
            while steps.len() < with.take {
                let step = of.0.next_step().await?.expect("nobody told it to leave");
                steps.push(json!({"stage": step.stage(), "reason": step.reason(), "proposal": step.proposal(), "message": step.message()}));
            }
            value(steps)
        },
        "events" => {
            let mut events = Vec::new();
            while events.len() < with.take {
                events.push(of.0.next_event().await.expect("there is more to come"));
            }
            value(events)
        },
    }
    Step(of: Agent, Step; with) {
        "stage" => value(of.1.stage()),
        "reason" => value(of.1.reason()),
        "proposal" => value(of.1.proposal()),
        "message" => value(of.1.message()),
        "done" => value(of.0.done(of.1.clone()).await?),
        "failed" => value(of.0.failed(of.1.clone(), with.text("code"), with.text("message")).await?),
    }
    Model(of: Agent; with) {
        "name" => value(of.0.desk().model().port().name()),
        "is_open" => value(of.0.desk().model().breaker().is_open()),
        "chat" => value(of.0.desk().model().chat(&with.shaped::<Vec<ChatMessage>>("messages")).await?),
    }
}

impl Handle {
    pub fn class(&self) -> &'static str {
        match self {
            Self::Governance(_) => "Governance",
            Self::Blackboard(_) => "Blackboard",
            Self::MessageBus(_) => "MessageBus",
            Self::ErrorBudget(..) => "ErrorBudget",
            Self::Allowance(_) => "Allowance",
            Self::Approvals(_) => "Approvals",
            Self::Policies(_) => "Policies",
            Self::Promotions(_) => "Promotions",
            Self::Limits(_) => "Limits",
            Self::RevocationEngine(_) => "RevocationEngine",
            Self::Consensus(_) => "Consensus",
            Self::Ledger(_) => "Ledger",
            Self::Agent(_) => "Agent",
            Self::Step(..) => "Step",
            Self::Model(_) => "Model",
        }
    }

    pub async fn call(&mut self, method: &str, with: &With) -> Result<Answer> {
        match self {
            Self::Governance(of) => Governance((of,), method, with).await,
            Self::Blackboard(of) => Blackboard((of,), method, with).await,
            Self::MessageBus(of) => MessageBus((of,), method, with).await,
            Self::ErrorBudget(of, giver) => ErrorBudget((of, giver), method, with).await,
            Self::Allowance(of) => Allowance((of,), method, with).await,
            Self::Approvals(of) => Approvals((of,), method, with).await,
            Self::Policies(of) => Policies((of,), method, with).await,
            Self::Promotions(of) => Promotions((of,), method, with).await,
            Self::Limits(of) => Limits((of,), method, with).await,
            Self::RevocationEngine(of) => RevocationEngine((of,), method, with).await,
            Self::Consensus(of) => Consensus((of,), method, with).await,
            Self::Ledger(of) => Ledger((of,), method, with).await,
            Self::Agent(of) => Agent((of,), method, with).await,
            Self::Step(of, step) => Step((of, *step), method, with).await,
            Self::Model(of) => Model((of,), method, with).await,
        }
    }
}

fn task(with: &With) -> Result<TaskId> {
    with.named("task")
}

fn agents(with: &With) -> Result<AgentFilter> {
    Ok(AgentFilter {
        tier: with.maybe_named("tier")?,
        role: with.maybe_named("role")?,
        status: with.maybe_named("status")?,
        pipeline: with.maybe_named("pipeline")?,
        health: with.maybe_named("health")?,
        profile: with.maybe("profile"),
    })
}

fn instructions(with: &With) -> Instructions {
    Instructions {
        objective: with.maybe("objective"),
        constraints: with.maybe("constraints").unwrap_or_default(),
        deadline: with.maybe("deadline"),
        evidence_required: with.maybe("evidence_required").unwrap_or_default(),
    }
}

/// With checks that are plain data, and others that a story makes: a text is what one of them answers.
async fn preflight(agent: &Agent, with: &With) -> Result<PreflightReport> {
    let checks = with.json("checks").as_object().expect("checks by name");
    let known = |check: &Value| (!check.is_string()).then(|| serde_json::from_value::<KnownCheck>(check.clone()).expect("a check"));
    let asked = checks.iter().map(|(name, check)| (name.clone(), known(check))).collect();
    let mut looking = agent.looking(asked, with.maybe_span("within"));
    loop {
        match looking.next().await? {
            Looked::Check(look) => {
                let answer = checks[look.name()].as_str().expect("a text").to_owned();
                look.tell((answer != "passes").then_some(answer));
            }
            Looked::Done(report) => return Ok(report),
        }
    }
}

fn wish(with: &With) -> Wish {
    Wish { note: with.maybe("note"), over: with.maybe("over"), ..Wish::of(with.text("by")) }
}

fn inbox(with: &With) -> MailboxOptions {
    let plain = MailboxOptions::default();
    MailboxOptions {
        capacity: with.maybe("capacity").unwrap_or(plain.capacity),
        overflow: with.maybe("overflow").unwrap_or(plain.overflow),
        redeliver_after: with.maybe_span("redeliver_after").unwrap_or(plain.redeliver_after),
        max_deliveries: with.maybe("max_deliveries").unwrap_or(plain.max_deliveries),
    }
}

fn opening(with: &With) -> Result<Opening> {
    Ok(Opening {
        question: with.json("question").clone(),
        options: with.shaped("options"),
        rule: with.maybe_named("rule")?.unwrap_or_default(),
        quorum: with.maybe("quorum"),
        electorate: with.shaped("electorate"),
        within: with.span("within"),
        sealed: with.maybe("sealed").unwrap_or_default(),
    })
}

fn filter(with: &With) -> Result<Filter> {
    Ok(Filter {
        pipeline: with.maybe_named("pipeline")?,
        agent: with.maybe_named("agent")?,
        action: with.maybe_named("action")?,
        after: with.maybe("after").unwrap_or_default(),
        limit: with.maybe("limit").unwrap_or_default(),
        newest_first: with.maybe("newest_first").unwrap_or_default(),
    })
}

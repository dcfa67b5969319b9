//! Keeps one agent's process: starts it, hands it its seat, hears what it says, ends it when it must go, and starts it again when it may.

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
use std::time::Duration;

use rustix::process::Signal;
use tokio::io::{AsyncRead, AsyncWriteExt};
use tokio::process::{Child, ChildStdin};
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tokio_util::sync::CancellationToken;

use super::group::{Group, Sweep};
use super::words::{Flow, LastWords, Lines};
use super::{Seat, start};
use crate::error::{Error, Result};
use crate::guard::{Lookout, free_execution_lock};
use crate::orchestrator::broadcast::{Broadcast, Stream};
use crate::orchestrator::parts::Parts;
use crate::orchestrator::program::Program;
use crate::orchestrator::telling::Voice;
use crate::store::Actor;
use crate::vocabulary::{AgentStatus, Token};

/// How long a process that was asked to go may take, before it is killed.
const GRACE: Duration = Duration::from_secs(3);
/// How long the kernel may take to end one that was killed.
const KILLED: Duration = Duration::from_secs(1);
/// How long what was written before the end may take to arrive.
const REST: Duration = Duration::from_secs(1);
/// How many lines wait to be told.
const WAITING: usize = 64;
const MEBIBYTE: u64 = 1 << 20;

/// Keeps one agent's process.
pub struct Keeper {
    pub program: Program,
    pub seat: Seat,
    pub governor: Actor,
    pub parts: Parts,
    pub voice: Voice,
    pub group: Group,
    pub words: LastWords,
    /// Cancelled when it must go.
    pub ending: CancellationToken,
}

/// How one process ended: what the kernel says, and whether it was this side that ended it.
struct End {
    status: Option<ExitStatus>,
    told: bool,
}

impl Keeper {
    /// Until the agent has left, was told to go, or has died once too often.
    pub async fn keep(self) -> Result<()> {
        let mut restarts = 0;
        loop {
            self.words.forget();
            let end = self.life().await?;
            let Some(why) = self.died(&end).await else { return Ok(()) };
            if restarts >= self.program.restarts || self.ending.is_cancelled() || !self.admitted().await? {
                return Err(why);
            }
            restarts += 1;
            self.count().await?;
            self.say(Stream::Supervisor, format!("started again, {restarts} of {}: {why}", self.program.restarts), 0).await;
        }
    }

    /// One process, from its start to its end, after which nothing of it is left.
    async fn life(&self) -> Result<End> {
        let line = self.seat.line()?;
        let held = Lookout::hold(&self.parts.store, &self.seat.actor).await?;
        let mark = Token::fresh(&*self.parts.store.ports().chance);
        let mut child = start(&self.program, &self.seat.model, &self.group, mark.as_str())?;
        // Until it is gone this process does not confirm that its agent has ended.
        let _work = held.work(&format!("process {}", child.id().unwrap_or_default()));
        // Dropped before the child is: until then its group is its own.
        let swept = Sweep(self.group.clone());
        let (say, said) = channel(WAITING);
        let stdout = self.hear(child.stdout.take(), Stream::Stdout, say.clone());
        let stderr = self.hear(child.stderr.take(), Stream::Stderr, say);
        let heard = async { tokio::join!(stdout, stderr, self.tell(said)) };
        let stdin = child.stdin.take();
        let ended = self.ended(&mut child, stdin, &line);
        tokio::pin!(heard, ended);
        let mut silent = false;
        let end = loop {
            tokio::select! {
                end = &mut ended => break end,
                _ = &mut heard, if !silent => silent = true,
            }
        };
        // Whatever it started goes with it.
        self.group.swept(KILLED).await;
        drop(swept);
        if !silent && tokio::time::timeout(REST, heard).await.is_err() {
            tracing::debug!(agent = %self.seat.actor.id, "somebody outside of its group holds the outputs of an agent that ended");
        }
        Ok(end)
    }

    /// Hands over the seat, waits for the end, and brings it about when it must.
    async fn ended(&self, child: &mut Child, mut stdin: Option<ChildStdin>, seat: &[u8]) -> End {
        let seated = async {
            if let Some(stdin) = &mut stdin {
                // A child that is dead already says so by its status.
                let _ = stdin.write_all(seat).await;
                let _ = stdin.flush().await;
            }
            // Stays open for the child's life: when it closes, the child ends.
            std::future::pending::<()>().await;
        };
        let asked = tokio::select! {
            status = child.wait() => return End { status: status.ok(), told: false },
            () = seated => false,
            () = self.ending.cancelled() => true,
        };
        drop(stdin);
        self.group.terminate();
        let Ok(status) = tokio::time::timeout(GRACE, child.wait()).await else {
            self.group.swept(KILLED).await;
            let killed = tokio::time::timeout(KILLED, child.wait()).await;
            return End { status: killed.ok().and_then(std::result::Result::ok), told: asked };
        };
        End { status: status.ok(), told: asked }
    }

    /// Why its end was none that it should have come to; nothing if it left, or was ended from here.
    async fn died(&self, end: &End) -> Option<Error> {
        if end.told {
            return None;
        }
        // A store that does not answer explains nothing, and keeps nobody waiting.
        let agent = self.parts.admissions().agent(&self.seat.actor.id).await.ok().flatten();
        let status = agent.map(|agent| agent.status);
        if end.status.is_some_and(|status| status.success()) && status.is_some_and(|status| status.is_final()) {
            return None;
        }
        let when = if status == Some(AgentStatus::Pending) { " before it sat down" } else { "" };
        let message = format!("its process ended{when}: {}{}", self.how(end.status), self.words.told());
        Some(Error::unavailable("agent_died", message))
    }

    fn how(&self, status: Option<ExitStatus>) -> String {
        let quota = self.program.quota;
        let Some(status) = status else { return "nobody knows how".to_owned() };
        let spent = status.signal() == Some(Signal::XCPU.as_raw());
        let mut how = match quota.cpu_seconds {
            Some(seconds) if spent => format!("it has used the {seconds} s of processor time that it may use"),
            _ => status.to_string(),
        };
        if let Some(bytes) = quota.memory.filter(|_| !status.success() && !spent) {
            how.push_str(&format!(", of the {} MiB of memory that it may use", bytes / MEBIBYTE));
        }
        how
    }

    /// Whether its admission still holds: nobody else is started again.
    async fn admitted(&self) -> Result<bool> {
        let revocations = self.parts.revocations();
        Ok(revocations.revocation_of(&self.seat.actor.id).await?.is_none() && revocations.stop_in_force().await?.is_none())
    }

    /// Counts a restart, and takes back what the dead process held: it is known to be dead, so nobody has to wait until that lapses.
    async fn count(&self) -> Result<()> {
        let (store, id) = (&self.parts.store, &self.seat.actor.id);
        let state = store.keys().agent_state(id);
        let before: u64 = store.state(state.clone()).await?.unwrap_or_default().field("restarts").parse().unwrap_or(0);
        store.apply(self.governor.commit().merge(state, [("restarts", before + 1)])).await?;
        free_execution_lock(store, &self.governor, id).await
    }

    /// Hears one of its outputs to the end.
    async fn hear(&self, output: Option<impl AsyncRead + Unpin>, stream: Stream, say: Sender<(Stream, String)>) {
        let Some(mut lines) = output.map(Lines::new) else { return };
        while let Some(line) = lines.next().await {
            self.words.heard(stream, &line);
            if say.send((stream, line)).await.is_err() {
                return;
            }
        }
    }

    /// Tells what it says, as long as it is not too much.
    async fn tell(&self, mut said: Receiver<(Stream, String)>) {
        let (id, clock, mut flow) = (&self.seat.actor.id, &self.parts.store.ports().clock, Flow::default());
        while let Some((stream, line)) = said.recv().await {
            match flow.pass(clock.elapsed()) {
                Some(dropped) => {
                    tracing::info!(agent = %id, %stream, dropped, "{line}");
                    self.say(stream, line, dropped).await;
                }
                None => tracing::trace!(agent = %id, %stream, "{line}"),
            }
        }
        if flow.held_back() > 0 {
            self.say(Stream::Supervisor, "the rest of its lines was left out".to_owned(), flow.held_back()).await;
        }
    }

    async fn say(&self, stream: Stream, line: String, dropped: u64) {
        let (agent_id, pipeline_id) = (self.seat.actor.id.clone(), self.voice.pipeline().clone());
        if let Err(error) = self.voice.tell(&Broadcast::AgentLog { pipeline_id, agent_id, stream, line, dropped }).await {
            tracing::debug!(agent = %self.seat.actor.id, %error, "a line of an agent could not be told");
        }
    }
}

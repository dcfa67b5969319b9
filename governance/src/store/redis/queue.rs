//! What waits to be sent on a line. A lone commit is sent by its caller; under concurrency a few carriers take what has gathered and
//! send it as one script call, in which each commit is judged for itself.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use fred::error::{Error as FredError, ErrorKind as Trouble};
use fred::types::{Resp3Frame, Value};
use tokio::sync::oneshot;

use super::line::{Doubt, Line};
use super::program::Program;
use super::script::Script;

/// The most commits in one script call.
const BATCH: usize = 64;
/// The most arguments in one script call, so that no call holds the server for long.
const BATCH_ARGS: usize = 8192;
/// How many script calls are under way at once.
const CARRIERS: usize = 3;

/// What the server answered to one commit.
pub(super) type Reply = Result<Bytes, FredError>;

#[derive(Default)]
pub(super) struct Queue {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    waiting: Vec<(Program, oneshot::Sender<Reply>)>,
    under_way: usize,
}

impl Queue {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends a commit, alone or with others.
pub(super) async fn submit(line: &Arc<Line>, program: Program) -> Reply {
    match enqueue(line, program) {
        Ok(program) => {
            let _alone = Alone(line);
            send(line, Script::Commit, std::iter::once(program)).await.map(|mut replies| replies.pop().unwrap_or_default())
        }
        Err(receiver) => {
            let doubt = Doubt(line);
            let reply = receiver.await;
            std::mem::forget(doubt);
            reply.unwrap_or_else(|_| Err(FredError::new(Trouble::IO, "the connection was closed")))
        }
    }
}

/// Gives the program back to a caller who is alone.
fn enqueue(line: &Arc<Line>, program: Program) -> Result<Program, oneshot::Receiver<Reply>> {
    let mut state = line.queue.lock();
    if state.under_way == 0 {
        state.under_way = 1;
        return Ok(program);
    }
    let (sender, receiver) = oneshot::channel();
    state.waiting.push((program, sender));
    if state.under_way < CARRIERS {
        state.under_way += 1;
        drop(state);
        tokio::spawn(carry(line.clone()));
    }
    Err(receiver)
}

/// Sends commits as one script call.
pub(super) async fn send(
    line: &Line,
    script: Script,
    programs: impl ExactSizeIterator<Item = Program> + Send,
) -> Result<Vec<Bytes>, FredError> {
    let count = programs.len();
    let mut all = line.begin(script, 0);
    let mut args = Vec::with_capacity(1 + 16 * count);
    args.push(Value::Integer(i64::try_from(count).unwrap_or(0)));
    for program in programs {
        all.extend(program.keys);
        args.extend(program.args);
    }
    all[1] = Value::Integer(i64::try_from(all.len() - 2).unwrap_or(0));
    all.append(&mut args);
    let Resp3Frame::Array { data, .. } = line.ask("EVALSHA", all).await? else {
        return Err(FredError::new(Trouble::Protocol, "the script did not answer a list"));
    };
    if data.len() != count {
        return Err(FredError::new(Trouble::Protocol, "the script did not answer each commit"));
    }
    let bytes = |frame| match frame {
        Resp3Frame::BlobString { data, .. } | Resp3Frame::SimpleString { data, .. } => data,
        _ => Bytes::new(),
    };
    Ok(data.into_iter().map(bytes).collect())
}

/// Takes what has gathered and sends it, until nothing waits.
async fn carry(line: Arc<Line>) {
    loop {
        // Lets those who were just answered, or are just beginning, join.
        tokio::task::yield_now().await;
        let batch = {
            let mut state = line.queue.lock();
            if state.waiting.is_empty() {
                state.under_way -= 1;
                return;
            }
            let mut args = 0;
            let fits = |(program, _): &&(Program, _)| {
                args += program.args.len() + program.keys.len();
                args <= BATCH_ARGS
            };
            let size = state.waiting.iter().take(BATCH).take_while(fits).count().max(1);
            let rest = state.waiting.split_off(size);
            std::mem::replace(&mut state.waiting, rest)
        };
        let (programs, senders): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
        match send(&line, Script::Commit, programs.into_iter()).await {
            Ok(replies) => senders.into_iter().zip(replies).for_each(|(sender, reply)| drop(sender.send(Ok(reply)))),
            Err(error) => senders.into_iter().for_each(|sender| drop(sender.send(Err(error.clone())))),
        }
    }
}

/// A caller who sends by himself; when he has ended or given up, what gathered meanwhile is carried.
struct Alone<'a>(&'a Arc<Line>);

impl Drop for Alone<'_> {
    fn drop(&mut self) {
        let mut state = self.0.queue.lock();
        if state.waiting.is_empty() {
            state.under_way -= 1;
        } else if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            runtime.spawn(carry(self.0.clone()));
        }
    }
}

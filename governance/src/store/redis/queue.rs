//! What waits to be sent on a line. A lone commit is sent by its caller; under concurrency a few carriers take what has gathered and
//! send it as one script call, in which each commit is judged for itself.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use fred::error::{Error as FredError, ErrorKind as Trouble};
use fred::types::Resp3Frame;
use tokio::sync::oneshot;

use super::line::{Doubt, Line};
use super::script::Script;
use super::work::{Asked, Work};

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
    waiting: VecDeque<(Work, Vec<oneshot::Sender<Reply>>)>,
    under_way: usize,
}

impl Queue {
    fn lock(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sends a commit, alone or with others.
pub(super) async fn submit(line: &Arc<Line>, asked: Asked<'_>) -> Reply {
    match enqueue(line, asked) {
        Ok(asked) => {
            let _alone = Alone(line);
            send(line, asked.script(), asked.alone()).await.map(|mut replies| replies.pop().unwrap_or_default())
        }
        Err(receiver) => {
            let doubt = Doubt(line);
            let reply = receiver.await;
            std::mem::forget(doubt);
            reply.unwrap_or_else(|_| Err(FredError::new(Trouble::IO, "the connection was closed")))
        }
    }
}

/// Gives it back to a caller who is alone.
fn enqueue<'a>(line: &Arc<Line>, asked: Asked<'a>) -> Result<Asked<'a>, oneshot::Receiver<Reply>> {
    let mut state = line.queue.lock();
    if state.under_way == 0 {
        state.under_way = 1;
        return Ok(asked);
    }
    let (sender, receiver) = oneshot::channel();
    match state.waiting.iter_mut().find(|(work, _)| work.has_room(&asked)) {
        Some((work, senders)) => {
            work.add(asked);
            senders.push(sender);
        }
        None => state.waiting.push_back((asked.alone(), vec![sender])),
    }
    if state.under_way < CARRIERS {
        state.under_way += 1;
        drop(state);
        tokio::spawn(carry(line.clone()));
    }
    Err(receiver)
}

/// Sends commits as one script call.
pub(super) async fn send(line: &Line, script: Script, work: Work) -> Result<Vec<Bytes>, FredError> {
    let (count, mut words) = (work.len(), line.begin(script, 0));
    let keys = work.say(&mut words);
    words[1] = keys.into();
    let Resp3Frame::Array { data, .. } = line.ask("EVALSHA", words).await? else {
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
        let (work, senders) = {
            let mut state = line.queue.lock();
            let Some(batch) = state.waiting.pop_front() else {
                state.under_way -= 1;
                return;
            };
            batch
        };
        match send(&line, work.script(), work).await {
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

//! One connection, from its opening to its end. It is never opened again: the next one is another line with a higher number.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use fred::clients::Client;
use fred::error::{Error as FredError, ErrorKind as Trouble};
use fred::interfaces::ClientLike;
use fred::types::{ClusterHash, CustomCommand, Resp3Frame, Value};
use tokio::task::AbortHandle;
use tokio_util::sync::CancellationToken;

use super::address::Address;
use super::queue::Queue;
use super::route::is_displaced;
use super::script::Script;
use crate::error::Result;

/// How long a silent server is given for a sign of life.
const SIGN_OF_LIFE: Duration = Duration::from_secs(1);

/// One connection.
pub(super) struct Line {
    pub number: u64,
    pub client: Client,
    pub address: Arc<Address>,
    pub queue: Queue,
    closed: CancellationToken,
    doubted: Arc<AtomicBool>,
    scripts: [Value; Script::ALL.len()],
    texts: [String; Script::ALL.len()],
    router: Router,
}

impl Line {
    /// Opens a connection.
    pub async fn open(address: &Arc<Address>, client: Client, number: u64) -> Result<Self> {
        // In a task of its own: who stops waiting half-way leaves no connection behind.
        let greeting = tokio::spawn({
            let client = client.clone();
            async move { client.init().await.map(|router| (Router(router.abort_handle()), router)) }
        });
        let greeted = greeting.await.unwrap_or_else(|_| Err(FredError::new(Trouble::IO, "the connection was closed")));
        let (router, ended) = greeted.map_err(|error| address.trouble(&error))?;
        let closed = CancellationToken::new();
        tokio::spawn({
            let closed = closed.clone();
            async move {
                let _ = ended.await;
                closed.cancel();
            }
        });
        Ok(Self {
            number,
            client,
            address: address.clone(),
            queue: Queue::default(),
            closed,
            doubted: Arc::default(),
            scripts: [const { Value::Null }; Script::ALL.len()],
            texts: Default::default(),
            router,
        })
    }

    /// Teaches the server the scripts.
    pub async fn teach(mut self, flags: bool, guarded: bool) -> Result<Self> {
        self.texts = Script::ALL.map(|script| script.text(flags, guarded));
        for script in Script::ALL {
            self.scripts[script as usize] = self.load(script).await.map_err(|error| self.address.trouble(&error))?;
        }
        Ok(self)
    }

    /// Teaches a script again to a server that forgot it.
    pub async fn load(&self, script: Script) -> Result<Value, FredError> {
        match self.ask("SCRIPT", vec!["LOAD".into(), self.texts[script as usize].clone().into()]).await? {
            Resp3Frame::BlobString { data, .. } | Resp3Frame::SimpleString { data, .. } => Ok(Value::Bytes(data)),
            _ => Err(FredError::new(Trouble::Protocol, "a script was not taken")),
        }
    }

    /// What stands before a script's keys and arguments.
    pub fn begin(&self, script: Script, keys: usize) -> Vec<Value> {
        let mut args = Vec::with_capacity(2 + 3 * keys);
        args.push(self.scripts[script as usize].clone());
        args.push(Value::Integer(i64::try_from(keys).unwrap_or(i64::MAX)));
        args
    }

    /// Whether the connection has ended.
    pub fn is_closed(&self) -> bool {
        self.closed.is_cancelled()
    }

    /// Ends when the connection does.
    pub async fn closed(&self) {
        self.closed.cancelled().await;
    }

    /// Ends the connection.
    pub fn hang_up(&self) {
        self.router.0.abort();
        self.closed.cancel();
    }

    /// Sends one command and waits for what it answers. An error reply is an error.
    pub async fn ask(&self, command: &'static str, args: Vec<Value>) -> Result<Resp3Frame, FredError> {
        let doubt = Doubt(self);
        let reply = tokio::select! {
            biased;
            reply = self.client.custom_raw(CustomCommand::new_static(command, ClusterHash::FirstKey, false), args) => reply,
            // What was queued behind the end of the connection is never answered.
            () = self.closed.cancelled() => Err(FredError::new(Trouble::IO, "the connection was closed")),
        };
        std::mem::forget(doubt);
        let refused = match reply? {
            Resp3Frame::SimpleError { data, .. } => FredError::new(Trouble::Unknown, data.to_string()),
            Resp3Frame::BlobError { data, .. } => FredError::new(Trouble::Unknown, String::from_utf8_lossy(&data).into_owned()),
            frame => return Ok(frame),
        };
        // The server has lost its place: the next line finds who has it.
        if is_displaced(&refused) {
            self.hang_up();
        }
        Err(refused)
    }

    /// Somebody gave up waiting: asks for a sign of life, and ends a connection that gives none, as a half-open one does.
    fn doubt(&self) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        if self.is_closed() || self.doubted.swap(true, Ordering::AcqRel) {
            return;
        }
        let (client, closed, router, doubted) = (self.client.clone(), self.closed.clone(), self.router.0.clone(), self.doubted.clone());
        runtime.spawn(async move {
            let ping = client.custom_raw(CustomCommand::new_static("PING", ClusterHash::Random, false), Vec::<Value>::new());
            if !matches!(tokio::time::timeout(SIGN_OF_LIFE, ping).await, Ok(Ok(_))) {
                router.abort();
                closed.cancel();
            }
            doubted.store(false, Ordering::Release);
        });
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.closed.cancel();
    }
}

/// The client's own task. Ends, and the connection with it, when this is dropped.
struct Router(AbortHandle);

impl Drop for Router {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Doubts the connection when dropped: the caller stopped waiting.
pub(super) struct Doubt<'a>(pub &'a Line);

impl Drop for Doubt<'_> {
    fn drop(&mut self) {
        self.0.doubt();
    }
}

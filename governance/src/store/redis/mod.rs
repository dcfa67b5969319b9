//! State on a Redis-protocol server: Redis 7, Valkey, Dragonfly. `redis://`, `redis+unix://`.
//!
//! ```text
//!   Redis ── Lines ── Line 1, 2, 3 …    one connection each; the next has a higher number
//!     │                 └ Queue          a lone commit at once, many as one call of put.lua or commit.lua
//!     └─── Ear                           a connection for wake-ups and signals, when somebody waits
//! ```

mod address;
mod ear;
mod facts;
mod line;
mod lines;
mod options;
mod program;
mod promised;
mod puts;
mod question;
mod queue;
mod route;
mod script;
mod tls;
mod words;
mod work;

use std::sync::Arc;

use async_trait::async_trait;
use fred::types::Value;
use futures_util::future::try_join_all;

use self::address::Address;
use self::ear::Ear;
use self::facts::{Facts, eviction};
use self::line::Line;
use self::lines::Lines;
pub use self::options::RedisOptions;
use self::program::Program;
use self::queue::Reply;
use self::script::Script;
use self::work::{Asked, Names};
use super::{Answer, Backend, Commit, Description, Outcome, Query, Scan, Signals, StoreUrl, Watch};
use crate::error::{Error, ErrorKind, Result};
use crate::vocabulary::{Key, Keys, Millis, Ports};

/// A store on a Redis-protocol server.
pub struct Redis {
    lines: Lines,
    ear: Arc<Ear>,
    keys: Keys,
    names: Arc<Names>,
}

impl Redis {
    /// Connects to a server.
    pub async fn open(url: &StoreUrl, keys: &Keys, ports: Ports, options: RedisOptions) -> Result<Arc<Self>> {
        let address = Arc::new(Address::of(url, keys)?);
        let strict = options.strict || address.url.strict;
        let redis = Self {
            lines: Lines::new(address.clone(), keys, options, ports),
            ear: Ear::new(address),
            keys: keys.clone(),
            names: Names::of(keys),
        };
        let line = redis.lines.line().await?;
        if let Some(warning) = eviction(&line).await {
            if strict {
                return Err(Error::new(ErrorKind::Denied, "store_evicts", warning));
            }
            tracing::warn!("{warning}");
        }
        Ok(Arc::new(redis))
    }

    async fn ask(&self, command: &'static str, args: Vec<Value>) -> Result<fred::types::Resp3Frame> {
        let line = self.lines.line().await?;
        line.ask(command, args).await.map_err(|error| line.address.trouble(&error))
    }

    async fn send(&self, line: &Arc<Line>, commit: &Commit) -> Result<(Script, Reply)> {
        if commit.urgent {
            let program = Asked::Program(Program::of(&self.names, commit)?);
            let reply = queue::send(line, Script::Urgent, program.alone()).await;
            return Ok((Script::Urgent, reply.map(|mut replies| replies.pop().unwrap_or_default())));
        }
        let asked = Asked::of(&self.names, commit)?;
        Ok((asked.script(), queue::submit(line, asked).await))
    }

    /// Runs a script behind the guard that refuses undeclared keys.
    #[cfg(any(test, feature = "testing"))]
    pub async fn run_guarded(&self, body: &str, keys: &[&str]) -> Result<()> {
        let mut args = vec![Value::from(script::guarded(body)), Value::from(i64::try_from(keys.len()).unwrap_or(0))];
        args.extend(keys.iter().map(|key| Value::from(*key)));
        self.ask("EVAL", args).await.map(drop)
    }
}

#[async_trait]
impl Backend for Redis {
    async fn commit(&self, commit: &Commit) -> Result<Outcome> {
        let line = self.lines.line().await?;
        // INVARIANT: a commit goes over no connection for which the witness was not asked. ADR 2.
        if commit.connection != 0 && commit.connection != line.number {
            let message = format!("the connection to `{}` is a new one: ask the witness, then ask again", line.address);
            return Err(Error::unavailable("store_reconnected", message));
        }
        let (script, mut reply) = self.send(&line, commit).await?;
        if reply.as_ref().is_err_and(|error| error.details().starts_with("NOSCRIPT")) {
            // The server forgot the script, so nothing ran.
            line.load(script).await.map_err(|error| line.address.trouble(&error))?;
            reply = self.send(&line, commit).await?.1;
        }
        let outcome = program::outcome(commit, &reply.map_err(|error| line.address.trouble(&error))?)?;
        if let Outcome::Accepted(accepted) = &outcome {
            self.lines.promised.remember(commit, accepted, self.lines.elapsed());
            if line.is_closed() {
                // The next line may have been asked without it: then it is promised to nobody, and asking again tells.
                self.lines.promised.withdraw(commit);
                return Err(Error::unavailable("store_reconnected", format!("the connection to `{}` has ended", line.address)));
            }
        }
        Ok(outcome)
    }

    async fn read(&self, queries: &[Query]) -> Result<Vec<Answer>> {
        let line = self.lines.line().await?;
        // All at once: one connection, in this order, for one round trip.
        try_join_all(queries.iter().map(|query| question::ask(&line, query))).await
    }

    async fn scan(&self, prefix: &str, from: Option<&str>, limit: usize) -> Result<Scan> {
        let mut pattern = String::with_capacity(prefix.len() + 8);
        for letter in prefix.chars() {
            if matches!(letter, '*' | '?' | '[' | ']' | '\\' | '^' | '{' | '}') {
                pattern.push('\\');
            }
            pattern.push(letter);
        }
        pattern.push('*');
        let count = i64::try_from(limit.clamp(10, 10_000)).unwrap_or(1_000);
        let args: Vec<Value> = vec![from.unwrap_or("0").into(), "MATCH".into(), pattern.into(), "COUNT".into(), count.into()];
        let frame = self.ask("SCAN", args).await?;
        let (cursor, keys) =
            question::scanned(frame).ok_or_else(|| Error::internal("the server scanned in another shape than expected"))?;
        let tokens = format!("{}token:", self.keys.prefix());
        let keys = keys.into_iter().filter(|key| !key.starts_with(&tokens)).collect();
        Ok(Scan { keys, next: Some(cursor).filter(|cursor| cursor != "0") })
    }

    async fn watch(&self, keys: &[Key]) -> Result<Watch> {
        self.ear.watch(keys).await
    }

    async fn signals(&self, channel: &Key) -> Result<Signals> {
        self.ear.signals(channel).await
    }

    async fn now(&self) -> Result<Millis> {
        question::time(self.ask("TIME", Vec::new()).await?)
    }

    async fn describe(&self) -> Result<Description> {
        let line = self.lines.line().await?;
        Ok(Facts::of(&line).await?.describe(&line).await)
    }

    fn connection(&self) -> u64 {
        self.lines.number()
    }

    fn remote(&self) -> bool {
        true
    }
}

impl std::fmt::Debug for Redis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Redis").field("address", &self.lines.address.to_string()).finish_non_exhaustive()
    }
}

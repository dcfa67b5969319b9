//! What this process was told is written, lately. A new connection can lead to a server that never heard of it: a replica promoted before
//! it was in step, a server restarted from an older file. It is asked for the tokens of the last accepted commits, which a store keeps
//! for a while; as servers replicate and replay in order, everything earlier is there if these are. ADR 7.

use std::collections::VecDeque;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use fred::error::Error as FredError;
use fred::types::{Resp3Frame, Value};

use super::line::Line;
use crate::error::Result;
use crate::store::{Accepted, Commit, FORMAT};
use crate::vocabulary::{Keys, Token, ttl};

/// How many commits are asked for: more than can be answered at once, so that the server's last one is among them.
const ASKED: usize = 256;
/// How old they may be. A server whose clock is ahead forgets a token early, which must not look like a loss.
const RECENT: Duration = ttl::RETRY;

/// What was accepted lately.
#[derive(Default)]
pub(super) struct Promised {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    accepted: VecDeque<(Duration, Token)>,
    generation: u64,
}

impl Promised {
    /// Remembers an accepted commit.
    pub fn remember(&self, commit: &Commit, accepted: &Accepted, now: Duration) {
        let Some(token) = &commit.token else { return };
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.generation = state.generation.max(accepted.generation);
        if state.accepted.len() == ASKED {
            state.accepted.pop_front();
        }
        state.accepted.push_back((now, token.clone()));
    }

    /// Forgets a commit whose answer was told to nobody.
    pub fn withdraw(&self, commit: &Commit) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.accepted.retain(|(_, token)| Some(token) != commit.token.as_ref());
    }

    /// Asks the server of a new line for what was accepted over the others. If anything is missing, and the store was not recovered
    /// since, the store's generation is taken away: from then on it answers `RolledBack` to everybody, until it is recovered.
    pub async fn demand(&self, line: &Line, keys: &Keys, now: Duration) -> Result<()> {
        let (asked, generation) = {
            let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            let recent = state.accepted.iter().filter(|(at, _)| now.saturating_sub(*at) < RECENT);
            let tokens = recent.map(|(_, token)| Value::from(format!("{}token:{token}", keys.prefix())));
            (tokens.collect::<Vec<_>>(), state.generation)
        };
        if asked.is_empty() {
            return Ok(());
        }
        let missing = missing(line, asked, keys, generation).await.map_err(|error| line.address.trouble(&error))?;
        if missing > 0 {
            tracing::error!(missing, "`{}` has lost acknowledged writes: everything is denied until it is recovered", line.address);
            take_generation(line, keys).await.map_err(|error| line.address.trouble(&error))?;
        }
        self.state.lock().unwrap_or_else(PoisonError::into_inner).accepted.clear();
        Ok(())
    }
}

/// Makes the store one that was set up and has no generation, also where nothing of it is left: else the next one who opens it would take
/// it for a new one.
async fn take_generation(line: &Line, keys: &Keys) -> Result<(), FredError> {
    let meta = keys.meta();
    for (field, value) in [("version", 1), ("format", FORMAT)] {
        line.ask("HSETNX", vec![meta.as_str().into(), field.into(), value.to_string().into()]).await?;
    }
    line.ask("DEL", vec![keys.generation().as_str().into()]).await.map(drop)
}

/// How many of the tokens the server does not have, though it was not recovered after they were accepted.
async fn missing(line: &Line, tokens: Vec<Value>, keys: &Keys, generation: u64) -> Result<i64, FredError> {
    let asked = i64::try_from(tokens.len()).unwrap_or(i64::MAX);
    let held = match line.ask("EXISTS", tokens).await? {
        Resp3Frame::Number { data, .. } => data,
        _ => 0,
    };
    if held >= asked {
        return Ok(0);
    }
    let recovered = match line.ask("HGET", vec![keys.meta().as_str().into(), "recovered".into()]).await? {
        Resp3Frame::BlobString { data, .. } => std::str::from_utf8(&data).ok().and_then(|text| text.parse().ok()).unwrap_or(0),
        _ => 0,
    };
    // A recovery makes a generation above every one before it. An emptied store that was merely set up anew is not a recovered one.
    Ok(if recovered > generation { 0 } else { asked - held })
}

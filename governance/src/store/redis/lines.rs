//! The line in use, and the next one when it has ended.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use fred::types::RespVersion;
use tokio::sync::Mutex;

use super::RedisOptions;
use super::address::Address;
use super::facts::Facts;
use super::line::Line;
use super::promised::Promised;
use super::route;
use crate::error::Result;
use crate::vocabulary::{Keys, Ports};

/// For how long after a failed attempt nobody else tries.
const PAUSE: Duration = Duration::from_millis(20);

/// The line in use.
pub(super) struct Lines {
    pub address: Arc<Address>,
    pub promised: Promised,
    keys: Keys,
    options: RedisOptions,
    ports: Ports,
    current: RwLock<Option<Arc<Line>>>,
    number: AtomicU64,
    // When the last attempt failed, and why.
    opening: Mutex<Option<(Duration, String)>>,
}

impl Lines {
    pub fn new(address: Arc<Address>, keys: &Keys, options: RedisOptions, ports: Ports) -> Self {
        Self {
            address,
            promised: Promised::default(),
            keys: keys.clone(),
            options,
            ports,
            current: RwLock::default(),
            number: AtomicU64::new(0),
            opening: Mutex::default(),
        }
    }

    /// The machine's time, for what was accepted when.
    pub fn elapsed(&self) -> Duration {
        self.ports.clock.elapsed()
    }

    /// The number of the newest line.
    pub fn number(&self) -> u64 {
        self.number.load(Ordering::Acquire)
    }

    /// The line in use, or a new one.
    pub async fn line(&self) -> Result<Arc<Line>> {
        if let Some(line) = self.open_line() {
            return Ok(line);
        }
        let mut failed = self.opening.lock().await;
        if let Some(line) = self.open_line() {
            return Ok(line);
        }
        if let Some((at, why)) = &*failed
            && self.ports.clock.elapsed().saturating_sub(*at) < PAUSE
        {
            return Err(self.address.unreachable(why));
        }
        match self.open().await {
            Ok(line) => {
                *failed = None;
                // INVARIANT: the number rises before anyone can use the line.
                self.number.store(line.number, Ordering::Release);
                *self.current.write().unwrap_or_else(PoisonError::into_inner) = Some(line.clone());
                Ok(line)
            }
            Err(error) => {
                if error.code() == "store_unreachable" {
                    *failed = Some((self.ports.clock.elapsed(), "it was tried just now".to_owned()));
                }
                Err(error)
            }
        }
    }

    fn open_line(&self) -> Option<Arc<Line>> {
        let current = self.current.read().unwrap_or_else(PoisonError::into_inner);
        current.as_ref().filter(|line| !line.is_closed()).cloned()
    }

    async fn open(&self) -> Result<Arc<Line>> {
        let line = route::open(&self.address, self.number() + 1, RespVersion::RESP2).await?;
        let facts = Facts::of(&line).await?;
        let line = line.teach(facts.knows_flags(), self.options.refuse_undeclared_keys).await?;
        // INVARIANT: nobody uses a line whose server was not asked for what it must have.
        self.promised.demand(&line, &self.keys, self.elapsed()).await?;
        Ok(Arc::new(line))
    }
}

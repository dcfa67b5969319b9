//! Where a server is, and how its troubles are told. The password never leaves this file.

use std::time::Duration;

use fred::clients::Client;
use fred::error::{Error as FredError, ErrorKind as Trouble};
use fred::types::RespVersion;
use fred::types::config::{Config, ConnectionConfig, PerformanceConfig};

use super::super::StoreUrl;
use crate::error::{Error, ErrorKind, Result};

/// How long a server may take to accept a connection, or to answer while it is set up.
const GREETING: Duration = Duration::from_secs(2);
/// How many messages wait for this process before the oldest are lost.
const MESSAGES_KEPT: usize = 8192;

/// Where a server is.
pub(super) struct Address {
    config: Config,
    shown: String,
}

impl Address {
    pub fn of(url: &StoreUrl) -> Result<Self> {
        let (StoreUrl::Redis(text) | StoreUrl::RedisUnix(text)) = url else {
            return Err(Error::invalid("wrong_store_url", format!("`{url}` is not a Redis-protocol server: use `redis://HOST:PORT`")));
        };
        let shown = url.to_string();
        let config = Config::from_url(text).map_err(|_| {
            let message =
                format!("`{shown}` cannot be read: use `redis://[USER:PASSWORD@]HOST:PORT[/DB]` or `redis+unix:///PATH/TO/SOCKET`");
            Error::invalid("invalid_store_url", message)
        })?;
        Ok(Self { config, shown })
    }

    /// A client for one connection: it never connects again by itself, so that no command crosses to another connection unseen.
    pub fn client(&self, version: RespVersion) -> Client {
        let config = Config { fail_fast: true, version, ..self.config.clone() };
        let performance = PerformanceConfig { broadcast_channel_capacity: MESSAGES_KEPT, ..PerformanceConfig::default() };
        let mut connection = ConnectionConfig {
            connection_timeout: GREETING,
            internal_command_timeout: GREETING,
            max_command_attempts: 1,
            disable_cluster_health_check: true,
            ..ConnectionConfig::default()
        };
        connection.tcp.nodelay = Some(true);
        Client::new(config, Some(performance), Some(connection), None)
    }

    /// An error for what the server, or the way to it, answered.
    pub fn trouble(&self, error: &FredError) -> Error {
        let told = error.details();
        let said = |prefix: &str| told.starts_with(prefix);
        if *error.kind() == Trouble::Auth || said("NOAUTH") || said("WRONGPASS") || said("NOPERM") || said("ERR invalid password") {
            let message = format!("`{}` does not let this user in: check the user, the password and its rights (`{told}`)", self.shown);
            return Error::new(ErrorKind::Denied, "store_denied", message);
        }
        if said("OOM") {
            let message = format!(
                "the memory of `{}` is full: give it more (`maxmemory`) or remove what is not needed; only stops land now",
                self.shown
            );
            return Error::new(ErrorKind::Exhausted, "store_full", message);
        }
        if ["LOADING", "READONLY", "MASTERDOWN", "BUSY", "TRYAGAIN", "CLUSTERDOWN", "MISCONF", "NOREPLICAS"].iter().any(|p| said(p)) {
            return Error::unavailable("store_unready", format!("`{}` does not take commands now: `{told}`", self.shown));
        }
        match error.kind() {
            Trouble::IO | Trouble::Canceled | Trouble::Timeout | Trouble::Routing | Trouble::Unknown if !said("ERR") => {
                self.unreachable(told)
            }
            _ => Error::internal(format!("`{}` answered what was not expected: `{told}`", self.shown)),
        }
    }

    /// The server does not answer.
    pub fn unreachable(&self, why: &str) -> Error {
        // The client tells an operating system's error by its debug form: its sentence is what people read.
        let sentence = why.split_once("message: \"").and_then(|(_, rest)| rest.split_once('"')).map_or(why, |(sentence, _)| sentence);
        let message = format!("`{}` does not answer ({sentence}): start the server, or check the address", self.shown);
        Error::unavailable("store_unreachable", message).with("address", self.shown.clone())
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.shown)
    }
}

//! Where servers are, and how their troubles are told. The password never leaves this file.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use fred::clients::Client;
use fred::error::{Error as FredError, ErrorKind as Trouble};
use fred::types::RespVersion;
use fred::types::config::{Config, ConnectionConfig, PerformanceConfig, Server, ServerConfig};

use super::super::{Credentials, Form, ServerUrl, StoreUrl};
use super::tls::trusting;
use crate::error::{Error, ErrorKind, Result};
use crate::vocabulary::Keys;

/// How long a server may take to accept a connection, or to answer while it is set up.
const GREETING: Duration = Duration::from_secs(2);
/// How many messages wait for this process before the oldest are lost.
const MESSAGES_KEPT: usize = 8192;
/// What servers say when they do not take commands now, and will again.
const UNREADY: &[&str] = &["LOADING", "READONLY", "MASTERDOWN", "BUSY", "TRYAGAIN", "CLUSTERDOWN", "MISCONF", "NOREPLICAS", "ASK", "MOVED"];

/// Where servers are.
pub(super) struct Address {
    pub url: ServerUrl,
    /// A key of the tenant: it tells whose slot it is.
    pub anchor: String,
    config: Config,
    // The nodes of a cluster, the one that answered last before the others.
    nodes: Mutex<Vec<Server>>,
}

impl Address {
    pub fn of(url: &StoreUrl, keys: &Keys) -> Result<Self> {
        let StoreUrl::Redis(url) = url else {
            return Err(Error::invalid("wrong_store_url", format!("`{url}` is not a Redis-protocol server: use `redis://HOST:PORT`")));
        };
        let tls = if url.tls { Some(trusting(url.ca.as_deref())?) } else { None };
        let config = Config { fail_fast: true, tls, ..Config::default() };
        let nodes = url.nodes.iter().map(|(host, port)| Server::new(host.as_str(), *port)).collect();
        Ok(Self { url: url.clone(), anchor: keys.generation().to_string(), config, nodes: Mutex::new(nodes) })
    }

    /// The servers to ask, the likeliest first.
    pub fn nodes(&self) -> Vec<Server> {
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Remembers who else there is, behind the server that answered.
    pub fn learn(&self, answered: &Server, others: Vec<Server>) {
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        // Those of the URL are never forgotten: they can be names whose addresses change.
        let given = self.url.nodes.iter().map(|(host, port)| Server::new(host.as_str(), *port));
        let mut known = vec![answered.clone()];
        for server in others.into_iter().chain(given) {
            if !known.contains(&server) {
                known.push(server);
            }
        }
        *nodes = known;
    }

    /// A client for one connection to a server; without one, to the socket.
    pub fn client(&self, server: Option<Server>, version: RespVersion) -> Client {
        let server = match (server, &self.url.socket) {
            (Some(server), _) => ServerConfig::Centralized { server },
            (None, Some(path)) => ServerConfig::Unix { path: path.clone() },
            (None, None) => ServerConfig::default(),
        };
        self.connect(server, &self.url.login, Some(self.url.database).filter(|number| *number != 0), version)
    }

    /// A client for one connection to a sentinel.
    pub fn sentinel(&self, server: Server) -> Client {
        self.connect(ServerConfig::Centralized { server }, &self.url.sentinel_login, None, RespVersion::RESP2)
    }

    /// It never connects again by itself, so that no command crosses to another connection unseen.
    fn connect(&self, server: ServerConfig, login: &Credentials, database: Option<u8>, version: RespVersion) -> Client {
        let Credentials { user: username, password } = login.clone();
        let config = Config { server, username, password, database, version, ..self.config.clone() };
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

    /// An error for what a server, or the way to it, answered.
    pub fn trouble(&self, error: &FredError) -> Error {
        let told = error.details();
        let said = |prefix: &str| told.starts_with(prefix);
        if *error.kind() == Trouble::Auth || said("NOAUTH") || said("WRONGPASS") || said("NOPERM") || said("ERR invalid password") {
            let message = format!("`{self}` does not let this user in: check the user, the password and its rights (`{told}`)");
            return Error::new(ErrorKind::Denied, "store_denied", message);
        }
        if told.contains("InvalidCertificate") || told.contains("invalid peer certificate") {
            let message = format!("`{self}` is not who it must be, by its certificate: name the authority with `?ca=FILE` (`{told}`)");
            return Error::new(ErrorKind::Denied, "store_not_trusted", message);
        }
        if said("OOM") {
            let message =
                format!("the memory of `{self}` is full: give it more (`maxmemory`) or remove what is not needed; only stops land now");
            return Error::new(ErrorKind::Exhausted, "store_full", message);
        }
        if self.url.form != Form::Cluster && (said("MOVED") || said("CROSSSLOT")) {
            let message = format!("`{self}` is a node of a cluster: use `redis-cluster://`");
            return Error::invalid("store_is_cluster", message);
        }
        if said("CROSSSLOT") {
            return Error::invalid(
                "several_tenants",
                "a commit names keys of several tenants: on a cluster each lives on a slot of its own",
            );
        }
        if UNREADY.iter().any(|prefix| said(prefix)) {
            return Error::unavailable("store_unready", format!("`{self}` does not take commands now: `{told}`"));
        }
        match error.kind() {
            Trouble::IO | Trouble::Canceled | Trouble::Timeout | Trouble::Routing | Trouble::Tls | Trouble::Unknown if !said("ERR") => {
                self.unreachable(told)
            }
            _ => Error::internal(format!("`{self}` answered what was not expected: `{told}`")),
        }
    }

    /// The server does not answer.
    pub fn unreachable(&self, why: &str) -> Error {
        // The client tells an operating system's error by its debug form: its sentence is what people read.
        let sentence = why.split_once("message: \"").and_then(|(_, rest)| rest.split_once('"')).map_or(why, |(sentence, _)| sentence);
        let tls = if self.url.tls { ", and that it speaks TLS there" } else { "" };
        let message = format!("`{self}` does not answer ({sentence}): start the server, or check the address{tls}");
        Error::unavailable("store_unreachable", message).with("address", self.to_string())
    }
}

impl std::fmt::Display for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        std::fmt::Display::fmt(&self.url, f)
    }
}

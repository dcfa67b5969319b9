//! Which server a connection goes to: the one of the URL, the master that the sentinels name, or the node of a cluster that holds the
//! tenant's slot.
//!
//! The client's own routing is not used: it would follow a redirection to a promoted replica in the middle of a commit, and no commit
//! may go over a connection for which the witness was not asked (ADR 2). Here a server that has lost its place ends the line; the next
//! one is a new line, found anew.

use std::collections::VecDeque;
use std::sync::Arc;

use fred::error::Error as FredError;
use fred::types::config::Server;
use fred::types::{Resp3Frame, RespVersion};

use super::address::Address;
use super::line::Line;
use crate::error::{Error, ErrorKind, Result};
use crate::store::Form;

/// How many redirections are followed before the cluster is taken to be in disorder.
const REDIRECTIONS: usize = 5;

/// What a server says that is no longer the one to talk to.
const DISPLACED: &[&str] = &["MOVED", "READONLY", "CLUSTERDOWN", "MASTERDOWN"];

/// Whether the server that answered so is no longer the one to talk to.
pub(super) fn is_displaced(error: &FredError) -> bool {
    DISPLACED.iter().any(|prefix| error.details().starts_with(prefix))
}

/// Opens a connection to the server in charge.
pub(super) async fn open(address: &Arc<Address>, number: u64, version: RespVersion) -> Result<Line> {
    match address.url.form {
        Form::Single => Line::open(address, address.client(address.nodes().pop(), version), number).await,
        Form::Cluster => owner(address, number, version).await,
        Form::Sentinel => master(address, number, version).await,
    }
}

/// The node of the cluster that holds the tenant's slot: it answers for the tenant's key, every other names it.
async fn owner(address: &Arc<Address>, number: u64, version: RespVersion) -> Result<Line> {
    let mut candidates = VecDeque::from(address.nodes());
    let (mut trouble, mut redirections) = (None, 0);
    while let Some(server) = candidates.pop_front() {
        let line = match Line::open(address, address.client(Some(server.clone()), version.clone()), number).await {
            Ok(line) => line,
            Err(error) => {
                trouble = Some(worse(trouble, error));
                continue;
            }
        };
        match line.ask("EXISTS", vec![address.anchor.as_str().into()]).await {
            Ok(_) => {
                if let Ok(slots) = line.ask("CLUSTER", vec!["SLOTS".into()]).await {
                    address.learn(&server, nodes(slots, &server));
                }
                return Ok(line);
            }
            Err(error) => {
                if let Some(to) = redirection(error.details(), &server).filter(|_| redirections < REDIRECTIONS) {
                    redirections += 1;
                    candidates.push_front(to);
                }
                trouble = Some(worse(trouble, address.trouble(&error)));
            }
        }
    }
    Err(trouble.unwrap_or_else(|| address.unreachable("no node is known")))
}

/// The master, as the first sentinel names it that answers, if it says so itself.
async fn master(address: &Arc<Address>, number: u64, version: RespVersion) -> Result<Line> {
    let mut trouble = None;
    for sentinel in address.nodes() {
        match named(address, sentinel, number, &version).await {
            Ok(line) => return Ok(line),
            Err(error) => trouble = Some(worse(trouble, error)),
        }
    }
    Err(trouble.unwrap_or_else(|| address.unreachable("no sentinel is known")))
}

async fn named(address: &Arc<Address>, sentinel: Server, number: u64, version: &RespVersion) -> Result<Line> {
    let asked = Line::open(address, address.sentinel(sentinel.clone()), 0).await?;
    let name = &address.url.master;
    let told = asked.ask("SENTINEL", vec!["get-master-addr-by-name".into(), name.as_str().into()]).await;
    let server = match told.map_err(|error| address.trouble(&error))? {
        Resp3Frame::Array { data, .. } => place(&data, &sentinel).ok_or_else(|| Error::internal("a sentinel answered in another shape"))?,
        _ => return Err(Error::invalid("unknown_master", format!("the sentinels of `{address}` know no master named `{name}`"))),
    };
    let line = Line::open(address, address.client(Some(server), version.clone()), number).await?;
    let role = line.ask("ROLE", Vec::new()).await.map_err(|error| address.trouble(&error))?;
    match role {
        Resp3Frame::Array { data, .. } if data.first().and_then(text).as_deref() == Some("master") => Ok(line),
        _ => Err(Error::unavailable("store_unready", format!("the server that the sentinels of `{address}` name is not a master yet"))),
    }
}

/// Of two troubles, the one to tell: what waiting does not mend.
fn worse(known: Option<Error>, error: Error) -> Error {
    match known {
        Some(known) if !known.may_retry() && known.kind() != ErrorKind::Internal => known,
        _ => error,
    }
}

/// `MOVED 3999 HOST:PORT`; without a host, that of the server which said so.
fn redirection(told: &str, by: &Server) -> Option<Server> {
    let (host, port) = told.strip_prefix("MOVED ")?.split_once(' ')?.1.rsplit_once(':')?;
    Some(server(host, port.trim().parse().ok()?, by))
}

/// The nodes in an answer to `CLUSTER SLOTS`: ranges of first, last, and the nodes that hold them.
fn nodes(slots: Resp3Frame, by: &Server) -> Vec<Server> {
    let list = |frame| if let Resp3Frame::Array { data, .. } = frame { data } else { Vec::new() };
    list(slots).into_iter().flat_map(|range| list(range).into_iter().skip(2)).filter_map(|node| place(&list(node), by)).collect()
}

/// A host and a port at the beginning of a list.
fn place(list: &[Resp3Frame], by: &Server) -> Option<Server> {
    let port = match list.get(1)? {
        Resp3Frame::Number { data, .. } => u16::try_from(*data).ok()?,
        frame => text(frame)?.parse().ok()?,
    };
    Some(server(&list.first().and_then(text).unwrap_or_default(), port, by))
}

fn server(host: &str, port: u16, by: &Server) -> Server {
    let unknown = host.is_empty() || host == "?";
    Server::new(if unknown { by.host.to_string() } else { host.to_owned() }, port)
}

fn text(frame: &Resp3Frame) -> Option<String> {
    match frame {
        Resp3Frame::BlobString { data, .. } | Resp3Frame::SimpleString { data, .. } => Some(String::from_utf8_lossy(data).into_owned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_redirection_names_a_server() {
        let by = Server::new("here", 1);
        assert_eq!(redirection("MOVED 3999 10.0.0.1:6381", &by), Some(Server::new("10.0.0.1", 6381)));
        assert_eq!(redirection("MOVED 3999 fe80::1:6381", &by), Some(Server::new("fe80::1", 6381)));
        assert_eq!(redirection("MOVED 3999 :6381", &by), Some(Server::new("here", 6381)));
        assert_eq!(redirection("CLUSTERDOWN Hash slot not served", &by), None);
    }
}

//! Which store a URL means.

use std::path::PathBuf;

use super::server_url::{Form, ServerUrl, without_password};
use crate::error::{Error, Result};
use crate::vocabulary::{Keys, TenantId};

/// Where shared state lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// `memory:`.
    Memory,
    /// `sqlite:PATH`.
    Sqlite(PathBuf),
    /// `redis://HOST:PORT[/DB]` and its relatives.
    Redis(ServerUrl),
}

impl StoreUrl {
    /// Reads a URL. Passwords never come back out: [`Display`](std::fmt::Display) leaves them out.
    pub fn parse(text: &str) -> Result<Self> {
        let (scheme, rest) = text.split_once(':').unwrap_or((text, ""));
        match scheme {
            "memory" if rest.is_empty() => Ok(Self::Memory),
            "sqlite" if !rest.trim_start_matches('/').is_empty() => {
                // `sqlite:///absolute` and `sqlite://relative` are what other tools write.
                Ok(Self::Sqlite(PathBuf::from(rest.strip_prefix("//").unwrap_or(rest))))
            }
            _ if ServerUrl::knows(scheme) => ServerUrl::parse(text).map(Self::Redis),
            _ => Err(Error::invalid(
                "unknown_store_url",
                format!(
                    "`{}` is not a store this build knows: use `sqlite:PATH`, `redis://HOST:PORT`, `redis+unix:///PATH/TO/SOCKET`, \
                     `redis-cluster://HOST:PORT,…`, `redis-sentinel://HOST:PORT,…/MASTER` or `memory:`",
                    without_password(text)
                ),
            )),
        }
    }
}

impl StoreUrl {
    /// A tenant's keys there. On a cluster every tenant has a prefix, which keeps it on one slot.
    #[must_use]
    pub fn keys(&self, tenant: &TenantId) -> Keys {
        Keys::of(tenant, matches!(self, Self::Redis(url) if url.form == Form::Cluster))
    }

    /// The names under which the same state may be met again, without anything secret; none for what ends with its process. ADR 8.
    #[must_use]
    pub fn addresses(&self) -> Vec<String> {
        match self {
            Self::Memory => Vec::new(),
            Self::Sqlite(path) => {
                let path = std::path::absolute(path).unwrap_or_else(|_| path.clone());
                vec![format!("sqlite:{}", path.display())]
            }
            Self::Redis(url) => url.addresses(),
        }
    }
}

impl std::fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Memory => f.write_str("memory:"),
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Redis(url) => write!(f, "{url}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_mean_stores() {
        assert_eq!(StoreUrl::parse("memory:").unwrap(), StoreUrl::Memory);
        assert_eq!(StoreUrl::parse("sqlite:a/b.db").unwrap(), StoreUrl::Sqlite("a/b.db".into()));
        assert_eq!(StoreUrl::parse("sqlite:///a.db").unwrap(), StoreUrl::Sqlite("/a.db".into()));
        assert!(matches!(StoreUrl::parse("redis+unix:///run/r.sock").unwrap(), StoreUrl::Redis(url) if url.socket.is_some()));
    }

    #[test]
    fn an_unknown_url_says_what_is_known_and_never_shows_a_password() {
        for bad in ["", "mysql://x", "sqlite:", "http://user:secret@host", "redisx://user:secret@host"] {
            let message = StoreUrl::parse(bad).unwrap_err().to_string();
            assert!(message.contains("sqlite:PATH") && !message.contains("secret"), "{message}");
        }
        let shown = StoreUrl::parse("redis://:secret@h:1").unwrap();
        assert!(!format!("{shown} {shown:?}").contains("secret"));
    }

    #[test]
    fn a_tenant_on_a_cluster_always_has_a_prefix() {
        let prefix = |url, tenant: &TenantId| StoreUrl::parse(url).unwrap().keys(tenant).prefix().to_owned();
        assert_eq!(prefix("redis://h:1", &TenantId::default()), "");
        assert_eq!(prefix("redis-cluster://h:1", &TenantId::default()), "{default}:");
        assert_eq!(prefix("redis-sentinel://h:1/m", &TenantId::new("acme").unwrap()), "{acme}:");
    }
}

//! Which store a URL means.

use std::path::PathBuf;

use crate::error::{Error, Result};

/// Where shared state lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoreUrl {
    /// `memory:`.
    Memory,
    /// `sqlite:PATH`.
    Sqlite(PathBuf),
    /// `redis://HOST:PORT[/DB]`.
    Redis(String),
    /// `redis+unix:///PATH`.
    RedisUnix(String),
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
            "redis" if rest.len() > 2 && rest.starts_with("//") => Ok(Self::Redis(text.to_owned())),
            "redis+unix" if rest.len() > 3 && rest.starts_with("///") => Ok(Self::RedisUnix(text.to_owned())),
            _ => Err(Error::invalid(
                "unknown_store_url",
                format!(
                    "`{}` is not a store this build knows: use `sqlite:PATH`, `redis://HOST:PORT`, `redis+unix:///PATH/TO/SOCKET` or `memory:`",
                    without_password(text)
                ),
            )),
        }
    }
}

impl std::fmt::Display for StoreUrl {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Memory => f.write_str("memory:"),
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Redis(url) | Self::RedisUnix(url) => f.write_str(&without_password(url)),
        }
    }
}

fn without_password(url: &str) -> String {
    let shown: String = url.chars().take(200).collect();
    match (shown.find("://"), shown.rfind('@')) {
        (Some(scheme), Some(at)) if at > scheme => format!("{}://…{}", &shown[..scheme], &shown[at..]),
        _ => shown.escape_default().to_string(),
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
        assert!(matches!(StoreUrl::parse("redis+unix:///run/r.sock").unwrap(), StoreUrl::RedisUnix(_)));
    }

    #[test]
    fn an_unknown_url_says_what_is_known_and_never_shows_a_password() {
        for bad in ["", "mysql://x", "sqlite:", "redis:", "redis+unix://", "http://user:secret@host"] {
            let message = StoreUrl::parse(bad).unwrap_err().to_string();
            assert!(message.contains("sqlite:PATH") && !message.contains("secret"), "{message}");
        }
        assert!(!StoreUrl::parse("redis://:secret@h:1").unwrap().to_string().contains("secret"));
    }
}

//! What the URL of a Redis-protocol server says. docs/stores.md.

use std::fmt;
use std::path::PathBuf;

use url::Url;

use crate::error::{Error, Result};
use crate::vocabulary::{DEFAULT_REDIS_PORT, named};

/// Where a sentinel usually listens.
const SENTINEL_PORT: u16 = 26379;
const KNOWN: &str = "use `redis://HOST:PORT`, `redis+unix:///PATH/TO/SOCKET`, `redis-cluster://HOST:PORT,…` or \
                     `redis-sentinel://HOST:PORT,…/MASTER`; over TLS `rediss://`, `rediss-cluster://`, `rediss-sentinel://`";

named! {
    /// How servers stand together.
    pub enum Form {
        /// One server.
        Single = "single",
        /// Several servers that share the keys by slot.
        Cluster = "cluster",
        /// One server and those that can take its place, as the sentinels say.
        Sentinel = "sentinel",
    }
}

/// A user's name and password.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// The user; none is the server's default one.
    pub user: Option<String>,
    /// The password.
    pub password: Option<String>,
}

/// What the URL of a Redis-protocol server says. Neither `Debug` nor `Display` shows a password.
#[derive(Clone, PartialEq, Eq)]
pub struct ServerUrl {
    /// How the servers stand together.
    pub form: Form,
    /// Whether they are reached over TLS.
    pub tls: bool,
    /// Those that are asked first, as host and port: the server, nodes of the cluster, or the sentinels. Empty where there is a socket.
    pub nodes: Vec<(String, u16)>,
    /// The unix socket.
    pub socket: Option<PathBuf>,
    /// Who is let in by the servers.
    pub login: Credentials,
    /// Who is let in by the sentinels.
    pub sentinel_login: Credentials,
    /// The number of the database.
    pub database: u8,
    /// What the sentinels call the master.
    pub master: String,
    /// The file with the certificates that are trusted, instead of the machine's own.
    pub ca: Option<PathBuf>,
    /// Refuse a server that may evict keys, instead of warning about it.
    pub strict: bool,
}

impl ServerUrl {
    /// Whether a scheme is one of a Redis-protocol server.
    pub(super) fn knows(scheme: &str) -> bool {
        matches!(scheme, "redis" | "redis+unix" | "redis-cluster" | "redis-sentinel" | "rediss" | "rediss-cluster" | "rediss-sentinel")
    }

    /// Reads a URL.
    pub fn parse(text: &str) -> Result<Self> {
        Self::read(text).map_err(|why| {
            let message = format!("`{}` cannot be read ({why}): {KNOWN}", without_password(text));
            Error::invalid("invalid_store_url", message)
        })
    }

    fn read(text: &str) -> Result<Self, &'static str> {
        let (scheme, rest) = text.split_once("://").ok_or("no `//` after the scheme")?;
        let end = rest.find(['/', '?']).unwrap_or(rest.len());
        let (login, hosts) = rest[..end].rsplit_once('@').unwrap_or(("", &rest[..end]));
        let unix = scheme == "redis+unix";
        let form = match scheme.rsplit_once('-') {
            Some((_, "cluster")) => Form::Cluster,
            Some((_, "sentinel")) => Form::Sentinel,
            _ => Form::Single,
        };
        // The many hosts of a cluster are no URL: read with a stand-in.
        let url = Url::parse(&format!("redis://{login}@host{}", &rest[end..])).map_err(|_| "not a URL")?;
        let port = if form == Form::Sentinel { SENTINEL_PORT } else { DEFAULT_REDIS_PORT };
        let mut nodes = hosts.split(',').filter(|host| !host.is_empty()).map(|host| node(host, port)).collect::<Result<Vec<_>, _>>()?;
        if unix != nodes.is_empty() {
            return Err(if unix { "a socket has no host" } else { "no host" });
        }
        let mut server = Self {
            form,
            tls: scheme.starts_with("rediss"),
            nodes: Vec::new(),
            socket: unix.then(|| PathBuf::from(decoded(url.path()))),
            login: credentials(Some(url.username()), url.password()),
            sentinel_login: Credentials::default(),
            database: 0,
            master: String::new(),
            ca: None,
            strict: false,
        };
        let path = url.path().trim_start_matches('/');
        let mut database = if unix { "" } else { path }.to_owned();
        if form == Form::Sentinel {
            let (master, number) = path.split_once('/').unwrap_or((path, ""));
            (server.master, database) = (decoded(master), number.to_owned());
        }
        for (name, value) in url.query_pairs() {
            match &*name {
                "node" if form != Form::Single => nodes.push(node(&value, port)?),
                "sentinelServiceName" if form == Form::Sentinel => {
                    // fred's spelling, in which the path is the database.
                    database = std::mem::replace(&mut server.master, value.into_owned());
                }
                "sentinelUsername" if form == Form::Sentinel => server.sentinel_login.user = Some(value.into_owned()),
                "sentinelPassword" if form == Form::Sentinel => server.sentinel_login.password = Some(value.into_owned()),
                "db" if unix => database = value.into_owned(),
                "ca" if server.tls => server.ca = Some(PathBuf::from(value.into_owned())),
                "strict" if matches!(&*value, "yes" | "no") => server.strict = value == "yes",
                _ => return Err("an unknown option after the `?`"),
            }
        }
        if !database.is_empty() {
            server.database = database.parse().map_err(|_| "the database is not a number up to 255")?;
        }
        match form {
            Form::Single if nodes.len() > 1 => return Err("several hosts, but neither a cluster nor sentinels"),
            Form::Cluster if server.database != 0 => return Err("a cluster has one database only"),
            Form::Sentinel if server.master.is_empty() => return Err("the master's name is missing after the sentinels"),
            _ => {}
        }
        if server.socket.as_ref().is_some_and(|socket| socket.as_os_str().len() < 2) {
            return Err("no path to a socket");
        }
        server.nodes = nodes;
        Ok(server)
    }

    /// The names under which the same servers may be met again: one for each host, with every spelling of this machine the same.
    pub fn addresses(&self) -> Vec<String> {
        let of = |host: &str| match host {
            "127.0.0.1" | "::1" => "localhost".to_owned(),
            other => other.to_ascii_lowercase(),
        };
        match (&self.socket, self.form) {
            (Some(path), _) => vec![format!("redis+unix://{}/{}", path.display(), self.database)],
            (None, Form::Sentinel) => {
                let name = |(host, port): &(String, u16)| format!("redis-sentinel://{}:{port}/{}/{}", of(host), self.master, self.database);
                self.nodes.iter().map(name).collect()
            }
            (None, _) => self.nodes.iter().map(|(host, port)| format!("redis://{}:{port}/{}", of(host), self.database)).collect(),
        }
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(path) = &self.socket {
            return write!(f, "redis+unix://{}", path.display());
        }
        let hosts: Vec<_> = self.nodes.iter().map(|(host, port)| format!("{}:{port}", bracketed(host))).collect();
        let form = if self.form == Form::Single { String::new() } else { format!("-{}", self.form) };
        write!(f, "redis{}{form}://{}", if self.tls { "s" } else { "" }, hosts.join(","))?;
        if self.form == Form::Sentinel {
            write!(f, "/{}", self.master)?;
        }
        if self.database == 0 { Ok(()) } else { write!(f, "/{}", self.database) }
    }
}

impl fmt::Debug for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{self}`")
    }
}

/// What was given, to be shown: without user, password and options.
pub(super) fn without_password(url: &str) -> String {
    let shown: String = url.chars().take(200).collect();
    let shown = shown.split('?').next().unwrap_or_default();
    match (shown.find("://"), shown.rfind('@')) {
        (Some(scheme), Some(at)) if at > scheme => format!("{}://…{}", &shown[..scheme], &shown[at..]),
        _ => shown.escape_default().to_string(),
    }
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

/// `HOST`, `HOST:PORT` or `[HOST]:PORT`.
fn node(text: &str, usual: u16) -> Result<(String, u16), &'static str> {
    let (host, port) = match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((host, port)) => (host, port.strip_prefix(':')),
        None => text.rsplit_once(':').map_or((text, None), |(host, port)| (host, Some(port))),
    };
    let port = port.map_or(Ok(usual), |port| port.parse().map_err(|_| "a port is not a number up to 65535"))?;
    if host.is_empty() || host.contains(['/', ' ', '@', '[', ']']) {
        return Err("a host is missing or malformed");
    }
    Ok((host.to_owned(), port))
}

fn credentials(user: Option<&str>, password: Option<&str>) -> Credentials {
    let given = |text: Option<&str>| text.filter(|text| !text.is_empty()).map(decoded);
    Credentials { user: given(user), password: given(password) }
}

/// Undoes percent-encoding.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        let hex = tail.get(..2).filter(|_| *first == b'%').and_then(|two| std::str::from_utf8(two).ok());
        match hex.and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(byte) => (bytes.push(byte), rest = &tail[2..]).1,
            None => (bytes.push(*first), rest = tail).1,
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(url: &str) -> ServerUrl {
        ServerUrl::parse(url).unwrap()
    }

    #[test]
    fn each_form_is_read() {
        let single = parse("rediss://us%40er:p%3Aw@h:1/3?ca=/etc/ca.pem&strict=yes");
        assert_eq!((single.form, single.tls, single.database, single.strict), (Form::Single, true, 3, true));
        assert_eq!((single.login.user.as_deref(), single.login.password.as_deref()), (Some("us@er"), Some("p:w")));
        assert_eq!(single.ca, Some("/etc/ca.pem".into()));
        let cluster = parse("redis-cluster://:p@a:1,[::1]:2,c?node=d:4");
        let nodes = [("a", 1), ("::1", 2), ("c", 6379), ("d", 4)].map(|(host, port)| (host.to_owned(), port));
        assert_eq!((cluster.form, cluster.nodes), (Form::Cluster, nodes.to_vec()));
        let sentinel = parse("redis-sentinel://u:p@a:1,b/mymaster/2?sentinelPassword=s");
        assert_eq!((&*sentinel.master, sentinel.database, sentinel.nodes[1].1), ("mymaster", 2, 26379));
        assert_eq!(sentinel.sentinel_login.password.as_deref(), Some("s"));
        let fred = parse("redis-sentinel://a:1/2?sentinelServiceName=mymaster&node=b:2");
        assert_eq!((&*fred.master, fred.database, fred.nodes.len()), ("mymaster", 2, 2));
        let unix = parse("redis+unix://:p@/run/r.sock?db=1");
        assert_eq!((unix.socket, unix.database), (Some("/run/r.sock".into()), 1));
    }

    #[test]
    fn what_makes_no_sense_is_explained_without_the_password() {
        for bad in [
            "redis:",
            "redis://",
            "redis+unix://host/x",
            "redis+unix://",
            "redis://:secret@a:1,b:2",
            "redis://a:secret",
            "redis-cluster://a:1/3",
            "redis-sentinel://:secret@a:1",
            "redis-sentinel://a:1/m?sentinelPassword=secret&x=y",
            "redis://a:1?ca=secret",
        ] {
            let told = ServerUrl::parse(bad).unwrap_err().to_string();
            assert!(told.contains("redis-cluster://HOST:PORT"), "{told}");
            assert!(!told.contains("secret") || bad == "redis://a:secret", "{told}");
        }
    }

    #[test]
    fn no_spelling_of_it_shows_a_password() {
        let url = parse("redis-sentinel://user:secret@a:1,b:2/m/1?sentinelPassword=secret");
        assert_eq!(format!("{url} {url:?}"), "redis-sentinel://a:1,b:2/m/1 `redis-sentinel://a:1,b:2/m/1`");
    }

    #[test]
    fn this_machine_has_one_address() {
        let addresses = |url| parse(url).addresses();
        assert_eq!(addresses("redis://127.0.0.1"), addresses("redis://u:p@localhost:6379/0?strict=no"));
        assert_eq!(addresses("redis://[::1]:1/1"), addresses("redis://LOCALHOST:1/1"));
        assert_ne!(addresses("redis://localhost:1/1"), addresses("redis://localhost:1/2"));
        assert_eq!(addresses("rediss-cluster://A:1,b:2"), ["redis://a:1/0", "redis://b:2/0"]);
        assert_eq!(addresses("redis-sentinel://A:1/m"), ["redis-sentinel://a:1/m/0"]);
    }
}

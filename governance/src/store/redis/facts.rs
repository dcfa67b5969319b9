//! What a server says of itself.

use fred::types::{Resp3Frame, Value};

use super::line::Line;
use crate::error::Result;
use crate::store::{Description, Durability};

/// The product and the version of a server.
pub(super) struct Facts {
    product: &'static str,
    version: String,
}

impl Facts {
    pub async fn of(line: &Line) -> Result<Self> {
        let info = line.ask("INFO", vec!["server".into()]).await.map_err(|error| line.address.trouble(&error))?;
        let info = text(&info).unwrap_or_default();
        let field = |name: &str| info.lines().find_map(|l| l.strip_prefix(name)?.strip_prefix(':')).map(|v| v.trim().to_owned());
        let known = [("dragonfly", "dragonfly_version"), ("valkey", "valkey_version"), ("redis", "redis_version")];
        let found = known.into_iter().find_map(|(product, name)| Some((product, field(name)?)));
        let (product, version) = found.unwrap_or(("redis-compatible", String::new()));
        Ok(Self { product, version: version.trim_start_matches(['d', 'f', '-', 'v']).to_owned() })
    }

    /// Whether the server knows script flags. Dragonfly takes the line for Lua.
    pub fn knows_flags(&self) -> bool {
        self.product != "dragonfly"
    }

    /// What the store can promise on this server.
    pub async fn describe(&self, line: &Line) -> Description {
        let mut warnings = Vec::new();
        if let Some(warning) = eviction(line).await {
            warnings.push(warning);
        }
        let durable = match (setting(line, "appendonly").await, setting(line, "appendfsync").await, setting(line, "save").await) {
            (Some(only), fsync, _) if only == "yes" => match fsync.as_deref() {
                Some("always") => Durability::Always,
                Some("no") => Durability::Snapshot,
                _ => Durability::Everysec,
            },
            (Some(_), _, Some(save)) if !save.is_empty() => Durability::Snapshot,
            (Some(_), _, Some(_)) => Durability::None,
            _ => {
                warnings.push(format!(
                    "what `{}` keeps when it dies is unknown, because it does not show its settings: nothing is assumed; allow `CONFIG GET`",
                    line.address
                ));
                Durability::None
            }
        };
        let name = format!("redis ({} {})", self.product, self.version).replace(" )", ")");
        let (form, tls) = (Some(line.address.url.form), line.address.url.tls);
        let (eviction, lua) = (setting(line, "maxmemory-policy").await, lua(line).await);
        Description { name, shared: true, durable, form, tls, eviction, lua, warnings }
    }
}

/// What is wrong with the server's eviction policy.
pub(super) async fn eviction(line: &Line) -> Option<String> {
    match setting(line, "maxmemory-policy").await {
        Some(policy) if policy != "noeviction" => Some(format!(
            "`{}` may drop epochs and leases when its memory is full (`maxmemory-policy {policy}`): set it to `noeviction`",
            line.address
        )),
        _ => None,
    }
}

/// One setting, if the server shows it.
async fn setting(line: &Line, name: &'static str) -> Option<String> {
    let args: Vec<Value> = vec!["GET".into(), name.into()];
    match line.ask("CONFIG", args).await.ok()? {
        Resp3Frame::Array { data, .. } => text(data.get(1)?),
        _ => None,
    }
}

/// The language of the server's scripts, as its interpreter calls itself.
async fn lua(line: &Line) -> Option<String> {
    text(&line.ask("EVAL", vec!["return _VERSION".into(), 0.into()]).await.ok()?)
}

fn text(frame: &Resp3Frame) -> Option<String> {
    match frame {
        Resp3Frame::BlobString { data, .. } | Resp3Frame::SimpleString { data, .. } => Some(String::from_utf8_lossy(data).into_owned()),
        Resp3Frame::VerbatimString { data, .. } => Some(String::from_utf8_lossy(data).into_owned()),
        _ => None,
    }
}

//! How a Redis-protocol server is used.

/// How a Redis-protocol server is used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RedisOptions {
    /// Refuse a server that may evict keys, instead of warning about it.
    pub strict: bool,
    /// Let the server refuse keys that a script did not declare, as Dragonfly and clusters do. For tests: it costs time.
    pub refuse_undeclared_keys: bool,
}

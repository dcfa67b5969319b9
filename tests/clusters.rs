//! A real cluster: three masters, each with a replica.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::servers::{Product, Server};

const MASTERS: usize = 3;
/// How long nodes wait for each other before they call one dead.
const OPTIONS: &[&str] = &[
    "--cluster-enabled",
    "yes",
    "--cluster-config-file",
    "nodes.conf",
    "--cluster-node-timeout",
    "1000",
    // However old a replica is: whether what it misses is noticed is what is tried.
    "--cluster-replica-validity-factor",
    "0",
    "--enable-debug-command",
    "local",
];

/// A cluster that dies with this value.
pub struct Cluster {
    nodes: Vec<Server>,
}

impl Cluster {
    /// Starts the nodes and joins them, as an operator does.
    pub fn start(folder: &Path) -> Self {
        let node = |number| Server::start(Product::Redis, folder, &format!("node{number}"), OPTIONS);
        let cluster = Self { nodes: (0..2 * MASTERS).map(node).collect() };
        let made = Command::new("redis-cli")
            .args(["--cluster", "create"])
            .args(cluster.addresses())
            .args(["--cluster-replicas", "1", "--cluster-yes"])
            .stdin(Stdio::null())
            .output()
            .expect("`redis-cli` is missing: `apt-get install redis-tools`");
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stdout));
        cluster.wait_until("every node knows the cluster", || {
            cluster.nodes.iter().all(|node| {
                let info = node.ask(&["CLUSTER", "INFO"]);
                info.contains("cluster_state:ok") && info.contains("cluster_known_nodes:6")
            })
        });
        cluster
    }

    /// Where the nodes are, as `HOST:PORT`.
    pub fn addresses(&self) -> Vec<String> {
        self.nodes.iter().map(|node| format!("127.0.0.1:{}", node.port)).collect()
    }

    /// The URL of a cluster of which only some nodes are named.
    pub fn url(&self) -> String {
        format!("redis-cluster://{}", self.addresses()[..2].join(","))
    }

    /// The node that holds a key's slot.
    pub fn owner(&mut self, key: &str) -> &mut Server {
        let place = self.place_of_owner(key);
        &mut self.nodes[place]
    }

    /// The owner of a key's slot, and the replica that is in step with it.
    pub fn pair(&mut self, key: &str) -> (usize, usize) {
        let owner = self.place_of_owner(key);
        let follows = format!("master_port:{}\r", self.nodes[owner].port);
        let find = || {
            let is = |node: &Server| node.try_ask(&["INFO", "replication"]).is_some_and(|info| info.contains(&follows));
            self.nodes.iter().position(is)
        };
        self.wait_until("the owner has a replica", || find().is_some());
        let replica = find().unwrap();
        self.nodes[replica].wait_in_step(&self.nodes[owner], &format!("{key}:mark"));
        (owner, replica)
    }

    /// A node.
    pub fn node(&mut self, place: usize) -> &mut Server {
        &mut self.nodes[place]
    }

    /// Every node's process.
    pub fn pids(&self) -> Vec<u32> {
        self.nodes.iter().map(Server::pid).collect()
    }

    /// Which node holds a key's slot.
    pub fn place_of_owner(&self, key: &str) -> usize {
        // A replica, and whoever has lost the slot, names another.
        let owns = |node: &Server| node.try_ask(&["EXISTS", key]).is_some_and(|reply| reply.starts_with(':'));
        self.wait_until("somebody holds the slot", || self.nodes.iter().any(owns));
        self.nodes.iter().position(owns).unwrap()
    }

    fn wait_until(&self, what: &str, done: impl Fn() -> bool) {
        let until = Instant::now() + Duration::from_secs(30);
        while !done() {
            assert!(Instant::now() < until, "it did not come true that {what}");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

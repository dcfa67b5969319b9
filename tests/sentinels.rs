//! Real sentinels, which watch a master and put its replica in its place.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::servers::{Server, free_port};

/// What the sentinels call the master.
pub const MASTER: &str = "pair";

/// A sentinel that dies with this value.
pub struct Sentinel {
    child: Child,
    /// Its port.
    pub port: u16,
}

impl Sentinel {
    /// Starts some sentinels that watch a master, and lets them look often.
    pub fn start(folder: &Path, count: usize, master: &Server) -> Vec<Self> {
        let sentinels: Vec<_> = (0..count).map(|number| Self::start_one(folder, number, count / 2 + 1, master)).collect();
        for sentinel in &sentinels {
            let others = format!("num-other-sentinels\n{}", count - 1);
            sentinel.wait_until("the sentinels know each other", &["SENTINEL", "MASTER", MASTER], &others);
        }
        sentinels
    }

    fn start_one(folder: &Path, number: usize, quorum: usize, master: &Server) -> Self {
        let folder = folder.join(format!("sentinel{number}"));
        std::fs::create_dir_all(&folder).unwrap();
        for _ in 0..20 {
            let port = free_port();
            let config = folder.join("sentinel.conf");
            let text = format!(
                "bind 127.0.0.1\nport {port}\ndir {}\nlogfile {}\n\
                 sentinel monitor {MASTER} 127.0.0.1 {} {quorum}\n\
                 sentinel down-after-milliseconds {MASTER} 1000\nsentinel failover-timeout {MASTER} 2000\n",
                folder.display(),
                folder.join("log").display(),
                master.port
            );
            std::fs::write(&config, text).unwrap();
            let command = Command::new("redis-server").arg(&config).arg("--sentinel").stdin(Stdio::null()).stdout(Stdio::null()).spawn();
            let mut sentinel = Self { child: command.expect("`redis-server` is missing: `apt-get install redis-server`"), port };
            let until = Instant::now() + Duration::from_secs(10);
            while Instant::now() < until && sentinel.child.try_wait().unwrap().is_none() {
                // As in production, only faster: the usual periods are 10, 2 and 1 s; the fourth, of 1 s, also says how old news may be.
                let often = ["SENTINEL", "DEBUG", "INFO-PERIOD", "100", "PUBLISH-PERIOD", "100", "ASK-PERIOD", "100"];
                if sentinel.try_ask(&often).is_some_and(|lines| lines.first().is_some_and(|line| line == "OK")) {
                    return sentinel;
                }
                std::thread::sleep(Duration::from_millis(5));
            }
        }
        panic!("no sentinel started: {}", std::fs::read_to_string(folder.join("log")).unwrap_or_default());
    }

    /// The port of the master, as this sentinel knows it.
    pub fn master(&self) -> Option<u16> {
        self.try_ask(&["SENTINEL", "get-master-addr-by-name", MASTER])?.get(1)?.parse().ok()
    }

    /// Waits until the sentinel knows a replica of the master.
    pub fn wait_for_replica(&self, replica: &Server) {
        self.wait_until("the sentinel knows the replica", &["SENTINEL", "REPLICAS", MASTER], &format!("port\n{}", replica.port));
    }

    fn wait_until(&self, what: &str, question: &[&str], said: &str) {
        let until = Instant::now() + Duration::from_secs(20);
        let told = || self.try_ask(question).unwrap_or_default().join("\n");
        while !told().contains(&format!("{said}\n")) {
            assert!(Instant::now() < until, "it did not come true that {what}: {}", told());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// Asks one command; the values of what it answers, one after the other.
    fn try_ask(&self, words: &[&str]) -> Option<Vec<String>> {
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(5))).ok()?;
        stream.write_all((words.join(" ") + "\r\n").as_bytes()).ok()?;
        let mut lines = BufReader::new(stream).lines().map_while(Result::ok);
        let mut values = Vec::new();
        read(&mut lines, &mut values)?;
        Some(values)
    }
}

/// Reads one reply, lists in lists included. None if it is an error.
fn read(lines: &mut impl Iterator<Item = String>, values: &mut Vec<String>) -> Option<()> {
    let line = lines.next()?;
    match line.split_at_checked(1)? {
        ("*", count) => (0..count.parse::<i64>().ok()?).try_for_each(|_| read(lines, values))?,
        ("$", _) => values.push(lines.next()?),
        ("+" | ":", text) => values.push(text.to_owned()),
        _ => return None,
    }
    Some(())
}

impl Drop for Sentinel {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

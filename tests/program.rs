//! The real program, as a user starts it: in a home directory of its own, with nothing of this machine's environment.

mod living;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

pub use self::living::{Living, signal};

/// The longest that a command may take. None of them hangs.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A user: a home directory and, where given, a store.
pub struct User {
    folder: TempDir,
    home: PathBuf,
    store: Option<String>,
}

/// What a command answered.
#[derive(Debug, Clone)]
pub struct Answer {
    /// Its exit code; none if a signal ended it.
    pub code: Option<i32>,
    /// Its standard output.
    pub out: String,
    /// Its standard error.
    pub err: String,
}

/// The program that the workspace's build puts beside the tests.
pub fn binary() -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let built = test.parent().and_then(Path::parent).unwrap().join("governance");
    assert!(built.is_file(), "`{}` is missing: `cargo build --workspace --all-features`", built.display());
    built
}

impl Default for User {
    fn default() -> Self {
        let folder = tempfile::Builder::new().prefix("gov").tempdir().unwrap();
        Self { home: folder.path().join("home"), folder, store: None }
    }
}

impl User {
    /// A user of a store.
    pub fn of(store: impl Into<String>) -> Self {
        Self { store: Some(store.into()), ..Self::default() }
    }

    /// The home directory. Made by the first command that needs it.
    pub fn home(&self) -> &Path {
        &self.home
    }

    /// The store, if it is not the embedded one.
    pub fn store(&self) -> Option<&str> {
        self.store.as_deref()
    }

    /// A path beside the home directory.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The library's configuration of the same home and store.
    pub fn config(&self) -> governance::Config {
        governance::Config { home: self.home.clone(), store: self.store.clone(), ..governance::Config::default() }
    }

    /// A command, not started.
    pub fn command(&self, args: impl IntoIterator<Item = impl AsRef<OsStr>>) -> Command {
        let mut command = Command::new(binary());
        command.args(args).current_dir(self.folder.path()).env_clear().env("GOVERNANCE_HOME", &self.home);
        command.env("GOVERNANCE_STORE", self.store.as_deref().unwrap_or_default());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        command
    }

    /// A command on its way.
    pub fn start(&self, args: &[&str]) -> Living {
        Living::spawn(self.command(args))
    }

    /// A command to its end.
    pub fn does(&self, args: &[&str]) -> Answer {
        self.start(args).end()
    }

    /// A command that succeeds, as its last line's JSON.
    pub fn object(&self, args: &[&str]) -> Value {
        let answer = self.does(&[args, &["--json"]].concat());
        assert_eq!(answer.code, Some(0), "{args:?}: {answer:?}");
        answer.last_object()
    }

    /// Every line of a command that succeeds.
    pub fn objects(&self, args: &[&str]) -> Vec<Value> {
        let answer = self.does(&[args, &["--json"]].concat());
        assert_eq!(answer.code, Some(0), "{args:?}: {answer:?}");
        answer.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// Registers somebody who may approve, with a key that needs no passphrase.
    pub fn registers_ann(&self) {
        self.object(&["approvers", "add", "ann", "--key", "ann.key", "--no-passphrase"]);
    }

    /// Approves, as her.
    pub fn approves(&self, id: &str) {
        self.object(&["approvals", "approve", id, "--yes", "--key", "ann.key"]);
    }

    /// Waits until an agent of a run waits for approval, and says what it is told then.
    pub fn awaits(&self, run: &mut Living) -> Value {
        let told: Value = serde_json::from_str(&run.until("agent_waiting")).unwrap();
        told["data"].clone()
    }

    /// The ledger, which must be intact.
    pub fn verified(&self) -> Value {
        let report = self.object(&["ledger", "verify"]);
        assert_eq!(report["intact"], true, "{report}");
        report
    }
}

impl Answer {
    /// The last line, which is one JSON object.
    pub fn last_object(&self) -> Value {
        let object: Value = serde_json::from_str(self.out.lines().last().unwrap_or_default()).unwrap_or_else(|e| panic!("{e}: {self:?}"));
        assert!(object.is_object(), "{object}");
        object
    }

    /// An error as users should meet it: exit code 1, the sentence on one line, which says this; never a panic.
    pub fn explains(&self, what: &str) -> &Self {
        assert_eq!(self.code, Some(1), "{self:?}");
        self.calm();
        let told: Vec<_> = self.err.lines().filter(|line| line.starts_with("error: ")).collect();
        assert_eq!(told.len(), 1, "one line says what is wrong: {self:?}");
        assert!(told[0].contains(what), "`{}` does not say `{what}`", told[0]);
        assert!(told[0].chars().count() < 500, "an error of {} characters", told[0].chars().count());
        self
    }

    /// Neither a panic nor a backtrace.
    pub fn calm(&self) -> &Self {
        for word in ["panicked", "RUST_BACKTRACE", "stack backtrace"] {
            assert!(!self.err.contains(word) && !self.out.contains(word), "{self:?}");
        }
        self
    }
}

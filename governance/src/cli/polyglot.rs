//! `--agents polyglot`: ALPHA in Python, BETA in Bun, GAMMA in Rust. What they need is built from the source checkout when it is not there yet.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::SystemTime;

use super::printer::{DIM, Printer};
use crate::error::{Error, Result};
use crate::orchestrator::{AgentRuntime, Program};
use crate::vocabulary::AgentRole;

/// Where the JavaScript package looks for its addon.
const ADDON: &str = "governance-node/governance.node";
/// How much of a step's output explains why it failed.
const SHOWN: usize = 15;

/// What each role runs as. GAMMA is built in, as whatever is not named.
pub async fn polyglot(printer: &Printer) -> Result<BTreeMap<AgentRole, AgentRuntime>> {
    let printer = *printer;
    let built = tokio::task::spawn_blocking(move || Workshop::open(printer)?.build()).await;
    built.map_err(|e| Error::internal("the build of the polyglot agents broke").because(e))?
}

struct Workshop {
    printer: Printer,
    /// The source checkout.
    root: PathBuf,
    /// Where cargo builds.
    target: PathBuf,
    /// Where the Python environment is, and what was built last.
    folder: PathBuf,
}

impl Workshop {
    fn open(printer: Printer) -> Result<Self> {
        let root = checkout()?;
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
        let target = std::path::absolute(&target).unwrap_or(target);
        Ok(Self { printer, root, folder: target.join("polyglot"), target })
    }

    fn build(&self) -> Result<BTreeMap<AgentRole, AgentRuntime>> {
        for (tool, install) in [
            ("python3", "install Python 3.9 or newer (Debian: `apt install python3 python3-venv`)"),
            ("npm", "install Node 20 or newer with npm; it brings Bun"),
            ("cargo", "install Rust: https://rustup.rs"),
        ] {
            if !on_path(tool) {
                return Err(Error::unavailable("missing_tool", format!("`{tool}` is missing, which polyglot agents need: {install}")));
            }
        }
        let unmade = |e| Error::unavailable("not_built", format!("`{}` cannot be written", self.folder.display())).because(e);
        std::fs::create_dir_all(&self.folder).map_err(unmade)?;
        // Two runs that begin at once build once.
        let lock = File::create(self.folder.join("lock")).map_err(unmade)?;
        if matches!(lock.try_lock(), Err(TryLockError::WouldBlock)) {
            self.say("another run builds what the agents need; waiting for it")?;
            lock.lock().map_err(unmade)?;
        }
        let python = self.python()?;
        let bun = self.bun()?;
        let examples = self.root.join("examples");
        let mut alpha = Program::new(python).args([examples.join("python/alpha.py").to_string_lossy()]).named("python")?;
        alpha.environment.insert("PYTHONUNBUFFERED".to_owned(), "1".to_owned());
        let beta = Program::new(bun).args(["run".into(), examples.join("bun/beta.ts").to_string_lossy()]).named("bun")?;
        Ok([(AgentRole::Alpha, alpha), (AgentRole::Beta, beta)].map(|(role, program)| (role, AgentRuntime::Process(program))).into())
    }

    /// A Python that has the bindings.
    fn python(&self) -> Result<PathBuf> {
        let python = self.folder.join("venv/bin/python");
        if !python.is_file() || !self.folder.join("venv/bin/pip").is_file() {
            let mut make = Command::new("python3");
            make.args(["-m", "venv", "--clear"]).arg(self.folder.join("venv"));
            self.step("python3 -m venv", "is `python3-venv` installed? (Debian: `apt install python3-venv`)", make)?;
        }
        self.unless_built("python", &["governance/src", "governance-py", "Cargo.lock"], |workshop| {
            let mut install = Command::new(&python);
            install.args(["-m", "pip", "install", "--disable-pip-version-check", "--force-reinstall", "--no-deps"]);
            install.arg(format!("--config-settings=build-args=--profile {}", profile()));
            install.arg("./governance-py").env("CARGO_TARGET_DIR", &workshop.target);
            workshop.step("pip install ./governance-py", "it takes minutes the first time, and needs PyPI for its build tool", install)
        })?;
        Ok(python)
    }

    /// A Bun, with the addon where its bindings look for it.
    fn bun(&self) -> Result<PathBuf> {
        let examples = self.root.join("examples");
        let bun = examples.join("node_modules/.bin/bun");
        if !bun.exists() || !examples.join("node_modules/governance").exists() {
            let mut install = Command::new("npm");
            // The addon is built in a step of its own.
            install.args(["install", "--no-audit", "--no-fund"]).current_dir(examples).env("GOVERNANCE_BUILD", "skip");
            self.step("npm install", "it needs the npm registry", install)?;
        }
        self.unless_built("node", &["governance/src", "governance-node/src", "governance-node/Cargo.toml", "Cargo.lock"], |workshop| {
            // Not by the package's own install, which would put a program in place of the one that runs here.
            let mut build = Command::new("cargo");
            build.args(["build", "--locked", "--package", "governance-node", "--profile", profile()]);
            build.env("CARGO_TARGET_DIR", &workshop.target);
            workshop.step("cargo build --package governance-node", "it takes minutes the first time", build)?;
            let name = if cfg!(target_os = "macos") { "libgovernance_node.dylib" } else { "libgovernance_node.so" };
            let built = workshop.target.join(if profile() == "dev" { "debug" } else { profile() }).join(name);
            let (addon, fresh) = (workshop.root.join(ADDON), workshop.root.join(ADDON).with_extension("new"));
            // Moved into place: whoever has loaded the one before keeps it.
            let moved = std::fs::copy(built, &fresh).and_then(|_| std::fs::rename(&fresh, &addon));
            moved.map_err(|e| Error::unavailable("not_built", format!("`{}` cannot be written", addon.display())).because(e))
        })?;
        Ok(bun)
    }

    /// Builds unless what was built last is of the same sources.
    fn unless_built(&self, what: &str, sources: &[&str], build: impl FnOnce(&Self) -> Result<()>) -> Result<()> {
        let newest = sources.iter().filter_map(|source| newest(&self.root.join(source))).max();
        let since = newest.and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok()).unwrap_or_default();
        let (stamp, now) = (self.folder.join(format!("{what}.built")), format!("{} {}", since.as_nanos(), profile()));
        let addon = what != "node" || self.root.join(ADDON).is_file();
        if addon && std::fs::read_to_string(&stamp).is_ok_and(|before| before == now) {
            return Ok(());
        }
        build(self)?;
        std::fs::write(&stamp, now)
            .map_err(|e| Error::unavailable("not_built", format!("`{}` cannot be written", stamp.display())).because(e))
    }

    /// One step, told before it is done.
    fn step(&self, what: &str, hint: &str, mut command: Command) -> Result<()> {
        self.say(what)?;
        if command.get_current_dir().is_none() {
            command.current_dir(&self.root);
        }
        let failed = || Error::unavailable("not_built", format!("`{what}` failed, so there are no polyglot agents: {hint}"));
        let done = command.stdin(Stdio::null()).output().map_err(|e| failed().because(e))?;
        if done.status.success() {
            return Ok(());
        }
        let text = format!("{}{}", String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        let lines: Vec<_> = text.lines().filter(|line| !line.trim().is_empty()).collect();
        for line in &lines[lines.len().saturating_sub(SHOWN)..] {
            self.printer.note(format!("    {DIM}{line}{DIM:#}"))?;
        }
        Err(failed())
    }

    fn say(&self, what: &str) -> Result<()> {
        self.printer.note(format!("  polyglot: {what}"))
    }
}

/// The source checkout: where this program was compiled, or where it is started.
fn checkout() -> Result<PathBuf> {
    let compiled = Path::new(env!("CARGO_MANIFEST_DIR")).parent().map(Path::to_owned);
    let started = std::env::current_dir().unwrap_or_default();
    let candidates = compiled.into_iter().chain(started.ancestors().map(Path::to_owned));
    let here = |root: &PathBuf| root.join("examples/python/alpha.py").is_file() && root.join("governance-py/pyproject.toml").is_file();
    candidates.into_iter().find(here).ok_or_else(|| {
        let message = "polyglot agents are built from the source checkout, which is not here: start in it, or name your own with --agent";
        Error::invalid("no_checkout", message)
    })
}

/// As this program is built: what is compiled already is used again.
fn profile() -> &'static str {
    if cfg!(debug_assertions) { "dev" } else { "release" }
}

fn on_path(tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|folder| folder.join(tool).is_file())
}

/// When something in a folder was changed last; what is built there does not count.
fn newest(path: &Path) -> Option<SystemTime> {
    let name = path.file_name()?.to_string_lossy();
    if matches!(&*name, "node_modules" | "__pycache__" | "target" | "build") || name.ends_with(".so") || name.ends_with(".egg-info") {
        return None;
    }
    if path.is_dir() {
        return std::fs::read_dir(path).ok()?.flatten().filter_map(|entry| newest(&entry.path())).max();
    }
    std::fs::metadata(path).ok()?.modified().ok()
}

//! One run, three languages: ALPHA in Python, BETA in Bun or Node, GAMMA in Rust, on one store. Builds what that needs, as a user's first run does.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "tests")]

use std::path::Path;

use governance_tests::program::{Answer, User};
use governance_tests::servers::{Product, Server};
use serde_json::Value;

const CACHE: &str = "Design a caching strategy";

/// A command with what a build needs of the environment, to its end, which may take minutes.
fn does(user: &User, args: &[&str], more: &[(&str, &str)]) -> Answer {
    let mut command = user.command(args);
    for name in ["PATH", "HOME", "CARGO_HOME", "RUSTUP_HOME", "CARGO_TARGET_DIR", "LANG"] {
        command.envs(std::env::var_os(name).map(|value| (name, value)));
    }
    let done = command.envs(more.iter().copied()).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    Answer { code: done.status.code(), out: text(done.stdout), err: text(done.stderr) }
}

fn runtime<'a>(outcome: &'a Value, role: &str) -> &'a str {
    let agents = outcome["agents"].as_array().unwrap();
    agents.iter().find(|agent| agent["role"] == role).unwrap_or_else(|| panic!("no {role}: {outcome}"))["runtime"].as_str().unwrap()
}

#[test]
fn alpha_in_python_beta_in_bun_or_node_and_gamma_in_rust_decide_on_one_store() {
    let folder = tempfile::Builder::new().prefix("gov").tempdir().unwrap();
    let server = Server::start(Product::Redis, folder.path(), "server", &[]);
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("../examples").canonicalize().unwrap();
    for user in [User::default(), User::of(format!("redis://127.0.0.1:{}", server.port))] {
        let here = does(&user, &["run", CACHE, "--json"], &[]).last_object();
        let answer = does(&user, &["run", CACHE, "--json", "--agents", "polyglot"], &[]);
        assert_eq!(answer.calm().code, Some(0), "{answer:?}");
        let outcome = answer.last_object();
        assert_eq!((runtime(&outcome, "alpha"), runtime(&outcome, "beta")), ("python", "bun"));
        assert_eq!(outcome["decision"]["solution"], here["decision"]["solution"], "the language decides nothing");
        for line in outcome["agents"].as_array().unwrap() {
            assert_eq!(line["status"], "completed", "{outcome}");
        }
        let logs = user.objects(&["pipeline", "logs"]);
        let greetings = logs.iter().filter(|line| line["data"]["line"].as_str().is_some_and(|line| line.ends_with("thinks with local")));
        assert_eq!(greetings.count(), 2, "each said who it is: {logs:?}");
        let said = |from: &str, to: &str| {
            let heard = |line: &&Value| line["data"]["agent_id"].as_str().is_some_and(|id| id.starts_with(to));
            let words = |line: &Value| line["data"]["line"].as_str().is_some_and(|line| line.starts_with(from) && line.contains(" says "));
            logs.iter().filter(heard).any(words)
        };
        assert!(said("alpha-", "beta-") && said("beta-", "alpha-"), "messages crossed: {logs:?}");
        user.verified();
        // A mediator, where one is called, and Node beside Bun.
        let node = format!("beta=node '{}'", examples.join("node/beta.mjs").display());
        let words = ["run", CACHE, "--json", "--agents", "polyglot", "--agent", &node];
        let answer = does(&user, &words, &[("GAMMA_COMPLEXITY_THRESHOLD", "0.05")]);
        assert_eq!(answer.calm().code, Some(0), "{answer:?}");
        let outcome = answer.last_object();
        assert_eq!(["alpha", "beta", "gamma"].map(|role| runtime(&outcome, role)), ["python", "node", "built-in"]);
    }
}

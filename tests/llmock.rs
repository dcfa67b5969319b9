//! An OpenAI-compatible server that we did not write: `llmock`, from PyPI. It fails on demand, and judges how its client took it.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::servers::free_port;

/// How long it may take to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server that is killed with this value.
pub struct Llmock {
    child: Child,
    address: String,
}

fn program() -> PathBuf {
    let named = std::env::var_os("GOVERNANCE_LLMOCK").map(PathBuf::from);
    let on_path = || {
        let folders = std::env::var_os("PATH")?;
        std::env::split_paths(&folders).map(|folder| folder.join("llmock")).find(|path| path.is_file())
    };
    named.or_else(on_path).expect("`llmock` is missing: `pip install llmock`, or name it in `GOVERNANCE_LLMOCK`")
}

impl Llmock {
    /// Starts one on a free port.
    pub async fn start(options: &[&str]) -> Self {
        let port = free_port();
        let child = Command::new(program())
            .args(["serve", "--host", "127.0.0.1", "--port", &port.to_string(), "--log-level", "warning"])
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut server = Self { child, address: format!("127.0.0.1:{port}") };
        let patience = Instant::now() + PATIENCE;
        while tokio::net::TcpStream::connect(&server.address).await.is_err() {
            assert!(server.child.try_wait().unwrap().is_none(), "`llmock` ended before it answered");
            assert!(Instant::now() < patience, "`llmock` did not start");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        server
    }

    /// Its base URL.
    pub fn url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Lays down how the next requests are answered.
    pub async fn stage(&self, behaviors: Value) {
        let staged = reqwest::Client::new().post(self.control("scenario")).json(&serde_json::json!({"behaviors": behaviors})).send();
        staged.await.unwrap().error_for_status().unwrap();
    }

    /// What it saw: every request.
    pub async fn requests(&self) -> Vec<Value> {
        match self.told("requests").await {
            Value::Array(requests) => requests,
            told => told["requests"].as_array().cloned().unwrap_or_else(|| panic!("no requests in {told}")),
        }
    }

    /// What it thinks of its client.
    pub async fn verdict(&self) -> Value {
        self.told("verdict").await
    }

    async fn told(&self, what: &str) -> Value {
        reqwest::get(self.control(what)).await.unwrap().json().await.unwrap()
    }

    fn control(&self, what: &str) -> String {
        format!("http://{}/_llmock/{what}", self.address)
    }
}

impl Drop for Llmock {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

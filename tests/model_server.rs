//! A model's server that fails as it is told, one way a request; after that it answers well. Real HTTP, our own faults.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, Response, StatusCode};
use axum::routing::post;
use futures_util::{StreamExt, stream};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// A solution as a good model answers it.
pub const SOLUTION: &str = r#"{"title": "Cache <aside>", "summary": "Read the cache first.", "steps": ["read", "fill"],
"traits": {"simplicity": 9, "speed": 7, "correctness": 6, "safety": 7, "economy": 8}}"#;

/// How a request is answered.
#[derive(Debug, Clone)]
pub enum Reply {
    /// These words, streamed in small pieces, with what they cost.
    Says(String),
    /// A status, with a body, and how long to wait where it says so.
    Status(u16, &'static str, Option<&'static str>),
    /// These words, then the connection breaks.
    Breaks(&'static str),
    /// These words, then a proper end of the stream without a reason.
    Stops(&'static str),
    /// These words, cut off because they were too long.
    Cut(&'static str),
    /// So many bytes of an answer, in pieces of this size.
    Huge(usize, usize),
    /// An error in the middle of the stream.
    Fails(&'static str),
    /// Bytes that are no such stream.
    Raw(&'static str),
    /// Nothing, ever.
    Never,
    /// These words, then nothing, ever.
    Stalls(&'static str),
}

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Asked {
    /// When.
    pub at: Instant,
    /// The header that carries the key.
    pub authorization: String,
    /// What it asks.
    pub body: Value,
}

/// A server that ends with this value.
pub struct ModelServer {
    /// Its base URL.
    pub url: String,
    told: Arc<Mutex<Told>>,
    task: JoinHandle<()>,
    front: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Told {
    replies: VecDeque<Reply>,
    asked: Vec<Asked>,
}

impl Reply {
    /// A good answer.
    pub fn good() -> Self {
        Self::Says(SOLUTION.to_owned())
    }
}

impl ModelServer {
    /// Starts one that answers so, request by request.
    pub async fn start(replies: impl IntoIterator<Item = Reply>) -> Self {
        let told = Arc::new(Mutex::new(Told { replies: replies.into_iter().collect(), asked: Vec::new() }));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}/v1", listener.local_addr().unwrap());
        let router = Router::new().route("/v1/chat/completions", post(answer)).with_state(told.clone());
        let task = tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
        Self { url, told, task, front: None }
    }

    /// The same behind TLS. Its URL names `localhost`.
    pub async fn behind_tls(mut self, config: rustls::ServerConfig) -> Self {
        let inner = self.url.trim_start_matches("http://").trim_end_matches("/v1").to_owned();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        self.url = format!("https://localhost:{}/v1", listener.local_addr().unwrap().port());
        let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
        self.front = Some(tokio::spawn(async move {
            while let Ok((outer, _)) = listener.accept().await {
                let (acceptor, inner) = (acceptor.clone(), inner.clone());
                tokio::spawn(async move {
                    // A client that does not trust the certificate ends it here.
                    let Ok(mut outer) = acceptor.accept(outer).await else { return };
                    let mut inner = tokio::net::TcpStream::connect(inner).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut outer, &mut inner).await;
                });
            }
        }));
        self
    }

    /// Every request so far.
    pub fn asked(&self) -> Vec<Asked> {
        self.told.lock().unwrap().asked.clone()
    }
}

impl Drop for ModelServer {
    fn drop(&mut self) {
        self.task.abort();
        if let Some(front) = &self.front {
            front.abort();
        }
    }
}

async fn answer(State(told): State<Arc<Mutex<Told>>>, headers: HeaderMap, body: Bytes) -> Response<Body> {
    let authorization = headers.get("authorization").map(|value| value.to_str().unwrap().to_owned()).unwrap_or_default();
    let reply = {
        let mut told = told.lock().unwrap();
        told.asked.push(Asked { at: Instant::now(), authorization, body: serde_json::from_slice(&body).unwrap() });
        told.replies.pop_front().unwrap_or_else(Reply::good)
    };
    let end = |reason: &str| event(&json!({"choices": [{"delta": {}, "finish_reason": reason}]}));
    let usage = event(&json!({"choices": [], "usage": {"prompt_tokens": 120, "completion_tokens": 30, "cost": 0.0021}}));
    let done = "data: [DONE]\n\n".to_owned();
    match reply {
        Reply::Says(text) => streamed(words(&text).chain([end("stop"), usage, done]).map(Ok)),
        Reply::Status(status, body, wait) => {
            let mut response = Response::new(Body::from(body));
            *response.status_mut() = StatusCode::from_u16(status).unwrap();
            wait.map(|wait| response.headers_mut().insert("retry-after", wait.parse().unwrap()));
            response
        }
        Reply::Breaks(text) => streamed(words(text).map(Ok).chain([Err(std::io::Error::other("broken"))])),
        Reply::Stops(text) => streamed(words(text).chain([done]).map(Ok)),
        Reply::Cut(text) => streamed(words(text).chain([end("length"), usage, done]).map(Ok)),
        Reply::Huge(bytes, piece) => streamed((0..bytes / piece).map(move |_| Ok(content(&"x".repeat(piece))))),
        Reply::Fails(why) => {
            streamed(words("{\"ti").chain([event(&json!({"error": {"message": why, "code": 502}, "choices": []}))]).map(Ok))
        }
        Reply::Raw(bytes) => streamed([Ok(bytes.to_owned())].into_iter()),
        Reply::Never => std::future::pending().await,
        Reply::Stalls(text) => {
            let said = stream::iter(words(text).map(Ok::<_, Infallible>).collect::<Vec<_>>());
            sse(Body::from_stream(said.chain(stream::pending())))
        }
    }
}

fn words(text: &str) -> impl Iterator<Item = String> + use<> {
    let pieces: Vec<String> = text.split_inclusive(' ').map(content).collect();
    pieces.into_iter()
}

fn content(text: &str) -> String {
    event(&json!({"choices": [{"index": 0, "delta": {"content": text}, "finish_reason": null}], "usage": null}))
}

fn event(json: &Value) -> String {
    format!("data: {json}\n\n")
}

fn streamed(events: impl Iterator<Item = Result<String, std::io::Error>> + Send + 'static) -> Response<Body> {
    // A breath between the pieces: they leave one by one, and a broken end comes after what was said.
    let paced = stream::iter(events).then(async |piece| {
        if piece.is_err() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        piece
    });
    sse(Body::from_stream(paced))
}

fn sse(body: Body) -> Response<Body> {
    Response::builder().header("content-type", "text/event-stream").body(body).unwrap()
}

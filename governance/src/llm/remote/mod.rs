//! A model behind any server that speaks the OpenAI protocol: OpenRouter, vLLM, Ollama, …
//!
//! ```text
//!   words (prompts/, material marked as data) ──▶ exchange (one HTTP request) ──▶ pieces ──▶ Heard ──▶ read (JSON, schema) ──▶ Said
//! ```
//!
//! One call is one request: nothing is retried here, so nothing is spent that was not budgeted.

mod answer;
mod heard;
mod prompt;
mod transport;
mod wire;

use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use async_openai::config::OpenAIConfig;
use async_openai::middleware::HttpRequestFactory;
use async_trait::async_trait;
use futures_util::StreamExt;
use secrecy::{ExposeSecret, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use url::{Host, Url};

use self::heard::Heard;
use self::wire::{Message, Piece, Request};
use super::{Analysis, Call, CallKind, Charge, ChatMessage, Evaluation, Idea, Model, Said, Scored};
use crate::error::{Error, ErrorKind, Result};
use crate::vocabulary::GammaReason;

pub use self::heard::MAX_ANSWER;

pub(super) use self::answer::{ANALYSIS, EVALUATION, SOLUTION, Schema, read};
pub(super) use self::heard::too_large;

/// Where the key is looked up.
pub const API_KEY: &str = "OPENROUTER_API_KEY";

/// The most tokens that are asked for in one answer.
const MAX_TOKENS: u64 = 4_096;
/// With fewer tokens left than this an answer cannot be whole.
const MIN_TOKENS: u64 = 64;

/// A model on a server.
pub struct RemoteModel {
    model: String,
    base_url: String,
    // Whether it is OpenRouter, which says what a call cost when asked.
    costs: bool,
    key: SecretString,
    http: reqwest::Client,
}

impl RemoteModel {
    /// A model of a server. Asks nothing yet.
    pub fn open(base_url: &str, model: &str, key: SecretString) -> Result<Self> {
        if model.trim().is_empty() || model.len() > 200 || model.chars().any(char::is_control) {
            return Err(Error::invalid("bad_model", format!("`{}` is not a model's name", model.escape_default())));
        }
        if !key.expose_secret().chars().all(|c| c.is_ascii_graphic()) {
            return Err(Error::invalid("bad_key", format!("the key in {API_KEY} holds characters that no key has")));
        }
        let url = checked(base_url)?;
        Ok(Self {
            model: model.to_owned(),
            costs: url.domain().is_some_and(|host| host == "openrouter.ai" || host.ends_with(".openrouter.ai")),
            base_url: url.as_str().trim_end_matches('/').to_owned(),
            key,
            http: transport::client()?,
        })
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        call: &Call<'_>,
        objective: &str,
        proposals: &(impl Serialize + Sync),
        reason: &str,
        schema: &'static Schema,
    ) -> Result<Said<T>> {
        let words = prompt::words(call, objective, proposals, reason, schema);
        let messages = vec![Message { role: "system", content: prompt::SYSTEM }, Message { role: "user", content: &words }];
        let (text, charge) = self.hear(call, messages, Some(schema)).await?;
        let answer = read(schema, &text).map_err(|error| charge.told_by(error))?;
        Ok(Said { answer, charge })
    }

    /// Says something and hears the whole answer, within what the call allows.
    async fn hear(&self, call: &Call<'_>, messages: Vec<Message<'_>>, schema: Option<&Schema>) -> Result<(String, Charge)> {
        let asked = guess(messages.iter().map(|message| message.content.len()).sum());
        let left = call.tokens.saturating_sub(asked);
        if left < MIN_TOKENS {
            let message = format!("the question takes about {asked} tokens and {} may be spent on it with its answer", call.tokens);
            return Err(Error::new(ErrorKind::Exhausted, "budget_exhausted", message));
        }
        let most = left.min(MAX_TOKENS);
        let request = Request::new(&self.model, messages, most, schema, self.costs);
        let mut heard = Heard::default();
        let listened = tokio::time::timeout(call.deadline, self.listen(&request, call, &mut heard)).await;
        let charge = heard.charge(asked, most);
        let done = match listened {
            Ok(done) => done.and_then(|()| heard.whole().map(str::to_owned)),
            Err(_) => {
                let message = format!("the model did not answer within {:.1} s", call.deadline.as_secs_f64());
                Err(Error::new(ErrorKind::Deadline, "call_timed_out", message))
            }
        };
        Ok((done.map_err(|error| charge.told_by(error))?, charge))
    }

    async fn listen(&self, request: &Request<'_>, call: &Call<'_>, heard: &mut Heard) -> Result<()> {
        let received = Arc::new(AtomicU64::new(0));
        let (http, key, counter) = (self.http.clone(), self.key.clone(), received.clone());
        let once =
            tower::service_fn(move |request: HttpRequestFactory| transport::exchange(http.clone(), key.clone(), counter.clone(), request));
        let config = OpenAIConfig::new().with_api_base(&self.base_url).with_api_key(self.key.expose_secret());
        let client = async_openai::Client::build(self.http.clone(), config).with_http_service(once);
        heard.asked();
        let explained = |error| transport::explained(error, &self.key);
        let mut pieces = client.chat().create_stream_byot::<_, Piece>(request).await.map_err(|error| match explained(error) {
            error if heard::is_before_the_model(&error) => {
                heard.refused();
                error
            }
            error => error,
        })?;
        while let Some(piece) = pieces.next().await {
            let piece = match piece {
                Err(_) if transport::overflowed(&received) => return Err(too_large()),
                piece => piece.map_err(explained)?,
            };
            if let Some(error) = &piece.error {
                let said = error.get("message").and_then(serde_json::Value::as_str).unwrap_or("it does not say why");
                return Err(transport::dropped(said, &self.key));
            }
            let tokens = heard.take(piece)?;
            if tokens > 0 {
                (call.progress)(tokens);
            }
        }
        Ok(())
    }
}

/// About how many tokens a text of so many bytes takes; rather too many.
fn guess(bytes: usize) -> u64 {
    bytes as u64 / 3 + 16
}

/// A URL that the key may be sent to: encrypted, or within this machine or its own network.
fn checked(base_url: &str) -> Result<Url> {
    let bad = |why: &str| Error::invalid("bad_base_url", format!("`{}` is not a base URL: {why}", base_url.escape_default()));
    let url = Url::parse(base_url).map_err(|error| bad(&format!("{error}; it looks like `{}`", super::DEFAULT_BASE_URL)))?;
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Error::invalid("bad_base_url", format!("a base URL holds no password: the key comes from {API_KEY}")));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(bad("it ends with its path"));
    }
    let near = match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || !name.contains('.'),
        Some(Host::Ipv4(address)) => address.is_loopback() || address.is_private(),
        Some(Host::Ipv6(address)) => address.is_loopback() || address.is_unique_local(),
        None => false,
    };
    match url.scheme() {
        "https" if url.host().is_some() => Ok(url),
        "http" if near => Ok(url),
        "http" => Err(bad("the key would be sent in the clear: use https")),
        _ => Err(bad("it begins with https:// (or http:// for this machine)")),
    }
}

#[async_trait]
impl Model for RemoteModel {
    fn name(&self) -> &str {
        &self.model
    }

    fn prompt(&self, kind: CallKind) -> Option<&'static str> {
        prompt::prompt(kind).map(|prompt| prompt.version)
    }

    async fn analyse(&self, call: &Call<'_>, objective: &str) -> Result<Said<Analysis>> {
        self.ask(call, objective, &(), "", &ANALYSIS).await
    }

    async fn propose(&self, call: &Call<'_>, objective: &str, others: &[Idea]) -> Result<Said<Vec<Idea>>> {
        Ok(self.ask(call, objective, &others, "", &SOLUTION).await?.map(|idea| vec![idea]))
    }

    async fn evaluate(&self, call: &Call<'_>, objective: &str, idea: &Idea) -> Result<Said<Evaluation>> {
        self.ask(call, objective, idea, "", &EVALUATION).await
    }

    async fn combine(&self, call: &Call<'_>, objective: &str, ideas: &[Idea]) -> Result<Said<Idea>> {
        self.ask(call, objective, &ideas, "", &SOLUTION).await
    }

    async fn mediate(&self, call: &Call<'_>, objective: &str, proposals: &[Scored], reason: GammaReason) -> Result<Said<Idea>> {
        let shown: Vec<_> = proposals.iter().map(|scored| json!({"solution": scored.idea, "scores": scored.scores})).collect();
        self.ask(call, objective, &shown, because(reason), &SOLUTION).await
    }

    async fn chat(&self, call: &Call<'_>, messages: &[ChatMessage]) -> Result<Said<String>> {
        let said = messages.iter().map(|message| Message { role: message.role.as_str(), content: &message.content });
        let (answer, charge) = self.hear(call, said.collect(), None).await?;
        Ok(Said { answer, charge })
    }
}

/// What a mediator is told about why it was called.
fn because(reason: GammaReason) -> &'static str {
    match reason {
        GammaReason::Stuck => "It made no progress: say what is the next thing that can be done, and bring the work to a solution.",
        GammaReason::Conflict => "Several proposals stand against each other: weigh them, and settle on one solution.",
        GammaReason::Complexity => {
            "The objective is too large for one piece: divide it into parts that can be solved one by one, as the steps."
        }
    }
}

impl std::fmt::Debug for RemoteModel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RemoteModel").field("model", &self.model).field("base_url", &self.base_url).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_sent_only_where_nobody_listens_in() {
        for good in ["https://openrouter.ai/api/v1", "http://127.0.0.1:8000/v1/", "http://localhost:11434/v1", "http://vllm:8000/v1"] {
            assert!(RemoteModel::open(good, "m", "k".into()).is_ok(), "{good}");
        }
        for bad in ["http://example.com/v1", "ftp://x", "openrouter.ai/api/v1", "https://a:b@c/v1", "https://x/v1?key=1", ""] {
            assert_eq!(RemoteModel::open(bad, "m", "k".into()).unwrap_err().code(), "bad_base_url", "{bad}");
        }
        assert_eq!(RemoteModel::open("https://x", "m", "a\nb".into()).unwrap_err().code(), "bad_key");
        assert_eq!(RemoteModel::open("https://x", " ", "k".into()).unwrap_err().code(), "bad_model");
    }

    #[test]
    fn only_openrouter_is_asked_for_the_cost() {
        let costs = |url: &str| RemoteModel::open(url, "m", "k".into()).unwrap().costs;
        assert!(costs("https://openrouter.ai/api/v1") && !costs("https://notopenrouter.ai/v1") && !costs("http://127.0.0.1:1/v1"));
    }

    #[test]
    fn the_key_is_not_shown() {
        let shown = format!("{:?}", RemoteModel::open("https://x", "m", "sk-canary".into()).unwrap());
        assert!(!shown.contains("canary"), "{shown}");
    }
}

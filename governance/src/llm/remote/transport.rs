//! One HTTP exchange: no hidden retries, no redirects, a bound on what is read, and errors that say what to do next and hold no key.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_openai::error::OpenAIError;
use async_openai::middleware::HttpRequestFactory;
use futures_util::StreamExt;
use reqwest::header::{DATE, HeaderMap, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Body, Client, Response, StatusCode};
use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use super::answer::short;
use crate::error::{Error, ErrorKind, Result};
use crate::llm::retry;

/// The most that is read of one answer as it comes over the wire, each token in a wrapping of its own.
const MAX_WIRE: u64 = 8 << 20;
/// The most that is read of an error.
const MAX_ERROR: usize = 16 << 10;
/// How long a connection may take to be made.
const CONNECT: Duration = Duration::from_secs(10);

/// A client of ours: the one TLS provider, no redirects.
pub(super) fn client() -> Result<Client> {
    // A second installation is not an error: whoever was first chose.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client =
        Client::builder().redirect(Policy::none()).connect_timeout(CONNECT).user_agent(concat!("governance/", env!("CARGO_PKG_VERSION")));
    client.build().map_err(|e| Error::internal("the HTTP client cannot be made").because(e))
}

/// Makes the exchange. `received` counts the bytes of the answer as they come.
pub(super) async fn exchange(
    client: Client,
    key: SecretString,
    received: Arc<AtomicU64>,
    request: HttpRequestFactory,
) -> Result<Response, OpenAIError> {
    let response = client.execute(request.build().await?).await?;
    if !response.status().is_success() {
        return Err(OpenAIError::Boxed(refused(response, &key).await.into()));
    }
    let status = response.status();
    let pieces = response.bytes_stream().map(move |piece| {
        let piece = piece.map_err(std::io::Error::other)?;
        let so_far = received.fetch_add(piece.len() as u64, Ordering::Relaxed) + piece.len() as u64;
        if so_far > MAX_WIRE { Err(std::io::Error::other("too large")) } else { Ok(piece) }
    });
    let mut bounded = http::Response::new(Body::wrap_stream(pieces));
    *bounded.status_mut() = status;
    Ok(bounded.into())
}

/// Whether so much came that the rest was not read.
pub(super) fn overflowed(received: &AtomicU64) -> bool {
    received.load(Ordering::Relaxed) > MAX_WIRE
}

async fn refused(response: Response, key: &SecretString) -> Error {
    let (status, wait) = (response.status(), retry_after(response.headers()));
    let mut body = Vec::new();
    let mut pieces = response.bytes_stream();
    while let Some(Ok(piece)) = pieces.next().await {
        body.extend_from_slice(&piece);
        if body.len() > MAX_ERROR {
            break;
        }
    }
    refusal(status, wait, &without_key(&said(&body), key))
}

/// What a refusal means for the caller.
fn refusal(status: StatusCode, wait: Option<Duration>, said: &str) -> Error {
    let said = if said.is_empty() { String::new() } else { format!(": {said}") };
    let error = |kind, code, what: &str| Error::new(kind, code, format!("{what} ({}){said}", status.as_u16()));
    let error = match status.as_u16() {
        401 | 403 => error(ErrorKind::Denied, "key_refused", "the model's server does not accept the key"),
        402 => error(ErrorKind::Exhausted, "credit_exhausted", "the account at the model's server has no credit left"),
        404 => error(ErrorKind::NotFound, "no_such_model", "the model's server does not know this model or address"),
        413 => error(ErrorKind::Invalid, "question_too_large", "the question is too large for the model"),
        429 => error(ErrorKind::Exhausted, "rate_limited", "the model's server asks for fewer calls"),
        408 | 500..=599 => error(ErrorKind::Unavailable, "model_failed", "the model's server failed"),
        300..=399 => error(ErrorKind::Invalid, "redirected", "the model's server is elsewhere: name its new address as the base URL"),
        _ => error(ErrorKind::Invalid, "model_rejected", "the model's server does not accept the question"),
    };
    let error = error.with("status", status.as_u16());
    match wait {
        Some(wait) => error.with(retry::RETRY_AFTER, u64::try_from(wait.as_millis()).unwrap_or(u64::MAX)),
        None => error,
    }
}

/// How long the server asks to wait: in seconds, or until a time, which is held against the server's own clock.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let told = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = told.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let until = httpdate::parse_http_date(told).ok()?;
    let now = httpdate::parse_http_date(headers.get(DATE)?.to_str().ok()?).ok()?;
    Some(until.duration_since(now).unwrap_or_default())
}

/// The server's own words, out of what it may wrap them in.
fn said(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let json: Option<Value> = serde_json::from_slice(body).ok();
    let worded = json.as_ref().and_then(|json| {
        ["/error/message", "/error", "/message", "/detail"].iter().find_map(|place| json.pointer(place).and_then(Value::as_str))
    });
    worded.unwrap_or(text.trim()).to_owned()
}

/// INVARIANT: what a server sends back never carries the key into an error, a log or the ledger.
pub(super) fn without_key(text: &str, key: &SecretString) -> String {
    short(&text.replace(key.expose_secret(), "…"))
}

/// An error of the library underneath, as one of ours.
pub(super) fn explained(error: OpenAIError, key: &SecretString) -> Error {
    match error {
        OpenAIError::Boxed(boxed) => match boxed.downcast::<Error>() {
            Ok(ours) => *ours,
            Err(other) => dropped(&other.to_string(), key),
        },
        OpenAIError::Reqwest(error) if error.is_timeout() && !error.is_connect() => dropped("it stopped answering", key),
        OpenAIError::Reqwest(error) => {
            // The URL is ours to know; the cause is what the user needs.
            let mut cause: &dyn std::error::Error = &error;
            let mut trusted = true;
            while let Some(deeper) = cause.source() {
                cause = deeper;
                trusted &= !is_about_a_certificate(cause);
            }
            let why = without_key(&cause.to_string(), key);
            if !trusted {
                let help = "is the base URL's name the one in its certificate? SSL_CERT_FILE names a file with an authority of your own";
                return Error::new(ErrorKind::Denied, "model_not_trusted", format!("the model's server is not trusted ({why}): {help}"));
            }
            Error::unavailable("model_unreachable", format!("the model's server cannot be reached: {why}"))
        }
        OpenAIError::JSONDeserialize(..) => dropped("a piece of it is not what the protocol allows", key),
        OpenAIError::StreamError(why) => dropped(&why.to_string(), key),
        other => Error::internal(format!("the question could not be asked: {}", without_key(&other.to_string(), key))),
    }
}

/// Whether an error, or what an error of the system wraps, says that a certificate does not hold.
fn is_about_a_certificate(error: &(dyn std::error::Error + 'static)) -> bool {
    // It may be wrapped several times over.
    match error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref) {
        Some(wrapped) => is_about_a_certificate(wrapped),
        None => matches!(error.downcast_ref(), Some(rustls::Error::InvalidCertificate(_))),
    }
}

/// An answer that broke off.
pub(super) fn dropped(why: &str, key: &SecretString) -> Error {
    Error::unavailable("stream_dropped", format!("the model's answer broke off: {}", without_key(why, key)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_wait_is_said_in_seconds_or_as_a_time_of_the_servers_own_clock() {
        assert_eq!(retry_after(&headers(&[("retry-after", "7")])), Some(Duration::from_secs(7)));
        assert_eq!(retry_after(&headers(&[("retry-after", "0.5")])), Some(Duration::from_millis(500)));
        let date = [("date", "Sat, 21 Nov 2026 07:00:00 GMT"), ("retry-after", "Sat, 21 Nov 2026 07:01:30 GMT")];
        assert_eq!(retry_after(&headers(&date)), Some(Duration::from_secs(90)));
        for nonsense in ["-1", "soon", "1e300", "NaN"] {
            assert_eq!(retry_after(&headers(&[("retry-after", nonsense)])), None, "{nonsense}");
        }
    }

    #[test]
    fn every_refusal_says_what_to_do_next() {
        let kinds = [(401, ErrorKind::Denied), (402, ErrorKind::Exhausted), (404, ErrorKind::NotFound), (429, ErrorKind::Exhausted)];
        let more = [(400, ErrorKind::Invalid), (307, ErrorKind::Invalid), (500, ErrorKind::Unavailable), (503, ErrorKind::Unavailable)];
        for (status, kind) in kinds.into_iter().chain(more) {
            assert_eq!(refusal(StatusCode::from_u16(status).unwrap(), None, "").kind(), kind, "{status}");
        }
    }

    #[test]
    fn the_key_never_comes_back() {
        let key = SecretString::from("sk-canary");
        let body = br#"{"error": {"message": "no such key: sk-canary"}}"#;
        assert_eq!(without_key(&said(body), &key), "no such key: …");
        assert!(!explained(OpenAIError::InvalidArgument("sk-canary".into()), &key).to_string().contains("canary"));
    }
}

//! A guard as a layer of tower: whatever a service does is a tool's call.

use std::error::Error as StdError;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use serde_json::Value;
use tower_layer::Layer;
use tower_service::Service;

use super::{Arguments, Guard};
use crate::guard::policy::Request;

/// Any error: the guard's, or the service's own, unchanged.
pub type BoxError = Box<dyn StdError + Send + Sync>;

/// What a service's request asks for. It names no path, because the service would open it by itself: for a path, [`Guard::govern`] hands out the place
/// that was checked.
#[derive(Debug, Clone, PartialEq)]
pub struct Asked {
    /// What is done, as `web.search`.
    pub action: String,
    /// To what.
    pub target: Option<String>,
    /// What it is called with, by name.
    pub arguments: Value,
    /// What there is to say of its risks, as `irreversible`.
    pub risks: Vec<String>,
}

/// Puts a guard in front of a service. `reads` says what a request asks for.
#[derive(Debug, Clone)]
pub struct GovernLayer<F> {
    guard: Guard,
    reads: Arc<F>,
}

impl<F> GovernLayer<F> {
    /// A layer that decides by this guard.
    pub fn new(guard: &Guard, reads: F) -> Self {
        Self { guard: guard.clone(), reads: Arc::new(reads) }
    }
}

impl<S, F> Layer<S> for GovernLayer<F> {
    type Service = GovernService<S, F>;

    fn layer(&self, inner: S) -> Self::Service {
        GovernService { inner, guard: self.guard.clone(), reads: self.reads.clone() }
    }
}

/// A service behind a guard: a refusal is an error of this library, and then the service is not called. The call ends with the service's answer.
#[derive(Debug)]
pub struct GovernService<S, F> {
    inner: S,
    guard: Guard,
    reads: Arc<F>,
}

impl<S: Clone, F> Clone for GovernService<S, F> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), guard: self.guard.clone(), reads: self.reads.clone() }
    }
}

impl<R, S, F> Service<R> for GovernService<S, F>
where
    R: Send + 'static,
    S: Service<R, Future: Send, Error: Into<BoxError>> + Clone + Send + 'static,
    F: Fn(&R) -> Asked,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, asks: R) -> Self::Future {
        let asked = (self.reads)(&asks);
        let spare = self.inner.clone();
        // The one that said that it was ready.
        let mut service = std::mem::replace(&mut self.inner, spare);
        let guard = self.guard.clone();
        Box::pin(async move {
            let risks: Vec<_> = asked.risks.iter().map(String::as_str).collect();
            let request = Request { target: asked.target.as_deref(), risks: &risks, ..Request::new(&asked.action) };
            let call = guard.begin(&request, &Arguments::of(&asked.arguments)).await?;
            match call.run(async { service.call(asks).await }).await {
                Ok(Ok(answer)) => {
                    call.done()?;
                    Ok(answer)
                }
                Ok(Err(error)) => {
                    call.failed("tool_failed")?;
                    Err(error.into())
                }
                Err(dropped) => {
                    call.dropped(&dropped)?;
                    Err(dropped.into())
                }
            }
        })
    }
}

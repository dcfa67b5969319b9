//! A tool that answers piece by piece is one governed call, until its last piece.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use serde_json::Value;

use super::{Arguments, Call, Granted, Guard};
use crate::error::{Error, ErrorKind, Result};
use crate::guard::policy::Request;

/// What is waited for beside the tool.
type Word<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// The pieces of a tool that may run. Dropped before its end, the call's outcome is `unknown`.
#[must_use = "a stream that is dropped ends `unknown`"]
pub struct Governed<S: Stream> {
    tool: Pin<Box<S>>,
    over: Word<Error>,
    // None once it has ended.
    call: Option<Call>,
    // A piece that waits for the store's word.
    held: Option<(S::Item, Word<Result<()>>)>,
}

impl Guard {
    /// Begins a tool that answers piece by piece, if it may run: see [`govern`](Self::govern). Before each piece is handed out the admission is looked at
    /// again; the time is that of all of them.
    pub async fn govern_stream<T, S: Stream<Item = Result<T>>>(
        &self,
        request: &Request<'_>,
        arguments: &Value,
        tool: impl AsyncFnOnce(Granted) -> Result<S>,
    ) -> Result<Governed<S>> {
        let call = self.begin(request, &Arguments::of(arguments)).await?;
        match call.run(tool(call.granted().clone())).await {
            Ok(Ok(tool)) => {
                Ok(Governed { tool: Box::pin(tool), over: Box::pin(call.until_over(Duration::ZERO)), call: Some(call), held: None })
            }
            Ok(Err(error)) => call.ended(&error).and(Err(error)),
            Err(dropped) => call.dropped(&dropped).and(Err(dropped)),
        }
    }
}

impl<T, S: Stream<Item = Result<T>>> Governed<S> {
    fn end(&mut self, end: impl FnOnce(Call) -> Result<()>) -> Result<()> {
        self.held = None;
        self.call.take().map_or(Ok(()), end)
    }

    fn drop_it(&mut self, why: Error) -> Poll<Option<Result<T>>> {
        Poll::Ready(Some(self.end(|call| call.dropped(&why)).and(Err(why))))
    }
}

// Nothing of it is pinned in place: the tool has a box of its own.
impl<S: Stream> Unpin for Governed<S> {}

impl<T, S: Stream<Item = Result<T>>> Stream for Governed<S> {
    type Item = Result<T>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.call.is_none() {
            return Poll::Ready(None);
        }
        if let Poll::Ready(why) = self.over.as_mut().poll(context) {
            return self.drop_it(why);
        }
        if self.held.is_none() {
            let tool = &mut self.tool;
            let Ok(polled) = catch_unwind(AssertUnwindSafe(|| tool.as_mut().poll_next(context))) else {
                let why = Error::new(ErrorKind::Internal, "tool_panicked", "the tool panicked: what it did is not known");
                return self.drop_it(why);
            };
            let piece = match ready!(polled) {
                None => return Poll::Ready(self.end(Call::done).err().map(Err)),
                Some(Err(error)) => return Poll::Ready(Some(self.end(|call| call.ended(&error)).and(Err(error)))),
                Some(piece) => piece,
            };
            let Some(call) = &self.call else { return Poll::Ready(None) };
            match call.is_admitted() {
                Ok(true) => return Poll::Ready(Some(piece)),
                Ok(false) => {
                    let asking: Word<Result<()>> = Box::pin(call.ask());
                    self.held = Some((piece, asking));
                }
                Err(why) => return self.drop_it(why),
            }
        }
        let Some((_, asking)) = &mut self.held else { return Poll::Ready(None) };
        match ready!(asking.as_mut().poll(context)) {
            Ok(()) => Poll::Ready(self.held.take().map(|(piece, _)| piece)),
            Err(why) => self.drop_it(why),
        }
    }
}

//! `governance pipeline logs`.

use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};

use super::args::Logs;
use super::printer::{BOLD, DIM, Printer, WARN, clock, short};
use super::progress::told;
use crate::error::Result;
use crate::governance::Governance;
use crate::orchestrator::Broadcast;
use crate::store::Watch;
use crate::vocabulary::{Millis, PipelineId};

/// More than a run keeps.
const ALL: u64 = 1 << 20;
/// How long nothing may come before it is asked whether the run goes on.
const QUIET: Duration = Duration::from_millis(300);

pub async fn logs(governance: &Governance, args: Logs, printer: &Printer) -> Result<()> {
    let id = super::chosen(governance, args.id).await?;
    let key = governance.store().keys().pipeline_logs(&id);
    let watch = governance.store().watch(std::slice::from_ref(&key)).await?;
    let seen = governance.store().list(key.clone(), ALL).await?;
    let newest = args.last.map_or(0, |last| seen.len().saturating_sub(usize::try_from(last).unwrap_or(usize::MAX)));
    seen[newest..].iter().try_for_each(|line| show(line, printer))?;
    if seen.is_empty() && !args.follow {
        printer.note(format!("`{id}` has logged nothing yet"))?;
    }
    if args.follow { follow(governance, &id, seen, watch, printer).await } else { Ok(()) }
}

/// Shows every further line, until the run ends or waits for its user.
async fn follow(governance: &Governance, id: &PipelineId, mut seen: Vec<Bytes>, mut watch: Watch, printer: &Printer) -> Result<()> {
    let (key, task) = (governance.store().keys().pipeline_logs(id), id.task());
    loop {
        let quiet = tokio::select! {
            () = super::interrupted() => return Ok(()),
            waited = tokio::time::timeout(QUIET, watch.changed()) => waited.is_err(),
        };
        let over = quiet && super::ended(governance, &task).await?;
        // Read after that: what a run says last is said before it is found ended.
        let now = governance.store().list(key.clone(), ALL).await?;
        let come = new(&seen, &now);
        if come == 0 && !seen.is_empty() {
            printer.either(&json!({"gap": "dropped"}), || format!("{WARN}missed{WARN:#}: lines were dropped before they were read"))?;
        }
        now[come..].iter().try_for_each(|line| show(line, printer))?;
        if over && come == now.len() {
            return Ok(());
        }
        seen = now;
    }
}

/// Where in a bounded list what was not there before begins: behind the longest piece that both have.
fn new(before: &[Bytes], now: &[Bytes]) -> usize {
    let kept = (0..=before.len()).map(|dropped| &before[dropped..]).find(|kept| now.starts_with(kept));
    kept.map_or(0, <[Bytes]>::len)
}

/// A line of a log: an event as JSON, or a text, each with its time where it has one.
fn show(line: &[u8], printer: &Printer) -> Result<()> {
    let text = String::from_utf8_lossy(line);
    let object: Option<Value> = serde_json::from_slice(line).ok().filter(Value::is_object);
    let Some(object) = object else {
        let (at, text) = timed(&text);
        return printer.either(&json!({"at": at, "type": "text", "data": text}), || format!("{} {}", time(at), short(text, 200)));
    };
    printer.either(&object, || {
        let at = object.get("at").and_then(Value::as_u64).map(Millis);
        format!("{} {}", time(at), said(&object))
    })
}

fn said(object: &Value) -> String {
    match serde_json::from_value::<Broadcast>(object.clone()) {
        Ok(Broadcast::OrchestrationStarted { model, agents, .. }) => {
            let agents: Vec<_> = agents.iter().map(ToString::to_string).collect();
            format!("orchestration begins: {} think with {model}", agents.join(", "))
        }
        Ok(Broadcast::OrchestrationComplete { status, .. }) if status.is_final() => format!("the run has ended: {BOLD}{status}{BOLD:#}"),
        Ok(event) => told(&event).unwrap_or_default().trim_start().to_owned(),
        // What a later version logs is shown as it is.
        Err(_) => short(&object.to_string(), 200),
    }
}

/// A text that begins with its time.
fn timed(text: &str) -> (Option<Millis>, &str) {
    let split = text.split_once(' ').and_then(|(at, rest)| Some((Some(Millis(at.parse().ok()?)), rest)));
    split.unwrap_or((None, text))
}

fn time(at: Option<Millis>) -> String {
    format!("{DIM}{:>12}{DIM:#}", at.map_or_else(|| "–".to_owned(), clock))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_new_in_a_bounded_list_is_what_comes_behind_what_was_read() {
        let list = |text: &str| text.chars().map(|c| Bytes::from(c.to_string())).collect::<Vec<_>>();
        for (before, now, come) in [
            ("", "", ""),
            ("", "ab", "ab"),
            ("ab", "ab", ""),
            ("ab", "abc", "c"),
            ("abc", "bcd", "d"),
            ("aab", "aba", "a"),
            ("abc", "def", "def"),
        ] {
            let now = list(now);
            assert_eq!(now[new(&list(before), &now)..], list(come), "{before}");
        }
    }

    #[test]
    fn a_text_may_begin_with_its_time() {
        assert_eq!(timed("17 orchestration started"), (Some(Millis(17)), "orchestration started"));
        assert_eq!(timed("no time"), (None, "no time"));
    }
}

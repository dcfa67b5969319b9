//! An entry's fields as bytes.
//!
//! ```text
//!   version u8 │ number u64 │ at i64 │ segment │ kind │ action │ agent? │ pipeline? │ intent? │ result?
//! ```
//!
//! All integers are little-endian; each text is its length (u32) and its bytes, and a text that is not there has the length `u32::MAX`.
//! Every column of a row has its place here, so that one text means one body and no column can be edited unseen. The payload stands
//! behind: in a segment as a text, in what is hashed as its own hash, so that it can be dropped. ADR 10.

use super::{Action, AgentAction, Entry, EntryKind, OutcomeResult};
use crate::error::{Error, Result};
use crate::vocabulary::{AgentId, Millis, PipelineId, SegmentId, Token};

const VERSION: u8 = 2;
const NOTHING: u32 = u32::MAX;

/// An entry with its place and without its payload, borrowed from where it was read. Texts are bytes: a damaged row need not hold text at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Body<'a> {
    pub segment: &'a [u8],
    pub number: i64,
    pub at: i64,
    pub kind: &'a [u8],
    pub action: &'a [u8],
    pub agent: Option<&'a [u8]>,
    pub pipeline: Option<&'a [u8]>,
    pub intent: Option<&'a [u8]>,
    pub result: Option<&'a [u8]>,
}

impl<'a> Body<'a> {
    /// An entry at its place in a segment.
    pub fn of(entry: &'a Entry, segment: &'a SegmentId, number: u64) -> Self {
        Self {
            intent: entry.intent.as_ref().map(|id| id.as_str().as_bytes()),
            result: entry.result.map(|result| result.as_str().as_bytes()),
            ..Self::now(segment, entry.at, (entry.kind, entry.action)).by(entry.agent.as_ref(), entry.pipeline.as_ref()).numbered(number)
        }
    }

    /// An entry of this time, of which nothing else is said yet.
    pub fn now(segment: &'a SegmentId, at: Millis, (kind, action): (EntryKind, Action)) -> Self {
        Self {
            segment: segment.as_str().as_bytes(),
            number: 0,
            at: signed(at.0),
            kind: kind.as_str().as_bytes(),
            action: action.as_str().as_bytes(),
            agent: None,
            pipeline: None,
            intent: None,
            result: None,
        }
    }

    /// The same, by somebody.
    pub fn by(self, agent: Option<&'a AgentId>, pipeline: Option<&'a PipelineId>) -> Self {
        Self { agent: agent.map(|id| id.as_str().as_bytes()), pipeline: pipeline.map(|id| id.as_str().as_bytes()), ..self }
    }

    /// The same, as the end of an intent.
    pub fn ending(self, intent: &'a Token, result: OutcomeResult) -> Self {
        Self { intent: Some(intent.as_str().as_bytes()), result: Some(result.as_str().as_bytes()), ..self }
    }

    /// The same, at another place in its segment.
    pub fn numbered(self, number: u64) -> Self {
        Self { number: signed(number), ..self }
    }

    /// An entry of the record.
    pub fn listed(entry: &'a AgentAction) -> Self {
        Self {
            segment: entry.segment.as_str().as_bytes(),
            number: signed(entry.number),
            at: signed(entry.at.0),
            kind: entry.kind.as_str().as_bytes(),
            action: entry.action.as_str().as_bytes(),
            agent: entry.agent_id.as_ref().map(|id| id.as_str().as_bytes()),
            pipeline: entry.pipeline_id.as_ref().map(|id| id.as_str().as_bytes()),
            intent: entry.intent.as_ref().map(|id| id.as_str().as_bytes()),
            result: entry.result.map(|result| result.as_str().as_bytes()),
        }
    }

    /// Appends the bytes.
    pub fn encode(&self, out: &mut Vec<u8>) {
        out.push(VERSION);
        out.extend_from_slice(&self.number.to_le_bytes());
        out.extend_from_slice(&self.at.to_le_bytes());
        let mut text = |text: Option<&[u8]>| {
            let length = text.map_or(NOTHING, |text| u32::try_from(text.len()).unwrap_or(NOTHING - 1));
            out.extend_from_slice(&length.to_le_bytes());
            out.extend_from_slice(text.unwrap_or_default());
        };
        text(Some(self.segment));
        text(Some(self.kind));
        text(Some(self.action));
        text(self.agent);
        text(self.pipeline);
        text(self.intent);
        text(self.result);
    }

    /// Reads the bytes back and leaves what stands behind them; nothing if they are no body.
    pub fn decode(from: &mut &'a [u8]) -> Option<Self> {
        let [VERSION] = *take::<1>(from)? else { return None };
        let number = i64::from_le_bytes(*take(from)?);
        let at = i64::from_le_bytes(*take(from)?);
        Some(Self {
            segment: text(from)??,
            number,
            at,
            kind: text(from)??,
            action: text(from)??,
            agent: text(from)?,
            pipeline: text(from)?,
            intent: text(from)?,
            result: text(from)?,
        })
    }

    /// The entry with its payload, and with everything checked.
    pub fn entry(&self, payload: &[u8]) -> Result<Entry> {
        let id = |bytes: Option<&'a [u8]>| bytes.map(utf8).transpose();
        Ok(Entry {
            at: Millis(u64::try_from(self.at).unwrap_or(0)),
            kind: utf8(self.kind)?.parse::<EntryKind>()?,
            action: utf8(self.action)?.parse::<Action>()?,
            agent: id(self.agent)?.map(AgentId::new).transpose()?,
            pipeline: id(self.pipeline)?.map(PipelineId::new).transpose()?,
            intent: id(self.intent)?.map(Token::new).transpose()?,
            result: id(self.result)?.map(str::parse::<OutcomeResult>).transpose()?,
            payload: utf8(payload)?.to_owned(),
        })
    }
}

/// Appends a payload, as it stands in a segment.
pub(super) fn encode_payload(payload: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(&u32::try_from(payload.len()).unwrap_or(NOTHING - 1).to_le_bytes());
    out.extend_from_slice(payload);
}

/// Reads it back; nothing if the bytes are not exactly one payload.
pub(super) fn decode_payload(mut bytes: &[u8]) -> Option<&[u8]> {
    let payload = text(&mut bytes)??;
    bytes.is_empty().then_some(payload)
}

/// As SQLite keeps it. A clock beyond the year 292 million is brought back to it.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn utf8(bytes: &[u8]) -> Result<&str> {
    std::str::from_utf8(bytes).map_err(|e| Error::corrupt("not_text", "an entry of the ledger is not text").because(e))
}

fn take<'a, const N: usize>(from: &mut &'a [u8]) -> Option<&'a [u8; N]> {
    let (head, rest) = from.split_first_chunk::<N>()?;
    *from = rest;
    Some(head)
}

fn text<'a>(from: &mut &'a [u8]) -> Option<Option<&'a [u8]>> {
    let length = u32::from_le_bytes(*take(from)?);
    if length == NOTHING {
        return Some(None);
    }
    let (text, rest) = from.split_at_checked(usize::try_from(length).ok()?)?;
    *from = rest;
    Some(Some(text))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entries() -> impl Strategy<Value = Entry> {
        let id = "[a-zA-Z0-9._-]{1,128}";
        (
            (0..u64::MAX / 2, 0..EntryKind::ALL.len(), 0..Action::ALL.len()),
            (proptest::option::of(id), proptest::option::of(id), proptest::option::of(id)),
            proptest::option::of(0..OutcomeResult::ALL.len()),
            ".{0,300}",
        )
            .prop_map(|((at, kind, action), (agent, pipeline, intent), result, payload)| Entry {
                at: Millis(at),
                kind: EntryKind::ALL[kind],
                action: Action::ALL[action],
                agent: agent.map(|id| AgentId::new(id).unwrap()),
                pipeline: pipeline.map(|id| PipelineId::new(id).unwrap()),
                intent: intent.map(|id| Token::new(id).unwrap()),
                result: result.map(|result| OutcomeResult::ALL[result]),
                payload,
            })
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back_exactly(entry in entries(), number in 1..u64::MAX / 2) {
            let segment = SegmentId::new("s-1").unwrap();
            let mut bytes = Vec::new();
            Body::of(&entry, &segment, number).encode(&mut bytes);
            encode_payload(entry.payload.as_bytes(), &mut bytes);
            let read = |mut bytes| Some((Body::decode(&mut bytes)?, decode_payload(bytes)?));
            let (body, payload) = read(&bytes).unwrap();
            prop_assert_eq!(body, Body::of(&entry, &segment, number));
            prop_assert_eq!(body.entry(payload).unwrap(), entry);
            for cut in 0..bytes.len() {
                prop_assert!(read(&bytes[..cut]).is_none());
            }
        }

        #[test]
        fn no_bytes_from_outside_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            let mut rest = &bytes[..];
            let _ = Body::decode(&mut rest).map(|body| body.entry(decode_payload(rest).unwrap_or_default()));
        }
    }
}

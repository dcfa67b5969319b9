//! Frames: how entries lie in a segment's file, and how they are read back.
//!
//! ```text
//!   length u32 │ its complement u32 │ fields │ payload │ chain = SHA-256(previous chain │ fields │ SHA-256(payload))
//! ```
//!
//! The complement tells a torn tail from a damaged length: a frame whose header is whole but whose rest is not there was being written
//! when its writer died; a header that contradicts itself is damage.

use std::fs::File;
use std::ops::Range;
use std::os::unix::fs::FileExt;

use super::body::{Body, decode_payload, encode_payload};
use super::entry::MAX_PAYLOAD;
use super::sealed::{self, Sealed};
use super::tree::Hash;
use crate::vocabulary::SegmentId;

const HEADER: usize = 8;
const CHAIN: usize = 32;
const MAX_BODY: usize = MAX_PAYLOAD + 4096;
/// How much is read at once. INVARIANT: no frame is larger.
const CHUNK: usize = 2 << 20;

/// How far a segment was read or written.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Position {
    /// The number of the last frame.
    pub number: u64,
    /// Where the next one begins.
    pub offset: u64,
    /// The last frame's chain; zeros before the first.
    pub chain: Hash,
}

/// Puts a frame into a buffer; returns its chain.
pub(super) fn seal(out: &mut Vec<u8>, chain: &Hash, body: &Body<'_>, payload: &[u8]) -> Hash {
    out.clear();
    out.extend_from_slice(&[0; HEADER]);
    body.encode(out);
    let chain = Sealed { fields: &out[HEADER..], payload: sealed::hash(payload) }.link(chain);
    encode_payload(payload, out);
    let length = u32::try_from(out.len() - HEADER).unwrap_or(0);
    out[..4].copy_from_slice(&length.to_le_bytes());
    out[4..HEADER].copy_from_slice(&(!length).to_le_bytes());
    out.extend_from_slice(&chain);
    chain
}

/// What came after the frames that were read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// Nothing.
    Clean,
    /// More frames.
    More,
    /// So many bytes of a frame that was being written.
    Torn(u64),
    /// Something that was never written so.
    Damaged(&'static str),
}

/// What a frame says.
pub(super) struct Frame<'a> {
    pub body: Body<'a>,
    pub payload: &'a [u8],
    pub sealed: Sealed<'a>,
    pub chain: &'a Hash,
}

/// Frames as they lie in the file.
pub(super) struct Chunk {
    bytes: Vec<u8>,
    frames: Vec<Whole>,
    /// What came after them.
    pub end: End,
}

impl Chunk {
    /// How many frames there are.
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    /// The frames.
    pub fn frames(&self) -> impl Iterator<Item = Frame<'_>> {
        self.frames.iter().filter_map(|whole| {
            let (fields, mut rest) = (&self.bytes[whole.fields.clone()], &self.bytes[whole.fields.start..whole.end]);
            let (body, payload) = (Body::decode(&mut rest)?, decode_payload(rest)?);
            Some(Frame { body, payload, sealed: Sealed { fields, payload: whole.payload }, chain: &whole.chain })
        })
    }
}

/// Reads on from a position, at most `limit` frames, and moves the position behind what was read.
pub(super) fn read(file: &File, segment: &SegmentId, position: &mut Position, limit: usize) -> std::io::Result<Chunk> {
    let length = file.metadata()?.len();
    let Some(left) = length.checked_sub(position.offset) else {
        return Ok(Chunk { bytes: Vec::new(), frames: Vec::new(), end: End::Damaged("it was cut below what is already recorded") });
    };
    let whole = left <= CHUNK as u64;
    let mut bytes = vec![0; usize::try_from(left).unwrap_or(CHUNK).min(CHUNK)];
    // The owner may cut a half-written frame off meanwhile: what is no longer there is not read.
    let mut filled = 0;
    while filled < bytes.len() {
        match file.read_at(&mut bytes[filled..], position.offset + filled as u64) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    bytes.truncate(filled);
    let mut frames = Vec::new();
    let mut at = 0;
    let end = loop {
        if frames.len() == limit {
            break if at == bytes.len() && whole { End::Clean } else { End::More };
        }
        match next(&bytes, at, position, segment) {
            Next::Frame(whole) => {
                let size = whole.end + CHAIN - at;
                at += size;
                *position = Position { number: position.number + 1, offset: position.offset + size as u64, chain: whole.chain };
                frames.push(whole);
            }
            Next::Damaged(why) => break End::Damaged(why),
            Next::Short if !whole => break End::More,
            Next::Short if at == bytes.len() => break End::Clean,
            Next::Short => break End::Torn((bytes.len() - at) as u64),
        }
    };
    Ok(Chunk { bytes, frames, end })
}

/// How many whole frames there seem to be after a position, by their lengths alone.
pub(super) fn count(file: &File, position: &Position) -> std::io::Result<u64> {
    let length = file.metadata()?.len();
    let (mut at, mut count) = (position.offset, 0);
    let mut header = [0; HEADER];
    while at + (HEADER as u64) <= length {
        file.read_exact_at(&mut header, at)?;
        let (size, rest) = header.split_at(4);
        let size = u32::from_le_bytes(size.try_into().unwrap_or_default());
        if rest != (!size).to_le_bytes() {
            break;
        }
        at += HEADER as u64 + u64::from(size) + CHAIN as u64;
        count += u64::from(at <= length);
    }
    Ok(count)
}

/// Where a frame lies, and the hashes that it was found to have.
struct Whole {
    fields: Range<usize>,
    /// Where its payload ends.
    end: usize,
    payload: Hash,
    chain: Hash,
}

enum Next {
    Frame(Whole),
    Short,
    Damaged(&'static str),
}

fn next(bytes: &[u8], at: usize, position: &Position, segment: &SegmentId) -> Next {
    let Some((header, rest)) = bytes[at..].split_first_chunk::<HEADER>() else { return Next::Short };
    let [a, b, c, d, e, f, g, h] = *header;
    let length = u32::from_le_bytes([a, b, c, d]);
    if length != !u32::from_le_bytes([e, f, g, h]) {
        // A machine that loses power can leave a file longer than what was written, filled up with zeros.
        let blank = bytes[at..].iter().all(|byte| *byte == 0);
        return if blank { Next::Short } else { Next::Damaged("a frame's length is damaged") };
    }
    let length = length as usize;
    if length > MAX_BODY {
        return Next::Damaged("a frame is too large");
    }
    let (Some(frame), Some(chain)) = (rest.get(..length), rest.get(length..length + CHAIN)) else { return Next::Short };
    let mut behind = frame;
    let Some((body, payload)) = Body::decode(&mut behind).and_then(|body| Some((body, decode_payload(behind)?))) else {
        return Next::Damaged("an entry cannot be read by this version");
    };
    let fields = at + HEADER..at + HEADER + length - behind.len();
    let payload = sealed::hash(payload);
    let linked = Sealed { fields: &bytes[fields.clone()], payload }.link(&position.chain);
    if linked != *chain {
        return Next::Damaged("an entry does not continue the chain");
    }
    if body.segment != segment.as_str().as_bytes() {
        return Next::Damaged("an entry belongs to another segment");
    }
    if u64::try_from(body.number) != Ok(position.number + 1) {
        return Next::Damaged("an entry has another number");
    }
    Next::Frame(Whole { fields, end: at + HEADER + length, payload, chain: linked })
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use proptest::prelude::*;

    use super::*;
    use crate::ledger::{Action, Entry};
    use crate::vocabulary::Millis;

    fn segment() -> SegmentId {
        SegmentId::new("s-1").unwrap()
    }

    fn three_frames() -> (Vec<u8>, Vec<usize>) {
        let (mut all, mut ends, mut chain, mut frame) = (Vec::new(), Vec::new(), [0; 32], Vec::new());
        for number in 1..=3 {
            let entry = Entry::note(Millis(number), Action::ToolCall).payload(format!("{{\"n\":{number}}}"));
            chain = seal(&mut frame, &chain, &Body::of(&entry, &segment(), number), entry.payload.as_bytes());
            all.extend_from_slice(&frame);
            ends.push(all.len());
        }
        (all, ends)
    }

    fn read_back(bytes: &[u8]) -> (usize, End) {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        let mut position = Position::default();
        let chunk = read(&file, &segment(), &mut position, usize::MAX).unwrap();
        assert_eq!(chunk.frames().count(), chunk.len());
        (chunk.len(), chunk.end)
    }

    #[test]
    fn every_cut_is_a_torn_tail_and_never_damage() {
        let (all, ends) = three_frames();
        for cut in 0..=all.len() {
            let whole = ends.iter().filter(|end| **end <= cut).count();
            let torn = cut - ends[..whole].last().copied().unwrap_or(0);
            let end = if torn == 0 { End::Clean } else { End::Torn(torn as u64) };
            assert_eq!(read_back(&all[..cut]), (whole, end), "cut at {cut}");
        }
        let mut blank = all.clone();
        blank.extend([0; 500]);
        assert_eq!(read_back(&blank), (3, End::Torn(500)));
    }

    #[test]
    fn every_flipped_bit_is_damage_at_its_own_frame() {
        let (all, ends) = three_frames();
        for at in 0..all.len() {
            for bit in 0..8 {
                let mut damaged = all.clone();
                damaged[at] ^= 1 << bit;
                let (frames, end) = read_back(&damaged);
                assert_eq!(frames, ends.iter().filter(|end| **end <= at).count(), "byte {at}");
                assert!(matches!(end, End::Damaged(_)), "byte {at}: {end:?}");
            }
        }
    }

    #[test]
    fn a_limit_leaves_the_rest_for_the_next_reading() {
        let (all, _) = three_frames();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&all).unwrap();
        let mut position = Position::default();
        assert_eq!(read(&file, &segment(), &mut position, 2).unwrap().end, End::More);
        assert_eq!((position.number, count(&file, &position).unwrap()), (2, 1));
        assert_eq!(read(&file, &segment(), &mut position, 2).unwrap().end, End::Clean);
        assert_eq!(position, Position { number: 3, offset: all.len() as u64, chain: position.chain });
    }

    proptest! {
        #[test]
        fn no_bytes_from_outside_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            read_back(&bytes);
        }
    }
}

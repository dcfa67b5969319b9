//! How deep a text of conditions may go. Whoever reads, checks and drops it walks it by calling itself, and a stack that overflows ends the process.

/// Brackets within brackets.
const DEEPEST: usize = 40;
/// Operators in one policy: a chain of them is as deep as it is long.
const OPERATORS: usize = 400;
/// Words that are operators.
const WORDS: [&str; 6] = ["if", "has", "in", "is", "like", "unless"];

/// Refuses a text that goes deeper. What stands in texts and comments does not count.
pub(super) fn bounded(text: &str) -> Result<(), String> {
    let (mut depth, mut operators, mut line) = (0_usize, 0_usize, 1_usize);
    let bytes = text.as_bytes();
    let mut at = 0;
    while let Some(byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'\n' => line += 1,
            b'"' => at = after_text(bytes, at),
            b'/' if bytes.get(at) == Some(&b'/') => at += bytes[at..].iter().take_while(|byte| **byte != b'\n').count(),
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            b';' => operators = 0,
            b'.' | b'!' | b'+' | b'-' | b'*' | b'=' | b'<' | b'>' | b'&' | b'|' => operators += 1,
            byte if is_word(*byte) => {
                let end = at + bytes[at..].iter().take_while(|byte| is_word(**byte)).count();
                operators += usize::from(WORDS.iter().any(|word| word.as_bytes() == &bytes[at - 1..end]));
                at = end;
            }
            _ => {}
        }
        if depth > DEEPEST {
            return Err(format!("line {line}: more than {DEEPEST} brackets within each other"));
        }
        if operators > 2 * OPERATORS {
            return Err(format!("line {line}: more than {OPERATORS} operators in one policy: make it several"));
        }
    }
    Ok(())
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// Behind the end of a text that begins here.
fn after_text(bytes: &[u8], mut at: usize) -> usize {
    while let Some(byte) = bytes.get(at) {
        at += 1;
        match byte {
            b'\\' => at += 1,
            b'"' => break,
            _ => {}
        }
    }
    at
}

//! What was heard of an answer so far, and what it cost, however it ended.

use super::wire::Piece;
use crate::error::{Error, ErrorKind, Result};
use crate::llm::Charge;

/// The longest answer, in bytes.
pub const MAX_ANSWER: usize = 256 << 10;

/// An answer as it comes.
#[derive(Default)]
pub(super) struct Heard {
    text: String,
    pieces: u64,
    finish: Option<String>,
    told: Option<Charge>,
    // Whether the model may have read the question.
    asked: bool,
}

impl Heard {
    /// The question is on its way.
    pub fn asked(&mut self) {
        self.asked = true;
    }

    /// The server refused it before the model read it.
    pub fn refused(&mut self) {
        self.asked = false;
    }

    /// Takes a piece in. Answers how many tokens came with it: servers send one a piece.
    pub fn take(&mut self, piece: Piece) -> Result<u64> {
        let mut tokens = 0;
        for choice in piece.choices.into_iter().take(1) {
            if let Some(content) = choice.delta.and_then(|delta| delta.content).filter(|content| !content.is_empty()) {
                self.text.push_str(&content);
                tokens += 1;
            }
            self.finish = choice.finish_reason.or(self.finish.take());
        }
        self.pieces += tokens;
        if let Some(told) = piece.usage {
            self.told = Some(told.into());
        }
        if self.text.len() > MAX_ANSWER { Err(too_large()) } else { Ok(tokens) }
    }

    /// The answer, if it came to its end.
    pub fn whole(&self) -> Result<&str> {
        match self.finish.as_deref() {
            None => Err(Error::unavailable("stream_dropped", "the model's answer broke off before it was finished")),
            Some("length") => {
                Err(Error::invalid("answer_cut", "the model's answer was longer than it may be and was cut off: say it shorter"))
            }
            Some("content_filter") => Err(Error::new(ErrorKind::Denied, "answer_withheld", "the model's server withholds the answer")),
            Some("error") => Err(Error::unavailable("stream_dropped", "the model's answer ended in an error of its server")),
            Some(_) => Ok(&self.text),
        }
    }

    /// What it cost: what the server says, or a guess where it does not, which is never above the most that was asked for.
    pub fn charge(&self, asked: u64, most: u64) -> Charge {
        match self.told {
            Some(told) => told,
            None if !self.asked => Charge::default(),
            None => Charge {
                input_tokens: asked,
                output_tokens: self.pieces.max(self.text.len() as u64 / 4).min(most),
                cost: None,
                estimated: true,
            },
        }
    }
}

/// Whether an error means that the model never read the question, so that nothing was spent.
pub(super) fn is_before_the_model(error: &Error) -> bool {
    error.details().contains_key("status") || error.code() == "model_unreachable"
}

/// An answer that is not read to its end.
pub(in crate::llm) fn too_large() -> Error {
    Error::invalid("answer_too_large", format!("the model's answer has more than {MAX_ANSWER} bytes: say it shorter"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(json: serde_json::Value) -> Piece {
        serde_json::from_value(json).unwrap()
    }

    fn content(text: &str) -> Piece {
        piece(serde_json::json!({"choices": [{"delta": {"content": text}}]}))
    }

    fn end(reason: &str) -> Piece {
        piece(serde_json::json!({"choices": [{"delta": {}, "finish_reason": reason}]}))
    }

    #[test]
    fn an_answer_counts_only_once_it_is_finished() {
        let mut heard = Heard::default();
        assert_eq!(heard.take(content("{}")).unwrap(), 1);
        assert_eq!(heard.whole().unwrap_err().code(), "stream_dropped");
        heard.take(end("stop")).unwrap();
        assert_eq!(heard.whole().unwrap(), "{}");
        for (reason, code) in [("length", "answer_cut"), ("content_filter", "answer_withheld"), ("error", "stream_dropped")] {
            heard.take(end(reason)).unwrap();
            assert_eq!(heard.whole().unwrap_err().code(), code);
        }
    }

    #[test]
    fn an_endless_answer_is_not_kept() {
        let mut heard = Heard::default();
        let long = "x".repeat(MAX_ANSWER / 2);
        assert!(heard.take(content(&long)).is_ok() && heard.take(content(&long)).is_ok());
        assert_eq!(heard.take(content("y")).unwrap_err().code(), "answer_too_large");
    }

    #[test]
    fn what_the_server_says_that_it_cost_is_what_it_cost_also_to_the_millionth() {
        let mut heard = Heard::default();
        heard.asked();
        heard.take(content("abcdefgh")).unwrap();
        assert_eq!(heard.charge(100, 64), Charge { input_tokens: 100, output_tokens: 2, cost: None, estimated: true });
        heard
            .take(piece(serde_json::json!({"choices": [], "usage": {"prompt_tokens": 9, "completion_tokens": 3, "cost": 0.0000421}})))
            .unwrap();
        assert_eq!(heard.charge(100, 64), Charge { input_tokens: 9, output_tokens: 3, cost: Some(43), estimated: false });
        assert_eq!(Heard::default().charge(100, 64), Charge::default());
    }
}

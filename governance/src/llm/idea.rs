//! What a model puts out: shapes that are checked, whatever model it was.

use serde::{Deserialize, Serialize};

/// What an objective is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Analysis {
    /// The field it belongs to.
    pub field: String,
    /// Its own significant words.
    pub terms: Vec<String>,
    /// What matters most, most first.
    pub priorities: Vec<String>,
    /// What is left open.
    pub questions: Vec<String>,
}

/// A proposed solution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Idea {
    /// Its name.
    pub title: String,
    /// What it is, in a sentence or two.
    pub summary: String,
    /// What to do, in order.
    pub steps: Vec<String>,
    /// How it does on what matters.
    pub traits: Traits,
}

/// How a solution does, 0 to 10 each.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Traits {
    /// Easy to build and to run.
    pub simplicity: u8,
    /// Fast.
    pub speed: u8,
    /// Right, also under concurrency and failure.
    pub correctness: u8,
    /// Safe against people and accidents.
    pub safety: u8,
    /// Cheap.
    pub economy: u8,
}

impl Traits {
    /// By name, in a fixed order.
    #[must_use]
    pub fn named(&self) -> [(&'static str, u8); 5] {
        [
            ("simplicity", self.simplicity),
            ("speed", self.speed),
            ("correctness", self.correctness),
            ("safety", self.safety),
            ("economy", self.economy),
        ]
    }
}

/// What a judge thinks of a solution.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Evaluation {
    /// 0 to 1,000.
    pub score: u32,
    /// What is good about it.
    pub strengths: Vec<String>,
    /// What is not.
    pub concerns: Vec<String>,
}

/// A solution with what its judges gave it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Scored {
    /// The solution.
    pub idea: Idea,
    /// 0 to 1,000 each; none if nobody judged it yet.
    pub scores: Vec<u32>,
}

impl Scored {
    /// The mean of its scores; 0 if nobody judged it yet.
    #[must_use]
    pub fn mean(&self) -> u32 {
        let sum: u64 = self.scores.iter().map(|score| u64::from(*score)).sum();
        u32::try_from(sum / self.scores.len().max(1) as u64).unwrap_or(u32::MAX)
    }
}

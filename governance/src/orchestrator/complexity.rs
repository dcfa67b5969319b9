//! How much an objective asks for at once. Pure, deterministic, and explained by its inputs.
//!
//! ```text
//!   score = Σ weight · min(value, full) / full        0 ..= 1
//!
//!   requirements   clauses that each bring something new                    full at  8   weighs 0.40
//!   terms          different words of three letters or more                 full at 40   weighs 0.20
//!   constraints    requirements that say what must hold, or how much        full at  4   weighs 0.20
//!   words          all words                                                full at 80   weighs 0.10
//!   quantities     different numbers                                        full at  3   weighs 0.10
//! ```
//!
//! A clause brings something new when it holds at least two terms that no clause before it had: whoever repeats himself asks for nothing
//! more. Only the form of the text counts, never its field, so no single word makes an objective complex. The words that mark a
//! constraint are English.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

/// How much an objective asks for at once.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Complexity {
    /// 0 to 1.
    pub score: f64,
    /// What it comes from.
    pub inputs: Vec<Input>,
}

/// One count that the score comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Input {
    /// What is counted.
    pub name: String,
    /// How many there are.
    pub value: u64,
    /// How many are needed for all of the weight.
    pub full: u64,
    /// How much it can add to the score.
    pub weight: f64,
}

/// How many new terms make a clause a requirement of its own.
const NEW_TERMS: usize = 2;
/// The least length of a term, in letters.
const TERM: usize = 3;
/// Words that join requirements.
const JOINTS: &[&str] = &["and", "but", "then", "while", "also", "plus"];
/// Words that say that something has to hold.
const MUST: &[&str] = &[
    "must", "without", "never", "always", "only", "within", "cannot", "shall", "unless", "until", "except", "exactly", "maximum",
    "minimum", "least", "most", "under", "below", "above", "between", "less", "more", "fewer", "every", "each", "no", "not", "zero",
];

/// How much `objective` asks for at once.
pub fn complexity(objective: &str) -> Complexity {
    let (mut words, mut requirements, mut constraints) = (0, 0, 0);
    let (mut terms, mut quantities) = (HashSet::new(), HashSet::new());
    for clause in clauses(objective) {
        let (before, mut bound) = (terms.len(), false);
        words += clause.len() as u64;
        for word in clause {
            let number = word.starts_with(|c: char| c.is_ascii_digit());
            bound |= number || MUST.contains(&word.as_str());
            if number {
                quantities.insert(word);
            } else if word.chars().filter(|c| c.is_alphabetic()).take(TERM).count() == TERM {
                terms.insert(word);
            }
        }
        if terms.len() >= before + NEW_TERMS {
            requirements += 1;
            constraints += u64::from(bound);
        }
    }
    let input = |name: &str, value, full, weight| Input { name: name.to_owned(), value, full, weight };
    let inputs = vec![
        input("requirements", requirements, 8, 0.40),
        input("terms", terms.len() as u64, 40, 0.20),
        input("constraints", constraints, 4, 0.20),
        input("words", words, 80, 0.10),
        input("quantities", quantities.len() as u64, 3, 0.10),
    ];
    let score: f64 = inputs.iter().map(Input::share).sum();
    Complexity { score: score.min(1.0), inputs }
}

impl Input {
    #[expect(clippy::cast_precision_loss, reason = "both are small: the value is cut to what counts in full")]
    fn share(&self) -> f64 {
        self.weight * self.value.min(self.full) as f64 / self.full as f64
    }
}

/// The words of each clause, in lower case. A clause ends at a mark, at a word that joins, at an empty line, and where an item of a list
/// begins; not at the end of a line, where a text may only be wrapped.
fn clauses(objective: &str) -> Vec<Vec<String>> {
    let (mut clauses, mut clause) = (Vec::new(), Vec::new());
    for line in objective.lines() {
        let mut words = line.split_whitespace().peekable();
        if words.next_if(|word| is_item(word)).is_some() || line.trim().is_empty() {
            clauses.push(std::mem::take(&mut clause));
        }
        for word in words {
            let bare = word.trim_matches(|c: char| !c.is_alphanumeric()).to_lowercase();
            let joins = JOINTS.contains(&bare.as_str());
            if !bare.is_empty() && !joins {
                clause.push(bare);
            }
            if joins || !word.ends_with(|c: char| c.is_alphanumeric() || matches!(c, '%' | '"' | '\'' | '`')) {
                clauses.push(std::mem::take(&mut clause));
            }
        }
    }
    clauses.push(clause);
    clauses
}

/// Whether the first word of a line makes it an item of a list: `-`, `*`, `1.`, `2)`.
fn is_item(word: &str) -> bool {
    let number = word.strip_suffix(['.', ')']).is_some_and(|number| number.chars().all(|c| c.is_ascii_digit()));
    number || !word.contains(char::is_alphanumeric)
}

#[cfg(test)]
#[path = "complexity_tests.rs"]
mod tests;

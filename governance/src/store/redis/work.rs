//! What goes to the server in one script call.

use std::sync::Arc;

use fred::types::Value;

use super::program::Program;
use super::puts::{Put, Puts};
use super::script::Script;
use crate::error::Result;
use crate::store::Commit;
use crate::vocabulary::Keys;

/// The most commits in one call.
const MOST: usize = 64;
/// The most words in one call, so that no call holds the server for long.
const MOST_WORDS: usize = 8_192;

/// The tenant's names that every call spells.
#[derive(Debug)]
pub(super) struct Names {
    pub generation: String,
    /// What a token's key begins with.
    pub tokens: String,
}

impl Names {
    pub fn of(keys: &Keys) -> Arc<Self> {
        Arc::new(Self { generation: keys.generation().as_str().to_owned(), tokens: format!("{}token:", keys.prefix()) })
    }
}

/// A commit, as the script that judges it wants it.
pub(super) enum Asked<'a> {
    Put(&'a Arc<Names>, Put<'a>),
    Program(Program),
}

impl<'a> Asked<'a> {
    pub fn of(names: &'a Arc<Names>, commit: &'a Commit) -> Result<Self> {
        match Put::of(commit) {
            Some(put) => Ok(Self::Put(names, put)),
            None => Program::of(names, commit).map(Self::Program),
        }
    }

    pub fn script(&self) -> Script {
        match self {
            Self::Put(..) => Script::Put,
            Self::Program(_) => Script::Commit,
        }
    }

    /// A call of its own.
    pub fn alone(self) -> Work {
        match self {
            Self::Put(names, put) => Work::Puts(Box::new(Puts::new(names, &put))),
            Self::Program(program) => Work::Programs(program.len(), vec![program]),
        }
    }
}

/// One call.
pub(super) enum Work {
    Puts(Box<Puts>),
    /// With how many words they have.
    Programs(usize, Vec<Program>),
}

impl Work {
    pub fn script(&self) -> Script {
        match self {
            Self::Puts(_) => Script::Put,
            Self::Programs(..) => Script::Commit,
        }
    }

    /// How many commits.
    pub fn len(&self) -> usize {
        match self {
            Self::Puts(puts) => puts.len(),
            Self::Programs(_, programs) => programs.len(),
        }
    }

    /// Whether a commit may still join.
    pub fn has_room(&self, asked: &Asked<'_>) -> bool {
        self.len() < MOST
            && match (self, asked) {
                (Self::Puts(puts), Asked::Put(_, put)) => puts.has_room(put),
                (Self::Programs(words, _), Asked::Program(program)) => words + program.len() <= MOST_WORDS,
                _ => false,
            }
    }

    /// A commit joins.
    pub fn add(&mut self, asked: Asked<'_>) {
        match (self, asked) {
            (Self::Puts(puts), Asked::Put(_, put)) => puts.add(&put),
            (Self::Programs(words, programs), Asked::Program(program)) => {
                *words += program.len();
                programs.push(program);
            }
            _ => {}
        }
    }

    /// The words of the call, behind `said`; answers how many of them are keys.
    pub fn say(self, said: &mut Vec<Value>) -> i64 {
        let before = said.len();
        let keys = match self {
            Self::Puts(puts) => puts.say(said),
            Self::Programs(_, mut programs) => {
                programs.iter_mut().for_each(|program| std::mem::take(&mut program.keys).append_to(said));
                let keys = said.len() - before;
                said.push(Value::from(i64::try_from(programs.len()).unwrap_or(0)));
                for program in programs {
                    said.push(Value::Bytes(program.ops.into()));
                    program.args.append_to(said);
                }
                keys
            }
        };
        i64::try_from(keys).unwrap_or(0)
    }
}

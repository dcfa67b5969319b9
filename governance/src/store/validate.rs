//! What a commit may look like: kinds, sizes, and no cell written twice.

use super::{Cell, Check, Commit, Write};
use crate::error::{Error, Result};
use crate::vocabulary::{Key, Kind};

/// The largest value, in bytes.
pub const MAX_VALUE: usize = 4 * 1024 * 1024;
/// The longest field name, in bytes: two ids, and what joins them.
pub const MAX_FIELD: usize = 320;
/// What no field's name begins with: a store may keep the field's version there.
const RESERVED: &str = "v:";
/// The most checks and writes in one commit.
pub const MAX_OPERATIONS: usize = 512;

impl Commit {
    /// Refuses a malformed commit before it travels: kinds, sizes, and no cell written twice.
    pub fn validate(&self) -> Result<()> {
        if self.checks.len() + self.writes.len() > MAX_OPERATIONS {
            return Err(Error::invalid("commit_too_large", format!("a commit has at most {MAX_OPERATIONS} checks and writes")));
        }
        for (key, _) in self.admission.0.iter() {
            expect(key, &[Kind::Epoch])?;
        }
        for check in &self.checks {
            match check {
                Check::Absent(cell) | Check::Version { cell, .. } => {
                    expect_cell(cell, &[Kind::Record, Kind::Table, Kind::State, Kind::Counter, Kind::Epoch])?;
                }
                Check::Fence { lease, .. } => expect(lease, &[Kind::Record])?,
                Check::Within { counter, .. } => expect(counter, &[Kind::Counter])?,
                Check::Room { log, .. } => expect(log, &[Kind::Log])?,
            }
        }
        for (place, write) in self.writes.iter().enumerate() {
            validate_write(write)?;
            let twice = self.writes[..place].iter().any(|other| conflicts(write, other));
            if twice {
                return Err(Error::invalid("written_twice", format!("`{}` is written twice in one commit", write.key())));
            }
        }
        Ok(())
    }
}

fn expect(key: &Key, kinds: &[Kind]) -> Result<()> {
    if kinds.contains(&key.kind()) {
        return Ok(());
    }
    Err(Error::invalid("wrong_kind", format!("`{key}` is a {} and cannot be used so", key.kind())))
}

fn expect_cell(cell: &Cell, kinds: &[Kind]) -> Result<()> {
    expect(&cell.key, kinds)?;
    match &cell.field {
        Some(field) if field.is_empty() || field.len() > MAX_FIELD => {
            Err(Error::invalid("invalid_field", format!("a field of `{}` has 1 to {MAX_FIELD} bytes, not {}", cell.key, field.len())))
        }
        Some(field) if field.starts_with(RESERVED) => {
            Err(Error::invalid("invalid_field", format!("a field of `{}` does not begin with `{RESERVED}`", cell.key)))
        }
        Some(_) => expect(&cell.key, &[Kind::Table]),
        None => Ok(()),
    }
}

fn expect_size(key: &Key, value: &[u8]) -> Result<()> {
    if value.len() > MAX_VALUE {
        return Err(Error::invalid("value_too_large", format!("the value for `{key}` has {} bytes: at most {MAX_VALUE}", value.len())));
    }
    Ok(())
}

fn validate_write(write: &Write) -> Result<()> {
    match write {
        Write::Put { cell, value, event, .. } => {
            expect_cell(cell, &[Kind::Record, Kind::Table])?;
            if cell.key.kind() == Kind::Table && cell.field.is_none() {
                return Err(Error::invalid("invalid_field", format!("`{}` is a table: name the field to write", cell.key)));
            }
            expect_size(&cell.key, value)?;
            event.as_ref().map_or(Ok(()), |event| expect(&event.log, &[Kind::Log]))
        }
        Write::Delete(cell) => expect_cell(cell, &[Kind::Record, Kind::Table, Kind::State, Kind::Counter]),
        Write::Merge { state, fields } => {
            expect(state, &[Kind::State])?;
            if fields.iter().any(|(name, _)| name == "version" || name.starts_with(RESERVED) || name.is_empty()) {
                return Err(Error::invalid(
                    "invalid_field",
                    format!("`{state}` has a field without a name, named `version`, or whose name begins with `{RESERVED}`"),
                ));
            }
            Ok(())
        }
        Write::Add { counter, .. } => expect(counter, &[Kind::Counter]),
        Write::Raise { key, .. } => expect(key, &[Kind::Epoch]),
        Write::Claim { lease, fence, .. } => expect(lease, &[Kind::Record]).and_then(|()| expect(fence, &[Kind::Epoch])),
        Write::Append { log, value, .. } => expect(log, &[Kind::Log]).and_then(|()| expect_size(log, value)),
        Write::Trim { log, .. } => expect(log, &[Kind::Log]),
        Write::Push { list, value, .. } => expect(list, &[Kind::List]).and_then(|()| expect_size(list, value)),
        Write::Join { set, .. } | Write::Leave { set, .. } => expect(set, &[Kind::Set]),
        Write::Expire { key, .. } => {
            expect(key, &[Kind::Record, Kind::Table, Kind::State, Kind::Counter, Kind::Log, Kind::List, Kind::Set])
        }
        Write::Signal { channel, .. } => expect(channel, &[Kind::Channel]),
    }
}

fn conflicts(one: &Write, other: &Write) -> bool {
    let cell = |write: &Write| match write {
        Write::Put { cell, .. } | Write::Delete(cell) => Some(cell.clone()),
        Write::Merge { state: key, .. } | Write::Add { counter: key, .. } | Write::Raise { key, .. } | Write::Claim { lease: key, .. } => {
            Some(key.clone().into())
        }
        _ => None,
    };
    match (cell(one), cell(other)) {
        (Some(a), Some(b)) => a.key == b.key && (a.field == b.field || a.field.is_none() || b.field.is_none()),
        _ => false,
    }
}

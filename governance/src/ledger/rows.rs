//! Entries as rows: the hot insert, and the tables that are projections of the record.

use std::fmt::Write;

use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Statement};

use super::body::Body;
use super::tree::Hash;

const COLUMNS: usize = 12;
/// How many rows go into one statement.
const ROWS: usize = 32;

/// The tables that show what some entries' payloads say, each with its action and what its columns are.
pub(super) const PROJECTIONS: [(&str, &str, &str); 3] = [
    ("agent_metrics", "metric", "name TEXT, value REAL, unit TEXT"),
    ("violations", "violation", "type TEXT, severity TEXT, revocation TEXT, detail TEXT"),
    ("promotions", "promotion", "profile TEXT, from_tier TEXT, to_tier TEXT, status TEXT, approver TEXT, reason TEXT"),
];

/// What a projection must hold for the entries after `?1` up to `?2`. It shows payloads, so it goes with them.
pub(super) fn projected(action: &str, columns: &str) -> String {
    let mut sql = "SELECT seq, at, agent_id, pipeline_id".to_owned();
    for (name, kind) in columns.split(", ").filter_map(|column| column.split_once(' ')) {
        let _ = write!(sql, ", CASE WHEN json_valid(payload) THEN CAST(json_extract(payload, '$.{name}') AS {kind}) END AS {name}");
    }
    let _ = write!(
        sql,
        " FROM agent_actions INDEXED BY agent_actions_{action} \
         WHERE action = '{action}' AND payload IS NOT NULL AND seq > ?1 AND seq <= ?2"
    );
    sql
}

/// A row to be.
#[derive(Clone, Copy)]
pub(super) struct Row<'a> {
    pub seq: i64,
    pub body: Body<'a>,
    pub payload: &'a [u8],
    pub chain: &'a Hash,
}

/// Inserts rows, many with one statement.
pub(super) fn insert(connection: &Connection, rows: &[Row<'_>]) -> rusqlite::Result<()> {
    let (many, few) = rows.as_chunks::<ROWS>();
    if !many.is_empty() {
        let mut statement = connection.prepare_cached(&values(ROWS))?;
        for chunk in many {
            for (row, at) in chunk.iter().zip((0..).step_by(COLUMNS)) {
                bind(&mut statement, at, row)?;
            }
            statement.raw_execute()?;
        }
    }
    if !few.is_empty() {
        let mut statement = connection.prepare_cached(&values(1))?;
        for row in few {
            bind(&mut statement, 0, row)?;
            statement.raw_execute()?;
        }
    }
    Ok(())
}

/// Brings the projections up to the rows after `from` up to `to`.
pub(super) fn project(connection: &Connection, rows: &[Row<'_>], from: i64, to: i64) -> rusqlite::Result<()> {
    for (table, action, columns) in PROJECTIONS {
        if !rows.iter().any(|row| row.body.action == action.as_bytes()) {
            continue;
        }
        connection.prepare_cached(&format!("INSERT INTO {table} {}", projected(action, columns)))?.execute([from, to])?;
    }
    Ok(())
}

fn values(rows: usize) -> String {
    let one = "(?,?,?,?,?,?,?,?,?,?,?,?)";
    let columns = "seq, segment, number, at, kind, action, agent_id, pipeline_id, intent, result, payload, chain";
    format!("INSERT INTO agent_actions ({columns}) VALUES {}", vec![one; rows].join(","))
}

fn bind(statement: &mut Statement<'_>, at: usize, row: &Row<'_>) -> rusqlite::Result<()> {
    fn text(bytes: Option<&[u8]>) -> ToSqlOutput<'_> {
        ToSqlOutput::Borrowed(bytes.map_or(ValueRef::Null, ValueRef::Text))
    }
    let body = &row.body;
    statement.raw_bind_parameter(at + 1, row.seq)?;
    statement.raw_bind_parameter(at + 2, text(Some(body.segment)))?;
    statement.raw_bind_parameter(at + 3, body.number)?;
    statement.raw_bind_parameter(at + 4, body.at)?;
    statement.raw_bind_parameter(at + 5, text(Some(body.kind)))?;
    statement.raw_bind_parameter(at + 6, text(Some(body.action)))?;
    statement.raw_bind_parameter(at + 7, text(body.agent))?;
    statement.raw_bind_parameter(at + 8, text(body.pipeline))?;
    statement.raw_bind_parameter(at + 9, text(body.intent))?;
    statement.raw_bind_parameter(at + 10, text(body.result))?;
    statement.raw_bind_parameter(at + 11, text(Some(row.payload)))?;
    statement.raw_bind_parameter(at + 12, row.chain.as_slice())
}

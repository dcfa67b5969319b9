//! Reading the record.

use serde::{Deserialize, Serialize};
use sqlx::sqlite::{SqlitePool, SqliteRow};
use sqlx::{QueryBuilder, Row};

use super::{Action, EntryKind, OutcomeResult, hex};
use crate::error::{Error, Result};
use crate::vocabulary::{AgentId, Millis, PipelineId, SegmentId, Token};

/// How many entries one listing has at most.
pub const MAX_LISTING: u32 = 10_000;

/// Which entries to list.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only those of a pipeline.
    pub pipeline: Option<PipelineId>,
    /// Only those of an agent.
    pub agent: Option<AgentId>,
    /// Only those about an action.
    pub action: Option<Action>,
    /// Only those after a number of the record; 0 for all.
    pub after: u64,
    /// At most so many; 0 for as many as there may be, [`MAX_LISTING`].
    pub limit: u32,
    /// The newest first, instead of the oldest.
    pub newest_first: bool,
}

/// An entry of the record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AgentAction {
    /// Its number in the record: 1, 2, 3, … without holes.
    pub seq: u64,
    /// The segment it came from.
    pub segment: SegmentId,
    /// Its number there.
    pub number: u64,
    /// When, on the writer's clock.
    pub at: Millis,
    /// Before, after, or beside.
    pub kind: EntryKind,
    /// What.
    pub action: Action,
    /// By whom.
    pub agent_id: Option<AgentId>,
    /// In which pipeline.
    pub pipeline_id: Option<PipelineId>,
    /// The intent that it ends.
    pub intent: Option<Token>,
    /// How that ended.
    pub result: Option<OutcomeResult>,
    /// Details, as JSON text; none where retention dropped them.
    pub payload: Option<String>,
    /// The SHA-256 of dropped details, in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload_hash: Option<String>,
}

/// A part of the record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Listing {
    /// The entries.
    pub actions: Vec<AgentAction>,
    /// How many entries of any kind are written but not in the record yet.
    pub unsequenced: u64,
}

pub(super) async fn actions(pool: &SqlitePool, filter: &Filter) -> std::result::Result<Vec<SqliteRow>, sqlx::Error> {
    let mut query = QueryBuilder::new(
        "SELECT seq, segment, number, at, kind, action, agent_id, pipeline_id, intent, result, payload, payload_hash FROM agent_actions WHERE seq > ",
    );
    query.push_bind(filter.after.min(i64::MAX.unsigned_abs()).cast_signed());
    if let Some(pipeline) = &filter.pipeline {
        query.push(" AND pipeline_id = ").push_bind(pipeline.as_str());
    }
    if let Some(agent) = &filter.agent {
        query.push(" AND agent_id = ").push_bind(agent.as_str());
    }
    if let Some(action) = filter.action {
        query.push(" AND action = ").push_bind(action.as_str());
    }
    query.push(if filter.newest_first { " ORDER BY seq DESC LIMIT " } else { " ORDER BY seq LIMIT " });
    let limit = if filter.limit == 0 { MAX_LISTING } else { filter.limit.min(MAX_LISTING) };
    query.push_bind(i64::from(limit));
    query.build().fetch_all(pool).await
}

impl AgentAction {
    pub(super) fn of(row: &SqliteRow) -> Result<Self> {
        let text = |at: usize| row.try_get::<Option<String>, _>(at).map_err(damaged);
        let number = |at: usize| row.try_get::<i64, _>(at).map(i64::cast_unsigned).map_err(damaged);
        Ok(Self {
            seq: number(0)?,
            segment: SegmentId::new(text(1)?.unwrap_or_default())?,
            number: number(2)?,
            at: Millis(number(3)?),
            kind: text(4)?.unwrap_or_default().parse()?,
            action: text(5)?.unwrap_or_default().parse()?,
            agent_id: text(6)?.map(AgentId::new).transpose()?,
            pipeline_id: text(7)?.map(PipelineId::new).transpose()?,
            intent: text(8)?.map(Token::new).transpose()?,
            result: text(9)?.map(|result| result.parse()).transpose()?,
            payload: text(10)?,
            payload_hash: row.try_get::<Option<Vec<u8>>, _>(11).map_err(damaged)?.map(|hash| hex::encode(&hash)),
        })
    }
}

fn damaged(error: sqlx::Error) -> Error {
    Error::corrupt("ledger_damaged", "a row of the ledger is not what was written: run `ledger verify`").because(error)
}

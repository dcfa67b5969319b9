//! Which runs have not ended, and which were stopped and may go on: found without walking through every run that ever was.
//!
//! ```text
//!   begun ─▶ pipelines:open ── stopped ─▶ pipelines:stopped
//!                  │    ◀── taken up ──────────┘
//!                  └── ended ─▶ in neither
//! ```

use crate::error::Result;
use crate::store::{Answer, Fields, Query, Store, Write};
use crate::vocabulary::{Key, Keys, PipelineId, PipelineStatus};

/// What a run's new state means for the lists. INVARIANT: written with every state, in the same commit.
pub(crate) fn listed(keys: &Keys, id: &PipelineId, status: PipelineStatus) -> [Write; 2] {
    let put = |set: Key, is_in: bool| {
        let member = id.to_string();
        if is_in { Write::Join { set, member } } else { Write::Leave { set, member } }
    };
    [put(keys.pipelines_open(), !status.is_final()), put(keys.pipelines_stopped(), status == PipelineStatus::Stopped)]
}

/// The runs of a list with their states, in few round trips however many they are.
pub(crate) async fn runs(store: &Store, list: Key) -> Result<Vec<(PipelineId, Fields)>> {
    let ids = store.set(list).await?.into_iter().map(PipelineId::new).collect::<Result<Vec<_>>>()?;
    let asked: Vec<_> = ids.iter().map(|id| Query::State(store.keys().pipeline(id))).collect();
    let states = store.read_all(&asked).await?.into_iter().map(|answer| if let Answer::State(state) = answer { state } else { None });
    Ok(ids.into_iter().zip(states).filter_map(|(id, state)| state.map(|state| (id, state))).collect())
}

/// Those of the runs that an orchestrator carries out, or has. The agents of any other join by themselves.
pub(crate) async fn orchestrated(store: &Store, runs: Vec<(PipelineId, Fields)>) -> Result<Vec<(PipelineId, Fields)>> {
    let asked: Vec<_> = runs.iter().map(|(id, _)| Query::Number(store.keys().pipeline_owner_fence(id))).collect();
    let owned: Vec<_> = store.read_all(&asked).await?.iter().map(|answer| matches!(answer, Answer::Number(Some(1..)))).collect();
    Ok(runs.into_iter().zip(owned).filter_map(|(run, owned)| owned.then_some(run)).collect())
}

//! What helps against which error, by its stable code, and how a run goes on from each state.

use crate::vocabulary::PipelineStatus;

/// Codes, with what to try, the most promising first.
type Row = (&'static [&'static str], &'static [&'static str]);

const RERUN_SAME: &str = "begin again with fresh agents, which know what failed: `governance pipeline fallback ID rerun_same`";
const RERUN_GAMMA: &str = "let a mediator settle it: `governance pipeline fallback ID rerun_gamma`";
const ACCEPT_PARTIAL: &str = "take the best proposal as it is: `governance pipeline fallback ID accept_partial`";
const ESCALATE: &str = "try again with more permissions, if the work needs them: `governance pipeline fallback ID escalate_tier`";
const DOWNLOAD_LOG: &str = "look at everything that was said and done: `governance pipeline fallback ID download_log`";
const AFRESH: &str = "put the objective more narrowly and begin a new run: `governance run \"…\"`";
const OTHER_MODEL: &str = "ask another model: `--model NAME`";
const LOCAL: &str = "try it without a server: `--mode local`";
const VERIFY: &str = "see what of the record is intact, and change nothing before: `governance ledger verify`";

const REMEDIES: &[Row] = &[
    // The model.
    (&["breaker_open"], &["ask another model until this one works again, a minute at least: `--model NAME`", LOCAL]),
    (&["rate_limited"], &["wait a minute, or ask another model: `--model NAME`", AFRESH]),
    (&["credit_exhausted"], &["top the account up, or try it without a server: `--mode local`"]),
    (&["no_key", "bad_key", "key_refused"], &["set OPENROUTER_API_KEY to a key that the model's server accepts", LOCAL]),
    // The ledger's signing key, or an approver's: the message names the file.
    (&["key_exposed"], &["take the file that the error names from everybody else, `chmod 600 FILE`, and think of who may have read it"]),
    (&["no_such_model", "bad_model"], &["name a model that the server has: `--model NAME`", "check the address: `--base-url URL`"]),
    (&["bad_base_url", "redirected"], &["name the address of a server that speaks the OpenAI protocol: `--base-url URL`"]),
    (&["model_unreachable", "model_failed", "stream_dropped"], &[AFRESH, "check the address: `--base-url URL`", OTHER_MODEL, LOCAL]),
    (&["model_rejected"], &[OTHER_MODEL, "check the address: `--base-url URL`"]),
    (&["question_too_large"], &["shorten the objective, or ask a model that reads more: `--model NAME`"]),
    (&["answer_empty", "answer_not_json", "answer_wrong"], &["ask a more capable model: `--model NAME`", AFRESH]),
    (&["answer_cut", "answer_too_large"], &["ask a model that may answer at more length: `--model NAME`", AFRESH]),
    (&["answer_withheld"], &["say the objective in other words and begin a new run: `governance run \"…\"`", OTHER_MODEL]),
    (&["call_timed_out"], &["give each call more time: `--call-timeout SECONDS`", "ask a faster model: `--model NAME`"]),
    // Admission, budget, revocation.
    (&["budget_exhausted", "no_budget", "limit_exceeded"], &[AFRESH, ACCEPT_PARTIAL]),
    (&["revoked"], &["see who was revoked, and what for: `governance ledger list --action revoke`", AFRESH]),
    (&["stopped"], &["lift the stop, once its cause is gone: `governance stop --lift --reason …`"]),
    (&["forbidden_action", "path_out_of_scope"], &[ESCALATE, AFRESH]),
    (&["not_a_mediator"], &[RERUN_GAMMA]),
    (&["not_a_solution", "nothing_to_combine"], &[AFRESH]),
    // What runs the agents.
    (&["agent_died", "agent_not_started", "never_sat_down"], &["run the agents within this program: `--agents built-in`", AFRESH]),
    // Store and ledger.
    (&["store_busy", "ledger_locked"], &["end what holds the file, or use a server that many can write to: `--store URL`", AFRESH]),
    (
        &["store_unreachable", "store_unready", "store_reconnected", "store_deadline", "store_closed", "no_answer"],
        &["see whether the store answers, and start it: `governance store check`", AFRESH],
    ),
    (&["store_denied", "store_not_trusted"], &["check the password and the certificate of the store: `--store URL`"]),
    (&["store_evicts"], &["set the server's `maxmemory-policy` to `noeviction`"]),
    (&["rolled_back"], &["bring the store, which lost writes, back into use: `governance store recover`"]),
    (&["store_full", "disk_full"], &["make room where the store and the ledger are", AFRESH]),
    (&["store_damaged", "ledger_damaged", "segment_damaged", "wrong_kind"], &[VERIFY]),
    (&["network_file_system"], &["put the home directory on a local disk: `--home DIR`"]),
];

/// What helps against an error; nothing where its code says too little.
pub(crate) fn remedies(code: &str) -> &'static [&'static str] {
    REMEDIES.iter().find(|(codes, _)| codes.contains(&code)).map_or(&[], |(_, attempts)| attempts)
}

/// How a run goes on from a state, whatever brought it there.
pub(crate) fn ways_on(status: PipelineStatus) -> &'static [&'static str] {
    match status {
        PipelineStatus::Spawn | PipelineStatus::Running | PipelineStatus::Rebooting | PipelineStatus::Completed => &[],
        PipelineStatus::Report => &["go on to the vote: `governance pipeline continue ID`"],
        PipelineStatus::Orchestrating => &[RERUN_GAMMA, RERUN_SAME, ACCEPT_PARTIAL, DOWNLOAD_LOG],
        PipelineStatus::Timeout => &["give the next run more time: `--timeout SECONDS`", AFRESH, DOWNLOAD_LOG],
        PipelineStatus::ConsensusFailed => &[AFRESH, OTHER_MODEL],
        PipelineStatus::Failed | PipelineStatus::OrchestrationFailed => &[AFRESH, DOWNLOAD_LOG],
        PipelineStatus::OrchestrationError => &["see whether the store can be relied on: `governance store check`", AFRESH, DOWNLOAD_LOG],
        PipelineStatus::Stopped => &[
            "lift a stop of everything, if there is one: `governance stop --lift --reason …`",
            "then go on: `governance pipeline continue ID`",
        ],
        PipelineStatus::Aborted => &[DOWNLOAD_LOG, AFRESH],
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::path::Path;

    use super::*;

    fn read(folder: &Path, text: &mut String) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                read(&path, text);
            } else if !path.ends_with("remedies.rs") && !path.ends_with("diagnosis.rs") {
                text.push_str(&std::fs::read_to_string(path).unwrap_or_default());
            }
        }
    }

    #[test]
    fn every_code_exists_and_stands_in_one_row() {
        let mut source = String::new();
        read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut source);
        let mut seen = BTreeSet::new();
        for code in REMEDIES.iter().flat_map(|(codes, _)| *codes) {
            assert!(source.contains(&format!("\"{code}\"")), "nothing fails with `{code}`");
            assert!(seen.insert(code), "`{code}` stands in two rows");
        }
        assert!(REMEDIES.iter().all(|(_, attempts)| !attempts.is_empty()));
    }
}

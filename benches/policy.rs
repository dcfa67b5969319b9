//! What conditions cost beside patterns: asked of Cedar, and known from before.
//!
//!     cargo bench -p governance-benches --bench policy
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "a bench prints what it measured, and fails loudly")]

use std::hint::black_box;

use governance::guard::policy::{Facts, Policy, Request};
use governance::vocabulary::{AgentId, Tier};
use governance_benches::shape::now;
use serde_json::json;

const BATCH: u32 = 100;
const BATCHES: usize = 300;

/// A handful of conditions, as a team would write them.
const CONDITIONS: &str = r#"
permit (principal, action, resource);
@id("tier") forbid (principal, action == Action::"buy", resource) when { principal.tier < 1 };
@id("limit") forbid (principal, action == Action::"buy", resource)
unless { context.numbers.hasTag("amount") && context.numbers.getTag("amount") >= 0 && context.numbers.getTag("amount") <= 1000 };
@id("large") @decision("step_up") forbid (principal, action == Action::"buy", resource)
when { context.numbers.hasTag("amount") && context.numbers.getTag("amount") > 900 };
@id("eu") forbid (principal, action, resource) when { resource has target && resource.target like "eu-*" && principal.role == "gamma" };
"#;

fn policy(conditions: Option<&str>) -> Policy {
    let constraints =
        json!({"allowed_actions": ["buy", "read_file"], "allowed_targets": ["shop-*", "eu-*"], "forbidden_targets": ["prod-*"]});
    let mut profile = json!({"agent_id": "bench", "agent_version": "1", "tier": "T1", "constraints": constraints});
    if let Some(conditions) = conditions {
        profile["conditions"] = conditions.into();
    }
    Policy::read("bench", &profile.to_string()).unwrap()
}

/// Calls of which `different` follow each other.
fn measured(name: &str, policy: &Policy, different: i64, goal: u64) {
    let id = AgentId::new("bench-7f3k2q").unwrap();
    let calls: Vec<_> = (0..different)
        .map(|number| json!({"amount": number % 900, "nonce": format!("n-{number}"), "text": "the quick brown fox"}))
        .collect();
    let targets: Vec<_> = (0..different).map(|number| format!("shop-{number}")).collect();
    let mut times: Vec<u64> = (0..BATCHES)
        .map(|batch| {
            let start = now();
            for number in 0..BATCH as usize {
                let which = (batch * BATCH as usize + number) % calls.len();
                let facts = Facts::of(&id, Tier::T1).with(&calls[which]);
                assert!(black_box(policy.decide_for(&Request::new("buy").on(&targets[which]), &facts)).is_allowed());
            }
            u64::try_from(((now() - start) / BATCH).as_nanos()).unwrap()
        })
        .collect();
    times.sort_unstable();
    let (p50, p99) = (times[BATCHES / 2], times[BATCHES * 99 / 100]);
    println!("{name:<40} p50 {p50:>6} ns   p99 {p99:>6} ns   (goal p50 ≤ {goal})");
}

fn main() {
    measured("patterns alone", &policy(None), 64, 200);
    measured("conditions, known from before", &policy(Some(CONDITIONS)), 64, 200);
    // More than are kept, so that each is asked for anew.
    measured("conditions, asked of Cedar", &policy(Some(CONDITIONS)), 30_000, 25_000);
}

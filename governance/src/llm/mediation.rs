//! How the local model mediates: deterministic, out of the objective's own words and of what was proposed, and saying which.

use super::local::{approach, best_of, join};
use super::words::significant;
use super::{Idea, Scored};
use crate::error::Result;
use crate::vocabulary::{AgentRole, GammaReason};

/// How many parts an objective is divided into at most.
const PARTS: usize = 6;

/// One solution that reconciles what was proposed.
pub(super) fn reconcile(objective: &str, proposals: &[Scored], reason: GammaReason) -> Result<Idea> {
    let terms = significant(objective);
    let mut ranked: Vec<&Scored> = proposals.iter().collect();
    // Of equals the first by title, so that the order in which they came does not decide.
    ranked.sort_by_key(|scored| (std::cmp::Reverse(scored.mean()), scored.idea.title.clone()));
    let judged = ranked.first().filter(|best| best.mean() > 0).map(|best| &best.idea);
    let best = match judged.or_else(|| best_of(AgentRole::Gamma, &terms, proposals.iter().map(|scored| &scored.idea))) {
        Some(best) => best.clone(),
        None => approach(AgentRole::Gamma, &terms)?,
    };
    let others = || ranked.iter().map(|scored| &scored.idea).filter(|idea| idea.title != best.title);
    Ok(match reason {
        GammaReason::Stuck => stuck(best, objective),
        GammaReason::Conflict => {
            let (kept, left): (Vec<_>, Vec<_>) = (others().take(1).collect(), others().skip(1).map(|idea| idea.title.as_str()).collect());
            let mut settled = join(&best, kept.into_iter());
            if !left.is_empty() {
                settled.summary = format!("{} Set aside: {}.", settled.summary, left.join("; "));
            }
            Idea { title: format!("Settled: {}", settled.title), ..settled }
        }
        GammaReason::Complexity => divided(best.clone(), objective, &others().cloned().collect::<Vec<_>>()),
    })
}

/// Nobody moves: the best that is there, begun with the smallest step that shows whether it works.
fn stuck(best: Idea, objective: &str) -> Idea {
    let first = best.steps.first().map_or("write down what would decide it", String::as_str);
    let mut steps = vec![format!("within a day, try on the smallest case of \"{}\": {first}", head(objective))];
    steps.extend(best.steps.iter().cloned());
    Idea { title: format!("Unblocked: {}", best.title), summary: format!("{} Begun with its smallest step.", best.summary), steps, ..best }
}

/// Too much at once: a step for every part that the objective itself names, with the step of a proposal that speaks of it.
fn divided(best: Idea, objective: &str, others: &[Idea]) -> Idea {
    let steps: Vec<&String> = best.steps.iter().chain(others.iter().flat_map(|idea| &idea.steps)).collect();
    let parts = parts(objective);
    let mut divided: Vec<String> = Vec::new();
    for (number, part) in (1..).zip(&parts) {
        let words = significant(part);
        let speaks = |step: &&&String| significant(step).iter().filter(|word| words.contains(word)).count();
        let step = steps.iter().rev().max_by_key(speaks).filter(|step| speaks(step) > 0);
        divided.push(step.map_or_else(|| format!("part {number}: {part}"), |step| format!("part {number}: {part}: {step}")));
    }
    divided.extend(best.steps.iter().cloned());
    let summary = format!("{} Divided into {} parts that can be done one by one.", best.summary, parts.len());
    Idea { title: format!("Divided: {}", best.title), summary, steps: divided, ..best }
}

/// The clauses of an objective; itself where it has only one.
fn parts(objective: &str) -> Vec<String> {
    let clauses = objective.split([',', ';', '.', '\n']).flat_map(|clause| clause.split(" and "));
    let parts: Vec<_> = clauses.filter(|clause| !significant(clause).is_empty()).map(head).take(PARTS).collect();
    if parts.is_empty() { vec![head(objective)] } else { parts }
}

fn head(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").chars().take(160).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::llm::Traits;

    fn scored(title: &str, scores: &[u32], steps: &[&str]) -> Scored {
        let traits = Traits { simplicity: 5, speed: 5, correctness: 5, safety: 5, economy: 5 };
        let steps = steps.iter().map(ToString::to_string).collect();
        Scored { idea: Idea { title: title.into(), summary: format!("About {title}."), steps, traits }, scores: scores.to_vec() }
    }

    fn three() -> Vec<Scored> {
        vec![
            scored("a", &[500, 700], &["measure the cache"]),
            scored("b", &[900, 800], &["guard the login"]),
            scored("c", &[100], &["do nothing"]),
        ]
    }

    #[test]
    fn a_conflict_is_settled_by_the_scores_whatever_their_order() {
        let settled = reconcile("Design a cache and a login", &three(), GammaReason::Conflict).unwrap();
        assert_eq!(settled.title, "Settled: b + a");
        assert!(settled.summary.contains("Set aside: c."), "{settled:?}");
        let turned: Vec<_> = three().into_iter().rev().collect();
        assert_eq!(reconcile("Design a cache and a login", &turned, GammaReason::Conflict).unwrap(), settled);
    }

    #[test]
    fn a_large_objective_is_divided_by_its_own_words() {
        let divided = reconcile("Design a cache; protect the login and paint the shed", &three(), GammaReason::Complexity).unwrap();
        let parts = ["part 1: Design a cache: measure the cache", "part 2: protect the login: guard the login", "part 3: paint the shed"];
        assert_eq!(divided.steps[..3], parts.map(String::from));
    }

    #[test]
    fn whoever_is_stuck_begins_with_something_small_also_with_nothing_on_the_board() {
        for proposals in [three(), Vec::new()] {
            let unblocked = reconcile("Design a cache", &proposals, GammaReason::Stuck).unwrap();
            assert!(unblocked.title.starts_with("Unblocked: ") && unblocked.steps.len() > 1, "{unblocked:?}");
            assert!(unblocked.steps[0].contains("Design a cache"), "{unblocked:?}");
        }
    }
}

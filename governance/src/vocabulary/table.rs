//! The vocabulary as tables: a binding builds its enums, its maps and its error classes from these, and restates nothing.

use serde::Serialize;

use super::{
    AgentPhase, AgentRole, AgentStatus, Capability, ChaosCondition, FallbackAction, GammaReason, IntegrationEventType, OutputType,
    PipelineStatus, PromotionStatus, RevocationType, Section, Severity, StageStatus, StageType, Tier, ViolationType,
    get_output_type_for_phase,
};
use crate::error::ErrorKind;

/// An enum: its exact spellings, in order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Names {
    /// What the enum is called.
    pub name: &'static str,
    /// Its values.
    pub values: Vec<&'static str>,
}

/// A map from the values of one enum to those of another.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Map {
    /// What the map is called.
    pub name: &'static str,
    /// The enum of its keys.
    pub from: &'static str,
    /// The enum of its values.
    pub to: &'static str,
    /// A row per key; none where there is nothing to map to.
    pub rows: Vec<(&'static str, Option<&'static str>)>,
}

/// What the class of an error is called.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ErrorClass {
    /// The kind that it stands for.
    pub kind: &'static str,
    /// As `NotFoundError`.
    pub class: String,
}

macro_rules! names {
    ($($name:ident)+) => {
        vec![$(Names { name: stringify!($name), values: $name::ALL.iter().map(|value| value.as_str()).collect() }),+]
    };
}

macro_rules! map {
    ($name:literal: $from:ident -> $to:ident by $rule:expr) => {{
        let rule: fn($from) -> Option<$to> = $rule;
        let rows = $from::ALL.iter().map(|key| (key.as_str(), rule(*key).map($to::as_str))).collect();
        Map { name: $name, from: stringify!($from), to: stringify!($to), rows }
    }};
}

/// Every enum that agents and operators meet.
#[must_use]
pub fn names() -> Vec<Names> {
    names! {
        AgentPhase OutputType AgentStatus AgentRole PipelineStatus StageType StageStatus Tier Capability PromotionStatus Severity
        ViolationType RevocationType IntegrationEventType ChaosCondition FallbackAction GammaReason Section
    }
}

/// Every map between them.
#[must_use]
pub fn maps() -> Vec<Map> {
    vec![
        map!("PHASE_OUTPUT_TYPES": AgentPhase -> OutputType by get_output_type_for_phase),
        map!("VIOLATION_SEVERITY_MAP": ViolationType -> Severity by |violation| Some(violation.severity())),
        map!("INTEGRATION_EVENT_PHASE_MAP": IntegrationEventType -> AgentPhase by IntegrationEventType::phase),
    ]
}

/// The class of each kind of error.
#[must_use]
pub fn error_classes() -> Vec<ErrorClass> {
    ErrorKind::ALL.iter().map(|kind| ErrorClass { kind: kind.as_str(), class: format!("{kind:?}Error") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_map_goes_between_enums_that_are_listed_and_has_a_row_per_key() {
        let names = names();
        let values = |name| &names.iter().find(|n| n.name == name).unwrap().values;
        for map in maps() {
            assert_eq!(map.rows.iter().map(|row| row.0).collect::<Vec<_>>(), *values(map.from));
            assert!(map.rows.iter().filter_map(|row| row.1).all(|to| values(map.to).contains(&to)), "{}", map.name);
        }
    }

    #[test]
    fn each_kind_of_error_has_a_class_of_its_own() {
        let classes = error_classes();
        assert!(classes.contains(&ErrorClass { kind: "not_found", class: "NotFoundError".into() }));
        assert_eq!(classes.len(), ErrorKind::ALL.len());
    }
}

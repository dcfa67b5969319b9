//! The cases, by what they are about.

mod commits;
mod content;
mod fences;
mod losses;
mod told;
mod wakes;

use super::Case;

macro_rules! cases {
    ($d:tt $($module:ident: $($name:ident)+;)+) => {
        /// Every case.
        pub const CASES: &[Case] = &[$($(Case { name: stringify!($name), body: |s| Box::pin($module::$name(s)) }),+),+];

        /// One test per case, and one more per case with faults, for a backend whose rig the given function makes. With `, sampled` the
        /// faults strike one call each, not all.
        #[macro_export]
        macro_rules! contract {
            ($d rig:path $d(, $d sampled:ident)?) => {
                $($(#[test]
                fn $name() {
                    $crate::testing::check($d rig(), $crate::testing::contract::case(stringify!($name)));
                })+)+

                mod with_faults {
                    $($(#[test]
                    fn $name() {
                        let sampled = stringify!($d($d sampled)?) == "sampled";
                        $crate::testing::check_with_faults($d rig(), $crate::testing::contract::case(stringify!($name)), sampled);
                    })+)+
                }
            };
        }
    };
}

cases! { $
    commits:
        a_put_raises_the_version_by_one
        absent_holds_only_while_nothing_is_there
        of_k_concurrent_compare_and_sets_exactly_one_wins
        a_refused_commit_writes_nothing
        the_same_token_twice_answers_the_same
        the_same_token_at_once_is_carried_out_once
        a_token_on_another_commit_is_refused
        a_dropped_future_leaves_all_or_nothing
        a_wrong_kind_at_any_write_position_leaves_nothing_half_written
        a_malformed_commit_never_travels
        a_large_commit_is_one_step;
    told:
        puts_that_come_at_once_are_judged_each_for_itself;
    content:
        a_value_of_any_bytes_comes_back
        a_table_holds_versions_by_field
        a_state_is_merged_and_versioned_as_a_whole
        a_counter_never_passes_its_limit
        a_counter_never_goes_below_zero
        a_log_is_numbered_without_holes
        a_bounded_log_tells_what_it_dropped
        an_event_carries_the_version_and_token_of_its_put
        a_full_log_refuses_until_it_is_trimmed
        a_list_is_bounded_and_ends_with_the_newest
        a_set_knows_its_members
        what_has_expired_is_gone
        a_scan_finds_every_key_of_the_tenant_and_no_other;
    fences:
        an_old_epoch_is_refused
        an_epoch_that_the_store_does_not_know_is_refused
        after_a_raise_returns_no_write_with_the_old_epoch_lands
        a_raised_epoch_is_never_one_used_before
        a_lease_has_one_holder
        a_lapsed_lease_fences_its_holder
        a_renewed_lease_keeps_its_fence;
    losses:
        a_flushed_store_denies_until_it_is_recovered
        a_restored_older_dump_denies_until_it_is_recovered
        a_failover_before_replication_denies_until_it_is_recovered
        a_reader_is_told_that_the_log_is_not_the_one_it_knew
        a_store_of_a_newer_format_is_refused
        a_store_of_another_ledger_is_refused
        an_emptied_store_of_a_known_ledger_is_refused_on_opening
        a_revoke_lands_when_the_memory_is_full;
    wakes:
        a_watcher_wakes_for_another_handles_write
        a_signal_reaches_who_listens
        a_refused_commit_signals_nothing;
}

/// A case by its name.
#[must_use]
pub fn case(name: &str) -> Case {
    *CASES.iter().find(|case| case.name == name).expect("a case of the suite")
}

//! The contract of [`Env`] as code: what every implementation must pass.
//!
//! A [`Case`] gets an `Env` and a [`Ground`] of its own, and panics where the contract is broken. A [`Durability`] case
//! has two halves; between them the harness ends the process, with or without the power, and starts a new one on the same
//! disk. [`cases`] and [`durability`] list them; [`conformance_cases!`](crate::conformance_cases) and
//! [`durability_cases!`](crate::durability_cases) name them, so that a crate can make each a test of its own.
//!
//! What must hold: a case asks only for what the contract promises, in whatever of the promised ways it may come true. It
//! takes no longer than [`PATIENCE`] to notice that something never happens, and sleeps only to test sleeping or to see
//! that nothing happens.

mod clocks;
mod connections;
mod directories;
mod durable;
mod files;
mod listeners;
mod shards;
mod wait;

use crate::Env;
use std::future::Future;
use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

/// What takes longer than this will never happen.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Where a case may work.
#[derive(Clone, Debug)]
pub struct Ground {
    /// An empty directory whose own name is durable.
    pub directory: PathBuf,
    /// A host of this node, to listen on at any free port.
    pub host: String,
    /// More bytes than the network holds between two ends of a connection.
    pub more_than_fits: usize,
}

/// A future of this shard.
pub type Running = Pin<Box<dyn Future<Output = ()>>>;

/// One clause of the contract.
pub struct Case<E> {
    /// As in [`conformance_cases!`](crate::conformance_cases).
    pub name: &'static str,
    /// Panics if the clause is broken.
    pub run: fn(E, Ground) -> Running,
}

/// One clause about what survives.
pub struct Durability<E> {
    /// As in [`durability_cases!`](crate::durability_cases).
    pub name: &'static str,
    /// When it returns, the power may be cut.
    pub before: fn(E, Ground) -> Running,
    /// On the same ground, with the `Env` of a new process.
    pub after: fn(E, Ground) -> Running,
}

/// Calls the macro `$then` with the names of all cases: `then! { module { case case ... } ... }`.
#[macro_export]
macro_rules! conformance_cases {
    ($then:ident) => {
        $then! {
            files {
                a_completed_write_is_seen_through_every_handle
                operations_of_one_handle_take_effect_in_the_order_of_their_calls
                an_operation_finishes_though_its_future_is_dropped
                what_was_called_before_a_handle_was_dropped_still_happens
                pieces_are_written_one_after_the_other
                a_large_write_reads_back
                a_read_is_short_only_at_the_end_of_the_file
                holes_read_as_zeros
                truncation_cuts_and_extends_with_zeros
                a_reservation_keeps_length_and_contents
                written_zeros_overwrite_and_extend
                open_modes_say_what_must_be_there
                a_handle_dies_with_its_first_failed_write
                a_removed_file_goes_on_working_while_open
                sync_many_answers_for_each_file_in_order
            }
            directories {
                a_list_is_sorted_and_says_what_each_entry_is
                a_rename_replaces_a_file
                a_directory_moves_with_what_is_in_it
                directories_are_made_one_level_at_a_time_and_removed_when_empty
                a_directory_is_not_a_file
                a_lock_is_exclusive_until_the_last_clone_is_dropped
                space_is_that_of_the_file_system
            }
            connections {
                what_is_written_arrives_in_order_both_ways_at_once
                a_close_ends_the_stream_after_what_was_written
                a_dropped_connection_is_closed
                an_own_close_ends_pending_reads_and_writes
                writes_to_a_peer_that_is_gone_fail_in_the_end
                a_writer_stalls_while_the_peer_does_not_read
                a_read_takes_no_more_than_it_may
                a_dropped_read_has_read_nothing
            }
            listeners {
                both_ends_agree_on_the_addresses
                connections_queue_before_they_are_accepted
                a_dropped_accept_loses_no_connection
                nobody_listens_where_a_listener_was_dropped
                an_address_is_listened_on_once
                an_address_that_makes_no_sense_is_refused
            }
            clocks {
                a_sleep_is_never_early_and_time_never_goes_back
                sleepers_wake_in_the_order_of_their_deadlines
                a_deadline_that_has_passed_is_ready_at_once
                dropped_sleeps_disturb_nobody
                entropy_differs_between_labels_and_draws
            }
            shards {
                tasks_of_a_shard_interleave
                a_shard_answers_through_a_small_mailbox
                a_shard_ends_with_its_main
            }
        }
    };
}

/// Calls the macro `$then` with the names of all durability cases.
#[macro_export]
macro_rules! durability_cases {
    ($then:ident) => {
        $then! {
            synced_contents_and_length_survive
            a_sync_covers_what_other_handles_wrote
            files_synced_together_survive
            a_synced_prefix_survives_unsynced_appends
            a_synced_truncation_stays
            synced_zeros_stay
            a_name_without_directory_sync_leads_to_synced_contents_or_nowhere
            a_synced_rename_stays
            an_unsynced_rename_shows_the_old_file_or_the_new
            a_synced_removal_stays
            a_synced_directory_and_its_files_survive
            a_lock_dies_with_its_process
        }
    };
}

macro_rules! list_cases {
    ($($module:ident { $($case:ident)* })*) => {
        vec![$($(Case {
            name: stringify!($case),
            run: |env, ground| Box::pin($module::$case(env, ground)),
        },)*)*]
    };
}

macro_rules! list_durability {
    ($($case:ident)*) => {
        vec![$(Durability {
            name: stringify!($case),
            before: |env, ground| Box::pin(durable::$case::before(env, ground)),
            after: |env, ground| Box::pin(durable::$case::after(env, ground)),
        },)*]
    };
}

/// Every clause that one process can show.
pub fn cases<E: Env>() -> Vec<Case<E>> {
    conformance_cases!(list_cases)
}

/// Every clause about what survives a process or a power cut.
pub fn durability<E: Env>() -> Vec<Durability<E>> {
    durability_cases!(list_durability)
}

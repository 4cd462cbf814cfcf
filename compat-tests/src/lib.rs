//! Black box: the built binary, driven by real clients in five languages through a process boundary only.
//!
//! A *case* ([`cases`]) is written once, in *verbs* ([`verbs`]). A *driver* (`drivers/`) speaks those verbs for one
//! client library over JSON lines. `tests/<client>.rs` expands every case for one client; the environment variable
//! `COMPAT_BROKER` chooses the broker, `onelog` or Apache Kafka, which proves the cases. Results are kept for the
//! table in `docs/` ([`results`]).

pub mod broker;
pub mod cases;
pub mod client;
pub mod clock;
pub mod differential;
pub mod driver;
pub mod http;
pub mod layout;
pub mod load;
pub mod process;
pub mod record;
pub mod results;
pub mod scene;
pub mod setup;
pub mod tools;
pub mod verbs;
pub mod wire;

/// Hands the list of all cases to the macro `$then`, with its other arguments first. A case is listed here once.
/// `shared` cases use the test binary's broker, `timed` ones have it to themselves, `own` ones start their own.
#[macro_export]
macro_rules! with_all_cases {
    ($then:ident! { $($argument:tt)* }) => {
        $crate::$then! { $($argument)*
            shared round_trip::keys_and_values_round_trip,
            shared round_trip::null_keys_and_tombstones_stay_null,
            shared round_trip::headers_keep_order_duplicates_and_empty_values,
            shared round_trip::null_headers_and_records_of_nothing_round_trip,
            shared round_trip::explicit_timestamps_are_kept,
            shared round_trip::first_produce_creates_the_topic,
            shared compression::gzip_batches_round_trip,
            shared compression::snappy_batches_round_trip,
            shared compression::lz4_batches_round_trip,
            shared compression::zstd_batches_round_trip,
            shared idempotence::idempotent_producer_keeps_order_with_five_in_flight,
            shared timestamps::seek_by_timestamp_finds_the_first_record_at_or_after_it,
            shared limits::record_over_the_topic_limit_is_refused,
            shared limits::record_over_the_broker_limit_is_refused,
            timed long_poll::long_poll_wakes_within_50_ms_of_an_append,
            shared group::three_members_share_a_topic_and_a_leaver_hands_over_at_once,
            shared group::killed_member_is_evicted_and_its_uncommitted_records_come_again,
            shared group::group_resumes_from_its_commits,
            shared group::three_members_share_a_topic_by_the_consumer_protocol,
            shared group::group_resumes_from_its_commits_by_the_consumer_protocol,
            shared admin::topics_are_created_described_grown_and_deleted,
            shared admin::topic_configs_are_altered_one_by_one,
            shared admin::alter_configs_replaces_the_whole_set,
            shared admin::admin_mistakes_get_their_kafka_error,
            own crash::nothing_acknowledged_is_lost_when_the_broker_is_killed_under_load,
        }
    };
}

/// As [`with_all_cases`], but of what a client owes its users whatever its age: produce, consume, group, admin. For the old
/// versions of a client that is run with all cases in a newer one.
#[macro_export]
macro_rules! with_old_client_cases {
    ($then:ident! { $($argument:tt)* }) => {
        $crate::$then! { $($argument)*
            shared round_trip::keys_and_values_round_trip,
            shared round_trip::headers_keep_order_duplicates_and_empty_values,
            shared compression::zstd_batches_round_trip,
            shared idempotence::idempotent_producer_keeps_order_with_five_in_flight,
            shared timestamps::seek_by_timestamp_finds_the_first_record_at_or_after_it,
            shared group::group_resumes_from_its_commits,
            shared group::group_is_listed_while_it_has_offsets,
            shared admin::topics_are_created_described_grown_and_deleted,
            shared admin::topic_configs_are_altered_one_by_one,
            shared admin::alter_configs_replaces_the_whole_set,
            shared admin::admin_mistakes_get_their_kafka_error,
        }
    };
}

/// The tests of [`with_old_client_cases`] for one client.
#[macro_export]
macro_rules! old_client_cases {
    ($module:ident, $client:ident) => {
        mod $module {
            $crate::with_old_client_cases! { case_tests! { $client } }
        }
    };
}

/// One `#[test]` per case for one client: `client_cases!(librdkafka, LIBRDKAFKA)`.
#[macro_export]
macro_rules! client_cases {
    ($module:ident, $client:ident) => {
        mod $module {
            $crate::with_all_cases! { case_tests! { $client } }
        }
    };
}

/// The tests of [`client_cases`].
#[doc(hidden)]
#[macro_export]
macro_rules! case_tests {
    ($client:ident $($room:ident $module:ident::$case:ident,)*) => {
        $(
            #[test]
            fn $case() {
                $crate::scene::run(
                    &$crate::client::$client,
                    stringify!($case),
                    $crate::case_room!($room),
                    $crate::cases::$module::$case,
                );
            }
        )*
    };
}

/// The room that a word of the list stands for.
#[doc(hidden)]
#[macro_export]
macro_rules! case_room {
    (shared) => {
        $crate::scene::Room::Shared
    };
    (timed) => {
        $crate::scene::Room::Timed
    };
    (own) => {
        $crate::scene::Room::Own
    };
}

/// The names of the list.
#[doc(hidden)]
#[macro_export]
macro_rules! case_names {
    ($($room:ident $module:ident::$case:ident,)*) => {
        &[$(stringify!($case)),*]
    };
}

/// The names of all cases, in the order of the table's rows.
pub static CASES: &[&str] = with_all_cases! { case_names! {} };

/// The same of [`with_old_client_cases`].
pub static OLD_CLIENT_CASES: &[&str] = with_old_client_cases! { case_names! {} };

//! Sockets, API handlers, coordinators and configuration of the Onelog broker; the binary `onelog` is this library behind a
//! command line.
#![forbid(unsafe_code)]

mod admin;
mod api;
pub mod broker;
mod client_metrics;
mod client_quotas;
mod cold_reads;
pub mod config;
pub mod control_client;
pub mod coordinator;
mod error_map;
mod features;
mod fetch_session;
pub mod find;
mod group_config;
pub mod logging;
mod metrics;
mod net;
mod partition;
mod scram_users;
pub mod server;
mod share_session;
mod share_settings;
pub mod shutdown;
mod stored_configs;
mod test_mode;
mod topic_config;
mod topics;
mod traffic;
mod virtual_clock;
mod virtual_nodes;

//! Sockets, API handlers, coordinators and configuration of the Onelog broker; the binary `onelog` is this library behind a
//! command line.
#![forbid(unsafe_code)]

mod admin;
mod api;
pub mod broker;
mod cold_reads;
pub mod config;
pub mod coordinator;
mod error_map;
mod fetch_session;
pub mod find;
pub mod logging;
mod metrics;
mod net;
mod partition;
pub mod server;
pub mod shutdown;
mod topic_config;
mod topics;
mod traffic;

//! Apache Kafka from Maven: one node, KRaft, broker and controller in one process.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use crate::process::run_to_end;
use crate::setup;

/// Any 16 bytes in URL-safe base64; fixed, so that no tool has to be run for it.
const CLUSTER_ID: &str = "Y29tcGF0LXRlc3RzLTAwMQ";

/// Writes server.properties, formats the data folder, and returns the port for clients: the one asked for, else a free one.
pub(super) fn prepare(folder: &Path, identity: &super::Identity) -> Result<u16> {
    let port = identity.port.map_or_else(super::free_port, Ok)?;
    let controller = super::free_port()?;
    let properties = format!(
        "{common}\
         process.roles=broker,controller\n\
         node.id={node_id}\n\
         controller.quorum.bootstrap.servers=127.0.0.1:{controller}\n\
         listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
         advertised.listeners=PLAINTEXT://{host}:{port}\n\
         listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\n\
         controller.listener.names=CONTROLLER\n\
         log.dirs={data}\n\
         offsets.topic.replication.factor=1\n\
         transaction.state.log.replication.factor=1\n\
         transaction.state.log.min.isr=1\n\
         share.coordinator.state.topic.replication.factor=1\n\
         share.coordinator.state.topic.min.isr=1\n\
         {properties}",
        common = super::COMMON_CONFIG,
        data = folder.join("data").display(),
        node_id = identity.node_id,
        host = identity.host,
        properties = identity.properties,
    );
    let file = folder.join("server.properties");
    fs::write(&file, properties)?;
    let mut format = java("kafka.tools.StorageTool")?;
    format.args(["format", "--standalone", "-t", CLUSTER_ID, "-c"]).arg(file);
    run_to_end(&mut format, Duration::from_secs(60))?;
    Ok(port)
}

pub(super) fn command(folder: &Path) -> Result<Command> {
    let mut command = java("kafka.Kafka")?;
    command.arg(folder.join("server.properties"));
    Ok(command)
}

fn java(class: &str) -> Result<Command> {
    let mut command = super::new_command("java");
    command.args(["-Xms256m", "-Xmx1g", "-cp"]).arg(setup::kafka_class_path()?).arg(class);
    Ok(command)
}

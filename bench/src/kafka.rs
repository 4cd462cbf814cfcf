//! How Apache Kafka is obtained and started: its published jars through Maven, one node, broker and controller in one
//! process, the heap and collector flags of its own start script.
//!
//! Configuration is Kafka's default except for what one node needs, that deleted logs go at once, so that one run's files do
//! not fill the disk of the next, and that its controller has patience with it on a machine that is driven to its limit.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::broker_process::{Launch, free_port};

/// Any 16 bytes in URL-safe base64; fixed, so that no tool has to be run for it.
const CLUSTER_ID: &str = "b25lbG9nLWJlbmNoLTAwMQ";
const COMPLETE: &str = ".complete";
/// The flags of `kafka-run-class.sh` and `kafka-server-start.sh`, with room to grow to 2 GiB.
const FLAGS: [&str; 8] = [
    "-Xms1g",
    "-Xmx2g",
    "-server",
    "-XX:+UseG1GC",
    "-XX:MaxGCPauseMillis=20",
    "-XX:InitiatingHeapOccupancyPercent=35",
    "-XX:+ExplicitGCInvokesConcurrent",
    "-Djava.awt.headless=true",
];

/// Kafka's jars.
#[derive(Debug, Clone)]
pub(crate) struct Jars {
    class_path: PathBuf,
    /// Kafka's version.
    pub(crate) version: String,
}

impl Jars {
    /// Fetches what `pom` names into `folder`, once.
    ///
    /// # Errors
    /// Maven or Java is missing, or the download fails.
    pub(crate) fn install(pom: &Path, folder: &Path) -> Result<Self> {
        let text = fs::read_to_string(pom).with_context(|| format!("cannot read {}", pom.display()))?;
        let version =
            between(&text, "<kafka.version>", "</kafka.version>").context("the POM names no version")?;
        let libs = folder.join(format!("kafka-{version}"));
        if !libs.join(COMPLETE).exists() {
            let mut output = std::ffi::OsString::from("-DoutputDirectory=");
            output.push(&libs);
            let mut maven = Command::new("mvn");
            maven
                .args(["--batch-mode", "--quiet", "--file"])
                .arg(pom)
                .arg("dependency:copy-dependencies")
                .arg(output);
            run(&mut maven).context("Apache Kafka is fetched with Maven and run with Java 17 or newer")?;
            fs::write(libs.join(COMPLETE), "")?;
        }
        Ok(Self { class_path: libs.join("*"), version: version.to_owned() })
    }

    /// Starts Kafka with its data in the broker's folder, formatting that at the first start.
    ///
    /// # Errors
    /// No port is free for the controller.
    pub(crate) fn launch(&self) -> Result<Launch> {
        let (jars, controller) = (self.clone(), free_port()?);
        Ok(Box::new(move |folder, port| {
            let file = folder.join("server.properties");
            if !file.exists() {
                fs::write(&file, properties(&folder.join("data"), port, controller))?;
                let mut format = jars.java("kafka.tools.StorageTool");
                format.args(["format", "--standalone", "-t", CLUSTER_ID, "-c"]).arg(&file);
                run(&mut format)?;
            }
            let mut command = jars.java("kafka.Kafka");
            command.arg(file);
            Ok(command)
        }))
    }

    fn java(&self, class: &str) -> Command {
        let mut command = Command::new("java");
        command.args(FLAGS).arg("-cp").arg(&self.class_path).arg(class);
        command
    }
}

fn properties(data: &Path, port: u16, controller: u16) -> String {
    format!(
        "process.roles=broker,controller\n\
         node.id=0\n\
         controller.quorum.bootstrap.servers=127.0.0.1:{controller}\n\
         listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}\n\
         advertised.listeners=PLAINTEXT://127.0.0.1:{port}\n\
         listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT\n\
         controller.listener.names=CONTROLLER\n\
         log.dirs={data}\n\
         auto.create.topics.enable=false\n\
         log.segment.delete.delay.ms=1000\n\
         broker.session.timeout.ms=60000\n\
         offsets.topic.replication.factor=1\n\
         transaction.state.log.replication.factor=1\n\
         transaction.state.log.min.isr=1\n\
         share.coordinator.state.topic.replication.factor=1\n\
         share.coordinator.state.topic.min.isr=1\n",
        data = data.display(),
    )
}

/// Runs a command to its end; its output is the error.
fn run(command: &mut Command) -> Result<()> {
    let program = command.get_program().to_owned();
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot start {}", program.display()))?;
    ensure!(
        output.status.success(),
        "{} ended with {}:\n{}{}",
        program.display(),
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(())
}

fn between<'a>(text: &'a str, before: &str, after: &str) -> Option<&'a str> {
    let (_, tail) = text.split_once(before)?;
    Some(tail.split_once(after)?.0)
}

//! Installs what each language needs, through its own package manager, into the cache: once per state of the
//! lock files and sources. Called when a driver or Kafka itself is first started.
//!
//! Invariant: a missing tool or a failing install is an error that names the tool and says what to do. Nothing is
//! ever skipped because it is missing.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, OnceLock, PoisonError};
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow, bail, ensure};

use crate::layout;
use crate::process::run_to_end;

const INSTALL_LIMIT: Duration = Duration::from_secs(600);
const COMPLETE: &str = ".complete";

/// What one process finds out once: a language that is missing is not looked for again by every case.
type Prepared<T> = Result<T, String>;

/// How a driver is made runnable. One value per client in [`crate::client::CLIENTS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Toolchain {
    /// A binary of this crate, built by cargo with the tests.
    Rust {
        /// The binary's name.
        binary: &'static str,
    },
    /// A script in `drivers/python` with its own locked requirements in a virtual environment of its own.
    Python {
        /// `<name>_driver.py` and `requirements-<name>.txt`.
        name: &'static str,
    },
    /// `drivers/java` compiled against one version of kafka-clients.
    Java {
        /// The version, given to Maven as `kafka.version`.
        version: &'static str,
    },
    /// A Java program in a folder of `drivers`, with the libraries of Apache Kafka itself.
    Program {
        /// The folder.
        folder: &'static str,
        /// The class that is started.
        class: &'static str,
    },
    /// The module in `drivers/go`, with one of its libraries.
    Go {
        /// The name that the driver knows the library by.
        library: &'static str,
    },
    /// The package in `drivers/kafkajs`.
    JavaScript,
}

impl Toolchain {
    /// Makes the driver runnable and returns its command line, to which the broker's address is added.
    ///
    /// # Errors
    /// A tool of the language is missing, or its install or build fails.
    pub fn prepare(self) -> Result<Vec<OsString>> {
        static PREPARED: Mutex<BTreeMap<Toolchain, Prepared<Vec<OsString>>>> = Mutex::new(BTreeMap::new());
        let mut prepared = PREPARED.lock().unwrap_or_else(PoisonError::into_inner);
        let line =
            prepared.entry(self).or_insert_with(|| self.install().map_err(|error| format!("{error:#}")));
        line.clone().map_err(|error| anyhow!(error))
    }

    fn install(self) -> Result<Vec<OsString>> {
        match self {
            Self::Rust { binary } => rust(binary),
            Self::Python { name } => python(name),
            Self::Java { version } => java(version),
            Self::Program { folder, class } => Ok(java_command(program_class_path(folder)?, class)),
            Self::Go { library } => go(library),
            Self::JavaScript => javascript(),
        }
    }
}

/// The class path of Apache Kafka's broker and tools.
///
/// # Errors
/// Maven or Java is missing, or the download fails.
pub fn kafka_class_path() -> Result<OsString> {
    static CLASS_PATH: OnceLock<Prepared<OsString>> = OnceLock::new();
    let prepared = CLASS_PATH.get_or_init(|| install_kafka().map_err(|error| format!("{error:#}")));
    prepared.clone().map_err(|error| anyhow!(error))
}

fn install_kafka() -> Result<OsString> {
    require_java()?;
    let source = layout::driver_dir("kafka");
    let folder = install("kafka", &source, "", |folder| copy_dependencies(&source, folder, &[]))?;
    Ok(folder.join("libs").join("*").into_os_string())
}

/// The class path of the ecosystem's programs: Kafka Streams, Connect, MirrorMaker 2, and our own in `drivers/ecosystem`.
///
/// # Errors
/// As [`kafka_class_path`], or the programs do not compile.
pub fn ecosystem_class_path() -> Result<OsString> {
    static CLASS_PATH: OnceLock<Prepared<OsString>> = OnceLock::new();
    let prepared =
        CLASS_PATH.get_or_init(|| install_programs("ecosystem").map_err(|error| format!("{error:#}")));
    prepared.clone().map_err(|error| anyhow!(error))
}

/// The class path of Apache Flink with its Kafka connector, and our own program in `drivers/flink`.
///
/// # Errors
/// As [`ecosystem_class_path`].
pub fn flink_class_path() -> Result<OsString> {
    install_programs("flink")
}

/// The programs in `drivers/NAME`, and what the pom.xml beside them names.
fn install_programs(name: &str) -> Result<OsString> {
    require_java()?;
    let source = layout::driver_dir(name);
    let folder = install(name, &source, "", |folder| {
        copy_dependencies(&source, folder, &[])?;
        compile(&source, folder)
    })?;
    Ok(class_path(&folder))
}

/// The class path of a Java program in `drivers/NAME` and of Apache Kafka, whose classes it uses.
///
/// # Errors
/// As [`kafka_class_path`], or the program does not compile.
pub fn program_class_path(name: &str) -> Result<OsString> {
    let source = layout::driver_dir(name);
    let kafka = kafka_class_path()?;
    let folder = install(name, &source, &kafka.to_string_lossy(), |folder| {
        std::os::unix::fs::symlink(PathBuf::from(&kafka).with_file_name(""), folder.join("libs"))?;
        compile(&source, folder)
    })?;
    Ok(class_path(&folder))
}

/// The folder of Kafka's own message definitions, taken out of the jar that carries them.
///
/// # Errors
/// As [`kafka_class_path`], or the jar has none.
pub fn kafka_messages() -> Result<PathBuf> {
    let class_path = PathBuf::from(kafka_class_path()?);
    let libs = class_path.parent().context("the class path names a folder")?;
    let jar = files_below(libs)?.into_iter().find(|file| {
        file.file_name().is_some_and(|name| name.to_string_lossy().starts_with("kafka-clients-"))
    });
    let jar = jar.with_context(|| format!("no kafka-clients in {}", libs.display()))?;
    require("jar", "--version", "Kafka's message definitions are taken out of its jar with the JDK's jar")?;
    let name = jar.file_name().context("a jar has a name")?.to_string_lossy().into_owned();
    let folder = install("kafka-messages", &layout::driver_dir("kafka"), &name, |folder| {
        run(Command::new("jar").current_dir(folder).arg("xf").arg(&jar).arg("common/message"))
    })?;
    Ok(folder.join("common").join("message"))
}

/// The folder with `prometheus` and `promtool`: of the system if it has them, else of Debian's package, unpacked into the
/// cache so that no service is started.
///
/// # Errors
/// Neither can be had.
pub fn prometheus() -> Result<PathBuf> {
    const PROGRAMS: [&str; 2] = ["prometheus", "promtool"];
    let path = std::env::var_os("PATH").unwrap_or_default();
    let here = |folder: &PathBuf| PROGRAMS.iter().all(|program| folder.join(program).is_file());
    if let Some(folder) = std::env::split_paths(&path).find(here) {
        return Ok(folder);
    }
    require("apt-get", "--version", "install Prometheus with promtool so that both are in PATH")?;
    let folder = install("prometheus", &layout::crate_dir().join("Cargo.toml"), "", |folder| {
        let download = || run(Command::new("apt-get").current_dir(folder).args(["download", "prometheus"]));
        // A fresh machine has no package lists.
        download().or_else(|_| {
            run(Command::new("apt-get").args(["update", "--quiet"]))?;
            download()
        })?;
        let package =
            files_below(folder)?.into_iter().find(|file| file.extension().is_some_and(|it| it == "deb"));
        let package = package.context("apt-get downloaded nothing")?;
        run(Command::new("dpkg").arg("-x").args([&package, folder]))?;
        Ok(fs::remove_file(package)?)
    })?;
    Ok(folder.join("usr").join("bin"))
}

fn rust(binary: &str) -> Result<Vec<OsString>> {
    let program = layout::profile_dir()?.join(binary);
    ensure!(
        program.exists(),
        "{} is missing: run the tests with `cargo test -p compat-tests`",
        program.display()
    );
    Ok(vec![program.into_os_string()])
}

fn python(name: &str) -> Result<Vec<OsString>> {
    let folder = virtual_environment(name)?;
    Ok(vec![
        folder.join("bin/python").into_os_string(),
        "-B".into(),
        layout::driver_dir("python").join(format!("{}_driver.py", name.replace('-', "_"))).into_os_string(),
    ])
}

/// The program `kafkatop` of the Python package of that name.
///
/// # Errors
/// Python is missing, or the download fails.
pub fn kafkatop() -> Result<OsString> {
    Ok(virtual_environment("kafkatop")?.join("bin/kafkatop").into_os_string())
}

/// The program `klag-exporter` of the crate of that name.
///
/// # Errors
/// What it is built with is missing, or the download or the build fails.
pub fn klag_exporter() -> Result<PathBuf> {
    const VERSION: &str = "=0.1.29";
    require("cmake", "--version", "klag-exporter builds librdkafka")?;
    let libraries = run(Command::new("pkg-config").args(["--exists", "libsasl2", "libcurl"]));
    libraries.context(
        "klag-exporter is built with libsasl2 and libcurl; on Debian install pkg-config, libsasl2-dev and libcurl4-openssl-dev",
    )?;
    let folder = install("klag-exporter", &layout::crate_dir().join("Cargo.toml"), VERSION, |folder| {
        let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
        let mut command = Command::new(cargo);
        command.args([
            "install",
            "--quiet",
            "--locked",
            "--debug",
            "klag-exporter",
            "--version",
            VERSION,
            "--root",
        ]);
        run(command.arg(folder).arg("--target-dir").arg(folder.join("build")))?;
        Ok(fs::remove_dir_all(folder.join("build"))?)
    })?;
    Ok(folder.join("bin").join("klag-exporter"))
}

/// A virtual environment with what `requirements-NAME.txt` locks.
fn virtual_environment(name: &str) -> Result<PathBuf> {
    require("python3", "--version", "the Python clients need Python 3.9 or newer with its venv module")?;
    let requirements = layout::driver_dir("python").join(format!("requirements-{name}.txt"));
    install(&format!("python-{name}"), &requirements, "", |folder| {
        run(Command::new("python3").args(["-m", "venv"]).arg(folder))
            .context("python3 cannot make a virtual environment; on Debian install python3-venv")?;
        run(Command::new(folder.join("bin/python"))
            .args([
                "-m",
                "pip",
                "install",
                "--quiet",
                "--require-hashes",
                "--only-binary=:all:",
                "--requirement",
            ])
            .arg(&requirements))
    })
}

fn java(version: &str) -> Result<Vec<OsString>> {
    require_java()?;
    let source = layout::driver_dir("java");
    let folder = install(&format!("java-{version}"), &source, version, |folder| {
        copy_dependencies(&source, folder, &[format!("-Dkafka.version={version}")])?;
        compile(&source, folder)
    })?;
    Ok(java_command(class_path(&folder), "Driver"))
}

fn java_command(class_path: OsString, class: &str) -> Vec<OsString> {
    let flags = ["java", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xshare:auto", "-Xmx512m", "-cp"];
    let mut command: Vec<OsString> = flags.iter().map(OsString::from).collect();
    command.extend([class_path, class.into()]);
    command
}

/// Compiles the Java files of `source` against the libraries in `folder`.
fn compile(source: &Path, folder: &Path) -> Result<()> {
    require("javac", "--version", "the Java programs are compiled with a JDK 17 or newer")?;
    let java = |file: &PathBuf| file.extension().is_some_and(|extension| extension == "java");
    run(Command::new("javac")
        .args(["-nowarn", "--release", "17", "-cp"])
        .arg(folder.join("libs").join("*"))
        .arg("-d")
        .arg(folder.join("classes"))
        .args(files_below(source)?.into_iter().filter(java)))
}

/// What [`compile`] made and its libraries.
fn class_path(folder: &Path) -> OsString {
    let mut class_path = folder.join("classes").into_os_string();
    class_path.push(":");
    class_path.push(folder.join("libs").join("*"));
    class_path
}

fn go(library: &str) -> Result<Vec<OsString>> {
    let folder = go_programs("go", "driver", &["."])?;
    Ok(vec![folder.join("driver").into_os_string(), library.into()])
}

/// The folder with the console tools of the sarama that `drivers/go` pins: its module has them as programs of their own.
///
/// # Errors
/// Go is missing, or the download or the build fails.
pub fn sarama_tools() -> Result<PathBuf> {
    const PACKAGES: [&str; 4] = [
        "github.com/IBM/sarama/tools/kafka-console-producer",
        "github.com/IBM/sarama/tools/kafka-console-consumer",
        "github.com/IBM/sarama/tools/kafka-console-partitionconsumer",
        "github.com/IBM/sarama/tools/kafka-producer-performance",
    ];
    go_programs("sarama-tools", "", &PACKAGES)
}

/// A folder with the programs that `packages`, of the module in `drivers/go` or of one that it requires, are built to: the one of
/// that name, or without it each under its own.
fn go_programs(name: &str, program: &str, packages: &[&str]) -> Result<PathBuf> {
    require("go", "version", "the clients of Go need version 1.26 or newer")?;
    let source = layout::driver_dir("go");
    install(name, &source, &packages.join(" "), |folder| {
        run(Command::new("go")
            .current_dir(&source)
            .args(["build", "-mod=readonly", "-trimpath", "-buildvcs=false", "-o"])
            .arg(folder.join(program))
            .args(packages))
    })
}

fn javascript() -> Result<Vec<OsString>> {
    require("node", "--version", "the kafkajs client needs Node.js 18 or newer")?;
    let folder = npm("kafkajs")?;
    Ok(vec!["node".into(), folder.join("driver.js").into_os_string()])
}

/// The command line of the npm package `kafka-console`.
///
/// # Errors
/// Node.js or npm is missing, or the download fails.
pub fn kafka_console() -> Result<Vec<OsString>> {
    require("node", "--version", "kafka-console needs Node.js 20.19 or newer")?;
    let folder = npm("kafka-console")?;
    Ok(vec!["node".into(), folder.join("node_modules/.bin/kafka-console").into_os_string()])
}

/// A folder with the files of a driver and the packages that its lock file names.
fn npm(name: &str) -> Result<PathBuf> {
    require("npm", "--version", "JavaScript packages are installed with npm")?;
    let source = layout::driver_dir(name);
    install(name, &source, "", |folder| {
        for file in files_below(&source)? {
            let name = file.file_name().context("a driver file has no name")?;
            fs::copy(&file, folder.join(name))?;
        }
        run(Command::new("npm").current_dir(folder).args(["ci", "--silent", "--no-audit", "--no-fund"]))
    })
}

fn require_java() -> Result<()> {
    require("java", "--version", "Apache Kafka, its tools and the Java clients need Java 17 or newer")?;
    require("mvn", "--version", "the Java libraries are fetched with Maven")
}

/// Fails with a sentence that names the missing tool.
fn require(tool: &str, flag: &str, why: &str) -> Result<()> {
    match run_to_end(Command::new(tool).arg(flag), Duration::from_secs(60)) {
        Ok(_) => Ok(()),
        Err(error) => {
            bail!("`{tool}` is missing or does not run: {why}. Install it and run again. ({error:#})")
        }
    }
}

fn copy_dependencies(source: &Path, folder: &Path, flags: &[String]) -> Result<()> {
    let mut output = OsString::from("-DoutputDirectory=");
    output.push(folder.join("libs"));
    run(Command::new("mvn")
        .args(["--batch-mode", "--quiet", "--file"])
        .arg(source.join("pom.xml"))
        .args(flags)
        .arg("dependency:copy-dependencies")
        .arg(output))
}

fn run(command: &mut Command) -> Result<()> {
    run_to_end(command, INSTALL_LIMIT).map(|_| ())
}

/// The cache folder for this state of `source`, filled by `fill` if it is not complete yet. Test binaries that run
/// at the same time wait for each other.
fn install(name: &str, source: &Path, salt: &str, fill: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
    let cache = layout::cache_dir()?;
    let lock = File::create(cache.join(format!("{name}.lock")))?;
    lock.lock().with_context(|| format!("cannot lock the setup of {name}"))?;
    let folder = cache.join(format!("{name}-{:016x}", fingerprint(source, salt)?));
    if !folder.join(COMPLETE).exists() {
        if folder.exists() {
            fs::remove_dir_all(&folder)?;
        }
        fs::create_dir_all(&folder)?;
        fill(&folder).with_context(|| format!("setting up {name} failed"))?;
        fs::write(folder.join(COMPLETE), "")?;
    }
    Ok(folder)
}

fn fingerprint(source: &Path, salt: &str) -> Result<u64> {
    let mut hasher = DefaultHasher::new();
    salt.hash(&mut hasher);
    for file in files_below(source)? {
        file.hash(&mut hasher);
        fs::read(&file)?.hash(&mut hasher);
    }
    Ok(hasher.finish())
}

/// `path` itself when it is a file, else every file in it, sorted; driver folders are flat.
fn files_below(path: &Path) -> Result<Vec<PathBuf>> {
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let entries = fs::read_dir(path).with_context(|| format!("cannot read {}", path.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let file = entry?.path();
        if file.is_file() {
            files.push(file);
        }
    }
    files.sort();
    Ok(files)
}

//! An ext4 file system in a file: made, mounted, broken, mounted again.
//!
//! Called by the three tests; everything goes through the system's own tools, as root. Invariant: whatever ends this
//! process, the mounts go with it: dropping an [`Image`] or a [`SmallDevice`] unmounts it, and a small `sh` does so when
//! the process is killed.

use std::fs::{self, File};
use std::io::ErrorKind;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use compat_tests::clock;
use compat_tests::process::run_to_end;

const TOOL_LIMIT: Duration = Duration::from_secs(120);
/// `EXT4_IOC_SHUTDOWN` with `EXT4_GOING_FLAGS_NOLOGFLUSH`: no page and no part of the journal is written from now on.
const SHUTDOWN: &str = "import fcntl, os, struct, sys
folder = os.open(sys.argv[1], os.O_RDONLY)
fcntl.ioctl(folder, 0x8004587d, struct.pack('I', 2))";
/// Waits for the end of the process that started it, then unmounts and removes.
const WATCHDOG: &str = r#"trap '' INT TERM HUP; read -r _; umount -l "$1"; rmdir "$1"; rm -f "$2""#;

/// What this machine lacks for the tests, in words.
pub(crate) fn prerequisites() -> Result<(), String> {
    let own = fs::metadata("/proc/self").map_err(|error| format!("/proc cannot be read: {error}"))?;
    if own.uid() != 0 {
        return Err("this test needs root: it mounts a file system of its own".to_owned());
    }
    if !Path::new("/dev/loop-control").exists() {
        return Err("this test needs loop devices, and there is no /dev/loop-control".to_owned());
    }
    for (tool, argument) in [("mkfs.ext4", "-V"), ("mount", "-V"), ("umount", "-V"), ("python3", "-V")] {
        if run_to_end(Command::new(tool).arg(argument), TOOL_LIMIT).is_err() {
            return Err(format!("this test needs {tool}, which cannot be started"));
        }
    }
    Ok(())
}

/// A mounted ext4 file system in a sparse file.
#[derive(Debug)]
pub(crate) struct Image {
    file: PathBuf,
    folder: PathBuf,
    mounted: bool,
    kept: bool,
    _watchdog: Watchdog,
}

impl Image {
    /// Makes `file` of `bytes` bytes, without blocks until they are written, and mounts it on the new `folder`.
    pub(crate) fn create(file: PathBuf, folder: PathBuf, bytes: u64) -> Result<Self> {
        fs::create_dir(&folder)?;
        File::create_new(&file)?.set_len(bytes)?;
        // A small journal and few inodes: the room is for the log.
        let words =
            ["-q", "-F", "-m", "0", "-b", "4096", "-i", "65536", "-J", "size=8", "-E", "lazy_itable_init=0"];
        run_to_end(Command::new("mkfs.ext4").args(words).arg(&file), TOOL_LIMIT)?;
        let watchdog = Watchdog::start(&folder, &file)?;
        let mut image = Self { file, folder, mounted: false, kept: false, _watchdog: watchdog };
        image.mount()?;
        Ok(image)
    }

    /// Where it is mounted.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// All that was written so far stays.
    pub(crate) fn sync(&self) -> Result<()> {
        run_to_end(Command::new("sync").arg("-f").arg(&self.folder), TOOL_LIMIT).map(drop)
    }

    /// The power goes: what was not synced is lost, and every call fails until it is mounted again.
    pub(crate) fn cut_power(&self) -> Result<()> {
        run_to_end(Command::new("python3").args(["-c", SHUTDOWN]).arg(&self.folder), TOOL_LIMIT)?;
        Ok(())
    }

    /// Leaves the file behind, for somebody to look into; returns where.
    pub(crate) fn keep(&mut self) -> &Path {
        self.kept = true;
        &self.file
    }

    /// Every write reaches the file page by page. The loop driver reports a longer write as done when the file had room for
    /// its beginning only: a device that lies, on which no broker can keep its word.
    pub(crate) fn write_page_by_page(&self) -> Result<()> {
        let mounts = fs::read_to_string("/proc/mounts")?;
        let folder = self.folder.to_string_lossy();
        let device = mounts.lines().find_map(|line| {
            let (device, rest) = line.split_once(' ')?;
            (rest.split(' ').next() == Some(&folder)).then(|| device.strip_prefix("/dev/"))?
        });
        let device = device.with_context(|| format!("{folder} is not in /proc/mounts"))?;
        fs::write(format!("/sys/block/{device}/queue/max_sectors_kb"), "4").context("max_sectors_kb")
    }

    /// Unmounts and mounts: the journal is replayed. Nobody may have a file of it open.
    pub(crate) fn remount(&mut self) -> Result<()> {
        self.unmount()?;
        self.mount()
    }

    /// Mends the device below, which is a file in `lower`, and goes on.
    pub(crate) fn remount_over(&mut self, lower: &mut Self) -> Result<()> {
        self.unmount()?;
        lower.remount()?;
        self.mount()
    }

    /// Goes on with a copy in `file`, on the same folder.
    pub(crate) fn move_to(&mut self, file: PathBuf) -> Result<()> {
        self.unmount()?;
        run_to_end(Command::new("cp").arg("--sparse=always").args([&self.file, &file]), TOOL_LIMIT)?;
        self.file = file;
        self.mount()
    }

    fn mount(&mut self) -> Result<()> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "ext4", "-o", "loop,noatime"]).args([&self.file, &self.folder]);
        run_to_end(&mut mount, TOOL_LIMIT)?;
        self.mounted = true;
        Ok(())
    }

    fn unmount(&mut self) -> Result<()> {
        unmount(&self.folder)?;
        self.mounted = false;
        Ok(())
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        if self.mounted {
            unmount(&self.folder).ok();
        }
        fs::remove_dir(&self.folder).ok();
        if !self.kept {
            fs::remove_file(&self.file).ok();
        }
    }
}

/// A tmpfs of fixed size: a device that runs out of blocks behind a file system's back.
#[derive(Debug)]
pub(crate) struct SmallDevice {
    folder: PathBuf,
    _watchdog: Watchdog,
}

impl SmallDevice {
    /// Mounts it on the new `folder`.
    pub(crate) fn create(folder: PathBuf, bytes: u64) -> Result<Self> {
        fs::create_dir(&folder)?;
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"]).arg(&folder);
        run_to_end(&mut mount, TOOL_LIMIT)?;
        let watchdog = Watchdog::start(&folder, Path::new(""))?;
        Ok(Self { folder, _watchdog: watchdog })
    }

    /// Where it is mounted.
    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }
}

impl Drop for SmallDevice {
    fn drop(&mut self) {
        unmount(&self.folder).ok();
        fs::remove_dir(&self.folder).ok();
    }
}

/// A killed process lets go of its files a moment after it is reported dead.
fn unmount(folder: &Path) -> Result<()> {
    let once = || Ok(run_to_end(Command::new("umount").arg(folder), TOOL_LIMIT).ok());
    let done = clock::poll_until(Duration::from_secs(10), Duration::from_millis(50), once)?;
    done.map(drop).with_context(|| format!("{} stays mounted", folder.display()))
}

#[derive(Debug)]
struct Watchdog(Child);

impl Watchdog {
    fn start(folder: &Path, file: &Path) -> Result<Self> {
        let mut sh = Command::new("sh");
        sh.args(["-c", WATCHDOG, "watchdog"]).args([folder, file]);
        sh.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        Ok(Self(sh.spawn().context("cannot start the watchdog (sh)")?))
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        if self.0.kill().is_ok() {
            self.0.wait().ok();
        }
    }
}

/// Writes zeroes to the new file `path` until the disk has no byte left.
pub(crate) fn fill_up(path: &Path) -> Result<()> {
    use std::io::Write as _;
    let mut file = File::create_new(path)?;
    // Large writes first; what is left goes byte for byte of a block.
    for piece in [1 << 20, 4096] {
        loop {
            match file.write(&vec![0; piece]).and_then(|_| file.sync_data()) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::StorageFull => break,
                Err(error) => bail!("filling the disk: {error}"),
            }
        }
    }
    Ok(())
}

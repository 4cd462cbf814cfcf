//! An ext4 file system on a loop device of its own, whose counters say what was really written. Needs root.
//!
//! Invariant: dropping it unmounts, detaches and removes everything; whatever uses it is dropped before it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

const SECTOR: u64 = 512;
/// Field of `/sys/block/X/stat`: sectors written.
const SECTORS_WRITTEN: usize = 6;

/// See the module.
#[derive(Debug)]
pub(crate) struct LoopDevice {
    image: PathBuf,
    mount: PathBuf,
    device: Option<String>,
    mounted: bool,
}

impl LoopDevice {
    /// A mounted file system of `bytes` below `folder`.
    ///
    /// # Errors
    /// This is not root, or loop devices are not to be had.
    pub(crate) fn mount(folder: &Path, bytes: u64) -> Result<Self> {
        let image = folder.join("device.img");
        let mount = folder.join("device");
        fs::create_dir_all(&mount)?;
        File::create(&image)?.set_len(bytes)?;
        let mut made = Self { image, mount, device: None, mounted: false };
        // Complete: what is left for later is written by the kernel during a measurement.
        let complete = "lazy_itable_init=0,lazy_journal_init=0";
        output(Command::new("mkfs.ext4").args(["-q", "-E", complete]).arg(&made.image))?;
        let attach = ["--find", "--show", "--direct-io=on"];
        let device = output(Command::new("losetup").args(attach).arg(&made.image))?.trim().to_owned();
        made.device = Some(device.clone());
        output(Command::new("mount").arg(&device).arg(&made.mount))?;
        made.mounted = true;
        Ok(made)
    }

    /// Where it is mounted.
    pub(crate) fn path(&self) -> &Path {
        &self.mount
    }

    /// Bytes written to the device since it was attached.
    ///
    /// # Errors
    /// The kernel does not say.
    pub(crate) fn bytes_written(&self) -> Result<u64> {
        let device =
            self.device.as_deref().and_then(|path| path.rsplit('/').next()).context("not attached")?;
        let text = fs::read_to_string(format!("/sys/block/{device}/stat"))?;
        let sectors: u64 = text.split_whitespace().nth(SECTORS_WRITTEN).context("short stat")?.parse()?;
        Ok(sectors * SECTOR)
    }
}

impl Drop for LoopDevice {
    fn drop(&mut self) {
        if self.mounted {
            drop(output(Command::new("umount").arg(&self.mount)));
        }
        if let Some(device) = &self.device {
            drop(output(Command::new("losetup").arg("--detach").arg(device)));
        }
        drop(fs::remove_file(&self.image));
        drop(fs::remove_dir(&self.mount));
    }
}

fn output(command: &mut Command) -> Result<String> {
    let program = command.get_program().to_owned();
    let output =
        command.stdin(Stdio::null()).output().with_context(|| format!("{} is missing", program.display()))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {}", program.display(), errors.trim());
    Ok(String::from_utf8(output.stdout)?)
}

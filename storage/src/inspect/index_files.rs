//! Index files: is every page of them whole?
//!
//! Called by `verify`. What an index file says is not compared with the log: `find` compares what it finds.

use std::io;
use std::path::Path;

use crate::error::Error;
use crate::index_file::{IndexFile, PAGE_LEN};

use super::directory::{Directory, beside};
use super::finding::{Finding, Severity};

const REMADE: &str = "The broker removes it and makes it anew";

pub(super) fn check(directory: &Directory, findings: &mut Vec<Finding>) -> Result<(), Error> {
    let dir = directory.index();
    let names = match directory.disk.list(&dir) {
        Ok(names) => names,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(Error::io("list", dir, error)),
    };
    // A file that is being written has another name.
    for name in names.iter().filter(|name| !name.ends_with(".tmp")) {
        match check_file(directory, &dir.join(name)) {
            Err(Error::Corrupt { file, at, what, .. }) => {
                findings.push(beside(Severity::Rebuildable, &file, at, what, REMADE));
            }
            checked => checked?,
        }
    }
    Ok(())
}

fn check_file(directory: &Directory, path: &Path) -> Result<(), Error> {
    let index = IndexFile::open(&*directory.disk, path)?;
    (0..index.len() / PAGE_LEN as u64).try_for_each(|number| index.page(number).map(drop))
}

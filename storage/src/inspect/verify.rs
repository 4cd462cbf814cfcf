//! What bad places mean: damage, a torn tail that the next start cuts, or a projection that is made anew.
//!
//! Called by `Inspection::verify` and by `salvage`.

use protocol::record_batch::RecordBatchView;

use crate::error::Error;
use crate::frame::FrameHeader;
use crate::position::Position;

use super::directory::Directory;
use super::finding::{Finding, OffsetRange, Severity};
use super::loss::{self, Named};
use super::runs::Gap;
use super::survey::{Bad, Kind, Survey, survey};
use super::walk::LogFile;
use super::{InspectError, Progress, index_files, queues};

const RESTORE: &str = "Put the file back from a backup, or save the rest with `onelog log salvage`";

/// What a verification came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Verified {
    /// Commitlog files looked at.
    pub files: usize,
    /// Whole frames.
    pub frames: u64,
    /// Record batches among them.
    pub batches: u64,
    /// Findings that are more than notes.
    pub bad: usize,
    /// Where the log ends.
    pub end: Position,
}

pub(super) fn verify(
    directory: &Directory,
    report: &mut dyn FnMut(Finding),
    progress: Progress<'_>,
) -> Result<Verified, InspectError> {
    let (verified, _) = verify_with(directory, &mut |_, _, _| {}, report, progress)?;
    Ok(verified)
}

/// As `verify`; `on_batch` is shown every whole batch on the way, and the survey is kept.
pub(super) fn verify_with(
    directory: &Directory,
    on_batch: &mut dyn FnMut(&LogFile, &FrameHeader, &RecordBatchView<'_>),
    report: &mut dyn FnMut(Finding),
    progress: Progress<'_>,
) -> Result<(Verified, Survey), Error> {
    let mut survey = survey(directory, on_batch, progress)?;
    let mut findings = directory.findings.clone();
    let mut named = Named::default();
    queues::check(directory, &mut survey, &mut named, &mut findings)?;
    index_files::check(directory, &mut findings)?;
    let unexplained = loss::attach_gaps(&mut survey, &named);
    findings.extend(unexplained.into_iter().map(|(range, gap)| missing_records(directory, range, gap)));
    findings.extend(judge(directory, &survey));
    let bad = findings.iter().filter(|finding| finding.severity > Severity::Note).count();
    findings.into_iter().for_each(report);
    let (frames, batches, end) = (survey.frames, survey.batches, survey.end);
    Ok((Verified { files: directory.files.len(), frames, batches, bad, end }, survey))
}

/// One finding per bad place; all that lies behind the first torn group is one torn tail.
fn judge(directory: &Directory, survey: &Survey) -> Vec<Finding> {
    let mut findings: Vec<Finding> = Vec::new();
    let mut torn: Option<Finding> = None;
    let unopenable = survey.bad.iter().any(|bad| matches!(bad.kind, Kind::FileHeader | Kind::MissingFile));
    for bad in &survey.bad {
        if is_damage(bad, survey) {
            findings.push(finding(bad, Severity::Damage, meaning(directory, bad, unopenable)));
            continue;
        }
        match &mut torn {
            None => torn = Some(finding(bad, Severity::Note, torn_tail(bad))),
            Some(tail) => tail.offsets.extend(bad.offsets.clone()),
        }
    }
    findings.extend(torn);
    findings
}

fn is_damage(bad: &Bad, survey: &Survey) -> bool {
    bad.kind != Kind::Frames || bad.group < survey.durable || bad.from.is_rewritten()
}

fn finding(bad: &Bad, severity: Severity, meaning: String) -> Finding {
    Finding {
        severity,
        file: bad.file.clone(),
        at: queues::byte_of(bad.from, bad.base),
        len: bad.to.0.saturating_sub(bad.from.0),
        position: Some(bad.from),
        what: bad.why.clone(),
        meaning,
        offsets: bad.offsets.clone(),
    }
}

fn torn_tail(bad: &Bad) -> String {
    format!(
        "A torn tail: nothing from position {} on is known to have been on stable storage, and the next start cuts it. \
         After a crash this is as it should be; without one it is damage to the newest records",
        bad.group
    )
}

/// `unopenable`: there is a place for which the start is refused anyhow.
fn meaning(directory: &Directory, bad: &Bad, unopenable: bool) -> String {
    let replayed = match (&directory.catalog, directory.checkpoint) {
        (Some(_), Some(slot)) if !unopenable => bad.to > slot.position && !bad.from.is_rewritten(),
        _ => true,
    };
    let start = match bad.kind {
        Kind::FileHeader | Kind::MissingFile => "The next start is refused, or loses what the file held",
        Kind::Contents | Kind::Frames if replayed => "The next start is refused",
        Kind::Contents | Kind::Frames if bad.offsets.is_empty() => {
            "The next start does not replay this place; no readable record is lost"
        }
        Kind::Contents | Kind::Frames => "The broker starts, and reads of these records fail",
    };
    format!("{start}. {RESTORE}")
}

/// Offsets that are not there though nothing between their neighbours is bad.
fn missing_records(directory: &Directory, range: OffsetRange, gap: Gap) -> Finding {
    let position =
        gap.after.or(gap.before).unwrap_or(directory.files.first().map_or(Position(0), LogFile::base));
    let file = directory.file_at(position);
    Finding {
        severity: Severity::Damage,
        file: file.map_or_else(|| directory.commit_log(), |file| file.path().to_owned()),
        at: file.map_or(0, |file| queues::byte_of(position, file.base())),
        len: 0,
        position: Some(position),
        what: "records are missing though no byte between their neighbours is bad".to_owned(),
        meaning: format!("The next full replay is refused. {RESTORE}"),
        offsets: vec![range],
    }
}

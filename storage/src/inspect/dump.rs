//! The log frame by frame, as values to print.
//!
//! Called by `Inspection::dump`. Bounded: one frame is in memory at a time.

use std::ops::ControlFlow;

use crate::error::Error;
use crate::frame::{FrameHeader, FrameKind};
use crate::position::Position;

use super::InspectError;
use super::directory::Directory;
use super::dump_line::{DumpLine, line};
use super::known::Known;
use super::walk::{BadPlace, LogFile, Piece, Rest};

/// Which frames to show.
#[derive(Debug, Clone, Default)]
pub struct Filter {
    /// Only this commitlog file, by its name.
    pub file: Option<String>,
    /// Only this topic, by name, or by number where no name fits.
    pub topic: Option<String>,
    /// Only this partition.
    pub partition: Option<u32>,
    /// Only from this position on.
    pub from_position: Position,
    /// Records of batches too.
    pub records: bool,
}

pub(super) fn dump(
    directory: &Directory,
    filter: &Filter,
    visit: &mut dyn FnMut(DumpLine) -> ControlFlow<()>,
) -> Result<(), InspectError> {
    match dump_files(directory, filter, &mut |line| match visit(line) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Stop::Enough),
    }) {
        Ok(()) | Err(Stop::Enough) => Ok(()),
        Err(Stop::Failed(error)) => Err(error),
    }
}

/// Why a dump ends early.
enum Stop {
    /// Nobody wants more.
    Enough,
    Failed(InspectError),
}

impl<E: Into<InspectError>> From<E> for Stop {
    fn from(error: E) -> Self {
        Self::Failed(error.into())
    }
}

fn dump_files(
    directory: &Directory,
    filter: &Filter,
    visit: &mut dyn FnMut(DumpLine) -> Result<(), Stop>,
) -> Result<(), Stop> {
    let known = names(directory)?;
    let topic = match &filter.topic {
        Some(topic) => match known.number(topic).or_else(|| topic.parse().ok()) {
            Some(number) => Some(number),
            None => return Ok(()),
        },
        None => None,
    };
    let mut files: Vec<&LogFile> = directory.files.iter().collect();
    if let Some(name) = &filter.file {
        files.retain(|file| file.path().file_name().is_some_and(|found| found == name.as_str()));
        if files.is_empty() {
            return Err(InspectError::NoSuchFile(name.clone()).into());
        }
    }
    for file in files.into_iter().filter(|file| file.end() > filter.from_position) {
        let bad = |place: BadPlace| {
            let BadPlace { from, to, why, .. } = place;
            DumpLine::Bad { file: file.path().to_owned(), from, to, why }
        };
        if let Some(why) = file.bad_header() {
            let (path, base) = (file.path().to_owned(), file.base());
            visit(DumpLine::Bad { file: path, from: base, to: base, why: why.to_owned() })?;
        }
        let (_, rest) = file.walk(|piece| match piece {
            Piece::Bad(place) if place.to > filter.from_position => visit(bad(place)),
            Piece::Frame(whole) if shows(filter, topic, &whole.header) => {
                visit(DumpLine::Frame(Box::new(line(&known, &whole, filter.records))))
            }
            Piece::Bad(_) | Piece::Frame(_) => Ok(()),
        })?;
        if let Rest::Torn(place) = rest {
            visit(bad(place))?;
        }
    }
    Ok(())
}

/// What is known of topics before the first line: names may be given behind the frames that need them.
fn names(directory: &Directory) -> Result<Known, Error> {
    let mut known = Known::from_snapshot(directory);
    for file in &directory.files {
        file.walk(|piece| {
            if let Piece::Frame(whole) = piece
                && whole.header.kind == FrameKind::Topic
            {
                // What its payload hides shows in the frame's own line.
                let _shown_later = known.apply(&whole);
            }
            Ok::<(), Error>(())
        })?;
    }
    Ok(known)
}

fn shows(filter: &Filter, topic: Option<u32>, header: &FrameHeader) -> bool {
    let of_topic = matches!(
        header.kind,
        FrameKind::Batch
            | FrameKind::Topic
            | FrameKind::TopicDeleted
            | FrameKind::LogStart
            | FrameKind::Compacted
    );
    let of_partition = !matches!(header.kind, FrameKind::Topic | FrameKind::TopicDeleted);
    header.position >= filter.from_position
        && topic.is_none_or(|topic| of_topic && header.topic == topic)
        && filter.partition.is_none_or(|partition| of_topic && of_partition && header.partition == partition)
}

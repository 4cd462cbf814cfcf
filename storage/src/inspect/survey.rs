//! One pass over the whole log: what is known, what is bad, which offsets are there.
//!
//! Called by `verify`, `dump` (for names) and `salvage`. Nothing is judged here but whether bytes are what they should be;
//! `verify` says what it means.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use protocol::record_batch::RecordBatchView;

use crate::error::Error;
use crate::frame::{FrameHeader, FrameKind};
use crate::mapped_file::{FILE_HEADER_LEN, MappedFile};
use crate::position::Position;

use super::directory::Directory;
use super::finding::OffsetRange;
use super::groups::Groups;
use super::known::{Known, Numbers};
use super::runs::Runs;
use super::walk::{BadPlace, LogFile, Piece, Rest, Whole};
use super::words::described;

/// What is bad about a place in the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Bytes between frames, or where the log goes on.
    Frames,
    /// A frame whose payload is not what it should be, though its CRC matches.
    Contents,
    /// The file's own header or its length.
    FileHeader,
    /// The file is not there.
    MissingFile,
}

/// A bad place in the log.
#[derive(Debug)]
pub(super) struct Bad {
    pub(super) kind: Kind,
    pub(super) file: PathBuf,
    pub(super) base: Position,
    pub(super) from: Position,
    pub(super) to: Position,
    /// Start of the group it breaks: a start that replays this stops there.
    pub(super) group: Position,
    pub(super) why: String,
    pub(super) offsets: Vec<OffsetRange>,
}

impl Bad {
    pub(super) fn holds(&self, position: Position) -> bool {
        (self.from..self.to).contains(&position)
    }
}

/// All that one pass gathers.
#[derive(Debug, Default)]
pub(super) struct Survey {
    pub(super) known: Known,
    pub(super) bad: Vec<Bad>,
    pub(super) runs: BTreeMap<Numbers, Runs>,
    /// Everything below was on stable storage, say the checkpoint and the frames.
    pub(super) durable: Position,
    /// Where the log ends.
    pub(super) end: Position,
    pub(super) frames: u64,
    pub(super) batches: u64,
}

/// How far one file's frames go.
struct FileEnd<'a> {
    file: &'a LogFile,
    end: Position,
    rest: Rest,
    frames: u64,
    /// The group that is not complete where the frames end.
    open: Option<Position>,
}

/// Walks all files. `on_batch` is shown every batch that is whole, the frame and the view of its payload.
///
/// # Errors
/// Only when something cannot be read.
pub(super) fn survey(
    directory: &Directory,
    on_batch: &mut dyn FnMut(&LogFile, &FrameHeader, &RecordBatchView<'_>),
    progress: &mut dyn FnMut(u64),
) -> Result<Survey, Error> {
    let mut survey = Survey {
        known: Known::from_snapshot(directory),
        durable: directory.checkpoint.map_or(Position(0), |slot| slot.durable),
        ..Survey::default()
    };
    let (mut ends, mut done) = (Vec::new(), 0);
    for file in &directory.files {
        ends.push(survey.walk(file, on_batch, &mut |within| progress(done + within))?);
        done += file.len();
    }
    survey.judge_ends(&ends);
    survey.find_missing(directory);
    survey.forget_given_up();
    survey.bad.sort_by_key(|bad| (bad.from, bad.to));
    Ok(survey)
}

impl Survey {
    fn walk<'a>(
        &mut self,
        file: &'a LogFile,
        on_batch: &mut dyn FnMut(&LogFile, &FrameHeader, &RecordBatchView<'_>),
        progress: &mut dyn FnMut(u64),
    ) -> Result<FileEnd<'a>, Error> {
        let (mut groups, mut frames) = (Groups::default(), 0);
        let (end, rest) = file.walk(|piece| {
            match piece {
                Piece::Bad(place) => self.bad_place(file, place, groups.break_off()),
                Piece::Frame(whole) => {
                    progress(whole.header.position.0 - file.base().0);
                    frames += 1;
                    if !file.base().is_rewritten()
                        && let Some(start) = groups.take(&whole.header)
                    {
                        let why = "a group of frames is not complete".to_owned();
                        let place = BadPlace { from: start, to: whole.header.position, why, header: None };
                        self.bad_place(file, place, None);
                    }
                    self.frame(file, &whole, on_batch);
                }
            }
            Ok::<(), Error>(())
        })?;
        self.frames += frames;
        Ok(FileEnd { file, end, rest, frames, open: groups.incomplete() })
    }

    fn frame(
        &mut self,
        file: &LogFile,
        whole: &Whole,
        on_batch: &mut dyn FnMut(&LogFile, &FrameHeader, &RecordBatchView<'_>),
    ) {
        let header = &whole.header;
        self.durable = self.durable.max(whole.durable_upto.unwrap_or_default());
        let outcome = match header.kind {
            FrameKind::Batch => batch_of(whole).map(|batch| {
                self.batches += 1;
                let last = header.base_offset.saturating_add(i64::from(batch.last_offset_delta()));
                let runs = self.runs.entry((header.topic, header.partition)).or_default();
                runs.add(header.base_offset, last, header.position);
                on_batch(file, header, &batch);
            }),
            _ => self.known.apply(whole).map_err(|error| error.to_string()),
        };
        if let Err(why) = outcome {
            let (from, to) = (header.position, header.position.plus(u64::from(header.length)));
            let why = format!("{}: {why}", described(header));
            self.push(Kind::Contents, file, BadPlace { from, to, why, header: None }, None);
        }
    }

    fn bad_place(&mut self, file: &LogFile, mut place: BadPlace, group: Option<Position>) {
        if let Some(header) = &place.header {
            place.why = format!("{}: {}", described(header), place.why);
        }
        self.push(Kind::Frames, file, place, group);
    }

    fn push(&mut self, kind: Kind, file: &LogFile, place: BadPlace, group: Option<Position>) {
        let BadPlace { from, to, why, .. } = place;
        let (group, base, path) = (group.unwrap_or(from), file.base(), file.path().to_owned());
        self.bad.push(Bad { kind, file: path, base, from, to, group, why, offsets: Vec::new() });
    }

    /// Only the file in which the log ends may have room behind its frames.
    fn judge_ends(&mut self, ends: &[FileEnd<'_>]) {
        let append = ends.partition_point(|end| !end.file.base().is_rewritten());
        let (append, rewritten) = ends.split_at(append);
        let last = append.iter().rposition(|end| end.frames > 0);
        for end in rewritten {
            self.judge_header(end.file);
            self.judge_rest(end, false);
        }
        for (index, end) in append.iter().enumerate() {
            let follows_full = index > 0
                && matches!(append[index - 1].rest, Rest::Sealed { blank: true })
                && append[index - 1].file.end() == end.file.base();
            // A file is in place before the one ahead of it is filled; behind the end it may be one that was never used.
            if last.is_some_and(|last| index <= last) || follows_full {
                self.judge_header(end.file);
            }
            if last.is_none_or(|last| index >= last) {
                self.judge_rest(end, false);
            } else {
                self.judge_rest(end, true);
            }
        }
        let Some(last) = last.map(|last| &append[last]) else {
            if let Some(first) = append.first().filter(|first| first.end < self.durable) {
                let why =
                    format!("no frame is left, but the log was durable up to position {}", self.durable);
                self.bad_place(
                    first.file,
                    BadPlace { from: first.end, to: self.durable, why, header: None },
                    None,
                );
            }
            return;
        };
        let following = append.iter().find(|end| end.file.base() == last.file.end());
        self.end = match (&last.rest, following) {
            (Rest::Sealed { .. }, Some(next)) => next.file.base().plus(FILE_HEADER_LEN),
            _ => last.end,
        };
        if let (Rest::Sealed { blank: true }, None) = (&last.rest, following) {
            let size = last.file.end().0 - last.file.base().0;
            self.missing_file(last.file.path(), last.end, last.end.plus(size).max(self.durable));
        } else if self.end < self.durable && !matches!(last.rest, Rest::Torn(_)) && last.open.is_none() {
            let why = format!("the log ends here, but it was durable up to position {}", self.durable);
            let file = following.filter(|_| last.end == last.file.end()).unwrap_or(last).file;
            self.bad_place(file, BadPlace { from: last.end, to: self.durable, why, header: None }, None);
        }
    }

    fn judge_header(&mut self, file: &LogFile) {
        if let Some(why) = file.bad_header() {
            let (from, to) = (file.base(), file.base().plus(FILE_HEADER_LEN));
            self.push(Kind::FileHeader, file, BadPlace { from, to, why: why.to_owned(), header: None }, None);
        }
    }

    /// `sealed`: the log goes on in a later file.
    fn judge_rest(&mut self, end: &FileEnd<'_>, sealed: bool) {
        let incomplete = |to| {
            let why = "a group of frames is not complete".to_owned();
            end.open.map(|from| BadPlace { from, to, why, header: None })
        };
        let place = match &end.rest {
            Rest::Torn(place) => {
                let (from, to, why) = (place.from, place.to, place.why.clone());
                let to = if sealed { end.file.end() } else { to };
                Some(BadPlace { from, to, why, header: place.header })
            }
            Rest::Empty if sealed => {
                let why = "no frame fills the rest of the file, but the log goes on behind it".to_owned();
                Some(BadPlace { from: end.end, to: end.file.end(), why, header: None })
            }
            Rest::Empty | Rest::Sealed { .. } => incomplete(end.end),
        };
        if let Some(place) = place {
            self.bad_place(end.file, place, end.open);
        }
    }

    /// Files that the checkpoint, the manifest or their neighbours say must be there.
    fn find_missing(&mut self, directory: &Directory) {
        let size = directory.file_size.max(1);
        let dir = directory.commit_log();
        let append = directory.files.iter().filter(|file| !file.base().is_rewritten());
        let there: Vec<Position> = append.map(LogFile::base).collect();
        let begin = directory.checkpoint.map(|slot| slot.begin).or(there.first().copied());
        let end = there.last().map(|last| last.plus(size)).max(begin).unwrap_or_default();
        let mut base = begin.unwrap_or_default();
        while base < end {
            if there.binary_search(&base).is_err() && self.known.is_part(base) {
                self.missing_file(&MappedFile::path(&dir, base), base, base.plus(size));
            }
            base = base.plus(size);
        }
        // A position at a file's very beginning is as good as the end of the one before.
        if self.durable > end && self.known.is_part(end) {
            self.missing_file(&MappedFile::path(&dir, end), end, self.durable);
        }
        for record in self.known.rewritten() {
            if !directory.files.iter().any(|file| file.base() == record.base) {
                let path = MappedFile::path(&dir, record.base);
                self.missing_file(&path, record.base, Position(record.base.0.saturating_add(record.len)));
            }
        }
    }

    fn missing_file(&mut self, path: &Path, base: Position, to: Position) {
        let already = |bad: &Bad| bad.kind == Kind::MissingFile && bad.base == base;
        if self.bad.iter().any(already) {
            return;
        }
        let file = path.with_file_name(format!("{:020}", base.0));
        let why = "this commitlog file is missing".to_owned();
        self.bad.push(Bad {
            kind: Kind::MissingFile,
            file,
            base,
            from: base,
            to,
            group: base,
            why,
            offsets: Vec::new(),
        });
    }

    /// Files that the log gave up, and rewrite files that it does not name, are no part of it.
    fn forget_given_up(&mut self) {
        let known = &self.known;
        self.bad.retain(|bad| known.is_part(bad.base));
    }
}

/// The batch of a frame, when all that is said about it agrees.
pub(super) fn batch_of(whole: &Whole) -> Result<RecordBatchView<'_>, String> {
    let batch = RecordBatchView::parse(&whole.payload).map_err(|error| error.to_string())?;
    batch.verify_crc().map_err(|error| error.to_string())?;
    let header = &whole.header;
    let agrees = batch.as_bytes().len() == whole.payload.len()
        && batch.base_offset() == header.base_offset
        && batch.leader_epoch() == header.leader_epoch
        && batch.last_offset_delta() >= 0;
    if agrees { Ok(batch) } else { Err("batch header and frame header contradict each other".to_owned()) }
}

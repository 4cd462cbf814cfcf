//! Frames in words.

use crate::frame::{FrameHeader, FrameKind};

/// A frame in words.
pub(super) fn described(header: &FrameHeader) -> String {
    let kind = kind_name(header.kind);
    match header.kind {
        FrameKind::Batch | FrameKind::LogStart | FrameKind::Compacted => format!(
            "{kind} frame of topic number {} partition {} offset {}",
            header.topic, header.partition, header.base_offset
        ),
        FrameKind::Topic | FrameKind::TopicDeleted => {
            format!("{kind} frame of topic number {}", header.topic)
        }
        FrameKind::Blank | FrameKind::ProducerIds | FrameKind::BrokerConfigs | FrameKind::Files => {
            format!("{kind} frame")
        }
    }
}

/// The kind's name in the format document.
pub(super) fn kind_name(kind: FrameKind) -> &'static str {
    match kind {
        FrameKind::Batch => "batch",
        FrameKind::Blank => "blank",
        FrameKind::Topic => "topic",
        FrameKind::TopicDeleted => "topic deleted",
        FrameKind::LogStart => "log start",
        FrameKind::ProducerIds => "producer ids",
        FrameKind::BrokerConfigs => "broker configs",
        FrameKind::Files => "files",
        FrameKind::Compacted => "compacted",
    }
}

//! Why a tool did not do what it was asked: one sentence for a person, and whether asking again may help.

use std::fmt;
use std::io;

use protocol::ErrorCode;

/// What every tool ends with.
pub(crate) type Outcome<T = ()> = Result<T, Failure>;

/// Why not.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The command line cannot be understood, or asked for help.
    Usage(Box<clap::Error>),
    /// Reading or writing failed here, not at the broker.
    Io(io::Error),
    /// The broker cannot be reached, or the connection broke.
    Unreachable(String),
    /// The broker's answer.
    Broker {
        /// Which error.
        code: ErrorCode,
        /// The sentence to show.
        text: String,
    },
    /// Anything else, as a sentence.
    Said(String),
}

impl Failure {
    pub(crate) fn new(text: impl Into<String>) -> Self {
        Self::Said(text.into())
    }

    /// The broker's error `code` with its own words, if it gave any.
    pub(crate) fn broker(code: i16, words: Option<&str>) -> Self {
        let known = ErrorCode::from_code(code);
        let text = match (words.filter(|words| !words.is_empty()), known) {
            (Some(words), _) => words.to_owned(),
            (None, Some(known)) => sentence(known),
            (None, None) => format!("the broker answered with the unknown error {code}"),
        };
        Self::Broker { code: known.unwrap_or(ErrorCode::UnknownServerError), text }
    }

    /// `Ok` for code 0, else [`Self::broker`].
    pub(crate) fn check(code: i16, words: Option<&str>) -> Outcome {
        if code == 0 { Ok(()) } else { Err(Self::broker(code, words)) }
    }

    /// The broker's error, when it is one.
    pub(crate) fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Broker { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// The same with `words` before its sentence.
    pub(crate) fn in_words(self, words: &str) -> Self {
        match self {
            Self::Broker { code, text } => Self::Broker { code, text: format!("{words}{text}") },
            Self::Said(text) => Self::Said(format!("{words}{text}")),
            other => other,
        }
    }

    /// Whether the same request may succeed a moment later.
    pub(crate) fn is_retriable(&self) -> bool {
        match self {
            Self::Unreachable(_) => true,
            Self::Broker { code, .. } => matches!(
                code,
                ErrorCode::LeaderNotAvailable
                    | ErrorCode::NotLeaderOrFollower
                    | ErrorCode::RequestTimedOut
                    | ErrorCode::NetworkException
                    | ErrorCode::CoordinatorLoadInProgress
                    | ErrorCode::CoordinatorNotAvailable
                    | ErrorCode::NotCoordinator
                    | ErrorCode::NotEnoughReplicas
                    | ErrorCode::NotEnoughReplicasAfterAppend
                    | ErrorCode::KafkaStorageError
                    | ErrorCode::NotController
                    | ErrorCode::FencedLeaderEpoch
                    | ErrorCode::UnknownLeaderEpoch
                    | ErrorCode::UnstableOffsetCommit
            ),
            _ => false,
        }
    }

    /// Whoever read the output has gone away, which is their right (`| head`).
    pub(crate) fn is_closed_output(&self) -> bool {
        matches!(self, Self::Io(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// What to say where the broker sends only a number. The name stays in it, for those who search for it.
fn sentence(code: ErrorCode) -> String {
    let words = match code {
        ErrorCode::UnknownTopicOrPartition => "the broker has no such topic or partition",
        ErrorCode::UnknownTopicId => "the broker has no topic with that id",
        ErrorCode::GroupIdNotFound => "the broker has no group of that name",
        ErrorCode::NonEmptyGroup => "the group still has members; stop them first",
        ErrorCode::GroupSubscribedToTopic => {
            "a member of the group is subscribed to the topic; stop it first"
        }
        ErrorCode::OffsetOutOfRange => "the offset lies outside of what the partition holds",
        ErrorCode::UnknownMemberId => {
            "the group does not know the member; it may have members that are active"
        }
        ErrorCode::IllegalGeneration => "the group has moved on to another generation",
        ErrorCode::RebalanceInProgress => "the group is rebalancing; try again",
        ErrorCode::MessageTooLarge => "the record is larger than max.message.bytes of the topic allows",
        ErrorCode::ClusterAuthorizationFailed
        | ErrorCode::TopicAuthorizationFailed
        | ErrorCode::GroupAuthorizationFailed => "the broker does not allow it",
        _ => return format!("the broker answered {code}"),
    };
    format!("{words} ({code})")
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Usage(error) => write!(f, "{error}"),
            Self::Io(error) => write!(f, "reading or writing failed: {error}"),
            Self::Unreachable(text) | Self::Broker { text, .. } | Self::Said(text) => f.write_str(text),
        }
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<clap::Error> for Failure {
    fn from(error: clap::Error) -> Self {
        Self::Usage(Box::new(error))
    }
}

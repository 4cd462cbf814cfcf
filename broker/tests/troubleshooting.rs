//! `docs/TROUBLESHOOTING.md` quotes messages as headings. Each is one that the source says.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::fs;
use std::path::Path;

/// Stands in a heading for what differs from case to case.
const DIFFERS: &str = "...";

/// The text of all sources, with literals that go on over several lines in one piece.
fn sources() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let mut text = String::new();
    let mut folders: Vec<_> = ["broker/src", "storage/src", "tools/src"].map(|name| root.join(name)).into();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            match entry.path() {
                path if path.is_dir() => folders.push(path),
                path if path.extension().is_some_and(|kind| kind == "rs") => {
                    text.push_str(&fs::read_to_string(path).unwrap());
                }
                _ => {}
            }
        }
    }
    let mut joined = String::new();
    let mut pieces = text.split("\\\n");
    joined.push_str(pieces.next().unwrap_or_default());
    pieces.for_each(|piece| joined.push_str(piece.trim_start()));
    joined
}

#[test]
fn every_quoted_message_is_one_that_the_program_says() {
    let document = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/TROUBLESHOOTING.md");
    let document = fs::read_to_string(document).unwrap();
    let headings = document.lines().filter_map(|line| line.strip_prefix("### `"));
    let messages: Vec<&str> = headings.map(|heading| heading.split_once('`').unwrap().0).collect();
    assert!(messages.len() >= 25, "{}", messages.len());
    let sources = sources();
    let mut missing = Vec::new();
    for message in messages {
        let parts = message.split(DIFFERS).filter(|part| part.chars().any(char::is_alphabetic));
        let parts: Vec<&str> = parts.collect();
        assert!(parts.iter().any(|part| part.len() > 12), "{message} says too little to be found");
        missing.extend(
            parts
                .into_iter()
                .filter(|part| !sources.contains(part))
                .map(|part| format!("{message}: {part:?}")),
        );
    }
    assert!(missing.is_empty(), "{}", missing.join("\n"));
}

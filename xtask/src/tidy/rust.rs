//! Rust files as tokens, and the rules about code: the paths it names, `unsafe`, unfinished code, module docs.

use std::str::FromStr as _;

use proc_macro2::{Delimiter, TokenStream, TokenTree};

use super::Finding;
use super::source::SourceFile;

/// The only file that may contain `unsafe`.
const UNSAFE_ROOM: &str = "storage/src/disk/mapped.rs";
const UNFINISHED: &[&str] = &["todo", "unimplemented", "dbg"];

/// What the rules want to know of a Rust file.
#[derive(Debug, Default)]
pub(super) struct Code {
    /// Every path of two or more segments, with nested `use` trees spelled out.
    pub(super) paths: Vec<Named>,
    /// Every macro that is called, and every `unsafe`.
    words: Vec<Named>,
}

/// A path or word and the line it stands on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Named {
    pub(super) name: String,
    pub(super) line: usize,
}

impl Code {
    /// `None` if it is not Rust. A file that cannot be split into tokens has no code: the compiler refuses it.
    pub(super) fn parse(file: &SourceFile) -> Option<Self> {
        let mut code = Self::default();
        if !file.is_rust() {
            return None;
        }
        if let Ok(stream) = TokenStream::from_str(&file.text) {
            code.read(stream, "");
        }
        Some(code)
    }

    /// `prefix` is the path before the braces of a `use` tree, empty elsewhere.
    fn read(&mut self, stream: TokenStream, prefix: &str) {
        let mut path = PathInProgress::new(prefix);
        let mut tokens = stream.into_iter().peekable();
        while let Some(token) = tokens.next() {
            let line = token.span().start().line;
            match token {
                TokenTree::Ident(ident) => {
                    let name = ident.to_string();
                    let called =
                        matches!(tokens.peek(), Some(TokenTree::Punct(mark)) if mark.as_char() == '!');
                    if called || name == "unsafe" {
                        self.words.push(Named { name: name.clone(), line });
                    }
                    path.segment(&name, line, &mut self.paths);
                }
                TokenTree::Punct(mark) if mark.as_char() == ':' => path.colon(),
                TokenTree::Group(group) => {
                    let tree = group.delimiter() == Delimiter::Brace && path.is_open();
                    let inner = if tree { path.take() } else { String::new() };
                    path.end(&mut self.paths);
                    self.read(group.stream(), &inner);
                }
                TokenTree::Punct(_) | TokenTree::Literal(_) => path.end(&mut self.paths),
            }
        }
        path.end(&mut self.paths);
    }
}

/// The path that is being read: `a`, `a::`, `a::b`.
struct PathInProgress {
    prefix: String,
    name: String,
    line: usize,
    colons: usize,
}

impl PathInProgress {
    fn new(prefix: &str) -> Self {
        Self { prefix: prefix.to_owned(), name: String::new(), line: 0, colons: 0 }
    }

    fn is_open(&self) -> bool {
        self.colons == 2 && !self.name.is_empty()
    }

    fn segment(&mut self, segment: &str, line: usize, paths: &mut Vec<Named>) {
        if self.is_open() {
            self.name = format!("{}::{segment}", self.name);
            self.colons = 0;
            return;
        }
        self.end(paths);
        self.name =
            if self.prefix.is_empty() { segment.to_owned() } else { format!("{}::{segment}", self.prefix) };
        self.line = line;
    }

    fn colon(&mut self) {
        self.colons += 1;
    }

    fn take(&mut self) -> String {
        self.colons = 0;
        std::mem::take(&mut self.name)
    }

    fn end(&mut self, paths: &mut Vec<Named>) {
        let name = self.take();
        if name.contains("::") {
            paths.push(Named { name, line: self.line });
        }
    }
}

pub(super) fn check(file: &SourceFile, code: &Code) -> Vec<Finding> {
    let mut findings = Vec::new();
    if !file.text.starts_with("//!") {
        let fix = "begin the file with `//!`: what this room owns, who calls it, the invariant it keeps";
        findings.push(Finding::new(file, 1, fix));
    }
    for Named { name, line } in &code.words {
        if UNFINISHED.contains(&name.as_str()) {
            let fix = format!("`{name}!` is unfinished code: finish it or leave the feature out");
            findings.push(Finding::new(file, *line, fix));
        }
        if name == "unsafe" && file.path != UNSAFE_ROOM {
            let fix =
                format!("`unsafe` is only for {UNSAFE_ROOM}: call its safe functions, or add one there");
            findings.push(Finding::new(file, *line, fix));
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(text: &str) -> Vec<(String, usize)> {
        let code = Code::parse(&SourceFile::new("a.rs", text)).expect("it is Rust");
        code.paths.into_iter().map(|path| (path.name, path.line)).collect()
    }

    fn check_text(path: &str, text: &str) -> Vec<Finding> {
        let file = SourceFile::new(path, text);
        let code = Code::parse(&file).expect("it is Rust");
        check(&file, &code)
    }

    #[test]
    fn use_trees_are_spelled_out() {
        let found = paths("use std::{\n    fs,\n    sync::{Arc, Mutex as M},\n};\nfn f() { a::b::<u8>(c) }");
        let names: Vec<_> = found.iter().map(|(name, line)| (name.as_str(), *line)).collect();
        for wanted in [("std::fs", 2), ("std::sync::Arc", 3), ("std::sync::Mutex", 3), ("a::b", 5)] {
            assert!(names.contains(&wanted), "{wanted:?} is not in {names:?}");
        }
    }

    #[test]
    fn types_after_a_colon_and_fields_are_no_paths() {
        assert_eq!(paths("struct S { tokio: u8 } fn f(storage: S) -> u8 { storage.tokio }"), []);
    }

    #[test]
    fn comments_and_strings_are_not_code() {
        let text = "//! About unsafe and todo!().\n/// tokio::spawn\nconst A: &str = \"unsafe { dbg!(tokio::spawn) }\";\n";
        assert_eq!(check_text("broker/src/a.rs", text), []);
        assert_eq!(paths(text), []);
    }

    #[test]
    fn unsafe_is_found_by_line_outside_its_room() {
        let text = "//! Doc.\nfn f() {\n    unsafe { g() }\n}\n";
        assert_eq!(check_text("storage/src/read.rs", text)[0].line, 3);
        assert_eq!(check_text(UNSAFE_ROOM, text), []);
    }

    #[test]
    fn unfinished_code_is_found_inside_macros_and_functions() {
        let text = "//! Doc.\nfn f() { assert!(matches!(todo!(), 1)); dbg!(2); }\nfn todo() { todo() }\n";
        let lines: Vec<_> = check_text("broker/src/a.rs", text).iter().map(|one| one.line).collect();
        assert_eq!(lines, [2, 2]);
    }

    #[test]
    fn file_without_module_docs_is_found() {
        assert!(check_text("broker/src/a.rs", "use std::fs;\n")[0].message.contains("`//!`"));
    }
}

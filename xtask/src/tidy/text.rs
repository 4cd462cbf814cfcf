//! Rules about any text file: stray words, white space, characters that only look like others, names of one machine.

use super::Finding;
use super::source::SourceFile;

/// Spelled in halves, so that this file does not trip over itself.
const WORDS: &[&str] = &[concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X")];

/// Folders that exist only on some machine.
const MACHINE_PATHS: &[&str] = &[
    concat!("/wo", "rk/"),
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("/Us", "ers/"),
    concat!("/tm", "p/"),
];

/// Package clients know their registries; naming a host breaks mirrors.
const REGISTRY_HOSTS: &[&str] = &[
    concat!("crates", ".io"),
    concat!("pypi", ".org"),
    concat!("pythonhosted", ".org"),
    concat!("npmjs", ".org"),
    concat!("npmjs", ".com"),
    concat!("proxy.golang", ".org"),
    concat!("sum.golang", ".org"),
    concat!("repo.maven.apache", ".org"),
    concat!("repo1.maven", ".org"),
    concat!("deb.debian", ".org"),
];

/// Characters that look like an ASCII one or like nothing, with what to type instead.
const LOOKALIKES: &[(char, &str)] = &[
    ('\u{2010}', "-"),
    ('\u{2011}', "-"),
    ('\u{2012}', "-"),
    ('\u{2013}', "-"),
    ('\u{2014}', "a comma or a colon"),
    ('\u{2018}', "'"),
    ('\u{2019}', "'"),
    ('\u{201c}', "\""),
    ('\u{201d}', "\""),
    ('\u{2026}', "..."),
    ('\u{2190}', "<-"),
    ('\u{2192}', "->"),
    ('\u{2212}', "-"),
    ('\u{2264}', "<="),
    ('\u{2265}', ">="),
    ('\u{a0}', "a space"),
    ('\u{ad}', "nothing"),
    ('\u{200b}', "nothing"),
    ('\u{feff}', "nothing"),
];

pub(super) fn check(file: &SourceFile) -> Vec<Finding> {
    if file.is_lock_file() {
        return Vec::new();
    }
    let mut findings = Vec::new();
    if let Some(line) = file.text.split('\n').position(|line| line.ends_with('\r')) {
        findings.push(Finding::new(file, line + 1, "carriage return: end lines with a line feed only"));
    }
    for (index, line) in file.text.lines().enumerate() {
        findings.extend(check_line(line).into_iter().map(|message| Finding::new(file, index + 1, message)));
    }
    if !file.text.is_empty() && !file.text.ends_with('\n') {
        findings.push(Finding::new(file, file.text.lines().count(), "end the last line with a line feed"));
    }
    findings
}

fn check_line(line: &str) -> Vec<String> {
    let mut messages = Vec::new();
    if line.ends_with([' ', '\t']) {
        messages.push("blank at the end of the line: remove it".to_owned());
    }
    for word in WORDS.iter().filter(|word| has_word(line, word)) {
        messages.push(format!("`{word}`: do it now, or file an issue and say here what holds today"));
    }
    for path in MACHINE_PATHS.iter().filter(|path| line.contains(**path)) {
        messages.push(format!("`{path}` is a path of one machine: derive it, or use a relative one"));
    }
    for host in REGISTRY_HOSTS.iter().filter(|host| line.contains(**host)) {
        messages.push(format!(
            "`{host}` is a registry's host: name the package, its client knows where it lives"
        ));
    }
    for (character, instead) in LOOKALIKES.iter().filter(|(character, _)| line.contains(*character)) {
        messages.push(format!("character U+{:04X}: type {instead} instead", u32::from(*character)));
    }
    messages
}

fn has_word(line: &str, word: &str) -> bool {
    let is_letter = |letter: char| letter.is_alphanumeric() || letter == '_';
    line.match_indices(word).any(|(start, _)| {
        let (before, after) = (&line[..start], &line[start + word.len()..]);
        !before.ends_with(is_letter) && !after.starts_with(is_letter)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn messages(text: &str) -> Vec<String> {
        check(&SourceFile::new("docs/a.md", text)).into_iter().map(|finding| finding.message).collect()
    }

    #[test]
    fn every_stray_word_path_host_and_lookalike_is_found() {
        let words = WORDS.iter().chain(MACHINE_PATHS).chain(REGISTRY_HOSTS).map(|part| (*part).to_owned());
        let characters = LOOKALIKES.iter().map(|(character, _)| character.to_string());
        for part in words.chain(characters) {
            assert_eq!(messages(&format!("a line with {part} in it\n")).len(), 1, "{part}");
        }
    }

    #[test]
    fn words_inside_other_words_are_fine() {
        for word in WORDS {
            assert_eq!(messages(&format!("{word}S and a_{word} and MY{word}\n")), Vec::<String>::new());
        }
    }

    #[test]
    fn white_space_at_line_and_file_ends_is_found() {
        for text in ["a \n", "a\t\n", "a\r\nb\r\n", "a"] {
            assert_eq!(messages(text).len(), 1, "{text:?}");
        }
        assert_eq!(messages("a\n\nb\n"), Vec::<String>::new());
    }

    #[test]
    fn letters_of_other_languages_and_section_signs_are_fine() {
        assert_eq!(messages("see \u{a7}4, \u{e9} and \u{65e5}\u{672c}\n"), Vec::<String>::new());
    }

    #[test]
    fn lock_files_are_the_package_managers_business() {
        let text = format!("source = \"registry+{}\"\n", REGISTRY_HOSTS[0]);
        assert_eq!(check(&SourceFile::new("Cargo.lock", &text)), []);
    }
}

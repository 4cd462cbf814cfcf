//! Shell completions and manual pages, as shells and `man` get them.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on should say where")]

use std::io::Write as _;
use std::process::Command;

fn onelog(arguments: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_onelog")).args(arguments).output().unwrap();
    (output.status.success(), String::from_utf8([output.stdout, output.stderr].concat()).unwrap())
}

/// Kafka's tools, as the binary names them.
fn tools() -> Vec<String> {
    let (good, names) = onelog(&["tool", "--names"]);
    assert!(good && names.lines().count() >= 10, "{names}");
    names.lines().map(str::to_owned).collect()
}

/// What bash offers for the last of `words`.
fn offered(script: &str, function: &str, words: &[&str]) -> String {
    let words_before = words.len() - 1;
    let last = words[words_before];
    let program = format!(
        "{script}\nCOMP_WORDS=({})\nCOMP_CWORD={words_before}\n{function} {} '{last}' ''\necho \"${{COMPREPLY[@]}}\"",
        words.join(" "),
        words[0],
    );
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(program.as_bytes()).unwrap();
    let output = Command::new("bash").arg("--norc").arg(file.path()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}

#[test]
fn bash_completes_the_flags_of_onelog_and_of_each_tool() {
    let (good, script) = onelog(&["completions", "bash"]);
    assert!(good, "{script}");
    assert_eq!(offered(&script, "_onelog", &["onelog", "--adv"]), "--advertise");
    assert_eq!(offered(&script, "_onelog", &["onelog", "log", "sal"]), "salvage");
    assert_eq!(offered(&script, "_onelog", &["onelog", "topics", "--bo"]), "--bootstrap-server");
    assert_eq!(offered(&script, "_kafka__topics", &["kafka-topics", "--if-n"]), "--if-not-exists");
    assert_eq!(offered(&script, "_cub", &["cub", "kafka-r"]), "kafka-ready");
    for tool in tools() {
        assert!(script.contains(&format!(" {tool}\n")), "{tool}");
    }
}

#[test]
fn each_shell_has_a_script_for_one_command_too() {
    for (shell, mark) in
        [("bash", "complete -F"), ("zsh", "#compdef kafka-topics"), ("fish", "complete -c kafka-topics")]
    {
        let (good, script) = onelog(&["completions", shell, "kafka-topics"]);
        assert!(good && script.contains(mark), "{shell}: {script}");
        assert!(!script.contains("kafka-configs"), "{shell}");
    }
    let (good, said) = onelog(&["completions", "fish", "nothing"]);
    assert!(
        !good && said.contains("there is no command \"nothing\"; there are: onelog, kafka-topics"),
        "{said}"
    );
    assert!(!onelog(&["completions", "csh"]).0);
}

#[test]
fn every_command_and_every_tool_has_a_manual_page() {
    let dir = tempfile::tempdir().unwrap();
    let pages = dir.path().join("man1");
    assert!(onelog(&["man", pages.to_str().unwrap()]).0);
    let own = ["onelog", "onelog-dev", "onelog-log-salvage", "onelog-config-print"];
    for name in own.map(str::to_owned).into_iter().chain(tools()) {
        let page = std::fs::read_to_string(pages.join(format!("{name}.1"))).unwrap();
        assert!(page.contains(&format!(".TH {name} 1")), "{name}");
    }
    let (good, page) = onelog(&["man"]);
    assert!(good && page.contains("durable by default") && page.contains("Run one of Kafka"), "{page}");
}

//! One named step: says what it runs, runs it, says how long it took. Every command of this crate is a sequence of these.
//!
//! Invariant: a step that fails is an error that names it. Steps have no time limit of their own: tests bound what they
//! wait for, and `.ci/run` bounds the whole.

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

/// Prints one line.
#[expect(
    clippy::print_stdout,
    reason = "commands talk to whoever started them; as `println!`, tests capture it"
)]
pub(crate) fn say(line: &str) {
    println!("{line}");
}

/// Runs `command` as the step `name`.
///
/// # Errors
/// It cannot be started or ends with a failure.
pub(crate) fn run(name: &str, command: &mut Command) -> Result<()> {
    announce(name, &words(command));
    timed(name, || {
        let status = spawn(command)?.wait()?;
        ensure!(status.success(), "`{}` ended with {status}", words(command));
        Ok(())
    })
}

/// The same for a command whose standard output is handed to `each_line` besides being printed.
///
/// # Errors
/// As [`run`].
pub(crate) fn run_reading(name: &str, command: &mut Command, mut each_line: impl FnMut(&str)) -> Result<()> {
    announce(name, &words(command));
    timed(name, || {
        let mut child = spawn(command.stdout(Stdio::piped()))?;
        let output = child.stdout.take().context("the output is piped")?;
        for line in BufReader::new(output).lines() {
            let line = line?;
            each_line(&line);
            say(&line);
        }
        let status = child.wait()?;
        ensure!(status.success(), "`{}` ended with {status}", words(command));
        Ok(())
    })
}

/// Whether `command` succeeds within `limit`, without a word of its output; `false` also when it cannot be started.
pub(crate) fn succeeds(command: &mut Command, limit: Duration) -> bool {
    let quiet = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let status = spawn(quiet).and_then(|child| wait(child, limit));
    status.is_ok_and(|status| status.success())
}

/// Says that a step begins.
pub(crate) fn announce(name: &str, what: &str) {
    say(&format!("\n==> {name}: {what}"));
}

/// Runs `body` as the step `name`, already announced, and says how long it took.
///
/// # Errors
/// Those of `body`, with the step's name.
#[expect(clippy::disallowed_methods, reason = "commands take the time of this machine's clock")]
pub(crate) fn timed(name: &str, body: impl FnOnce() -> Result<()>) -> Result<()> {
    let started = Instant::now();
    let result = body().with_context(|| format!("step {name} failed"));
    let word = if result.is_ok() { "ok" } else { "FAILED" };
    say(&format!("==> {name}: {word} in {:.1} s", started.elapsed().as_secs_f64()));
    result
}

fn spawn(command: &mut Command) -> Result<Child> {
    command.spawn().with_context(|| format!("cannot start `{}`", words(command)))
}

#[expect(clippy::disallowed_methods, reason = "commands take the time of this machine's clock")]
fn wait(mut child: Child, limit: Duration) -> Result<ExitStatus> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if started.elapsed() > limit {
            child.kill()?;
            child.wait()?;
            bail!("it did not end within {} s and was killed", limit.as_secs());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}

fn words(command: &Command) -> String {
    let environment = command
        .get_envs()
        .filter_map(|(name, value)| Some(format!("{}={}", name.to_string_lossy(), value?.to_string_lossy())));
    let program = Path::new(command.get_program()).file_name().unwrap_or(command.get_program());
    let arguments =
        std::iter::once(program).chain(command.get_args()).map(|word| word.to_string_lossy().into_owned());
    environment.chain(arguments).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failure_names_the_step_and_the_command() {
        let error = run("lists", Command::new("ls").arg("/no/such/place").stderr(Stdio::null()))
            .expect_err("it fails");
        let text = format!("{error:#}");
        assert!(text.starts_with("step lists failed: `ls /no/such/place` ended with"), "{text}");
    }

    #[test]
    fn missing_program_is_an_error_that_names_it() {
        let error = run("none", &mut Command::new("no-such-program")).expect_err("it fails");
        assert!(format!("{error:#}").contains("cannot start `no-such-program`"));
    }

    #[test]
    fn lines_are_handed_over_in_order() {
        let mut lines = Vec::new();
        run_reading("prints", Command::new("printf").arg("a\\nb\\n"), |line| lines.push(line.to_owned()))
            .expect("it runs");
        assert_eq!(lines, ["a", "b"]);
    }

    #[test]
    fn command_that_does_not_end_is_killed_at_its_limit() {
        assert!(!succeeds(Command::new("sleep").arg("600"), Duration::from_millis(60)));
    }
}

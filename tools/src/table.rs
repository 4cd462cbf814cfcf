//! Tables as Kafka's tools print them, for all tools: columns as wide as Kafka makes them, and on a terminal a heading that
//! stands out.
//!
//! Invariant: what is not a terminal gets the same bytes as from Kafka's tools, because scripts cut columns out of them.

use std::io::{self, IsTerminal as _, Write};
use std::sync::OnceLock;

use crate::failure::Outcome;

const BOLD: &str = "\x1b[1m";
const YELLOW: &str = "\x1b[33m";
const PLAIN: &str = "\x1b[0m";

/// Whether standard output is for a person who wants colours.
static COLOURS: OnceLock<bool> = OnceLock::new();

/// Looks once where standard output goes. Without this call nothing is coloured. `NO_COLOR` is heeded (no-color.org).
pub(crate) fn look_at_terminal() {
    COLOURS.get_or_init(|| {
        let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        let dumb = std::env::var_os("TERM").is_none_or(|kind| kind == "dumb");
        io::stdout().is_terminal() && !set("NO_COLOR") && !dumb
    });
}

/// A column of a table.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Column {
    title: &'static str,
    /// Characters at least.
    width: usize,
    /// As wide as the longest value; a title never widens a column.
    grows: bool,
    /// Numbers above zero stand out.
    notable: bool,
}

/// One that is never wider or narrower than `width`, but for longer values.
pub(crate) const fn fixed(title: &'static str, width: usize) -> Column {
    Column { title, width, grows: false, notable: false }
}

/// One that is as wide as its longest value, `width` at least.
pub(crate) const fn growing(title: &'static str, width: usize) -> Column {
    Column { title, width, grows: true, notable: false }
}

/// As [`fixed`], and numbers above zero stand out.
pub(crate) const fn notable(title: &'static str, width: usize) -> Column {
    Column { title, width, grows: false, notable: true }
}

/// A line above others, as it is but on a terminal.
pub(crate) fn heading(line: String) -> String {
    if COLOURS.get().copied().unwrap_or(false) { format!("{BOLD}{line}{PLAIN}") } else { line }
}

/// Writes the titles and `rows`, which have a value for each column.
pub(crate) fn write(columns: &[Column], rows: &[Vec<String>], out: &mut dyn Write) -> Outcome {
    write_with(COLOURS.get().copied().unwrap_or(false), columns, rows, out)
}

fn write_with(colours: bool, columns: &[Column], rows: &[Vec<String>], out: &mut dyn Write) -> Outcome {
    let mut widths: Vec<usize> = columns.iter().map(|column| column.width).collect();
    for row in rows {
        for ((width, column), value) in widths.iter_mut().zip(columns).zip(row) {
            if column.grows {
                *width = value.chars().count().max(*width);
            }
        }
    }
    let titles: Vec<String> = columns.iter().map(|column| column.title.to_owned()).collect();
    let heading = line(&titles, &widths, |_, cell| cell);
    if colours {
        writeln!(out, "{BOLD}{heading}{PLAIN}")?
    } else {
        writeln!(out, "{heading}")?
    }
    for row in rows {
        let paint = |index: usize, cell: String| {
            let notable = columns[index].notable && row[index].parse::<i64>().is_ok_and(|number| number > 0);
            if colours && notable { format!("{YELLOW}{cell}{PLAIN}") } else { cell }
        };
        writeln!(out, "{}", line(row, &widths, paint))?;
    }
    Ok(())
}

fn line(values: &[String], widths: &[usize], paint: impl Fn(usize, String) -> String) -> String {
    let cells = values.iter().zip(widths).enumerate();
    let cells: Vec<String> =
        cells.map(|(index, (value, width))| paint(index, format!("{value:<width$}"))).collect();
    cells.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: &[Column] = &[growing("TOPIC", 3), notable("LAG", 5), fixed("HOST", 0)];

    fn written(colours: bool) -> String {
        let row = |topic: &str, lag: &str| vec![topic.to_owned(), lag.to_owned(), "/127.0.0.1".to_owned()];
        let mut out = Vec::new();
        write_with(colours, COLUMNS, &[row("orders", "0"), row("b", "17")], &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn columns_are_as_wide_as_their_values_and_the_last_one_is_not_padded() {
        assert_eq!(written(false), "TOPIC  LAG   HOST\norders 0     /127.0.0.1\nb      17    /127.0.0.1\n");
    }

    #[test]
    fn a_terminal_gets_the_same_characters_with_a_heading_and_numbers_that_stand_out() {
        let coloured = written(true);
        assert!(coloured.starts_with("\x1b[1mTOPIC  LAG   HOST\x1b[0m\n"), "{coloured:?}");
        assert!(coloured.contains("\x1b[33m17   \x1b[0m") && !coloured.contains("\x1b[33m0"), "{coloured:?}");
        let plain = [BOLD, YELLOW, PLAIN].iter().fold(coloured, |text, code| text.replace(code, ""));
        assert_eq!(plain, written(false));
    }
}

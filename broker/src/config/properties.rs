//! Java `.properties` syntax (`java.util.Properties.load`): comments, separators, continued lines, escapes.
//!
//! Called by `config`. Text in, key and value with the line they start on out; no meaning is attached here. Text is UTF-8
//! (Java's reader form), which ISO-8859-1 files of plain ASCII are too.

/// One `key = value`.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Property {
    pub(super) key: String,
    pub(super) value: String,
    /// First line of it, from 1.
    pub(super) line: usize,
}

/// All properties in file order. An error is the line and what is wrong there.
pub(super) fn parse(bytes: &[u8]) -> Result<Vec<Property>, (usize, String)> {
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = bytes[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count() + 1;
        (line, "not UTF-8 text; save the file as UTF-8 or write such letters as \\uXXXX".to_owned())
    })?;
    let mut lines = text.lines().zip(1..).map(|(line, number)| (line.trim_start_matches(BLANK), number));
    let mut properties = Vec::new();
    while let Some((first, line)) = lines.next() {
        if first.is_empty() || first.starts_with(['#', '!']) {
            continue;
        }
        let mut logical = first.to_owned();
        while continues(&logical) {
            logical.pop();
            match lines.next() {
                Some((next, _)) => logical.push_str(next),
                None => break,
            }
        }
        properties.push(split(&logical, line)?);
    }
    Ok(properties)
}

const BLANK: [char; 3] = [' ', '\t', '\x0c'];

/// An odd number of backslashes at the end continues the line; an even number is escaped backslashes.
fn continues(line: &str) -> bool {
    line.bytes().rev().take_while(|byte| *byte == b'\\').count() % 2 == 1
}

/// The key ends at the first unescaped `=`, `:` or blank; blanks around one `=` or `:` belong to neither side.
fn split(logical: &str, line: usize) -> Result<Property, (usize, String)> {
    let mut escaped = false;
    let key_end = logical.find(|c| {
        let ends = !escaped && (c == '=' || c == ':' || BLANK.contains(&c));
        escaped = c == '\\' && !escaped;
        ends
    });
    let (key, rest) = logical.split_at(key_end.unwrap_or(logical.len()));
    let rest = rest.trim_start_matches(BLANK);
    let value = rest.strip_prefix(['=', ':']).unwrap_or(rest).trim_start_matches(BLANK);
    Ok(Property { key: unescape(key, line)?, value: unescape(value, line)?, line })
}

fn unescape(text: &str, line: usize) -> Result<String, (usize, String)> {
    let mut plain = String::with_capacity(text.len());
    // `\uXXXX` are UTF-16 units: letters beyond the first plane come as two of them.
    let mut units: Vec<u16> = Vec::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c != '\\' {
            flush_units(&mut units, &mut plain, line)?;
            plain.push(c);
            continue;
        }
        match chars.next() {
            Some('u') => {
                let digits: String = chars.by_ref().take(4).collect();
                let unit = (digits.len() == 4).then(|| u16::from_str_radix(&digits, 16).ok()).flatten();
                units.push(unit.ok_or_else(|| {
                    (line, format!("\\u{digits} is no letter; \\u takes four hexadecimal digits"))
                })?);
                continue;
            }
            other => {
                flush_units(&mut units, &mut plain, line)?;
                plain.extend(other.map(|c| match c {
                    't' => '\t',
                    'n' => '\n',
                    'r' => '\r',
                    'f' => '\x0c',
                    other => other,
                }));
            }
        }
    }
    flush_units(&mut units, &mut plain, line)?;
    Ok(plain)
}

fn flush_units(units: &mut Vec<u16>, plain: &mut String, line: usize) -> Result<(), (usize, String)> {
    let text = String::from_utf16(units)
        .map_err(|_| (line, "\\u escapes form half a surrogate pair; write both halves".to_owned()))?;
    plain.push_str(&text);
    units.clear();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Property, parse};

    fn pairs(text: &str) -> Vec<(String, String)> {
        parse(text.as_bytes()).unwrap().into_iter().map(|Property { key, value, .. }| (key, value)).collect()
    }

    fn pair(key: &str, value: &str) -> (String, String) {
        (key.to_owned(), value.to_owned())
    }

    #[test]
    fn separators_are_equals_colon_and_blank() {
        let expected = vec![
            pair("a", "1"),
            pair("b", "2"),
            pair("c", "3"),
            pair("d", "= 4"),
            pair("e", ""),
            pair("f", "g h "),
        ];
        assert_eq!(pairs("a=1\nb : 2\n  c\t3\nd = = 4\ne\nf=g h \n"), expected);
    }

    #[test]
    fn comments_and_blank_lines_are_skipped() {
        assert_eq!(pairs("# a=1\n  ! b=2\n\n \t\nc=3 # kept\r\n"), vec![pair("c", "3 # kept")]);
    }

    #[test]
    fn a_backslash_continues_the_line_and_an_even_number_does_not() {
        assert_eq!(
            pairs("a=1,\\\n   2,\\\n\t3\nb=c\\\\\nd=4\ne=5\\"),
            vec![pair("a", "1,2,3"), pair("b", "c\\"), pair("d", "4"), pair("e", "5")]
        );
    }

    #[test]
    fn a_comment_sign_inside_a_continued_line_is_text() {
        assert_eq!(pairs("a=1\\\n#2\n"), vec![pair("a", "1#2")]);
    }

    #[test]
    fn escapes_are_undone_in_keys_and_values() {
        assert_eq!(
            pairs(r"a\ b\=c\:d=\t\u00e9\uD83D\uDE00\q\\"),
            vec![pair("a b=c:d", "\t\u{e9}\u{1f600}q\\")]
        );
    }

    #[test]
    fn lines_are_counted_over_continuations() {
        let lines: Vec<usize> =
            parse(b"#\na=1\\\n2\n\nb=2").unwrap().iter().map(|property| property.line).collect();
        assert_eq!(lines, vec![2, 5]);
    }

    #[test]
    fn bad_escapes_and_bad_text_name_their_line() {
        assert_eq!(parse(b"a=1\nb=\\u12").unwrap_err().0, 2);
        assert_eq!(parse(b"b=\\uD83D").unwrap_err().0, 1);
        assert_eq!(parse(b"a=1\n\nb=\xff").unwrap_err().0, 3);
    }
}

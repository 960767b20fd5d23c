//! Reads a conversation, line by line.

use std::time::Duration;

use super::{
    decoding::version_of_connect,
    language::{Action, Clients, Script, Step},
    packet_text,
    words::{self, Token},
};

type Result<T> = std::result::Result<T, String>;

/// Reads the conversation `text` of `file`.
///
/// # Errors
/// File, line and what is wrong there.
pub fn parse(file: &str, text: &str) -> Result<Script> {
    let mut script = Script {
        file: file.to_owned(),
        title: String::new(),
        clauses: Vec::new(),
        settings: Vec::new(),
        is_for_memory_only: false,
        steps: Vec::new(),
    };
    for (line, text) in (1..).zip(text.lines()) {
        script.read_line(line, text.trim()).map_err(|error| format!("{file}:{line}: {error}\n    {text}"))?;
    }
    if script.title.is_empty() || script.steps.is_empty() {
        return Err(format!(
            "{file}: a conversation begins with a comment that states a fact, and then shows it"
        ));
    }
    Ok(script)
}

impl Script {
    fn read_line(&mut self, line: usize, text: &str) -> Result<()> {
        let Some((head, rest)) = text.split_once(' ').or((!text.is_empty()).then_some((text, ""))) else {
            return Ok(());
        };
        let rest = rest.trim();
        let action = match head {
            "#" => {
                self.read_comment(rest);
                return Ok(());
            }
            "=" => return self.read_setting(rest),
            "@" => Action::Advance(duration(rest)?),
            "!" if rest == "crash and restart" => Action::CrashAndRestart,
            "!" => return Err("`!` knows only `crash and restart`".into()),
            _ => match self.read_spoken(clients(head)?, rest)? {
                Some(action) => action,
                None => {
                    let step = self.steps.last_mut().expect("a group has a beginning");
                    step.text.push_str("\n    ");
                    step.text.push_str(text);
                    return Ok(());
                }
            },
        };
        self.steps.push(Step { line, text: text.to_owned(), action });
        Ok(())
    }

    fn read_comment(&mut self, comment: &str) {
        if self.title.is_empty() {
            self.title = comment.split(" [").next().unwrap_or(comment).trim().to_owned();
        }
        for tag in comment.split('[').skip(1).filter_map(|rest| rest.split(']').next()) {
            if tag.starts_with("MQTT-") || tag.starts_with("MQTT3-") {
                self.clauses.push(tag.to_owned());
            }
        }
    }

    /// `= maximum_qos 1`
    fn read_setting(&mut self, setting: &str) -> Result<()> {
        if !self.steps.is_empty() {
            return Err("settings stand before the first step".into());
        }
        if setting == "only memory" {
            self.is_for_memory_only = true;
            return Ok(());
        }
        let (key, value) = setting.split_once(' ').ok_or("a setting has a key and a value")?;
        self.settings.push((key.to_owned(), value.trim().to_owned()));
        Ok(())
    }

    /// A line of a Client; `None` for one that belongs to the step before.
    fn read_spoken(&mut self, clients: Clients, rest: &str) -> Result<Option<Action>> {
        if rest == "cut" {
            return Ok(Some(Action::Cut(clients)));
        }
        let (direction, what) =
            rest.split_once(' ').ok_or("after the Client stands `>`, `<`, `|` or `cut`")?;
        Ok(Some(match (direction, what.trim()) {
            (">", raw) if raw.starts_with("raw ") => {
                let bytes = raw_bytes(&raw["raw ".len()..])?;
                let version = version_of_connect(&bytes);
                Action::SendRaw(clients, bytes, version)
            }
            (">", packet) => Action::Send(clients, Box::new(packet_text::read(words::split(packet)?)?)),
            ("<", "nothing") => Action::ExpectNothing(clients),
            ("<", "closed") => Action::ExpectClosed(clients),
            ("<", packet) => Action::Expect(clients, vec![packet_text::read(words::split(packet)?)?]),
            ("|", packet) => {
                let packet = packet_text::read(words::split(packet)?)?;
                match self.steps.last_mut().map(|step| &mut step.action) {
                    Some(Action::Expect(first, group)) if *first == clients => group.push(packet),
                    _ => return Err("a `|` line follows a `<` or `|` line of the same Client".into()),
                }
                return Ok(None);
            }
            (direction, _) => return Err(format!("`{direction}` is none of `>`, `<`, `|`, `cut`")),
        }))
    }
}

/// `pub`, or `a|b`
fn clients(names: &str) -> Result<Clients> {
    let names: Vec<String> = names.split('|').map(str::to_owned).collect();
    let is_name = |name: &String| {
        !name.is_empty() && name.chars().all(|letter| letter.is_ascii_lowercase() || letter.is_ascii_digit())
    };
    if names.iter().all(is_name) {
        return Ok(Clients(names));
    }
    Err("a line begins with #, =, @, ! or with a Client, whose name has small letters and digits".into())
}

/// `+5s`, `+500ms`
fn duration(text: &str) -> Result<Duration> {
    let number = text.strip_prefix('+').ok_or("time only goes on: `@ +5s`")?;
    let (digits, unit) =
        number.split_at(number.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(number.len()));
    let count: u64 = digits.parse().map_err(|_| "`@ +5s` needs a number")?;
    match unit {
        "s" => Ok(Duration::from_secs(count)),
        "ms" => Ok(Duration::from_millis(count)),
        _ => Err("the unit of time is s or ms".into()),
    }
}

/// `10 0c 00 04 "MQTT" 05`
fn raw_bytes(text: &str) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    for token in words::split(text)? {
        match token {
            Token::Text(text) => bytes.extend(text),
            Token::Word(hex) if hex.len() == 2 => {
                bytes.push(u8::from_str_radix(&hex, 16).map_err(|_| format!("`{hex}` is no byte"))?);
            }
            other => return Err(format!("{other:?} is no byte and no text")),
        }
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_conversation_is_read() {
        let tags = ["MQTT-3.8.4-4", "MQTT3-3.3.1-6", "MQTT-4.3.1-1"];
        let head =
            format!("# A fact.   [{}] [{}] [no tag]\n# More about it. [{}]\n", tags[0], tags[1], tags[2]);
        let text = head
            + r#"= maximum_qos 1

pub > CONNECT id=pub v5 clean
pub < CONNACK Success ...
pub > raw c0 00
@ +2s
sub < PUBLISH a "1"
sub | PUBLISH b "2"
a|b < nothing
pub cut
pub < closed
! crash and restart
"#;
        let script = parse("x.txt", &text).expect("it is well formed");
        assert_eq!(script.title, "A fact.");
        assert_eq!(script.clauses, tags);
        assert_eq!(script.settings, [("maximum_qos".to_owned(), "1".to_owned())]);
        let lines: Vec<usize> = script.steps.iter().map(|step| step.line).collect();
        assert_eq!(lines, [5, 6, 7, 8, 9, 11, 12, 13, 14]);
        assert!(matches!(&script.steps[2].action, Action::SendRaw(_, bytes, None) if bytes == &[0xC0, 0]));
        assert!(matches!(&script.steps[4].action, Action::Expect(_, group) if group.len() == 2));
        assert!(matches!(&script.steps[5].action, Action::ExpectNothing(Clients(names)) if names.len() == 2));
    }

    #[test]
    fn mistakes_are_told_with_file_and_line() {
        for line in [
            "pub > CONNECT v5",
            "pub > PUBLISH a",
            "pub >",
            "Pub > PINGREQ",
            "pub < PUBACK 1 GrantedQoS1",
            "pub | PINGRESP",
            "@ 5s",
            "! break it",
            "pub > PUBLISH a \"x\" colour=1",
            "pub > raw 1",
        ] {
            let error = parse("x.txt", &format!("# A fact.\n\n{line}\n")).expect_err(line);
            assert!(error.starts_with("x.txt:3: "), "{error}");
        }
    }
}

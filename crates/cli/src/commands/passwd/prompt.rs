//! Asks for a password.

use std::io::{self, BufRead, Read, Write};

use rustix::{
    stdio::stdin,
    termios::{LocalModes, OptionalActions, Termios, isatty, tcgetattr, tcsetattr},
};

/// What was typed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Given {
    Password(Vec<u8>),
    TwoThatDiffer,
    Nothing,
}

/// Asks twice at a terminal, without showing what is typed. Otherwise the first line counts, and the second one, if there is
/// one, must be the same.
pub(super) fn ask(user: &str) -> io::Result<Given> {
    let mut input = io::stdin().lock();
    if !isatty(stdin()) {
        return from_lines(&mut input);
    }
    let silence = Silence::begin()?;
    let first = ask_once(&format!("Password for {user}: "), &mut input)?;
    let Some(first) = first else { return Ok(Given::Nothing) };
    let second = ask_once("The same again: ", &mut input)?;
    drop(silence);
    Ok(match second {
        None => Given::Nothing,
        Some(second) if second == first => Given::Password(first),
        Some(_) => Given::TwoThatDiffer,
    })
}

fn ask_once(question: &str, input: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut screen = io::stderr();
    write!(screen, "{question}")?;
    screen.flush()?;
    let line = line(input)?;
    writeln!(screen)?;
    // Ctrl-C is a character as long as it is silent.
    Ok(line.filter(|line| !line.contains(&CTRL_C)))
}

fn from_lines(input: &mut impl BufRead) -> io::Result<Given> {
    let Some(first) = line(input)? else { return Ok(Given::Nothing) };
    Ok(match line(input)? {
        Some(second) if second != first => Given::TwoThatDiffer,
        _ => Given::Password(first),
    })
}

/// A line without its end; nothing at the end of the input.
fn line(input: &mut impl BufRead) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    if input.take(LINE_BYTES_MAX).read_until(b'\n', &mut line)? == 0 {
        return Ok(None);
    }
    if line.ends_with(b"\n") {
        line.pop();
        if line.ends_with(b"\r") {
            line.pop();
        }
    }
    Ok(Some(line))
}

/// The terminal shows nothing as long as this lives, and no signal can leave it so.
struct Silence {
    before: Termios,
}

impl Silence {
    fn begin() -> io::Result<Self> {
        let before = tcgetattr(stdin())?;
        let mut silent = before.clone();
        silent.local_modes.remove(LocalModes::ECHO | LocalModes::ISIG);
        tcsetattr(stdin(), OptionalActions::Flush, &silent)?;
        Ok(Self { before })
    }
}

impl Drop for Silence {
    fn drop(&mut self) {
        // A terminal that has gone needs nothing.
        tcsetattr(stdin(), OptionalActions::Now, &self.before).ok();
    }
}

const CTRL_C: u8 = 3;
/// More than any password may have, and the end of the line.
const LINE_BYTES_MAX: u64 = 65_538;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_bytes_without_their_end() {
        for (input, given) in [
            (&b"secret\n"[..], Given::Password(b"secret".into())),
            (b"secret", Given::Password(b"secret".into())),
            (b" a\xff \r\n", Given::Password(b" a\xff ".into())),
            (b"secret\nsecret\n", Given::Password(b"secret".into())),
            (b"secret\nSecret\n", Given::TwoThatDiffer),
            (b"\n", Given::Password(Vec::new())),
            (b"", Given::Nothing),
        ] {
            assert_eq!(from_lines(&mut &*input).unwrap(), given, "{input:?}");
        }
    }
}

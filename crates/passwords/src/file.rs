//! A file of users: `name:hash` in each line, comments and empty lines between them, as `mosquitto_passwd` writes it.

use std::{collections::HashMap, fmt, str};

use crate::{
    error::HashError,
    hash::{Algorithm, PasswordHash},
};

/// The users of a file, with the lines in between, in their order.
#[derive(Clone, Default)]
pub struct PasswordFile {
    lines: Vec<Line>,
}

/// Something in a file that is neither a user nor a comment. Such a file has no users at all.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct FileError {
    /// Which line, from 1.
    pub line: usize,
    /// What is wrong there.
    pub problem: Problem,
}

/// What is wrong in a line, and what was expected; the line itself is not shown, as it may hold a password.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Problem {
    /// Bytes that are no text.
    #[error("this is no text in UTF-8; expected `name:hash`")]
    NotText,
    /// No `:`.
    #[error("there is no `:` in it; expected `name:hash`, or a comment with # at its beginning")]
    NoColon,
    /// See [`UserNameError`].
    #[error(transparent)]
    UserName(#[from] UserNameError),
    /// See [`HashError`].
    #[error(transparent)]
    Hash(#[from] HashError),
    /// The same name twice.
    #[error("the user of line {first} has a second line here; expected each user once")]
    Twice {
        /// The other line.
        first: usize,
    },
    /// More than [`BYTES_MAX`] bytes.
    #[error("the file goes on beyond {BYTES_MAX} bytes; expected a smaller one")]
    TooLong,
    /// The operating system has no random numbers.
    #[error("there are no random numbers for a salt")]
    NoRandomNumbers,
}

/// Why a name cannot stand in a file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum UserNameError {
    /// Nothing there.
    #[error("the user name is empty; expected `name:hash`")]
    Empty,
    /// CONNECT could not carry it (3.1.3.5).
    #[error("the user name is longer than 65535 bytes")]
    TooLong,
    /// It would end the name, the line, or make it a comment.
    #[error(
        "a user name cannot have `:` or control characters in it, nor begin with # or a blank, nor end with a blank"
    )]
    Unfit,
}

#[derive(Clone)]
enum Line {
    User {
        name: Box<str>,
        hash: PasswordHash,
    },
    /// A comment, or nothing.
    Other(Box<str>),
}

impl PasswordFile {
    /// Reads a whole file.
    ///
    /// # Errors
    /// [`FileError`] for the first line that is neither a user, nor a comment, nor empty.
    pub fn parse(bytes: &[u8]) -> Result<Self, FileError> {
        read(bytes, |hash| Ok(PasswordHash::parse(hash)?)).map(|lines| Self { lines })
    }

    /// Reads a file of `name:password` and hashes the passwords. What is a hash already stays as it is.
    ///
    /// # Errors
    /// As [`parse`](Self::parse).
    pub fn upgrade(bytes: &[u8], algorithm: Algorithm, iterations: Option<u32>) -> Result<Self, FileError> {
        let hashed = |password: &str| match PasswordHash::parse(password) {
            Ok(hash) => Ok(hash),
            Err(_) => PasswordHash::new(algorithm, password.as_bytes(), iterations)
                .map_err(|_| Problem::NoRandomNumbers),
        };
        read(bytes, hashed).map(|lines| Self { lines })
    }

    /// All users, in the order of the file.
    pub fn users(&self) -> impl Iterator<Item = (&str, &PasswordHash)> {
        self.lines.iter().filter_map(|line| match line {
            Line::User { name, hash } => Some((&**name, hash)),
            Line::Other(_) => None,
        })
    }

    /// Gives `name` another password, or a line at the end. Says whether the user was there.
    ///
    /// # Errors
    /// Each [`UserNameError`].
    pub fn set(&mut self, name: &str, hash: PasswordHash) -> Result<bool, UserNameError> {
        check_user_name(name)?;
        let line = Line::User { name: name.into(), hash };
        match self.position(name) {
            Some(position) => {
                self.lines[position] = line;
                Ok(true)
            }
            None => {
                self.lines.push(line);
                Ok(false)
            }
        }
    }

    /// Takes a user out; `false` if there is none of that name.
    pub fn remove(&mut self, name: &str) -> bool {
        self.position(name).map(|position| self.lines.remove(position)).is_some()
    }

    fn position(&self, wanted: &str) -> Option<usize> {
        self.lines.iter().position(|line| matches!(line, Line::User { name, .. } if **name == *wanted))
    }
}

impl fmt::Display for PasswordFile {
    /// The whole file.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.lines.iter().try_for_each(|line| match line {
            Line::User { name, hash } => writeln!(f, "{name}:{}", hash.as_str()),
            Line::Other(text) => writeln!(f, "{text}"),
        })
    }
}

impl fmt::Debug for PasswordFile {
    /// The number of users only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PasswordFile").field("users", &self.users().count()).finish()
    }
}

/// Whether `name` can stand in a file.
///
/// # Errors
/// Each [`UserNameError`].
pub fn check_user_name(name: &str) -> Result<(), UserNameError> {
    if name.is_empty() {
        return Err(UserNameError::Empty);
    }
    if name.len() > usize::from(u16::MAX) {
        return Err(UserNameError::TooLong);
    }
    let is_unfit = |c: char| c == ':' || c.is_control();
    if name.starts_with('#') || name.trim() != name || name.contains(is_unfit) {
        return Err(UserNameError::Unfit);
    }
    Ok(())
}

fn read(
    bytes: &[u8],
    hashed: impl Fn(&str) -> Result<PasswordHash, Problem>,
) -> Result<Vec<Line>, FileError> {
    let is_too_long = bytes.len() > BYTES_MAX;
    let bytes = &bytes[..bytes.len().min(BYTES_MAX)];
    let mut lines = Vec::new();
    let mut first_lines: HashMap<&str, usize> = HashMap::new();
    for (index, line) in bytes.strip_suffix(b"\n").unwrap_or(bytes).split(|&byte| byte == b'\n').enumerate() {
        let line_number = index + 1;
        let error = |problem| FileError { line: line_number, problem };
        let text = str::from_utf8(line).map_err(|_| error(Problem::NotText))?;
        let text = text.trim_end_matches('\r');
        if text.trim().is_empty() || text.starts_with('#') {
            lines.push(Line::Other(text.into()));
            continue;
        }
        let (name, rest) = text.split_once(':').ok_or(error(Problem::NoColon))?;
        check_user_name(name).map_err(|problem| error(problem.into()))?;
        if let Some(first) = first_lines.insert(name, line_number) {
            return Err(error(Problem::Twice { first }));
        }
        let hash = hashed(rest).map_err(error)?;
        lines.push(Line::User { name: name.into(), hash });
    }
    if is_too_long {
        return Err(FileError { line: lines.len(), problem: Problem::TooLong });
    }
    if bytes.is_empty() {
        lines.clear();
    }
    Ok(lines)
}

/// The longest file.
pub const BYTES_MAX: usize = 64 << 20;

#[cfg(test)]
mod tests {
    use super::*;

    const HASH: &str = "$6$zOaA2Ru9YlU8itU0$i3obDyfjJHIcDmjbRAB7UhIEOfOAnZsgPp0UkJ4s1EtkwN4kxejekkWzWI2hgqbsVbFCOXUffUL0OxlOlAMuQQ==";

    fn parse(text: &str) -> Result<PasswordFile, FileError> {
        PasswordFile::parse(text.as_bytes())
    }

    fn names(file: &PasswordFile) -> Vec<&str> {
        file.users().map(|(name, _)| name).collect()
    }

    #[test]
    fn comments_and_order_are_kept() {
        let text = format!("# mine\nann:{HASH}\n\n  \n#bob:off\nbob b:{HASH}\n");
        let mut file = parse(&text).unwrap();
        assert_eq!(names(&file), ["ann", "bob b"]);
        assert_eq!(file.to_string(), text);
        assert_eq!(parse(&text.replace('\n', "\r\n")).unwrap().to_string(), text);
        assert_eq!(parse(text.trim_end()).unwrap().to_string(), text);
        let other = PasswordHash::new(Algorithm::Sha512, b"x", None).unwrap();
        assert_eq!(file.set("ann", other.clone()), Ok(true));
        assert_eq!(file.set("eve", other.clone()), Ok(false));
        assert!(file.remove("bob b") && !file.remove("bob b"));
        let other = other.as_str();
        assert_eq!(file.to_string(), format!("# mine\nann:{other}\n\n  \n#bob:off\neve:{other}\n"));
        assert!(parse("").unwrap().to_string().is_empty());
    }

    #[test]
    fn a_broken_line_is_no_user_but_an_error_with_its_number() {
        let good = format!("ann:{HASH}");
        for (line, problem) in [
            ("bob", Problem::NoColon),
            ("bob:", Problem::Hash(HashError::Unknown)),
            ("bob:secret", Problem::Hash(HashError::Unknown)),
            (&format!(":{HASH}"), UserNameError::Empty.into()),
            (&format!(" bob:{HASH}"), UserNameError::Unfit.into()),
            (&format!("bob :{HASH}"), UserNameError::Unfit.into()),
            (&format!("b\u{1b}b:{HASH}"), UserNameError::Unfit.into()),
            (&format!("ann:{HASH}"), Problem::Twice { first: 1 }),
            (
                &format!("bob:{HASH}:"),
                HashError::Damaged("$6$SALT$HASH in base64, with a hash of 64 bytes, as mosquitto writes it")
                    .into(),
            ),
            (&format!("bob: {HASH}"), Problem::Hash(HashError::Unknown)),
            (&format!("{}:{HASH}", "x".repeat(65_536)), UserNameError::TooLong.into()),
        ] {
            let error = parse(&format!("{good}\n#\n{line}\neve:{HASH}\n")).unwrap_err();
            assert_eq!(error, FileError { line: 3, problem }, "{line}");
        }
        let error = PasswordFile::parse(b"\n\xff:x\n").unwrap_err();
        assert_eq!(error, FileError { line: 2, problem: Problem::NotText });
        let long = format!("{}\n", "#".repeat(BYTES_MAX));
        assert_eq!(parse(&long).unwrap_err().problem, Problem::TooLong);
    }

    #[test]
    fn errors_say_what_was_expected_and_show_no_password() {
        let error = parse("bob:secret").unwrap_err().to_string();
        assert!(
            error.starts_with("line 1: this is no password hash; expected one that begins with $argon2id$"),
            "{error}"
        );
        assert!(!error.contains("bob:secret"), "{error}");
        assert_eq!(format!("{:?}", parse(&format!("ann:{HASH}")).unwrap()), "PasswordFile { users: 1 }");
    }

    #[test]
    fn plain_passwords_are_hashed_and_hashes_left_alone() {
        let text = format!("# plain\nann:a:b c \nbob:{HASH}\n");
        let file = PasswordFile::upgrade(text.as_bytes(), Algorithm::Sha512, None).unwrap();
        let users: HashMap<_, _> = file.users().collect();
        assert!(users["ann"].verify(b"a:b c ") && users["bob"].as_str() == HASH);
        assert!(file.to_string().starts_with("# plain\nann:$6$"));
        assert_eq!(
            PasswordFile::upgrade(b"ann", Algorithm::Sha512, None).unwrap_err().problem,
            Problem::NoColon
        );
    }
}

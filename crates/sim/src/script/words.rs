//! Cuts a line of a conversation into words, texts, `key=value` pairs and groups.

use std::{iter::Peekable, str::Chars};

/// One piece of a line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Token {
    /// `qos1`, `a/b`, `...`
    Word(String),
    /// `"hot"`, `"\x00"`, `"x"*100`
    Text(Vec<u8>),
    /// `keep_alive=10`, `id="a b"`
    Pair(String, Written),
    /// `will(topic=a "gone")`
    Group(String, Vec<Token>),
    /// `,`
    Comma,
}

/// A value as it was written: bare or in quotation marks.
#[derive(Clone, PartialEq, Eq, Debug)]
#[expect(missing_docs, reason = "the names say it")]
pub enum Written {
    Bare(String),
    Quoted(Vec<u8>),
}

impl Written {
    /// The bytes of the value, however it was written.
    pub fn into_bytes(self) -> Vec<u8> {
        match self {
            Written::Bare(word) => word.into_bytes(),
            Written::Quoted(bytes) => bytes,
        }
    }
}

/// The pieces of `line`.
///
/// # Errors
/// What is wrong with it, for a person.
pub fn split(line: &str) -> Result<Vec<Token>, String> {
    let mut chars = line.chars().peekable();
    let tokens = tokens_until(&mut chars, None)?;
    Ok(tokens)
}

fn tokens_until(chars: &mut Peekable<Chars<'_>>, end: Option<char>) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    loop {
        let Some(&next) = chars.peek() else {
            return end.map_or(Ok(tokens), |end| Err(format!("`{end}` is missing")));
        };
        if Some(next) == end {
            chars.next();
            return Ok(tokens);
        }
        if next.is_whitespace() {
            chars.next();
        } else if next == ',' {
            chars.next();
            tokens.push(Token::Comma);
        } else if next == '"' {
            tokens.push(Token::Text(quoted(chars)?));
        } else {
            tokens.push(word(chars)?);
        }
    }
}

/// A word, or what begins with a word: a pair or a group.
fn word(chars: &mut Peekable<Chars<'_>>) -> Result<Token, String> {
    let mut word = String::new();
    while let Some(&next) = chars.peek() {
        match next {
            '=' => {
                chars.next();
                return Ok(Token::Pair(word, value(chars)?));
            }
            '(' => {
                chars.next();
                return Ok(Token::Group(word, tokens_until(chars, Some(')'))?));
            }
            ',' | ')' | '"' => break,
            _ if next.is_whitespace() => break,
            _ => word.push(next),
        }
        chars.next();
    }
    if word.is_empty() {
        return Err(format!("`{}` stands in a wrong place", chars.next().unwrap_or(' ')));
    }
    Ok(Token::Word(word))
}

fn value(chars: &mut Peekable<Chars<'_>>) -> Result<Written, String> {
    if chars.peek() == Some(&'"') {
        return Ok(Written::Quoted(quoted(chars)?));
    }
    let mut value = String::new();
    while let Some(&next) = chars.peek() {
        if next.is_whitespace() || matches!(next, ',' | ')') {
            break;
        }
        value.push(next);
        chars.next();
    }
    Ok(Written::Bare(value))
}

/// A text in quotation marks, perhaps repeated: `"ab"*3`.
fn quoted(chars: &mut Peekable<Chars<'_>>) -> Result<Vec<u8>, String> {
    chars.next();
    let mut bytes = Vec::new();
    loop {
        match chars.next() {
            None => return Err("a text has no closing quotation mark".into()),
            Some('"') => break,
            Some('\\') => escape(chars, &mut bytes)?,
            Some(plain) => bytes.extend_from_slice(plain.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    if chars.peek() != Some(&'*') {
        return Ok(bytes);
    }
    chars.next();
    let mut count = String::new();
    while let Some(digit) = chars.next_if(char::is_ascii_digit) {
        count.push(digit);
    }
    let count: usize = count.parse().map_err(|_| "after `*` stands how often the text is repeated")?;
    Ok(bytes.repeat(count))
}

fn escape(chars: &mut Peekable<Chars<'_>>, bytes: &mut Vec<u8>) -> Result<(), String> {
    match chars.next() {
        Some('n') => bytes.push(b'\n'),
        Some(plain @ ('"' | '\\')) => bytes.push(plain as u8),
        Some('x') => {
            let digits: String = chars.by_ref().take(2).collect();
            let byte = u8::from_str_radix(&digits, 16).map_err(|_| format!("`\\x{digits}` is no byte"))?;
            bytes.push(byte);
        }
        other => {
            return Err(format!("`\\{}` is not known; there are \\n \\\" \\\\ \\xHH", other.unwrap_or(' ')));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{Token::*, Written::*, *};

    #[test]
    fn a_line_is_cut_into_its_pieces() {
        let tokens =
            split(r#"CONNECT id=pub will(topic=a qos=1 "go ne") a/+ qos1, b"#).expect("it is well formed");
        let will = vec![
            Pair("topic".into(), Bare("a".into())),
            Pair("qos".into(), Bare("1".into())),
            Text(b"go ne".to_vec()),
        ];
        let expected = vec![
            Word("CONNECT".into()),
            Pair("id".into(), Bare("pub".into())),
            Group("will".into(), will),
            Word("a/+".into()),
            Word("qos1".into()),
            Comma,
            Word("b".into()),
        ];
        assert_eq!(tokens, expected);
    }

    #[test]
    fn texts_are_bytes_and_can_be_repeated() {
        assert_eq!(split(r#""a\x00\n"*2"#), Ok(vec![Text(b"a\x00\na\x00\n".to_vec())]));
        assert_eq!(split("id=\"é\""), Ok(vec![Pair("id".into(), Quoted("é".as_bytes().to_vec()))]));
    }

    #[test]
    fn mistakes_are_told() {
        for line in ["\"open", "will(topic=a", ")", "\"\\q\"", "\"a\"*", "\"\\xzz\""] {
            assert!(split(line).is_err(), "{line}");
        }
    }
}

//! Paths and attributes in a token stream: what a syntax tree hides inside macro calls.

use std::iter::Peekable;

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};

/// `a::b::c` as it stands in the source; a lone name has one segment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct TokenPath {
    pub(crate) segments: Vec<String>,
    /// From 1.
    pub(crate) line: usize,
    /// `name!(...)`
    pub(crate) is_macro_call: bool,
}

impl TokenPath {
    pub(crate) fn ends_with(&self, end: &[&str]) -> bool {
        let count = self.segments.len();
        count >= end.len() && self.segments[count - end.len()..].iter().eq(end)
    }
}

/// All names and paths, also inside groups and macro calls.
pub(crate) fn paths(tokens: TokenStream) -> Vec<TokenPath> {
    let mut found = Vec::new();
    collect_paths(tokens, &mut found);
    found
}

fn collect_paths(tokens: TokenStream, found: &mut Vec<TokenPath>) {
    let mut tokens = tokens.into_iter().peekable();
    while let Some(token) = tokens.next() {
        match token {
            TokenTree::Group(group) => collect_paths(group.stream(), found),
            TokenTree::Ident(ident) => {
                let line = ident.span().start().line;
                let mut segments = vec![ident.to_string()];
                while let Some(segment) = next_segment(&mut tokens) {
                    segments.push(segment);
                }
                let is_macro_call = is_bang_before_group(&tokens);
                found.push(TokenPath { segments, line, is_macro_call });
            }
            TokenTree::Punct(_) | TokenTree::Literal(_) => {}
        }
    }
}

type Tokens = Peekable<proc_macro2::token_stream::IntoIter>;

/// Takes `::name` if it comes next.
fn next_segment(tokens: &mut Tokens) -> Option<String> {
    let mut ahead = tokens.clone();
    for _ in 0..2 {
        match ahead.next() {
            Some(TokenTree::Punct(punct)) if punct.as_char() == ':' => {}
            _ => return None,
        }
    }
    match ahead.next() {
        Some(TokenTree::Ident(ident)) => {
            *tokens = ahead;
            Some(ident.to_string())
        }
        _ => None,
    }
}

fn is_bang_before_group(tokens: &Tokens) -> bool {
    let mut ahead = tokens.clone();
    let is_bang = matches!(ahead.next(), Some(TokenTree::Punct(punct))
        if punct.as_char() == '!' && punct.spacing() == Spacing::Alone);
    is_bang && matches!(ahead.next(), Some(TokenTree::Group(_)))
}

/// The name of each `#[name ...]`, with its line.
pub(crate) fn attributes(tokens: TokenStream) -> Vec<(String, usize)> {
    let mut found = Vec::new();
    let mut after_hash = false;
    for token in tokens {
        match &token {
            TokenTree::Group(group) => {
                let inner = group.stream();
                if after_hash
                    && group.delimiter() == Delimiter::Bracket
                    && let Some(TokenTree::Ident(name)) = inner.clone().into_iter().next()
                {
                    found.push((name.to_string(), name.span().start().line));
                }
                found.extend(attributes(inner));
                after_hash = false;
            }
            TokenTree::Punct(punct) => {
                after_hash = punct.as_char() == '#' || after_hash && punct.as_char() == '!'
            }
            TokenTree::Ident(_) | TokenTree::Literal(_) => after_hash = false,
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Vec<String> {
        let tokens = text.parse().expect("the test text is made of tokens");
        let show = |path: TokenPath| path.segments.join("::") + if path.is_macro_call { "!" } else { "" };
        paths(tokens).into_iter().map(show).collect()
    }

    #[test]
    fn paths_are_found_inside_macro_calls() {
        assert_eq!(of("vec![std::time::Instant::now(); n]"), ["vec!", "std::time::Instant::now", "n"]);
    }

    #[test]
    fn unequal_is_no_macro_call() {
        assert_eq!(of("a != (b)"), ["a", "b"]);
    }

    #[test]
    fn attributes_are_found_inside_macro_calls() {
        let tokens = "proptest! { #[test] #[ignore = \"slow\"] fn f() {} }".parse().expect("tokens");
        let names: Vec<_> = attributes(tokens).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["test", "ignore"]);
    }
}

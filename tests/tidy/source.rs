//! A Rust file as the rules see it: tokens with their lines, paths with `use` trees unfolded.
//!
//! Holds: comments are gone (doc comments too), strings are literals and never names, and
//! everything under `#[cfg(test)]` stands apart from what ships.
//! Does not: resolve names or expand macros; a macro's arguments are read as tokens.

use proc_macro2::{Delimiter, Group, TokenStream, TokenTree};

#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    Name,
    Mark,
    Literal,
}

#[derive(Debug, Clone)]
pub struct Token {
    pub kind: Kind,
    pub text: String,
    pub line: usize,
}

/// `a::b::c`, from a `use` or from an expression.
#[derive(Debug, Clone, PartialEq)]
pub struct NamedPath {
    pub segments: Vec<String>,
    pub line: usize,
}

pub struct Source {
    pub path: String,
    pub text: String,
    /// What ships.
    pub shipped: Vec<Token>,
    /// Everything, tests included.
    pub all: Vec<Token>,
    test_modules: Vec<String>,
}

impl Source {
    pub fn parse(path: &str, text: &str) -> Self {
        let stream: TokenStream = text.parse().unwrap_or_else(|e| panic!("{path} is no Rust: {e}"));
        let (mut all, mut shipped, mut test_modules) = (Vec::new(), Vec::new(), Vec::new());
        flatten(without_docs(stream.clone()), &mut all);
        flatten(without_docs(without_tests(stream, &mut test_modules)), &mut shipped);
        // A crate's own integration tests lie beside its src.
        if path.contains("/tests/") {
            shipped.clear();
        }
        Self { path: path.to_owned(), text: text.to_owned(), shipped, all, test_modules }
    }

    pub fn mark_as_test(&mut self) {
        self.shipped.clear();
    }

    /// Where the bodies of `#[cfg(test)] mod name;` may stand.
    pub fn test_module_files(&self) -> Vec<String> {
        let stem = self.path.trim_end_matches(".rs");
        let (folder, name) = stem.rsplit_once('/').unwrap_or(("", stem));
        let base = if ["mod", "lib", "main"].contains(&name) { folder } else { stem };
        let files = |m: &String| [format!("{base}/{m}.rs"), format!("{base}/{m}/mod.rs")];
        self.test_modules.iter().flat_map(files).collect()
    }

    /// Every path of two or more segments that ships, and every single name that is imported.
    pub fn paths(&self) -> Vec<NamedPath> {
        let mut found = Vec::new();
        let mut at = 0;
        while let Some(token) = self.shipped.get(at) {
            if token.kind == Kind::Name && token.text == "use" {
                at = unfold(&self.shipped, at + 1, &[], &mut found);
            } else if token.kind == Kind::Name {
                let (path, next) = straight_path(&self.shipped, at);
                if path.segments.len() > 1 {
                    found.push(path);
                }
                at = next;
            } else {
                at += 1;
            }
        }
        found
    }

    /// Paths that start at a crate of that name and not at a module of ours that was imported.
    pub fn names_crate(&self, name: &str) -> Vec<NamedPath> {
        let paths = self.paths();
        let ours = |p: &NamedPath| {
            let first = p.segments.first().map(String::as_str);
            matches!(first, Some("crate" | "super" | "self")) && p.segments.last().is_some_and(|s| s == name)
        };
        let declared =
            self.shipped.windows(2).any(|w| matches!(w, [m, n] if m.text == "mod" && n.text == name));
        if declared || paths.iter().any(ours) {
            return Vec::new();
        }
        paths.into_iter().filter(|p| p.segments.first().is_some_and(|s| s == name)).collect()
    }

    /// String and character literals that ship.
    pub fn literals(&self) -> impl Iterator<Item = &Token> {
        self.shipped.iter().filter(|t| t.kind == Kind::Literal)
    }
}

/// Where `marks` stand in a row among `tokens`: the line of the first.
pub fn find_row(tokens: &[Token], marks: &[&str]) -> Vec<usize> {
    let same = |w: &&[Token]| w.iter().zip(marks).all(|(t, m)| t.kind != Kind::Literal && t.text == **m);
    tokens.windows(marks.len()).filter(same).filter_map(|w| w.first().map(|t| t.line)).collect()
}

fn flatten(stream: TokenStream, into: &mut Vec<Token>) {
    for tree in stream {
        let line = tree.span().start().line;
        let mut push = |kind, text: String, line| into.push(Token { kind, text, line });
        match tree {
            TokenTree::Ident(name) => {
                push(Kind::Name, name.to_string().trim_start_matches("r#").to_owned(), line);
            }
            TokenTree::Punct(mark) => push(Kind::Mark, mark.as_char().to_string(), line),
            TokenTree::Literal(literal) => push(Kind::Literal, literal.to_string(), line),
            TokenTree::Group(group) => {
                let (open, close) = match group.delimiter() {
                    Delimiter::Parenthesis => ("(", ")"),
                    Delimiter::Brace => ("{", "}"),
                    Delimiter::Bracket => ("[", "]"),
                    Delimiter::None => ("", ""),
                };
                push(Kind::Mark, open.to_owned(), line);
                flatten(group.stream(), into);
                into.push(Token {
                    kind: Kind::Mark,
                    text: close.to_owned(),
                    line: group.span_close().start().line,
                });
            }
        }
    }
}

/// Drops `#[doc = ".."]`, which is what a doc comment becomes.
fn without_docs(stream: TokenStream) -> TokenStream {
    let mut kept: Vec<TokenTree> = Vec::new();
    for tree in stream {
        match tree {
            TokenTree::Group(group) if is_attribute(&group, "doc") => {
                while matches!(kept.last(), Some(TokenTree::Punct(p)) if "#!".contains(p.as_char())) {
                    kept.pop();
                }
            }
            TokenTree::Group(group) => kept.push(rebuilt(&group, without_docs(group.stream()))),
            other @ (TokenTree::Ident(_) | TokenTree::Punct(_) | TokenTree::Literal(_)) => kept.push(other),
        }
    }
    kept.into_iter().collect()
}

/// Drops items behind `#[cfg(test)]`, noting the names of modules that stand in files of their own.
fn without_tests(stream: TokenStream, modules: &mut Vec<String>) -> TokenStream {
    let mut kept: Vec<TokenTree> = Vec::new();
    let mut trees = stream.into_iter();
    while let Some(tree) = trees.next() {
        match tree {
            TokenTree::Group(group) if is_cfg_test(&group) => {
                kept.pop();
                let item = rest_of_item(&mut trees);
                if let [.., TokenTree::Ident(word), TokenTree::Ident(name), TokenTree::Punct(_)] =
                    item.as_slice()
                    && word == "mod"
                {
                    modules.push(name.to_string());
                }
            }
            TokenTree::Group(group) => kept.push(rebuilt(&group, without_tests(group.stream(), modules))),
            other @ (TokenTree::Ident(_) | TokenTree::Punct(_) | TokenTree::Literal(_)) => kept.push(other),
        }
    }
    kept.into_iter().collect()
}

/// Up to `;`, or to the closing brace of an item that has a body.
fn rest_of_item(trees: &mut impl Iterator<Item = TokenTree>) -> Vec<TokenTree> {
    let mut item = Vec::new();
    let mut ends_at_brace = true;
    for tree in trees {
        if let TokenTree::Ident(word) = &tree
            && ["use", "static", "let"].contains(&word.to_string().as_str())
        {
            ends_at_brace = false;
        }
        let ended = match &tree {
            TokenTree::Punct(mark) => mark.as_char() == ';',
            TokenTree::Group(group) => ends_at_brace && group.delimiter() == Delimiter::Brace,
            TokenTree::Ident(_) | TokenTree::Literal(_) => false,
        };
        item.push(tree);
        if ended {
            break;
        }
    }
    item
}

fn rebuilt(group: &Group, stream: TokenStream) -> TokenTree {
    let mut new = Group::new(group.delimiter(), stream);
    new.set_span(group.span());
    TokenTree::Group(new)
}

fn is_attribute(group: &Group, name: &str) -> bool {
    let first = group.stream().into_iter().next();
    group.delimiter() == Delimiter::Bracket && matches!(first, Some(TokenTree::Ident(i)) if i == name)
}

fn is_cfg_test(group: &Group) -> bool {
    let text: String = group.stream().to_string().split_whitespace().collect();
    is_attribute(group, "cfg") && (text == "cfg(test)" || text.starts_with("cfg(all(test,"))
}

fn is_mark(tokens: &[Token], at: usize, mark: &str) -> bool {
    tokens.get(at).is_some_and(|t| t.kind == Kind::Mark && t.text == mark)
}

fn is_join(tokens: &[Token], at: usize) -> bool {
    is_mark(tokens, at, ":") && is_mark(tokens, at + 1, ":")
}

/// Reads `a::b::c` at `at`; gives the place after it.
fn straight_path(tokens: &[Token], mut at: usize) -> (NamedPath, usize) {
    let mut path = NamedPath { segments: Vec::new(), line: tokens.get(at).map_or(0, |t| t.line) };
    while let Some(token) = tokens.get(at).filter(|t| t.kind == Kind::Name) {
        path.segments.push(token.text.clone());
        at += 1;
        if !is_join(tokens, at) || tokens.get(at + 2).is_none_or(|t| t.kind != Kind::Name) {
            break;
        }
        at += 2;
    }
    (path, at)
}

/// Unfolds the `use` tree at `at` behind `prefix`; gives the place after it.
fn unfold(tokens: &[Token], mut at: usize, prefix: &[String], found: &mut Vec<NamedPath>) -> usize {
    while is_mark(tokens, at, ":") {
        at += 1;
    }
    let (path, mut next) = straight_path(tokens, at);
    let segments = [prefix, &path.segments].concat();
    if is_join(tokens, next) {
        next += 2;
    }
    if !is_mark(tokens, next, "{") {
        if is_mark(tokens, next, "*") {
            next += 1;
        }
        if tokens.get(next).is_some_and(|t| t.text == "as") {
            next += 2;
        }
        if !segments.is_empty() {
            found.push(NamedPath { segments, line: path.line });
        }
        return next.max(at + 1);
    }
    next += 1;
    while next < tokens.len() && !is_mark(tokens, next, "}") {
        next = if is_mark(tokens, next, ",") { next + 1 } else { unfold(tokens, next, &segments, found) };
    }
    next + 1
}

#[cfg(test)]
mod tests {
    use super::*;

    fn paths(text: &str) -> Vec<String> {
        Source::parse("a.rs", text).paths().iter().map(|p| p.segments.join("::")).collect()
    }

    #[test]
    fn use_trees_are_unfolded() {
        let text =
            "use std::{fs, io::{self, Read as R}, net::*};\nuse ::sled;\nfn f() { std::env::var(\"x\"); }";
        let want = ["std::fs", "std::io::self", "std::io::Read", "std::net", "sled", "std::env::var"]
            .map(str::to_owned);
        assert_eq!(paths(text), want);
    }

    #[test]
    fn comments_strings_and_tests_are_not_seen() {
        let text = "//! std::fs\n/// std::net\nfn f() { /* sled::Db */ let s = \"std::env::var\"; }\n\
                    #[cfg(test)]\nuse std::{fs, net};\n#[cfg(test)]\nmod tests { use std::thread; }\nuse a::b;";
        assert_eq!(paths(text), ["a::b"]);
    }

    #[test]
    fn a_line_is_the_line_in_the_file() {
        let source = Source::parse("a.rs", "//! x\n\n/* one\ntwo */ use std::fs;\n");
        assert_eq!(source.paths().first().map(|p| p.line), Some(4));
    }

    #[test]
    fn files_of_test_modules_are_found() {
        let source = Source::parse("x/src/spool/mod.rs", "#[cfg(test)]\nmod histories;\nmod sled;");
        assert_eq!(source.test_module_files(), ["x/src/spool/histories.rs", "x/src/spool/histories/mod.rs"]);
    }

    #[test]
    fn a_module_of_ours_is_not_the_crate_of_that_name() {
        let names = |text: &str| Source::parse("a.rs", text).names_crate("sled").len();
        assert_eq!(names("use crate::spool::{sled, redb}; fn f() { sled::Spool::open() }"), 0);
        assert_eq!(names("fn f() { sled::open(p) }"), 1);
        assert_eq!(names("use sled::Db; use std::fs;"), 1);
    }
}

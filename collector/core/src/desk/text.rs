//! Texts of rules with their `{placeholders}`, and numbers as people read them.
//!
//! Holds: a template is filled in one pass, so that no filled-in value is read as a placeholder.

use super::notice::Bilingual;
use std::collections::BTreeMap;
use tenken_common::{
    message::{Language, Message},
    time::{Timestamp, jst_date, jst_minute},
    unit::Unit,
};

/// Placeholders that every rule may use.
pub const COMMON: &[&str] = &["device", "hospital", "subject", "since"];

/// A text with `{placeholders}`.
#[derive(Debug, Clone, Copy)]
pub struct Template<'a>(&'a str);

/// A text that cannot be filled.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum TemplateError {
    #[error("is empty")]
    Empty,
    #[error("has a brace without its partner")]
    Brace,
    #[error("`{{{name}}}` is not known here (known: {known})")]
    Unknown { name: String, known: String },
}

/// Values of placeholders, in both languages.
#[derive(Debug, Clone, Default)]
pub struct Values(BTreeMap<&'static str, Bilingual>);

enum Piece<'a> {
    Text(&'a str),
    Name(&'a str),
    Brace,
}

impl<'a> Template<'a> {
    pub fn new(text: &'a str) -> Self {
        Self(text)
    }

    pub fn check(self, allowed: &[&str]) -> Result<(), TemplateError> {
        if self.0.trim().is_empty() {
            return Err(TemplateError::Empty);
        }
        for piece in self.pieces() {
            match piece {
                Piece::Text(_) => {}
                Piece::Brace => return Err(TemplateError::Brace),
                Piece::Name(name) if allowed.contains(&name) => {}
                Piece::Name(name) => {
                    return Err(TemplateError::Unknown { name: name.to_owned(), known: allowed.join(", ") });
                }
            }
        }
        Ok(())
    }

    fn pieces(self) -> Vec<Piece<'a>> {
        let mut pieces = Vec::new();
        let mut rest = self.0;
        while let Some((before, after)) = rest.split_once('{') {
            pieces.push(Piece::Text(before));
            match after.split_once('}') {
                Some((name, tail)) => {
                    pieces.push(Piece::Name(name));
                    rest = tail;
                }
                None => return vec![Piece::Brace],
            }
        }
        if rest.contains('}') {
            pieces.push(Piece::Brace);
        }
        pieces.push(Piece::Text(rest));
        pieces
    }

    fn fill<'v>(self, value: impl Fn(&str) -> Option<&'v str>) -> String {
        let mut out = String::with_capacity(self.0.len() * 2);
        for piece in self.pieces() {
            match piece {
                Piece::Text(text) => out.push_str(text),
                Piece::Name(name) => out.push_str(value(name).unwrap_or("-")),
                Piece::Brace => {}
            }
        }
        out
    }
}

impl Values {
    pub fn set(&mut self, name: &'static str, ja: impl Into<String>, en: impl Into<String>) {
        self.0.insert(name, Bilingual { ja: ja.into(), en: en.into() });
    }

    /// The same in both languages.
    pub fn same(&mut self, name: &'static str, text: impl std::fmt::Display) {
        let text = text.to_string();
        self.set(name, text.clone(), text);
    }

    /// A number of days (from seconds), or hours where it is less than two days.
    pub fn time_span(&mut self, name: &'static str, seconds: f64) {
        let (message, n) = if seconds >= 172_800.0 {
            (Message::SpanDays, seconds / 86_400.0)
        } else if seconds >= 7_200.0 {
            (Message::SpanHours, seconds / 3_600.0)
        } else if seconds >= 120.0 {
            (Message::SpanMinutes, seconds / 60.0)
        } else {
            (Message::SpanSeconds, seconds)
        };
        let n = format!("{n:.0}");
        let fill = |language| message.fill(language, &[("n", &n)]);
        self.set(name, fill(Language::Ja), fill(Language::En));
    }

    /// A text of the catalogue.
    pub fn word(&mut self, name: &'static str, message: Message) {
        self.set(name, message.text(Language::Ja), message.text(Language::En));
    }

    pub fn amount(&mut self, name: &'static str, unit: Unit, value: f64) {
        self.same(name, unit.display(value));
    }

    pub fn day(&mut self, name: &'static str, at: Timestamp) {
        self.same(name, jst_date(at));
    }

    pub fn minute(&mut self, name: &'static str, at: Timestamp) {
        self.same(name, jst_minute(at));
    }

    /// One value as it stands; empty where it was not set.
    pub fn text(&self, name: &str, language: Language) -> &str {
        self.0.get(name).map_or("", |value| value.text(language))
    }

    pub fn fill(&self, text: &Bilingual) -> Bilingual {
        Bilingual {
            ja: Template(&text.ja).fill(|name| self.0.get(name).map(|v| v.ja.as_str())),
            en: Template(&text.en).fill(|name| self.0.get(name).map(|v| v.en.as_str())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_checked_and_filled_in_one_pass() {
        assert_eq!(Template("").check(&[]), Err(TemplateError::Empty));
        assert_eq!(Template("a {b").check(&["b"]), Err(TemplateError::Brace));
        assert_eq!(Template("a} b").check(&["b"]), Err(TemplateError::Brace));
        assert!(matches!(Template("{c}").check(&["b"]), Err(TemplateError::Unknown { .. })));
        let mut values = Values::default();
        values.same("a", "{b}");
        values.time_span("b", 3.0 * 86_400.0);
        values.amount("c", Unit::Bytes, 1.5 * 1_073_741_824.0);
        let text = Bilingual { ja: "{a} あと{b}".into(), en: "{a} in {b}, {c}".into() };
        let filled = values.fill(&text);
        assert_eq!((filled.ja.as_str(), filled.en.as_str()), ("{b} あと3 日", "{b} in 3 days, 1.5 GiB"));
    }
}

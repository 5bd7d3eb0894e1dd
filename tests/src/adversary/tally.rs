//! What was tried, by class, and what of it had an effect.

use std::{collections::BTreeMap, fmt};

/// See the module's head.
#[derive(Debug, Default)]
pub struct Tally(BTreeMap<String, Class>);

#[derive(Debug, Default)]
struct Class {
    tried: u64,
    failed: u64,
    first: Option<String>,
}

impl Tally {
    /// Counts one try; `had_effect` says what it did where it should have done nothing.
    pub fn count(&mut self, class: &str, had_effect: Option<String>) {
        let class = self.0.entry(class.to_owned()).or_default();
        class.tried += 1;
        if let Some(what) = had_effect {
            class.failed += 1;
            class.first.get_or_insert(what);
        }
    }

    /// Something that must hold after all tries of a class.
    pub fn hold(&mut self, class: &str, holds: bool, else_what: impl FnOnce() -> String) {
        if !holds {
            let class = self.0.entry(class.to_owned()).or_default();
            class.failed += 1;
            class.first.get_or_insert(else_what());
        }
    }

    pub fn add(&mut self, other: Self) {
        for (name, more) in other.0 {
            let class = self.0.entry(name).or_default();
            class.tried += more.tried;
            class.failed += more.failed;
            class.first = class.first.take().or(more.first);
        }
    }

    pub fn tried(&self, class: &str) -> u64 {
        self.0.get(class).map_or(0, |class| class.tried)
    }

    pub fn tried_in_all(&self) -> u64 {
        self.0.values().map(|class| class.tried).sum()
    }

    pub fn failed(&self) -> u64 {
        self.0.values().map(|class| class.failed).sum()
    }

    pub fn classes(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }
}

impl fmt::Display for Tally {
    /// A line for each class.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, class) in &self.0 {
            write!(f, "  {name}: {} tried, {} failed", class.tried, class.failed)?;
            class.first.iter().try_for_each(|first| write!(f, ": {first}"))?;
            writeln!(f)?;
        }
        Ok(())
    }
}

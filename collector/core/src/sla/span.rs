//! A stretch of time, half open: its first instant belongs to it, its last does not.
//!
//! Holds: stretches that touch share no instant, so their lengths add up. One whose end is not
//! after its start is empty.

use serde::{Deserialize, Serialize};
use tenken_common::time::Timestamp;

/// See the module's head. Microseconds since 1970 in serialised form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Span {
    pub from: Timestamp,
    pub to: Timestamp,
}

impl Span {
    pub const fn new(from: Timestamp, to: Timestamp) -> Self {
        Self { from, to }
    }

    pub fn is_empty(self) -> bool {
        self.to <= self.from
    }

    /// Length in microseconds of wall time.
    pub fn len_us(self) -> i64 {
        self.to.micros_since(self.from).max(0)
    }

    pub fn contains(self, at: Timestamp) -> bool {
        self.from <= at && at < self.to
    }

    /// What both have; `None` where that is nothing.
    pub fn intersect(self, other: Self) -> Option<Self> {
        let both = Self::new(self.from.max(other.from), self.to.min(other.to));
        (!both.is_empty()).then_some(both)
    }

    /// What of it lies outside of `other`: up to two stretches, in order.
    pub fn without(self, other: Self) -> impl Iterator<Item = Self> {
        let before = Self::new(self.from, self.to.min(other.from));
        let after = Self::new(self.from.max(other.to), self.to);
        let rest = if other.is_empty() { [self, Self::new(self.to, self.to)] } else { [before, after] };
        rest.into_iter().filter(|span| !span.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stretches_that_touch_share_nothing() {
        let span = |from, to| Span::new(Timestamp::from_secs(from), Timestamp::from_secs(to));
        assert_eq!(span(1, 5).intersect(span(5, 9)), None);
        assert_eq!(span(1, 5).intersect(span(4, 9)), Some(span(4, 5)));
        assert!(
            span(1, 5).contains(Timestamp::from_secs(1)) && !span(1, 5).contains(Timestamp::from_secs(5))
        );
        let rest = |other| span(1, 5).without(other).collect::<Vec<_>>();
        assert_eq!(rest(span(2, 3)), [span(1, 2), span(3, 5)]);
        assert_eq!((rest(span(0, 9)), rest(span(0, 2))), (vec![], vec![span(2, 5)]));
        assert_eq!((rest(span(3, 3)), rest(span(7, 9))), (vec![span(1, 5)], vec![span(1, 5)]));
        assert!(span(5, 1).is_empty() && span(5, 1).len_us() == 0);
    }
}

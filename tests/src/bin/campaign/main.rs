//! Long forms of the tests, as programs whose figures stand in `tests/FIGURES.md`.

fn main() {}

//! Where a file can be changed, and how.
//!
//! Holds: the changes are those that a test of a rule should see: a comparison, its boundary, an
//! `and` for an `or`, a sum for a difference, a truth for its contrary, the smaller for the larger.
//! Test modules are left alone.

use std::{
    ops::Range,
    path::{Path, PathBuf},
};
use syn::{
    BinOp, Expr,
    spanned::Spanned,
    visit::{self, Visit},
};

/// What a mutant begins with, before its number.
const BEGIN: &str = "(if crate::mutant(";

/// One change.
pub struct Site {
    pub path: PathBuf,
    /// The whole expression.
    whole: Range<usize>,
    /// What of it is replaced.
    old: Range<usize>,
    new: &'static str,
    pub line: usize,
    /// The line, and what is replaced in it.
    said: (String, String),
}

impl Site {
    pub fn mutated(&self, text: &str) -> String {
        format!("{}{}{}", &text[..self.old.start], self.new, &text[self.old.end..])
    }

    /// The change by its file and line's text, which say it also when other lines come and go.
    pub fn what(&self) -> String {
        let path = self.path.to_string_lossy();
        let path = path.split_once("/src/sla/").map_or(&*path, |(_, path)| path);
        let (line, old) = &self.said;
        format!("{path} `{old}` -> `{}` in `{line}`", self.new)
    }
}

/// All of a file, in order; a site comes before those inside of it.
pub fn sites(path: &Path, text: &str) -> syn::Result<Vec<Site>> {
    let file = syn::parse_file(text)?;
    let mut finder = Finder { path, text, found: Vec::new() };
    finder.visit_file(&file);
    finder.found.sort_by_key(|site| (site.whole.start, std::cmp::Reverse(site.whole.end)));
    Ok(finder.found)
}

/// The text with all of these in it, each behind its number.
pub fn together(text: &str, sites: &[(usize, &Site)]) -> String {
    let mut out = String::new();
    render(text, 0..text.len(), sites, &mut out);
    // What asks for a mutant's number is no constant.
    out.replace("const fn ", "fn ")
}

fn render(text: &str, within: Range<usize>, mut sites: &[(usize, &Site)], out: &mut String) {
    let mut at = within.start;
    while let Some(((number, site), rest)) = sites.split_first() {
        let inside = rest.iter().take_while(|(_, other)| other.whole.start < site.whole.end).count();
        let (inside, after) = rest.split_at(inside);
        out.push_str(&text[at..site.whole.start]);
        let (before, behind) = (&text[site.whole.start..site.old.start], &text[site.old.end..site.whole.end]);
        out.push_str(&format!("{BEGIN}{number}) {{ {before}{}{behind} }} else {{ ", site.new));
        render(text, site.whole.clone(), inside, out);
        out.push_str(" })");
        at = site.whole.end;
        sites = after;
    }
    out.push_str(&text[at..within.end]);
}

/// The innermost mutant around a byte of a text from [`together`], and whether the byte is in what
/// it changed.
pub fn at(text: &str, byte: usize) -> Option<(usize, bool)> {
    let mut open: Vec<Option<(usize, bool)>> = Vec::new();
    let mut rest = 0;
    let mut closed = None;
    while rest < byte {
        let here = &text[rest..];
        if let Some(number) = here.strip_prefix(BEGIN) {
            let number = number.split(')').next()?.parse().ok()?;
            open.push(Some((number, true)));
            rest += here.find('{')? + 1;
        } else if here.starts_with('{') {
            open.push(None);
            rest += 1;
        } else if here.starts_with('}') {
            closed = open.pop().flatten();
            rest += 1;
            if let (Some((number, true)), Some(skipped)) = (closed, text[rest..].strip_prefix(" else { ")) {
                open.push(Some((number, false)));
                rest = text.len() - skipped.len();
            }
        } else {
            rest += here.chars().next().map_or(1, char::len_utf8);
        }
    }
    open.into_iter().rev().flatten().next().or(closed)
}

/// All mutants in a part of such a text.
pub fn within(text: &str, part: Range<usize>) -> impl Iterator<Item = usize> {
    let found = text[part].split(BEGIN).skip(1);
    found.filter_map(|rest| rest.split(')').next()?.parse().ok())
}

struct Finder<'t> {
    path: &'t Path,
    text: &'t str,
    found: Vec<Site>,
}

impl Finder<'_> {
    fn add(&mut self, whole: impl Spanned, old: impl Spanned, new: &'static str) {
        let (whole, old) = (whole.span().byte_range(), old.span());
        let line = old.start().line;
        let old = old.byte_range();
        let said = self.text.lines().nth(line - 1).unwrap_or_default().trim().to_owned();
        let said = (said, self.text[old.clone()].to_owned());
        self.found.push(Site { path: self.path.to_owned(), whole, old, new, line, said });
    }
}

/// `if let` within a chain of `&&` cannot stand on its own.
fn binds(expr: &Expr) -> bool {
    match expr {
        Expr::Let(_) => true,
        Expr::Binary(both) => binds(&both.left) || binds(&both.right),
        _ => false,
    }
}

impl<'a> Visit<'a> for Finder<'_> {
    fn visit_item_mod(&mut self, module: &'a syn::ItemMod) {
        if module.ident != "tests" {
            visit::visit_item_mod(self, module);
        }
    }

    fn visit_expr(&mut self, expr: &'a Expr) {
        match expr {
            Expr::Binary(both) if !binds(expr) => {
                let new = match both.op {
                    BinOp::Eq(_) => "!=",
                    BinOp::Ne(_) => "==",
                    BinOp::Le(_) => "<",
                    BinOp::Lt(_) => "<=",
                    BinOp::Ge(_) => ">",
                    BinOp::Gt(_) => ">=",
                    BinOp::And(_) => "||",
                    BinOp::Or(_) => "&&",
                    BinOp::Add(_) => "-",
                    BinOp::Sub(_) => "+",
                    _ => "",
                };
                if !new.is_empty() {
                    self.add(expr, both.op, new);
                }
            }
            Expr::Lit(literal) => {
                if let syn::Lit::Bool(truth) = &literal.lit {
                    self.add(expr, truth, if truth.value { "false" } else { "true" });
                }
            }
            Expr::MethodCall(call) => {
                let new = match call.method.to_string().as_str() {
                    "min" => "max",
                    "max" => "min",
                    "any" if call.args.len() == 1 => "all",
                    "all" if call.args.len() == 1 => "any",
                    "is_some" => "is_none",
                    "is_none" => "is_some",
                    "is_some_and" => "is_none_or",
                    "is_none_or" => "is_some_and",
                    "saturating_add" => "saturating_sub",
                    "saturating_sub" => "saturating_add",
                    _ => "",
                };
                if !new.is_empty() {
                    self.add(expr, &call.method, new);
                }
            }
            _ => {}
        }
        visit::visit_expr(self, expr);
    }
}

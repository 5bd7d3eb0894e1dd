//! Mutation check of the SLA modules: one small change at a time, and do their tests see it?
//!
//! Holds: the working tree is never touched; what is committed is cloned into `target/mutate`. All
//! mutants are built into one test program, each behind its number, so that a build is made once
//! and not for each of them. What cannot stand beside the original (in a constant, say) is built
//! alone. A test program that does not end counts as one that saw it.
//!
//! Does not: change patterns, nor the inside of macros.

mod sites;

use sites::{Site, sites};
use std::{
    collections::BTreeSet,
    fs, io,
    ops::Range,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Output},
};

const HELP: &str = "\
Mutation check of the SLA modules, on what is committed

Usage: cargo run --manifest-path tests/mutate/Cargo.toml -- [--n N] [--seed SEED]

  --n N        how many mutants, drawn at random [default: all]
  --seed SEED  of the draw [default: 1]

Prints each mutant that survives, with the reason where survivors.txt has one, and at the end how
many were killed, survived, or do not compile. Works in target/mutate only.";

/// The modules under test, and the tests that have to see a mutant.
const MODULES: &str = "collector/core/src/sla";
const PACKAGE: &str = "tenken-collector-core";
const FILTER: &str = "sla";

/// Longer than every test of the modules together needs.
const TIMEOUT_S: &str = "20";
/// A mutant that takes all memory is stopped.
const MEMORY_KIB: &str = "4000000";

/// Those that are known, with the reason.
const SURVIVORS: &str = include_str!("../survivors.txt");

/// Goes into the crate's root.
const SWITCH: &str = "
/// Whether this mutant is the one to run.
pub(crate) fn mutant(n: usize) -> bool {
    static ON: std::sync::OnceLock<Option<usize>> = std::sync::OnceLock::new();
    *ON.get_or_init(|| std::env::var(\"TENKEN_MUTANT\").ok()?.parse().ok()) == Some(n)
}
";

#[derive(Clone, Copy, PartialEq)]
enum End {
    Killed,
    Survived,
    Unviable,
}

/// A clone of what is committed, and where it is built.
struct Copy {
    source: PathBuf,
    target: PathBuf,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            eprintln!("mutate: {e}");
            ExitCode::from(2)
        }
    }
}

fn run() -> Result<(), Box<dyn std::error::Error>> {
    let (mut n, mut seed) = (usize::MAX, 1u64);
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match (arg.as_str(), args.next()) {
            ("--n", Some(value)) => n = value.parse().map_err(|_| format!("--n {value} is no number"))?,
            ("--seed", Some(value)) => {
                seed = value.parse().map_err(|_| format!("--seed {value} is no number"))?;
            }
            ("--help" | "-h", _) => {
                println!("{HELP}");
                return Ok(());
            }
            (other, _) => return Err(format!("{other} is not known, or has no value\n{HELP}").into()),
        }
    }
    let copy = Copy::fresh()?;
    let all = copy.sites()?;
    let chosen = draw(all.len(), n, seed);
    println!("{} places, {} mutants, seed {seed}", all.len(), chosen.len());
    let chosen: Vec<(usize, &Site)> = all.iter().enumerate().filter(|(i, _)| chosen.contains(i)).collect();

    let built = copy.together(&chosen)?;
    let plain = copy.test(&built.program, None)?;
    if !plain.status.success() {
        let said = String::from_utf8_lossy(&plain.stdout).into_owned();
        return Err(format!("the tests fail without a mutant too:\n{said}").into());
    }
    let mut ends = Vec::new();
    // Those that are built alone take longest, and come last.
    let (later, first): (Vec<_>, Vec<_>) = chosen.into_iter().partition(|(i, _)| built.alone.contains(i));
    for (number, site) in first.into_iter().chain(later) {
        let end = if built.unviable.contains(&number) {
            End::Unviable
        } else if built.alone.contains(&number) {
            copy.alone(site)?
        } else {
            copy.verdict(&built.program, Some(number))?
        };
        if end == End::Survived {
            let what = site.what();
            let known = SURVIVORS.lines().find_map(|line| line.strip_prefix(&what)?.strip_prefix(": "));
            println!("survived  line {} of {what}: {}", site.line, known.unwrap_or("NOT KNOWN"));
        }
        ends.push(end);
    }
    let count = |end| ends.iter().filter(|e| **e == end).count();
    let (killed, survived) = (count(End::Killed), count(End::Survived));
    #[expect(clippy::cast_precision_loss, reason = "a few hundred mutants")]
    let score = 100.0 * killed as f64 / (killed + survived).max(1) as f64;
    println!(
        "{killed} killed, {survived} survived, {} do not compile: {score:.1} % of those that compile are killed",
        count(End::Unviable)
    );
    Ok(())
}

/// Numbers below `of`, by splitmix64.
fn draw(of: usize, n: usize, mut seed: u64) -> BTreeSet<usize> {
    let mut order: Vec<(u64, usize)> = (0..of)
        .map(|i| {
            seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
            let z = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            (z ^ (z >> 31), i)
        })
        .collect();
    order.sort_unstable();
    order.into_iter().take(n).map(|(_, i)| i).collect()
}

/// The program with the mutants, and those that are not in it.
struct Built {
    program: PathBuf,
    unviable: BTreeSet<usize>,
    alone: BTreeSet<usize>,
}

impl Copy {
    fn fresh() -> io::Result<Self> {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize()?;
        let work = root.join("target/mutate");
        let copy = Self { source: work.join("source"), target: work.join("build") };
        if copy.source.exists() {
            fs::remove_dir_all(&copy.source)?;
        }
        fs::create_dir_all(&work)?;
        let cloned = Command::new("git")
            .args(["clone", "--quiet", "--shared"])
            .args([&root, &copy.source])
            .status()?;
        if !cloned.success() {
            return Err(io::Error::other("git clone failed"));
        }
        Ok(copy)
    }

    /// In every file of the modules, by file and place.
    fn sites(&self) -> Result<Vec<Site>, Box<dyn std::error::Error>> {
        let mut files = Vec::new();
        let mut folders = vec![self.source.join(MODULES)];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(folder)? {
                let path = entry?.path();
                if path.is_dir() {
                    folders.push(path);
                } else if path.extension().is_some_and(|e| e == "rs") && !is_test(&path) {
                    files.push(path);
                }
            }
        }
        files.sort();
        let mut all = Vec::new();
        for path in files {
            let text = fs::read_to_string(&path)?;
            all.extend(sites(&path, &text).map_err(|e| format!("{}: {e}", path.display()))?);
        }
        Ok(all)
    }

    /// Builds all of them into one program; who stands in the way is left out.
    fn together(&self, chosen: &[(usize, &Site)]) -> Result<Built, Box<dyn std::error::Error>> {
        let (mut unviable, mut alone) = (BTreeSet::new(), BTreeSet::new());
        let root = self.source.join("collector/core/src/lib.rs");
        fs::write(&root, fs::read_to_string(&root)? + SWITCH)?;
        let files: BTreeSet<&PathBuf> = chosen.iter().map(|(_, site)| &site.path).collect();
        let originals: Vec<(&PathBuf, String)> =
            files.into_iter().map(|path| Ok((path, fs::read_to_string(path)?))).collect::<io::Result<_>>()?;
        loop {
            for (path, text) in &originals {
                let here = chosen
                    .iter()
                    .filter(|(i, site)| site.path == **path && !unviable.contains(i) && !alone.contains(i));
                fs::write(path, sites::together(text, &here.copied().collect::<Vec<_>>()))?;
            }
            let output = self.cargo()?;
            if output.status.success() {
                let program = self.program(&output)?;
                for (path, text) in originals {
                    fs::write(path, text)?;
                }
                return Ok(Built { program, unviable, alone });
            }
            let before = unviable.len() + alone.len();
            for (file, place) in errors(&output) {
                let path = self.source.join(file);
                let text = fs::read_to_string(&path)?;
                match sites::at(&text, place.start) {
                    Some((number, true)) => unviable.extend([number]),
                    Some((number, false)) => alone.extend([number]),
                    // Something of it is in the way of what stands around it.
                    None => alone.extend(sites::within(&text, place)),
                }
            }
            if unviable.len() + alone.len() == before {
                let text = String::from_utf8_lossy(&output.stdout).into_owned();
                let said: Vec<&str> =
                    text.lines().filter(|line| line.contains("\"level\":\"error\"")).collect();
                return Err(said.join("\n").into());
            }
        }
    }

    /// Builds and tests one mutant on its own.
    fn alone(&self, site: &Site) -> Result<End, Box<dyn std::error::Error>> {
        let text = fs::read_to_string(&site.path)?;
        fs::write(&site.path, site.mutated(&text))?;
        let output = self.cargo();
        fs::write(&site.path, &text)?;
        let output = output?;
        if !output.status.success() {
            return Ok(End::Unviable);
        }
        Ok(self.verdict(&self.program(&output)?, None)?)
    }

    fn cargo(&self) -> io::Result<Output> {
        Command::new(env!("CARGO"))
            .args(["test", "--offline", "--quiet", "--package", PACKAGE, "--lib", "--no-run"])
            .args(["--message-format", "json", "--config", "profile.dev.debug=false"])
            .env("CARGO_TARGET_DIR", &self.target)
            .current_dir(&self.source)
            .output()
    }

    fn program(&self, output: &Output) -> Result<PathBuf, String> {
        let text = String::from_utf8_lossy(&output.stdout);
        let built = text.lines().filter_map(|line| field(line, "\"executable\":\"")).next_back();
        built.map(PathBuf::from).ok_or_else(|| "cargo built no program".to_owned())
    }

    fn verdict(&self, program: &Path, mutant: Option<usize>) -> io::Result<End> {
        Ok(if self.test(program, mutant)?.status.success() { End::Survived } else { End::Killed })
    }

    fn test(&self, program: &Path, mutant: Option<usize>) -> io::Result<Output> {
        let script = format!("ulimit -v {MEMORY_KIB}; exec timeout {TIMEOUT_S} \"$0\" {FILTER}");
        let mut command = Command::new("sh");
        command.arg("-c").arg(script).arg(program).current_dir(self.source.join("collector/core"));
        // A failure is enough; nobody reads the smallest one.
        command.env("PROPTEST_MAX_SHRINK_ITERS", "0").env("PROPTEST_DISABLE_FAILURE_PERSISTENCE", "true");
        if let Some(number) = mutant {
            command.env("TENKEN_MUTANT", number.to_string());
        }
        command.output()
    }
}

/// Where the compiler found something wrong.
fn errors(output: &Output) -> Vec<(String, Range<usize>)> {
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = text.lines().filter_map(|line| line.split_once("\"level\":\"error\""));
    let places = errors.filter_map(|(_, error)| {
        let spans = error.split_once("\"spans\":[")?.1;
        let mut spans = spans.split("{\"byte_end\":").skip(1);
        let primary = spans.find(|span| span.contains("\"is_primary\":true"))?;
        let place = number(primary, "\"byte_start\":")?..number(primary, "")?;
        Some((field(primary, "\"file_name\":\"")?, place))
    });
    places.collect()
}

fn number(text: &str, before: &str) -> Option<usize> {
    let digits = &text[text.find(before)? + before.len()..];
    digits.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

fn field(text: &str, name: &str) -> Option<String> {
    Some(text.split(name).nth(1)?.split('"').next()?.to_owned())
}

fn is_test(path: &Path) -> bool {
    path.components().any(|part| part.as_os_str() == "tests" || part.as_os_str() == "tests.rs")
}

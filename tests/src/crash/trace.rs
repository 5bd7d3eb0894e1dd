//! What strace wrote down, as calls in the order in which they ended.
//!
//! Holds: a call that another thread interrupted is put together again, and knows how many calls
//! had ended when it began, since a sync covers no more than that. A string that strace cut short
//! is an error, never a shorter write. Calls that failed are left out. A call whose process ended
//! in its middle may have happened or not: it stands at the end, without a result.

use std::collections::BTreeMap;

/// One call that succeeded, or that never came back.
#[derive(Debug, PartialEq, Eq)]
pub struct Call {
    pub name: String,
    /// As strace writes them: numbers, flags, and strings with every byte in hexadecimal.
    pub args: Vec<String>,
    /// `None` where the process ended before the call did.
    pub result: Option<i64>,
    /// How many calls of the list had ended when this one began.
    pub began: usize,
}

/// What strace writes where a line is interrupted, or where its thread is no more.
const INTERRUPTED: [&str; 2] = ["<unfinished ...>", "<detached ...>"];
/// Characters of each end of a line that are shown.
const SHOWN: usize = 120;

/// Reads the file of `strace -f -xx`.
pub fn calls(text: &str) -> Result<Vec<Call>, String> {
    let mut calls: Vec<Call> = Vec::new();
    let mut lost: Vec<Call> = Vec::new();
    let mut interrupted: BTreeMap<&str, (String, usize)> = BTreeMap::new();
    for line in text.lines() {
        let Some((thread, rest)) = line.split_once(' ') else { continue };
        let rest = rest.trim_start();
        if rest.starts_with("+++") || rest.starts_with("---") {
            continue;
        }
        let (text, began) = match rest.strip_prefix("<... ") {
            Some(resumed) => {
                let (_, tail) = resumed.split_once(" resumed>").ok_or_else(|| strange(line))?;
                let (head, began) = interrupted.remove(thread).ok_or_else(|| strange(line))?;
                (head + tail, began)
            }
            None => (rest.to_owned(), calls.len()),
        };
        if let Some(head) = INTERRUPTED.iter().find_map(|mark| text.trim_end().strip_suffix(mark)) {
            interrupted.insert(thread, (head.to_owned(), began));
            continue;
        }
        match call(&text, began).ok_or_else(|| strange(line))? {
            Some(call) if call.result.is_some() => calls.push(call),
            Some(call) => lost.push(call),
            None => {}
        }
    }
    for (head, began) in interrupted.into_values() {
        let (name, args) = parts(&head).ok_or_else(|| strange(&head))?;
        lost.push(Call { name, args, result: None, began });
    }
    calls.extend(lost);
    Ok(calls)
}

/// Both ends of a line: what was called, and how it ended.
fn strange(line: &str) -> String {
    let chars = line.chars().count();
    let shown = if chars <= 2 * SHOWN {
        line.to_owned()
    } else {
        let head: String = line.chars().take(SHOWN).collect();
        let tail: String = line.chars().skip(chars - SHOWN).collect();
        format!("{head} .. {tail}")
    };
    format!("strace wrote a line that is not understood: {shown}")
}

/// `None` where the line is no call, `Some(None)` for a call that failed or is made again.
#[expect(clippy::option_option, reason = "a line that is not understood is no failed call")]
fn call(text: &str, began: usize) -> Option<Option<Call>> {
    let (head, result) = text.rsplit_once(" = ")?;
    let (name, args) = parts(head.trim_end().strip_suffix(')')?)?;
    let result = match result.strip_prefix('?') {
        // Interrupted by a signal; what comes of it stands in another line.
        Some(why) if why.trim_start().starts_with("ERESTART") => return Some(None),
        Some(_) => None,
        None if result.starts_with('-') => return Some(None),
        None => {
            let result = result.split(' ').next()?;
            Some(match result.strip_prefix("0x") {
                Some(hex) => i64::from_str_radix(hex, 16).ok()?,
                None => result.parse().ok()?,
            })
        }
    };
    Some(Some(Call { name, args, result, began }))
}

/// Name and arguments of what stands before the closing bracket.
fn parts(head: &str) -> Option<(String, Vec<String>)> {
    let (name, args) = head.split_once('(')?;
    let args = INTERRUPTED.iter().fold(args.trim_end(), |args, mark| args.trim_end_matches(mark).trim_end());
    Some((name.to_owned(), split(args)))
}

/// At commas outside of brackets. Strings hold no commas, since all their bytes are in hexadecimal.
fn split(text: &str) -> Vec<String> {
    let (mut args, mut depth, mut from) = (Vec::new(), 0_i32, 0);
    for (at, byte) in text.bytes().enumerate() {
        match byte {
            b'[' | b'{' | b'(' => depth += 1,
            b']' | b'}' | b')' => depth -= 1,
            b',' if depth == 0 => {
                args.push(text.get(from..at).unwrap_or_default().trim().to_owned());
                from = at + 1;
            }
            _ => {}
        }
    }
    args.push(text.get(from..).unwrap_or_default().trim().to_owned());
    args
}

impl Call {
    fn arg(&self, at: usize) -> Result<&str, String> {
        let arg = self.args.get(at).map(String::as_str);
        arg.ok_or_else(|| format!("{} has no argument {at}: {:?}", self.name, self.args))
    }

    pub fn number(&self, at: usize) -> Result<i64, String> {
        let text = self.arg(at)?;
        text.parse().map_err(|_| format!("{} has `{text}` where a number is expected", self.name))
    }

    /// Not below zero.
    pub fn offset(&self, at: usize) -> Result<u64, String> {
        u64::try_from(self.number(at)?).map_err(|_| format!("{} has a negative offset", self.name))
    }

    pub fn has_flag(&self, at: usize, flag: &str) -> Result<bool, String> {
        Ok(self.arg(at)?.split('|').any(|f| f == flag))
    }

    /// The descriptor, or `None` for the current folder.
    pub fn folder(&self, at: usize) -> Result<Option<i64>, String> {
        if self.arg(at)? == "AT_FDCWD" { Ok(None) } else { self.number(at).map(Some) }
    }

    pub fn bytes(&self, at: usize) -> Result<Vec<u8>, String> {
        let text = self.arg(at)?;
        let wrong = || format!("{} has `{}` where whole bytes are expected", self.name, short(text));
        let inner = text.strip_prefix('"').and_then(|t| t.strip_suffix('"')).ok_or_else(wrong)?;
        let digits = inner.as_bytes();
        let mut bytes = Vec::with_capacity(digits.len() / 4);
        for byte in digits.chunks(4) {
            let &[b'\\', b'x', high, low] = byte else { return Err(wrong()) };
            let digit = |d: u8| char::from(d).to_digit(16).and_then(|d| u8::try_from(d).ok());
            bytes.push(digit(high).ok_or_else(wrong)? << 4 | digit(low).ok_or_else(wrong)?);
        }
        Ok(bytes)
    }

    pub fn path(&self, at: usize) -> Result<String, String> {
        String::from_utf8(self.bytes(at)?).map_err(|_| format!("{} names a path that is no text", self.name))
    }
}

fn short(text: &str) -> String {
    text.chars().take(80).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn interrupted_calls_are_put_together_and_know_when_they_began() {
        let text = "7 openat(AT_FDCWD, \"\\x61\\x2c\", O_RDWR|O_CREAT, 0644) = 5\n\
                    7 fsync(5 <unfinished ...>\n\
                    8 pwrite64(5, \"\\x00\\xff\", 2, 4096) = 2\n\
                    8 rename(\"\\x61\", \"\\x62\") = -1 ENOENT (No such file or directory)\n\
                    7 <... fsync resumed>)              = 0\n\
                    7 mmap(NULL, 5, PROT_READ|PROT_WRITE, MAP_SHARED, 5, 0) = 0x7f00\n\
                    8 --- SIGCHLD {si_signo=SIGCHLD} ---\n\
                    7 exit_group(0) = ?\n\
                    7 +++ exited with 0 +++\n";
        let calls = calls(text).unwrap();
        let began: Vec<_> = calls.iter().map(|c| (c.name.as_str(), c.result, c.began)).collect();
        assert_eq!(
            began,
            [
                ("openat", Some(5), 0),
                ("pwrite64", Some(2), 1),
                ("fsync", Some(0), 1),
                ("mmap", Some(0x7f00), 3),
                ("exit_group", None, 4)
            ],
            "the sync began before the write ended"
        );
        assert_eq!(calls[0].path(1).unwrap(), "a,");
        assert_eq!((calls[0].folder(0).unwrap(), calls[0].has_flag(2, "O_CREAT").unwrap()), (None, true));
        assert_eq!((calls[1].bytes(1).unwrap(), calls[1].offset(3).unwrap()), (vec![0, 255], 4096));
    }

    #[test]
    fn what_was_cut_short_is_no_shorter_write() {
        let calls = calls("7 write(3, \"\\x61\"..., 9) = 9\n").unwrap();
        assert!(calls[0].bytes(1).is_err());
        assert!(super::calls("7 <... write resumed>) = 9\n").is_err() && super::calls("7 what\n").is_err());
    }

    #[test]
    fn a_call_whose_process_ended_never_came_back() {
        let text = "7 fsync(5 <unfinished ...>\n\
                    8 pwrite64(5, \"\\x00\\xff\", 2, 4096 <unfinished ...>\n\
                    9 write(6, \"\\x01\", 1 <unfinished ...>\n\
                    5 fdatasync(4) = ? ERESTARTSYS (To be restarted if SA_RESTART is set)\n\
                    6 unlink(\"\\x61\") = 0\n\
                    6 exit_group(0 <unfinished ...>\n\
                    9 <... write resumed> <unfinished ...>) = ?\n\
                    7 <... fsync resumed>) = ?\n\
                    8 <... pwrite64 resumed> <detached ...>\n\
                    6 <... exit_group resumed>) = ?\n\
                    4 rename(\"\\x61\", \"\\x62\") = ? <unavailable>\n\
                    3 ftruncate(5, 12 <detached ...>\n";
        let calls = calls(text).unwrap();
        let all: Vec<_> = calls.iter().map(|c| (c.name.as_str(), c.result, c.args.len())).collect();
        assert_eq!(
            all,
            [
                ("unlink", Some(0), 1),
                ("write", None, 3),
                ("fsync", None, 1),
                ("exit_group", None, 1),
                ("rename", None, 2),
                ("ftruncate", None, 2),
                ("pwrite64", None, 4)
            ]
        );
        assert_eq!((calls[6].offset(3).unwrap(), calls[6].bytes(1).unwrap()), (4096, vec![0, 255]));
    }

    #[test]
    fn a_strange_line_is_shown_with_its_end() {
        let line = format!("7 pwrite64(5, \"{}\", 999, 4096) <strange>", "\\x61".repeat(999));
        let said = super::calls(&line).unwrap_err();
        assert!(said.ends_with("999, 4096) <strange>") && said.contains("7 pwrite64(5") && said.len() < 400);
    }
}

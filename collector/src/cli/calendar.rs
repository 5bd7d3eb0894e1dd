//! `tenken-collector calendar`: holidays, deadlines and open time as a contract counts them, for
//! anyone's own check. Needs no store.
//!
//! Holds: what is printed on standard output is the answer and nothing else; that holidays are
//! estimated is said on standard error.

use super::{read, say};
use anyhow::{Context, bail};
use clap::{Subcommand, ValueEnum};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
};
use tenken_collector_core::sla::{
    calendar::{Certainty, HolidayList, ServiceCalendar},
    contract::Contract,
    span::Span,
};
use tenken_common::{
    config::HumanDuration,
    message::{Language, Message},
    time::{Timestamp, jst_instant},
};

#[derive(Debug, Subcommand)]
pub enum CalendarCommand {
    /// National holidays, one line `YYYY-MM-DD,name` each
    Holidays {
        /// First year, e.g. 2025
        #[arg(long, value_name = "YEAR")]
        from: i16,
        /// Last year
        #[arg(long, value_name = "YEAR")]
        to: i16,
        #[command(flatten)]
        list: OfficialList,
    },
    /// When a budget of open hours is used up
    Deadline {
        /// Contract file
        #[arg(long, value_name = "FILE")]
        contract: PathBuf,
        /// When the clock starts: 2026-05-01T16:30:00+09:00
        #[arg(long, value_name = "RFC3339")]
        start: Timestamp,
        /// How much open time: 30m, 4h
        #[arg(long)]
        budget: HumanDuration,
        /// Whose hours count
        #[arg(long, value_enum, default_value_t = Hours::Response)]
        hours: Hours,
        #[command(flatten)]
        list: OfficialList,
    },
    /// How many seconds between two instants are open
    Measure {
        /// Contract file
        #[arg(long, value_name = "FILE")]
        contract: PathBuf,
        #[arg(long, value_name = "RFC3339")]
        from: Timestamp,
        #[arg(long, value_name = "RFC3339")]
        to: Timestamp,
        /// Whose hours count
        #[arg(long, value_enum, default_value_t = Hours::Service)]
        hours: Hours,
        #[command(flatten)]
        list: OfficialList,
    },
}

/// An official list of holidays, which wins over the law's rules for the years it covers.
#[derive(Debug, clap::Args)]
pub struct OfficialList {
    /// Official list of holidays (UTF-8 CSV of date and name), which wins for its years
    #[arg(long, value_name = "FILE")]
    holidays: Option<PathBuf>,
}

/// Which calendar of the contract.
#[derive(Debug, Clone, Copy, ValueEnum)]
pub enum Hours {
    /// サービス提供時間 (SLA A1.3)
    Service,
    /// 通常業務時間 (A4.4(2))
    Response,
    /// サポート対応時間 (A6.6(1)②)
    Support,
}

impl OfficialList {
    fn load(&self) -> anyhow::Result<HolidayList> {
        let Some(path) = &self.holidays else { return Ok(HolidayList::default()) };
        HolidayList::parse(&read(path)?).with_context(|| path.display().to_string())
    }
}

pub fn run(command: CalendarCommand, language: Language) -> anyhow::Result<()> {
    match command {
        CalendarCommand::Holidays { from, to, list } => holidays((from, to), &list.load()?, language),
        CalendarCommand::Deadline { contract, start, budget, hours, list } => {
            let calendar = calendar(&contract, hours, list.load()?)?;
            say(&jst_instant(calendar.deadline(start, budget.0.into())?))
        }
        CalendarCommand::Measure { contract, from, to, hours, list } => {
            if to < from {
                bail!("--to {to} is before --from {from}");
            }
            let open = calendar(&contract, hours, list.load()?)?.measure(Span::new(from, to));
            say(&format!("{}", open.as_secs_f64()))
        }
    }
}

fn holidays((from, to): (i16, i16), list: &HolidayList, language: Language) -> anyhow::Result<()> {
    if !(1955..=2099).contains(&from) || !(from..=2099).contains(&to) {
        bail!("the years {from} to {to} are not within 1955 to 2099, or the last is before the first");
    }
    let mut out = String::new();
    for (day, name) in (from..=to).flat_map(|year| list.of_year(year)) {
        out.push_str(&format!("{day},{name}\n"));
    }
    say(&out)?;
    if let Some(first) = (from..=to).find(|year| list.certainty(*year) == Certainty::Estimated) {
        eprintln!("{}", Message::HolidaysEstimated.fill(language, &[("year", &first.to_string())]));
    }
    Ok(())
}

fn calendar(contract: &Path, hours: Hours, list: HolidayList) -> anyhow::Result<ServiceCalendar> {
    let contract = Contract::parse(&read(contract)?)
        .map_err(|problems| anyhow::anyhow!("{} has {problems}", contract.display()))?
        .with_holidays(&Arc::new(list));
    Ok(match hours {
        Hours::Service => contract.service_hours,
        Hours::Response => contract.response_hours,
        Hours::Support => contract.support_hours,
    })
}

//! A contract version as people read it: every field with its place in the contract's file, and
//! what differs between two versions.
//!
//! Holds: every field of a contract stands here, so two versions without a difference are the same.
//! A list is compared by its elements. What the contract does not say has no field.

use super::words::Words;
use crate::sla::{
    calendar::{OpenHours, ServiceCalendar, Weekday},
    contract::{
        ChecklistCount, ChecklistItem, Contacts, Contract, Counting, CurrencyCount, CurrencyKind,
        CurrencyTerms, Devices, ExclusionClass, ExclusionRule, Grade, Grades, Hospital, ResponseCount,
        ResponseTerms, Rules, Targets, UnknownCount, UptimeCount,
    },
};
use serde::{Serialize, Serializer};
use std::fmt::Display;
use tenken_common::{
    config::HumanDuration,
    id::{Name, hex},
    message::{ContractText, Language, ReportText},
};

/// The parts of a contract, in the order of its file.
pub const PARTS: [ContractText; 13] = [
    ContractText::Contract,
    ContractText::Parties,
    ContractText::Devices,
    ContractText::Contacts,
    ContractText::ServiceHours,
    ContractText::ResponseHours,
    ContractText::SupportHours,
    ContractText::Targets,
    ContractText::Exclusions,
    ContractText::Currency,
    ContractText::Checklist,
    ContractText::Counting,
    ContractText::Grades,
];

/// One field of a contract.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Field {
    /// Where it stands in the file.
    pub key: String,
    /// One, or the elements of a list.
    pub values: Vec<Term>,
    /// One of [`PARTS`].
    #[serde(skip)]
    pub part: ContractText,
    /// What people call it.
    #[serde(skip)]
    pub name: String,
}

/// A value as it stands in the file, which is what JSON has, and as a person reads it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Term {
    pub written: String,
    pub read: String,
}

impl Serialize for Term {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        s.serialize_str(&self.written)
    }
}

/// What is different in one field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    pub key: String,
    pub removed: Vec<Term>,
    pub added: Vec<Term>,
    /// One of [`PARTS`].
    #[serde(skip)]
    pub part: ContractText,
    /// What people call the field.
    #[serde(skip)]
    pub name: String,
}

/// Every field, part by part.
pub fn fields(contract: &Contract, language: Language) -> Vec<Field> {
    let mut sheet = Sheet { words: Words { language }, part: ContractText::Contract, fields: Vec::new() };
    sheet.contract(contract);
    sheet.fields
}

/// The parts of which the contract says nothing, so that nothing of them is judged.
pub fn left_out(fields: &[Field]) -> impl Iterator<Item = ContractText> {
    PARTS.into_iter().filter(|part| !fields.iter().any(|field| field.part == *part))
}

/// What differs between two versions, in the order of the file.
pub fn changes(before: &Contract, after: &Contract, language: Language) -> Vec<Change> {
    let (before, after) = (fields(before, language), fields(after, language));
    let of = |fields: &[Field], key: &str| -> Vec<Term> {
        fields.iter().find(|field| field.key == key).map(|field| field.values.clone()).unwrap_or_default()
    };
    let new = after.iter().filter(|field| !before.iter().any(|other| other.key == field.key));
    let mut all: Vec<&Field> = before.iter().chain(new).collect();
    all.sort_by_key(|field| PARTS.iter().position(|part| *part == field.part));
    let mut changes = Vec::new();
    for field in all {
        let (mut removed, mut added) = (of(&before, &field.key), of(&after, &field.key));
        let kept: Vec<Term> = removed.iter().filter(|term| added.contains(term)).cloned().collect();
        removed.retain(|term| !kept.contains(term));
        added.retain(|term| !kept.contains(term));
        if !(removed.is_empty() && added.is_empty()) {
            let (key, part, name) = (field.key.clone(), field.part, field.name.clone());
            changes.push(Change { key, removed, added, part, name });
        }
    }
    changes
}

/// The fields so far.
struct Sheet {
    words: Words,
    part: ContractText,
    fields: Vec<Field>,
}

impl Sheet {
    fn text(&self, text: ContractText) -> &'static str {
        text.text(self.words.language)
    }

    fn fill(&self, text: ContractText, values: &[(&str, &str)]) -> String {
        text.fill(self.words.language, values)
    }

    fn field(&mut self, key: impl Into<String>, name: impl Into<String>, values: Vec<Term>) {
        let (key, name) = (key.into(), name.into());
        self.fields.push(Field { key, values, part: self.part, name });
    }

    /// A value that reads as it is written.
    fn plain(&mut self, key: impl Into<String>, name: ContractText, value: impl Display) {
        self.list(key, name, [value]);
    }

    fn list<T: Display>(
        &mut self,
        key: impl Into<String>,
        name: ContractText,
        values: impl IntoIterator<Item = T>,
    ) {
        let term = |value: T| term(value.to_string(), value.to_string());
        let values = values.into_iter().map(term).collect();
        self.field(key, self.text(name), values);
    }

    /// A value with a text of its own.
    fn worded(&mut self, key: impl Into<String>, name: ContractText, written: impl Display, read: String) {
        self.field(key, self.text(name), vec![term(written.to_string(), read)]);
    }

    /// The same of something with an id.
    fn of_id(&mut self, key: String, (name, id): (ContractText, &Name), written: impl Display, read: String) {
        let name = self.fill(name, &[("id", id.as_str())]);
        self.field(key, name, vec![term(written.to_string(), read)]);
    }

    fn contract(&mut self, contract: &Contract) {
        let Contract {
            id,
            version,
            effective_from,
            service_name,
            hospital,
            vendor,
            subcontractors,
            devices,
            contacts,
            service_hours,
            response_hours,
            support_hours,
            targets,
            term_ends,
            rules,
        } = contract;
        self.plain("id", ContractText::Id, id);
        self.plain("version", ContractText::Version, version);
        self.plain("effective_from", ContractText::EffectiveFrom, effective_from);
        self.list("term_ends", ContractText::Ends, term_ends.as_ref());
        self.plain("service_name", ContractText::ServiceName, service_name);
        self.plain("evaluation_year_starts", ContractText::YearStarts, rules.year_start);
        self.part = ContractText::Parties;
        let Hospital { id, name, key } = hospital;
        self.plain("hospital.name", ContractText::Hospital, name);
        self.plain("hospital.id", ContractText::HospitalId, id);
        self.plain("hospital.key", ContractText::HospitalKey, hex(&key.to_bytes()));
        self.plain("vendor.name", ContractText::Vendor, vendor);
        let roles = subcontractors.iter().map(|s| {
            let values = [("name", s.name.as_str()), ("role", s.role.as_str())];
            self.words.fill(ReportText::NameAndRole, &values)
        });
        let roles: Vec<String> = roles.collect();
        self.list("subcontractors", ContractText::Subcontractors, roles);
        self.part = ContractText::Devices;
        match devices {
            Devices::All => {
                let all = self.text(ContractText::AllDevices).to_owned();
                self.worded("all_devices", ContractText::DeviceLabels, true, all);
            }
            Devices::Named { labels, groups } => {
                self.list("devices", ContractText::DeviceLabels, labels);
                self.list("device_groups", ContractText::DeviceGroups, groups);
            }
        }
        self.part = ContractText::Contacts;
        let Contacts { normal_hours, other_hours } = contacts;
        self.plain("contacts.normal_hours", ContractText::NormalHours, normal_hours);
        self.plain("contacts.other_hours", ContractText::OtherHours, other_hours);
        for (part, key, calendar) in [
            (ContractText::ServiceHours, "service_hours", service_hours),
            (ContractText::ResponseHours, "response_hours", response_hours),
            (ContractText::SupportHours, "support_hours", support_hours),
        ] {
            self.part = part;
            self.calendar(key, calendar);
        }
        self.part = ContractText::Targets;
        self.targets(targets);
        self.rules(rules);
    }

    fn calendar(&mut self, key: &str, calendar: &ServiceCalendar) {
        let ServiceCalendar { weekly, closed_on_national_holidays, extra_closed, extra_open, holidays: _ } =
            calendar;
        let days = Weekday::ALL.map(|day| (day, weekly.on(day)));
        let runs = days.chunk_by(|(_, a), (_, b)| a == b).filter_map(|run| {
            let ((first, hours), (last, _)) = (run.first()?, run.last()?);
            (!hours.hours().is_empty()).then(|| self.run((*first, *last), hours))
        });
        let runs: Vec<Term> = runs.collect();
        self.field(format!("{key}.weekly"), self.text(ContractText::Weekly), runs);
        let closed =
            if *closed_on_national_holidays { ContractText::Closed } else { ContractText::LikeOtherDays };
        let read = self.text(closed).to_owned();
        self.worded(
            format!("{key}.closed_on_national_holidays"),
            ContractText::NationalHolidays,
            closed_on_national_holidays,
            read,
        );
        self.list(format!("{key}.extra_closed"), ContractText::ExtraClosed, extra_closed);
        let open = extra_open.iter().map(|(day, hours)| format!("{day} {}", stretches(hours)));
        self.list(format!("{key}.extra_open"), ContractText::ExtraOpen, open);
    }

    /// Days of the week with the same hours.
    fn run(&self, (first, last): (Weekday, Weekday), hours: &OpenHours) -> Term {
        let ((from, from_read), (to, to_read)) = (weekday(first), weekday(last));
        let (from_read, to_read) = (self.text(from_read), self.text(to_read));
        let hours = stretches(hours);
        if first == last {
            return term(format!("{from} {hours}"), format!("{from_read} {hours}"));
        }
        let days = self.fill(ContractText::DayToDay, &[("from", from_read), ("to", to_read)]);
        term(format!("{from}-{to} {hours}"), format!("{days} {hours}"))
    }

    fn targets(&mut self, targets: &Targets) {
        let Targets { uptime, response: ResponseTerms { budget, severities } } = targets;
        let percent = format!("{:.10}", uptime * 100.0);
        let percent = percent.trim_end_matches('0').trim_end_matches('.');
        self.worded("targets.uptime", ContractText::Uptime, uptime, format!("{percent} %"));
        let micros = u64::try_from(budget.as_micros()).unwrap_or(0);
        let written = HumanDuration(std::time::Duration::from_micros(micros));
        let within = self.words.fill(ReportText::Within, &[("value", &self.words.time(*budget))]);
        self.worded("targets.response.budget", ContractText::ResponseBudget, written, within);
        let severities = severities.iter();
        let severities =
            severities.map(|s| term(s.as_str().to_owned(), self.words.message(s.message()).to_owned()));
        let severities = severities.collect();
        let name = self.text(ContractText::ResponseSeverities);
        self.field("targets.response.severities", name, severities);
    }

    fn rules(&mut self, rules: &Rules) {
        // The year's start stands in the first part.
        let Rules { exclusions, currency, checklist, counting, grades, year_start: _ } = rules;
        self.part = ContractText::Exclusions;
        for (id, rule) in exclusions {
            self.exclusion(id, rule);
        }
        self.part = ContractText::Currency;
        if let Some(terms) = currency {
            self.currency(terms);
        }
        self.part = ContractText::Checklist;
        for (id, ChecklistItem { title, due }) in checklist {
            let key = format!("checklist.{id}");
            self.of_id(format!("{key}.title"), (ContractText::TitleOf, id), title, title.clone());
            let day = self.fill(ContractText::EveryYear, &[("day", &due.to_string())]);
            self.of_id(format!("{key}.due"), (ContractText::DueOf, id), due, day);
        }
        self.part = ContractText::Counting;
        if let Some(counting) = counting {
            self.counting(*counting);
        }
        self.part = ContractText::Grades;
        if let Some(grades) = grades {
            self.grades(*grades);
        }
    }

    fn exclusion(&mut self, id: &Name, ExclusionRule { class, reason, notice }: &ExclusionRule) {
        let key = format!("exclusion_rules.{id}");
        let (written, read) = match class {
            ExclusionClass::PreAgreed => ("pre_agreed", ReportText::ClassPreAgreed),
            ExclusionClass::Other => ("other", ReportText::ClassOther),
        };
        let read = self.words.text(read).to_owned();
        self.of_id(format!("{key}.class"), (ContractText::ClassOf, id), written, read);
        self.of_id(format!("{key}.reason"), (ContractText::ReasonOf, id), reason, reason.clone());
        if *class == ExclusionClass::PreAgreed {
            let ahead = self.fill(ContractText::Ahead, &[("time", &self.words.limit(*notice))]);
            let written = HumanDuration(*notice);
            self.of_id(format!("{key}.notice"), (ContractText::NoticeOf, id), written, ahead);
        }
    }

    fn currency(&mut self, CurrencyTerms { limits, report_max_age, provider_devices }: &CurrencyTerms) {
        for (kind, limit) in limits {
            let key = match kind {
                CurrencyKind::PatternFile => "currency.pattern_file",
                CurrencyKind::OsPatch => "currency.os_patch",
                CurrencyKind::MiddlewarePatch => "currency.middleware_patch",
            };
            let within = self.words.fill(ReportText::Within, &[("value", &self.words.limit(*limit))]);
            let name = self.words.message(kind.message());
            self.field(key, name, vec![term(HumanDuration(*limit).to_string(), within)]);
        }
        let read = self.words.limit(*report_max_age);
        let written = HumanDuration(*report_max_age);
        self.worded("currency.report_max_age", ContractText::ReportMaxAge, written, read);
        self.list("currency.provider_devices", ContractText::ProviderDevices, provider_devices);
    }

    fn counting(&mut self, Counting { uptime, response, currency, checklist, unknown }: Counting) {
        let uptime = match uptime {
            UptimeCount::Month => ("month", ContractText::UptimeMonth),
        };
        let response = match response {
            ResponseCount::Incident => ("incident", ContractText::ResponseIncident),
            ResponseCount::Month => ("month", ContractText::ResponseMonth),
        };
        let currency = match currency {
            CurrencyCount::Month => ("month", ContractText::CurrencyMonth),
            CurrencyCount::Device => ("device", ContractText::CurrencyDevice),
        };
        let checklist = match checklist {
            ChecklistCount::Item => ("item", ContractText::ChecklistItem),
        };
        let unknown = match unknown {
            UnknownCount::Counted => ("counted", ContractText::Counted),
            UnknownCount::NotCounted => ("not_counted", ContractText::NotCounted),
        };
        for (key, name, (written, read)) in [
            ("counting.uptime", ContractText::CountUptime, uptime),
            ("counting.response", ContractText::CountResponse, response),
            ("counting.currency", ContractText::CountCurrency, currency),
            ("counting.checklist", ContractText::CountChecklist, checklist),
            ("counting.unknown", ContractText::CountUnknown, unknown),
        ] {
            self.worded(key, name, written, self.text(read).to_owned());
        }
    }

    fn grades(&mut self, grades: Grades) {
        for grade in Grade::ALL {
            let (from, to) = grades.range(grade);
            let (written, read) = match to {
                Some(to) if to == from => (from.to_string(), ContractText::MissesExactly),
                Some(to) => (format!("{from}-{to}"), ContractText::Misses),
                None => (format!("{from}-"), ContractText::MissesFrom),
            };
            let (from, to) = (from.to_string(), to.unwrap_or(from).to_string());
            let read = self.fill(read, &[("from", &from), ("to", &to)]);
            let name = self.fill(ContractText::Grade, &[("grade", grade.as_str())]);
            self.field(format!("grades.{}", grade.as_str()), name, vec![term(written, read)]);
        }
    }
}

fn term(written: String, read: String) -> Term {
    Term { written, read }
}

fn stretches(hours: &OpenHours) -> String {
    hours.hours().iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
}

fn weekday(day: Weekday) -> (&'static str, ContractText) {
    match day {
        Weekday::Mon => ("mon", ContractText::Mon),
        Weekday::Tue => ("tue", ContractText::Tue),
        Weekday::Wed => ("wed", ContractText::Wed),
        Weekday::Thu => ("thu", ContractText::Thu),
        Weekday::Fri => ("fri", ContractText::Fri),
        Weekday::Sat => ("sat", ContractText::Sat),
        Weekday::Sun => ("sun", ContractText::Sun),
    }
}

#[cfg(test)]
mod tests;

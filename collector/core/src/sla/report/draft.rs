//! Drafts of the reports that are due whenever something happens (発生の都度に報告する事項, SLA
//! A6.5(1)③), from what the devices' own messages show.
//!
//! Holds: a version that changed while nobody worked on it by the book, and an identity that is in
//! doubt, each make one draft, always with the same id; one that was entered is no draft any more.
//!
//! Does not: enter anything, nor know causes; whoever enters a draft writes them.

use super::event::{Event, EventKind, EventStep};
use crate::sla::{
    history::History,
    job::{Access, Job, ServiceType},
};
use std::time::Duration;
use tenken_common::{
    id::Name,
    message::{Language, ReportText},
    time::Timestamp,
};

/// When 甲 should have the report where nobody says otherwise.
const DUE_AFTER: Duration = Duration::from_hours(7 * 24);
/// A device may tell of a change that long after it was made.
const TOLD_WITHIN: Duration = Duration::from_hours(24);

/// What happened to a device.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Happened {
    /// Its label.
    pub device: Name,
    pub at: Timestamp,
    pub what: What,
}

/// See [`Happened`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum What {
    /// A piece of its software has another version.
    Revision { subject: Name, old: Name, new: Name },
    /// Its messages do not fit together, and nothing is taken from it.
    Quarantine,
    /// Somebody else seems to have its identity.
    Clone,
}

/// In the order in which it happened.
pub fn drafts(happened: &[Happened], history: &History, language: Language) -> Vec<Event> {
    let is_entered = |id: &Name| history.events.iter().any(|event| event.id == *id);
    let open = happened.iter().filter(|one| !is_explained(one, history));
    let mut all: Vec<Event> =
        open.map(|one| draft(one, language)).filter(|event| !is_entered(&event.id)).collect();
    all.sort_by(|a, b| (a.occurred_at, &a.id).cmp(&(b.occurred_at, &b.id)));
    all
}

/// Whether somebody worked on the device by the book; of work on software no device is named.
fn is_explained(happened: &Happened, history: &History) -> bool {
    if !matches!(happened.what, What::Revision { .. }) {
        return false;
    }
    let at = happened.at;
    let during =
        |from: Timestamp, to: Option<Timestamp>| from <= at && to.is_none_or(|to| at <= to.plus(TOLD_WITHIN));
    let by_access =
        |access: &Access| access.target == happened.device && during(access.from, Some(access.to));
    let by_job =
        |job: &Job| job.service == ServiceType::SoftwareRevision && during(job.received_at, job.closed_at);
    history.accesses.iter().any(by_access) || history.jobs.iter().any(by_job)
}

fn draft(happened: &Happened, language: Language) -> Event {
    let Happened { device, at, what } = happened;
    let (word, text) = match what {
        What::Revision { subject, old, new } => {
            let values = [
                ("device", device.to_string()),
                ("subject", subject.to_string()),
                ("old", old.to_string()),
                ("new", new.to_string()),
            ];
            (format!("revision-{subject}"), ReportText::DraftRevision.fill_all(language, &values))
        }
        What::Quarantine => {
            let values = [("device", device.to_string())];
            ("quarantine".to_owned(), ReportText::DraftQuarantine.fill_all(language, &values))
        }
        What::Clone => {
            let values = [("device", device.to_string())];
            ("clone".to_owned(), ReportText::DraftClone.fill_all(language, &values))
        }
    };
    Event {
        id: Name::of_outside(&format!("{word}-{device}-{}", at.as_secs())),
        kind: EventKind::Security,
        subject: text.clone(),
        occurred_at: *at,
        due: at.plus(DUE_AFTER),
        outage: None,
        course: vec![EventStep { at: *at, text }],
        cause: None,
        measures: None,
        reported_at: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text).unwrap()
    }

    fn at(h: i64) -> Timestamp {
        Timestamp::from_secs(1_790_000_000 + h * 3_600)
    }

    fn revision(h: i64) -> Happened {
        let what = What::Revision { subject: name("viewer"), old: name("3.1"), new: name("3.2") };
        Happened { device: name("ct-1"), at: at(h), what }
    }

    fn job(from: i64, to: Option<i64>, service: ServiceType) -> Job {
        Job { id: name("j-1"), service, received_at: at(from), closed_at: to.map(at) }
    }

    #[test]
    fn a_change_that_no_work_explains_makes_a_draft() {
        let of = |jobs: Vec<Job>, h| {
            let history = History { jobs, ..History::default() };
            drafts(&[revision(h)], &history, Language::En).len()
        };
        assert_eq!(of(vec![], 5), 1);
        let work = |from, to| vec![job(from, to, ServiceType::SoftwareRevision)];
        assert_eq!(of(work(0, Some(4)), 5), 0, "told a little later");
        assert_eq!(of(work(0, Some(4)), 28), 0, "a day after, the last moment");
        assert_eq!(of(work(0, Some(4)), 29), 1);
        assert_eq!(of(work(6, None), 5), 1, "the work began after it");
        assert_eq!(of(work(5, None), 5), 0, "the work began with it");
        assert_eq!(of(work(0, None), 500), 0);
        assert_eq!(of(vec![job(0, None, ServiceType::PeriodicMonitoring)], 5), 1);
    }

    #[test]
    fn an_access_explains_changes_of_its_own_device() {
        let of = |target: &str, from, to| {
            let access = Access {
                id: name("a-1"),
                service: ServiceType::SoftwareRevision,
                worker: name("w-7"),
                employer: "vendor".to_owned(),
                target: name(target),
                from: at(from),
                to: at(to),
                job: None,
                request: None,
                emergency: false,
                confirmed_at: None,
            };
            let history = History { accesses: vec![access], ..History::default() };
            drafts(&[revision(5)], &history, Language::En).len()
        };
        assert_eq!((of("ct-1", 4, 6), of("ct-2", 4, 6), of("ct-1", 6, 7)), (0, 1, 1));
    }

    #[test]
    fn a_doubt_always_makes_one_until_it_is_entered() {
        let doubt = |what| Happened { device: name("ct-1"), at: at(0), what };
        let happened = [doubt(What::Clone), doubt(What::Quarantine), revision(1)];
        let jobs = vec![job(0, None, ServiceType::SoftwareRevision)];
        let mut history = History { jobs, ..History::default() };
        let found = drafts(&happened, &history, Language::Ja);
        let ids: Vec<&str> = found.iter().map(|event| event.id.as_str()).collect();
        assert_eq!(ids, ["clone-ct-1-1790000000", "quarantine-ct-1-1790000000"]);
        assert!(found.iter().all(|event| event.due == at(7 * 24) && event.cause.is_none()));
        history.events.push(found[0].clone());
        assert_eq!(drafts(&happened, &history, Language::Ja), found[1..]);
    }
}

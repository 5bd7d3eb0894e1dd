//! What the Windows Update Agent (WUA) knows: its offline search, its history, its dates.
//!
//! Holds: the search is offline and changes nothing; it is in the index that is there already.
//! Superseded updates are left out. What a single update does not say is absent from it.

use super::com::{Apartment, refused, value};
use crate::probes::{
    com::{ComError, Variant},
    patches::wua::{Answer, Applied, Found, Offer},
};
use windows::{
    Win32::{
        Foundation::VARIANT_FALSE,
        System::UpdateAgent::{
            AutomaticUpdates, IAutomaticUpdates2, ICategoryCollection, ISystemInformation, IUpdate,
            IUpdateHistoryEntry, IUpdateHistoryEntry2, IUpdateSearcher, IUpdateSession, SystemInformation,
            UpdateSession,
        },
    },
    core::{BSTR, Interface, Result},
};

/// What is offered to this computer and neither installed nor hidden by its administrator.
const OFFERED: &str = "IsInstalled=0 and IsHidden=0";
/// Newest first; antivirus definitions fill some three entries a day.
const HISTORY_MAX: i32 = 1_000;
/// No computer is offered more; each has a handful of categories.
const COUNT_MAX: i32 = 10_000;

/// Asks all there is to ask. What the search said is part of the answer; what else is refused is absent.
pub fn ask() -> std::result::Result<Answer, ComError> {
    let apartment = Apartment::enter()?;
    let session: IUpdateSession = apartment.create("Windows Update Agent", &UpdateSession)?;
    // SAFETY: an interface that lives through the call.
    let searcher = unsafe { session.CreateUpdateSearcher() }.map_err(refused("CreateUpdateSearcher"))?;
    let found = search(&searcher).map_err(refused("the offline search for updates"));
    Ok(Answer {
        found,
        applied: history(&searcher).unwrap_or_default(),
        searched_at: searched_at(&apartment).unwrap_or(Variant::Empty),
        reboot_needed: reboot_needed(&apartment),
    })
}

fn search(searcher: &IUpdateSearcher) -> Result<Found> {
    // SAFETY: interfaces and a string that live through the calls.
    unsafe {
        searcher.SetOnline(VARIANT_FALSE)?;
        // Old agents do not have the setting, and leave superseded updates out.
        let _ = searcher.SetIncludePotentiallySupersededUpdates(VARIANT_FALSE);
        let found = searcher.Search(&BSTR::from(OFFERED))?;
        let (result, all) = (found.ResultCode().ok().map(|result| result.0), found.Updates()?);
        let offers = (0..all.Count()?.min(COUNT_MAX)).map(|i| all.get_Item(i).map(|update| offer(&update)));
        Ok(Found { result, offers: offers.collect::<Result<_>>()? })
    }
}

fn offer(update: &IUpdate) -> Offer {
    // SAFETY: interfaces that live through the calls.
    unsafe {
        let identity = update.Identity().ok();
        Offer {
            id: identity.as_ref().and_then(|id| id.UpdateID().ok()).map(|id| id.to_string()),
            revision: identity.and_then(|id| id.RevisionNumber().ok()),
            categories: update.Categories().and_then(|all| categories(&all)).ok(),
            severity: update.MsrcSeverity().ok().map(|text| text.to_string()),
            changed_at: update.LastDeploymentChangeTime().ok(),
            supersedes: superseded(update).unwrap_or_default(),
        }
    }
}

fn superseded(update: &IUpdate) -> Result<Vec<String>> {
    // SAFETY: interfaces that live through the calls.
    unsafe {
        let all = update.SupersededUpdateIDs()?;
        (0..all.Count()?.min(COUNT_MAX)).map(|i| all.get_Item(i).map(|id| id.to_string())).collect()
    }
}

fn categories(all: &ICategoryCollection) -> Result<Vec<String>> {
    // SAFETY: interfaces that live through the calls.
    unsafe {
        let id = |i| all.get_Item(i)?.CategoryID().map(|id| id.to_string());
        (0..all.Count()?.min(COUNT_MAX)).map(id).collect()
    }
}

fn history(searcher: &IUpdateSearcher) -> Result<Vec<Applied>> {
    // SAFETY: interfaces that live through the calls.
    unsafe {
        let count = searcher.GetTotalHistoryCount()?.min(HISTORY_MAX);
        // It refuses to be asked for nothing.
        if count < 1 {
            return Ok(Vec::new());
        }
        let entries = searcher.QueryHistory(0, count)?;
        (0..entries.Count()?.min(count)).map(|i| entries.get_Item(i).map(|entry| applied(&entry))).collect()
    }
}

fn applied(entry: &IUpdateHistoryEntry) -> Applied {
    // SAFETY: interfaces that live through the calls.
    unsafe {
        let categories = entry.cast::<IUpdateHistoryEntry2>().and_then(|entry| entry.Categories());
        Applied {
            operation: entry.Operation().ok().map(|operation| operation.0),
            result: entry.ResultCode().ok().map(|result| result.0),
            at: entry.Date().ok(),
            categories: categories.and_then(|all| self::categories(&all)).ok(),
        }
    }
}

fn searched_at(apartment: &Apartment) -> Option<Variant> {
    let updates: IAutomaticUpdates2 = apartment.create("AutomaticUpdates", &AutomaticUpdates).ok()?;
    // SAFETY: interfaces that live through the calls.
    let at = unsafe { updates.Results().and_then(|results| results.LastSearchSuccessDate()) };
    at.ok().map(|at| value(&at))
}

fn reboot_needed(apartment: &Apartment) -> Option<bool> {
    let system: ISystemInformation = apartment.create("SystemInformation", &SystemInformation).ok()?;
    // SAFETY: an interface that lives through the call.
    unsafe { system.RebootRequired() }.ok().map(|needed| needed.as_bool())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// wine has the classes and does not search.
    #[test]
    fn this_machine_answers_or_says_which_call_failed() {
        match ask() {
            Ok(answer) => match answer.found {
                Ok(Found { offers, .. }) => {
                    assert!(offers.iter().all(|offer| offer.id.is_some()), "{offers:?}")
                }
                Err(e) => assert!(e.call.contains("search") && e.code >= 0x8000_0000, "{e}"),
            },
            Err(e) => assert!(e.code >= 0x8000_0000, "{e}"),
        }
    }
}

//! The calendar of the contract (SLA A1.3): days in Japan, its national holidays, service hours,
//! and durations that count service hours only.
//!
//! Holds: the zone is Asia/Tokyo and no other. Only this folder names `jiff`. The calendar covers
//! 1955 to 2099; outside it nothing is ever open.

mod business_time;
mod day;
pub mod holiday_jp;
mod holiday_list;
mod service_calendar;
mod working_clock;

pub use business_time::{BusinessDuration, DEADLINE_HORIZON_DAYS, DeadlineError};
pub use day::{BadDay, Day, Weekday};
pub use holiday_jp::{Certainty, Holiday};
pub use holiday_list::{BadHolidayList, HolidayList};
pub use service_calendar::{BadHours, Hours, OpenHours, ServiceCalendar, Weekly};
pub use working_clock::WorkingClock;

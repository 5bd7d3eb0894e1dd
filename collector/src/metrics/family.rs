//! The names of all metrics: one table with type, labels and help.
//!
//! Holds: every name begins with `tenken_`, counts in Prometheus' base units, and ends in
//! `_total` exactly where it is a counter.

use prometheus::{GaugeVec, HistogramOpts, HistogramVec, IntCounterVec, Opts, Registry};

/// What a metric is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Counter,
    Gauge,
    Histogram,
}

macro_rules! families {
    ($($name:ident $kind:ident $text:literal [$($label:literal),*] $help:literal)*) => {
        /// A metric's name.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Family { $($name),* }

        impl Family {
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            pub fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text),* }
            }

            pub fn kind(self) -> Kind {
                match self { $(Self::$name => Kind::$kind),* }
            }

            pub fn labels(self) -> &'static [&'static str] {
                match self { $(Self::$name => &[$($label),*]),* }
            }

            pub fn help(self) -> &'static str {
                match self { $(Self::$name => $help),* }
            }
        }
    };
}

families! {
    // The collector itself.
    BuildInfo Gauge "tenken_build_info" ["version"] "Always 1, with the running version."
    StartTime Gauge "tenken_start_time_seconds" [] "When this collector began to serve, seconds since 1970."
    Batches Counter "tenken_ingest_batches_total" [] "Batches taken and committed."
    Records Counter "tenken_ingest_records_total" [] "Records in the batches taken."
    Bytes Counter "tenken_ingest_bytes_total" [] "Bytes of the envelopes taken, as they came."
    Duplicates Counter "tenken_ingest_duplicates_total" [] "Batches that were here already and had no effect."
    Refused Counter "tenken_ingest_refused_total" ["reason"] "What was refused, by reason."
    InvariantViolations Counter "tenken_invariant_violations_total" ["invariant"] "Steps that broke an invariant of the protocol; each is a defect of this program."
    CommitGroups Counter "tenken_commit_groups_total" [] "Transactions that committed batches."
    CommitSeconds Histogram "tenken_commit_duration_seconds" [] "Duration of those transactions, disk sync included."
    AckSeconds Histogram "tenken_ack_latency_seconds" [] "From the end of a request's body to its signed answer."
    Connections Gauge "tenken_connections" ["listener"] "Open connections."
    ConnectionsOverLimit Counter "tenken_connections_over_limit_total" ["listener"] "Connections closed unheard, since there were too many."
    ConnectionsTurnedOut Counter "tenken_connections_turned_out_total" ["listener"] "Connections cut since their device was revoked."
    HandshakesRefused Counter "tenken_handshakes_refused_total" ["listener", "reason"] "TLS handshakes that came to nothing, by reason."
    StreamPosition Gauge "tenken_stream_position" [] "Position of the newest entry of the collector's log."
    Notices Counter "tenken_notice_attempts_total" ["outlet", "result"] "Attempts to send a message of one or more notices, by outlet and result."
    OutboxPending Gauge "tenken_outbox_pending" [] "Notices that wait to be delivered."
    OutboxOldest Gauge "tenken_outbox_oldest_timestamp_seconds" [] "When the oldest waiting notice was decided; absent where none waits."
    EvaluationSeconds Histogram "tenken_evaluation_duration_seconds" [] "Duration of evaluations."
    EvaluationLast Gauge "tenken_evaluation_last_timestamp_seconds" [] "When the last evaluation ended."

    RemoteWriteSamples Counter "tenken_remote_write_samples_total" [] "Samples that the receiver of remote write took."
    RemoteWriteDropped Counter "tenken_remote_write_dropped_total" ["reason"] "Samples that were not handed over: refused by the receiver, older than configured, ahead of the collector's clock, or of a hospital that is left out."
    RemoteWriteRequests Counter "tenken_remote_write_requests_total" ["result"] "Requests of remote write: taken, deferred (they go again), refused for good."
    RemoteWritePosition Gauge "tenken_remote_write_position" [] "Position in the collector's log up to which remote write handed everything over."
    RemoteWriteOldest Gauge "tenken_remote_write_oldest_timestamp_seconds" [] "When the oldest numbers that wait for remote write were committed; absent where none wait."

    // What the collector knows, replaced as a whole at each evaluation.
    CollectorLost Counter "tenken_collector_lost_batches_total" [] "Batches that were acknowledged and lost here, as devices proved after a restore."
    Devices Gauge "tenken_devices" ["hospital", "state"] "Devices by state."
    DeviceSeriesLeftOut Gauge "tenken_device_series_left_out" [] "Devices without series of their own, since there are more than configured."
    DeviceLastSeen Gauge "tenken_device_last_seen_timestamp_seconds" ["hospital", "device", "name"] "When a device was last heard, by the collector's clock."
    DeviceState Gauge "tenken_device_state" ["hospital", "device", "name", "state"] "1 for the state a device is in, 0 for the others."
    DeviceRecords Counter "tenken_device_records_stored_total" ["hospital", "device", "name"] "Records stored of a device."
    DeviceGaps Counter "tenken_device_gaps_total" ["hospital", "device", "name"] "Gaps that a device declared or that were found."
    DeviceClockOffset Gauge "tenken_device_clock_offset_seconds" ["hospital", "device", "name"] "Server time minus the device's time; absent where unknown."
    DevicePatches Gauge "tenken_device_patches_pending" ["hospital", "device", "name"] "Updates that are offered to a device and not installed; absent where it cannot tell or did not tell lately."
    DeviceSecurityPatches Gauge "tenken_device_patches_security_pending" ["hospital", "device", "name"] "Security updates among them; absent where it cannot tell or did not tell lately."
    DevicePatternFileAge Gauge "tenken_device_pattern_file_age_seconds" ["hospital", "device", "name"] "Age of a device's oldest antivirus definitions; absent where one of its products cannot tell or none told lately."
    Incidents Gauge "tenken_incidents_open" ["hospital", "severity", "rule"] "Open incidents."
    Silences Gauge "tenken_silences" [] "Silences in force: incidents that people keep from being told."
    ForecastLeft Gauge "tenken_forecast_time_left_seconds" ["hospital", "device", "name", "subject", "quantity"] "Time until the limit is reached, the middle forecast; absent where there is none."
    ForecastLeftLow Gauge "tenken_forecast_time_left_low_seconds" ["hospital", "device", "name", "subject", "quantity"] "The early end of the forecast's range."
    ForecastLeftHigh Gauge "tenken_forecast_time_left_high_seconds" ["hospital", "device", "name", "subject", "quantity"] "The late end of the forecast's range."
    SlaUptime Gauge "tenken_sla_uptime_ratio" ["hospital", "contract", "bound"] "Uptime in the current period: as computed, and its bounds where time is undetermined."
    SlaTarget Gauge "tenken_sla_uptime_target_ratio" ["hospital", "contract"] "Uptime that was agreed."
    SlaCoverage Gauge "tenken_sla_coverage_ratio" ["hospital", "contract"] "Part of the service time for which there is data."
    SlaVerdict Gauge "tenken_sla_uptime_verdict" ["hospital", "contract", "verdict"] "1 for the verdict on uptime so far, 0 for the others."
    SlaResponse Gauge "tenken_sla_response_ratio" ["hospital", "contract"] "Part of the incidents whose first response was in time."
    SlaResponsesRunning Gauge "tenken_sla_responses_running" ["hospital", "contract"] "Incidents whose response clock is running."
    SlaResponsesBreached Gauge "tenken_sla_responses_breached" ["hospital", "contract"] "Incidents of the current period whose first response came late or is overdue."
    SlaIndicator Gauge "tenken_sla_indicator_ratio" ["hospital", "contract", "indicator", "bound"] "Each indicator of the contract in the current month: as computed, and its bounds with all that is unknown; absent where there is none."
    SlaIndicatorTarget Gauge "tenken_sla_indicator_target_ratio" ["hospital", "contract", "indicator"] "Target of each indicator in the current month."
    SlaIndicatorCoverage Gauge "tenken_sla_indicator_coverage_ratio" ["hospital", "contract", "indicator"] "Part of what each indicator judges for which there is data; absent where that has no meaning."
    SlaIndicatorVerdict Gauge "tenken_sla_indicator_verdict" ["hospital", "contract", "indicator", "verdict"] "1 for the verdict on each indicator in the current month so far, 0 for the others."
    SlaMisses Gauge "tenken_sla_misses" ["hospital", "contract", "indicator", "certainty"] "Misses of the current month so far, and what may become one; absent where the contract does not say what counts."
    SlaYearMisses Gauge "tenken_sla_year_misses" ["hospital", "contract", "bound"] "Misses of the evaluation year so far, and their bounds; absent where the contract does not say what counts."
    SlaYearGrade Gauge "tenken_sla_year_grade" ["hospital", "contract", "bound", "grade"] "1 for the grade that the evaluation year has so far, 0 for the others; best and worst with all that is unknown; `none` without rules."
    SlaTermination Gauge "tenken_sla_termination_grounds" ["hospital", "contract", "ground"] "Grounds on which the hospital may ask for the contract's end, as far as they are certain."
    PlannedStop Gauge "tenken_planned_stop" ["hospital", "contract"] "1 during a planned stop that was announced in time and agreed to."
    PlannedStopStart Gauge "tenken_planned_stop_start_timestamp_seconds" ["hospital", "contract"] "Beginning of the planned stop that goes on or comes next; absent without one."
    PlannedStopEnd Gauge "tenken_planned_stop_end_timestamp_seconds" ["hospital", "contract"] "End of the planned stop that goes on or comes next; absent without one."
}

/// From a fast disk's sync to a request's deadline.
const BUCKETS_SECONDS: [f64; 12] = [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 15.0];

/// The table above is right: names are unique and well formed, as a test over all shows.
const GOOD: &str = "the table of families holds well-formed, unique names";

impl Family {
    fn opts(self) -> Opts {
        Opts::new(self.as_str(), self.help())
    }

    pub fn counter(self, registry: &Registry) -> IntCounterVec {
        let vec = IntCounterVec::new(self.opts(), self.labels()).expect(GOOD);
        registry.register(Box::new(vec.clone())).expect(GOOD);
        vec
    }

    pub fn gauge(self, registry: &Registry) -> GaugeVec {
        let vec = GaugeVec::new(self.opts(), self.labels()).expect(GOOD);
        registry.register(Box::new(vec.clone())).expect(GOOD);
        vec
    }

    pub fn histogram(self, registry: &Registry) -> HistogramVec {
        let opts = HistogramOpts::from(self.opts()).buckets(BUCKETS_SECONDS.to_vec());
        let vec = HistogramVec::new(opts, self.labels()).expect(GOOD);
        registry.register(Box::new(vec.clone())).expect(GOOD);
        vec
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rules_and_all_can_be_registered() {
        let registry = Registry::new();
        for family in Family::ALL.iter().copied() {
            let name = family.as_str();
            assert!(name.starts_with("tenken_"), "{name}");
            assert_eq!(name.ends_with("_total"), family.kind() == Kind::Counter, "{name}");
            assert!(!family.help().is_empty(), "{name}");
            match family.kind() {
                Kind::Counter => drop(family.counter(&registry)),
                Kind::Gauge => drop(family.gauge(&registry)),
                Kind::Histogram => drop(family.histogram(&registry)),
            }
        }
    }
}

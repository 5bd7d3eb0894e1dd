//! What a device says of itself at the end of a world.

use super::*;

impl Device {
    /// Nothing waits and nothing is under way.
    pub fn is_drained(&mut self, cx: &mut Cx<'_>) -> bool {
        self.view(cx).is_ok_and(|view| view.waiting == 0 && view.in_flight == 0)
    }

    /// Violations that the spool itself has counted, and records that it evicted.
    pub fn counted(&self) -> (u64, u64) {
        let stats = self.live.as_ref().and_then(|live| live.spool.as_ref()).map(Spool::stats);
        stats.map_or((0, 0), |stats| (stats.violations, stats.evicted))
    }

    /// What keeps this device from being drained, for a person.
    pub fn standing(&mut self, cx: &mut Cx<'_>) -> String {
        let halted = self.halted();
        let now = self.now(cx).mono;
        match self.view(cx) {
            Ok(view) => {
                let step = self.live.as_ref().map(|live| live.pusher.poll(now, &view));
                format!("{view:?} halted {halted:?} next {step:?} asking {}", self.is_asking())
            }
            Err(e) => format!("spool: {e}; halted {halted:?}"),
        }
    }
}

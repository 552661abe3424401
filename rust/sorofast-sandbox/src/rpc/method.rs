//! The methods there are, with their limits and call counters.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use super::error::{RpcError, SYSTEM_ERROR};

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Method {
    GetEvents,
    GetFeeStats,
    GetHealth,
    GetLatestLedger,
    GetLedgerEntries,
    GetLedgers,
    GetNetwork,
    GetTransaction,
    GetTransactions,
    GetVersionInfo,
    SendTransaction,
    SimulateTransaction,
}

const METHODS: [Method; 12] = [
    Method::GetEvents,
    Method::GetFeeStats,
    Method::GetHealth,
    Method::GetLatestLedger,
    Method::GetLedgerEntries,
    Method::GetLedgers,
    Method::GetNetwork,
    Method::GetTransaction,
    Method::GetTransactions,
    Method::GetVersionInfo,
    Method::SendTransaction,
    Method::SimulateTransaction,
];

impl Method {
    pub(crate) fn from_name(name: &str) -> Option<Self> {
        METHODS.into_iter().find(|method| method.name() == name)
    }

    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::GetEvents => "getEvents",
            Self::GetFeeStats => "getFeeStats",
            Self::GetHealth => "getHealth",
            Self::GetLatestLedger => "getLatestLedger",
            Self::GetLedgerEntries => "getLedgerEntries",
            Self::GetLedgers => "getLedgers",
            Self::GetNetwork => "getNetwork",
            Self::GetTransaction => "getTransaction",
            Self::GetTransactions => "getTransactions",
            Self::GetVersionInfo => "getVersionInfo",
            Self::SendTransaction => "sendTransaction",
            Self::SimulateTransaction => "simulateTransaction",
        }
    }

    /// How many calls may be under way at once; the real server's defaults.
    const fn queue_limit(self) -> usize {
        match self {
            Self::SendTransaction => 500,
            Self::SimulateTransaction | Self::GetFeeStats => 100,
            _ => 1_000,
        }
    }

    /// How long one call may take; the real server's defaults.
    pub(crate) const fn time_limit(self) -> Duration {
        match self {
            Self::SendTransaction | Self::SimulateTransaction => Duration::from_secs(15),
            Self::GetEvents | Self::GetLedgers => Duration::from_secs(10),
            _ => Duration::from_secs(5),
        }
    }
}

/// Counters of calls received and calls under way, by method.
#[derive(Debug, Default)]
pub(crate) struct Traffic {
    received: [AtomicU64; METHODS.len()],
    under_way: [AtomicUsize; METHODS.len()],
}

/// One call's place in its method's queue, given back on drop.
#[derive(Debug)]
pub(crate) struct Place<'a>(&'a AtomicUsize);

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Traffic {
    /// Counts a call as received.
    pub(crate) fn count(&self, method: Method) {
        self.received[method as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Takes a place among the calls under way.
    ///
    /// # Errors
    /// `-32098` in the real server's words when the method's queue is full.
    pub(crate) fn enter(&self, method: Method) -> Result<Place<'_>, RpcError> {
        let under_way = &self.under_way[method as usize];
        let before = under_way.fetch_add(1, Ordering::Relaxed);
        let place = Place(under_way);
        if before >= method.queue_limit() {
            let message = format!(
                "rpc queue for {} surpassed queue limit of {} requests",
                method.name(),
                method.queue_limit()
            );
            return Err(RpcError::new(SYSTEM_ERROR, message));
        }
        Ok(place)
    }

    /// Calls received so far, by method name; methods never called are left out.
    pub(crate) fn received(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        METHODS.into_iter().filter_map(|method| {
            let count = self.received[method as usize].load(Ordering::Relaxed);
            (count > 0).then_some((method.name(), count))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lead_back_to_their_methods() {
        for method in METHODS {
            assert_eq!(Method::from_name(method.name()), Some(method));
        }
        assert_eq!(Method::from_name("gethealth"), None);
    }

    #[test]
    fn methods_have_the_real_servers_limits() {
        let seconds = |method: Method| method.time_limit().as_secs();
        for (method, places, limit_s) in [
            (Method::GetHealth, 1_000, 5),
            (Method::GetLedgerEntries, 1_000, 5),
            (Method::GetEvents, 1_000, 10),
            (Method::GetLedgers, 1_000, 10),
            (Method::GetTransactions, 1_000, 5),
            (Method::GetFeeStats, 100, 5),
            (Method::SendTransaction, 500, 15),
            (Method::SimulateTransaction, 100, 15),
        ] {
            assert_eq!(
                (method.queue_limit(), seconds(method)),
                (places, limit_s),
                "{}",
                method.name()
            );
        }
    }

    #[test]
    fn a_full_queue_refuses_and_a_left_place_is_free_again() {
        let traffic = Traffic::default();
        let mut places: Vec<_> = (0..100)
            .map(|_| traffic.enter(Method::GetFeeStats).expect("a place"))
            .collect();
        let error = traffic.enter(Method::GetFeeStats).expect_err("no place");
        assert_eq!(error.code, SYSTEM_ERROR);
        assert_eq!(
            error.message,
            "rpc queue for getFeeStats surpassed queue limit of 100 requests"
        );
        places.pop();
        assert!(traffic.enter(Method::GetFeeStats).is_ok());
    }
}

//! The one table of reasons: why a task waits, and how an execution ended. Planner, metrics and commands read it
//! through `reason_codes()`. Codes are stored in snapshots and streams: never renumber one.

macro_rules! reasons {
    ($($variant:ident = $code:literal, $name:literal, $sentence:literal;)*) => {
        /// Why a task is where it is.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        #[repr(u16)]
        pub enum Reason {
            $(#[doc = $sentence] $variant = $code,)*
        }

        /// Every reason in code order: code, name, sentence for the operator.
        pub const TABLE: &[(u16, &str, &str)] = &[$(($code, $name, $sentence),)*];

        impl Reason {
            /// The reason of a code, if there is one.
            #[must_use]
            pub const fn from_code(code: u16) -> Option<Self> {
                match code {
                    $($code => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

reasons! {
    None = 0, "none", "Nothing is recorded about this task yet.";
    NotDue = 1, "not_due", "The task waits for its next run to fall due.";
    Inactive = 2, "inactive", "The task is paused; its creator must call `resume_task` of the registry.";
    OutOfGas = 3, "out_of_gas", "The task's gas balance does not pay for a run; `sorofast tasks deposit` adds to it.";
    NotWhitelisted = 4, "not_whitelisted", "The task has a whitelist and our keeper is not on it.";
    Blocked = 5, "blocked", "The task waits for other tasks that have not run yet.";
    Undecodable = 6, "undecodable", "The task's entry does not decode; this engine cannot run it.";
    DueOverflow = 7, "due_overflow", "The task's last run plus its interval lies beyond the end of time.";
    IntervalZero = 8, "interval_zero", "The task has an interval of zero seconds.";
    Archived = 9, "archived", "The task's entry is archived; its next run restores it, or the log says why it cannot.";
    WaitingForLedger = 10, "waiting_for_ledger", "The task falls due after the ledger that closes next.";
    NoChannel = 11, "no_channel", "Every channel of the task's shard is in use; `sorofast channels create` makes more.";
    NoTemplate = 12, "no_template", "No footprint is known for this task yet; a simulation is needed.";
    Simulating = 13, "simulating", "A simulation of the task is under way.";
    SimulationFailed = 14, "simulation_failed", "The RPC could not simulate the task; it is tried again.";
    SimulationNoEffect = 15, "simulation_no_effect", "A simulated run did nothing: its resolver said no, or it is not due.";
    TargetPanics = 16, "target_panics", "The task's target contract fails when it is called.";
    InFlight = 17, "in_flight", "A transaction that runs the task is on its way.";
    BackingOff = 18, "backing_off", "The task failed and waits before it is tried again.";
    Quarantined = 19, "quarantined", "The task failed too often and is not tried again until it changes or `sorofast dead retry` says so.";
    LeaseNotTrusted = 20, "lease_not_trusted", "The shard's lease is about to end; nothing new is claimed under it.";
    MaxInflight = 21, "max_inflight", "As many transactions are in flight as the settings allow.";
    FeeAboveCap = 22, "fee_above_cap", "The run would cost more than the fee cap allows.";
    ReadError = 23, "read_error", "The task could not be read from the RPC; it is read again.";
    Removed = 24, "removed", "The task is no longer in the registry.";
    GasBelowFee = 25, "gas_below_fee", "The task's gas balance is below the contract's fee for it; `sorofast tasks deposit` adds to it.";
    ResolverSaysNo = 26, "resolver_says_no", "The task's resolver said no; it is asked again every second ledger.";
    FleetPaused = 27, "fleet_paused", "The fleet sends nothing now; see the fleet's reason in `sorofast status`.";
    FootprintVaries = 28, "footprint_varies", "What the run touches changes from run to run; it is simulated each time.";
    FunctionMissing = 29, "function_missing", "The target contract has no such function.";
    RegistryRefused = 30, "registry_refused", "The registry refused the run; `sorofast tasks history` has the error's name.";
    TokenRefused = 31, "token_refused", "The fee token refused the payment to the keeper; the registry may hold too little of it.";
    Executed = 32, "executed", "The task ran.";
    NoEffect = 33, "no_effect", "The transaction succeeded, but the task did not run; the fee is lost.";
    Failed = 34, "failed", "The transaction was included and failed.";
    Expired = 35, "expired", "The transaction can no longer be included; the run is built again.";
    Superseded = 36, "superseded", "Another keeper ran the task first.";
    Unknown = 37, "unknown", "What became of the transaction cannot be told yet.";
    RpcRefused = 38, "rpc_refused", "The RPC refused the transaction for good.";
    WaitingForUpgrade = 39, "waiting_for_upgrade", "Members of an older version run in this fleet; this kind of run waits until they are gone.";
}

/// One more than the highest code.
pub const CODES: usize = 40;

impl Reason {
    /// The number that is stored and counted.
    #[must_use]
    pub const fn code(self) -> u16 {
        self as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_ascend_names_differ_and_sentences_end() {
        assert!(TABLE.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert_eq!(TABLE.last().map(|last| last.0 as usize + 1), Some(CODES));
        let mut names: Vec<_> = TABLE.iter().map(|row| row.1).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), TABLE.len());
        for (code, name, sentence) in TABLE {
            assert!(
                sentence.ends_with('.')
                    && name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')
            );
            assert_eq!(Reason::from_code(*code).map(Reason::code), Some(*code));
        }
        assert_eq!(Reason::from_code(CODES as u16), None);
    }
}

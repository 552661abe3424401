//! Command line: flags, their checks and the durations they are written in.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::config::{ClockMode, Limits, MAX_ACCOUNTS, MAX_RETENTION_LEDGERS, MAX_START_TIME_S};
use crate::faults::MAX_REPLICAS;
use crate::ledger::history::RETENTION_LEDGERS;
use crate::ledger::seeds::{Generation, SeedTasks, MAX_INTERVAL_S, MAX_TASKS};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Parser, Subcommand, ValueEnum};

/// The passphrase of the standalone network that every Stellar tool knows as "local".
pub(crate) const STANDALONE_PASSPHRASE: &str = "Standalone Network ; February 2017";

/// The one protocol the linked host speaks.
pub(crate) const PROTOCOL: u32 = 30;

const MAX_DURATION: Duration = Duration::from_hours(24);

/// A local Soroban network in one process: the real host behind the real JSON-RPC surface.
#[derive(Debug, Parser)]
#[command(name = "sorofast-sandbox", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Start the network; prints one line when it is ready and runs until SIGTERM or Ctrl-C.
    Start(Box<StartArgs>),
    /// Write the wasm of an embedded contract to stdout.
    Contract {
        /// Which one: the registry that keepers serve, a target and a resolver for its tasks, or one of three targets
        /// that misbehave.
        #[arg(value_parser = PossibleValuesParser::new(crate::contracts::names()))]
        name: String,
    },
}

#[derive(Debug, Args)]
pub(crate) struct StartArgs {
    /// Address to listen on: an IP address or `localhost`.
    #[arg(long, default_value = "127.0.0.1", value_parser = parse_host)]
    pub(crate) host: IpAddr,
    /// Let an address other than loopback be used. The admin interface has no password.
    #[arg(long)]
    pub(crate) allow_remote: bool,
    /// Port to listen on; 0 takes a free one.
    #[arg(long, allow_negative_numbers = true, default_value_t = 8000)]
    pub(crate) port: u16,
    /// Time between two transaction sets (`500ms`, `5s`, `2m`); 0 closes only on the admin call.
    #[arg(long, default_value = "5s", value_parser = parse_duration)]
    pub(crate) ledger_close: Duration,
    /// Each close moves by a random amount of up to this, either way.
    #[arg(long, default_value = "0s", value_parser = parse_duration)]
    pub(crate) ledger_jitter: Duration,
    /// From the freeze of a set until its ledger is visible; a quarter of the close unless given.
    #[arg(long, value_parser = parse_duration)]
    pub(crate) consensus_delay: Option<Duration>,
    /// Transactions are sent on in slices of a ledger's worth per close, every 200 ms, and arrive after
    /// this; 0 has them everywhere at once.
    #[arg(long, default_value = "0s", value_parser = parse_duration)]
    pub(crate) flood_delay: Duration,
    /// Passphrase of the network.
    #[arg(long, default_value = STANDALONE_PASSPHRASE)]
    pub(crate) network_passphrase: String,
    /// Protocol version; this build holds the host of protocol 30 only.
    #[arg(long, allow_negative_numbers = true, default_value_t = PROTOCOL, value_parser = parse_protocol)]
    pub(crate) protocol: u32,
    /// Ledgers kept for readers: their transactions, events and metas; a week of five second ones unless given.
    #[arg(long, allow_negative_numbers = true, value_name = "LEDGERS", default_value_t = RETENTION_LEDGERS, value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_RETENTION_LEDGERS)))]
    pub(crate) retention: u32,
    /// Limits and fees of the network.
    #[arg(long, default_value = "mainnet", value_parser = limits_parser())]
    pub(crate) limits: Limits,
    /// What all chance follows from; drawn at random unless given, and told when the network is ready.
    #[arg(long, allow_negative_numbers = true)]
    pub(crate) seed: Option<u64>,
    /// `manual` stands still until an advance moves it; it needs --ledger-close 0.
    #[arg(long, default_value = "system")]
    pub(crate) clock: Clock,
    /// Close time of the first ledger, in seconds since 1970; now unless given.
    #[arg(long, allow_negative_numbers = true, value_name = "UNIX_SECONDS", value_parser = clap::value_parser!(u64).range(1..=MAX_START_TIME_S))]
    pub(crate) start_time: Option<u64>,
    /// Accounts with 10,000 XLM each from the start; their keys are public, see GET /admin/accounts.
    #[arg(long, allow_negative_numbers = true, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u32).range(..=i64::from(MAX_ACCOUNTS)))]
    pub(crate) accounts: u32,
    /// Registries with so many tasks in all from the start, see GET /admin/registries.
    #[arg(long, allow_negative_numbers = true, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_TASKS)))]
    pub(crate) seed_tasks: Option<u32>,
    /// Range of the seeded tasks' intervals, in whole seconds.
    #[arg(long, default_value = "20s-120s", value_name = "RANGE", value_parser = parse_interval_range)]
    pub(crate) seed_task_interval: IntervalRange,
    /// Generations of TaskConfig that the seeded tasks are of, each in a registry of its own.
    #[arg(long, value_name = "LIST", value_delimiter = ',', default_value = "G0,G1,G2,G3,G4,G5,G6", value_parser = parse_generation)]
    pub(crate) seed_task_generations: Vec<Generation>,
    /// Start from a state that GET /admin/state or `sorofast sandbox save` wrote; seed, time, accounts and tasks are then its
    /// own.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["seed", "start_time", "accounts", "seed_tasks"])]
    pub(crate) load: Option<PathBuf>,
    /// Fault plan to begin with, in TOML or JSON.
    #[arg(long, value_name = "FILE")]
    pub(crate) faults: Option<PathBuf>,
    /// Further RPC ports on the same ledger, which a fault plan can make lag, flap or lie.
    #[arg(long, allow_negative_numbers = true, default_value_t = 0, value_parser = parse_replicas)]
    pub(crate) replicas: usize,
    /// Form of the line that says the network is ready.
    #[arg(short, long, default_value = "table")]
    pub(crate) output: Output,
    /// End when stdin reaches its end, so that the network dies with the process that started it.
    #[arg(long)]
    pub(crate) exit_with_stdin: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Output {
    Json,
    Table,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(crate) enum Clock {
    System,
    Manual,
}

impl From<Clock> for ClockMode {
    fn from(clock: Clock) -> Self {
        match clock {
            Clock::System => Self::System,
            Clock::Manual => Self::Manual,
        }
    }
}

/// The checks that concern more than one flag.
///
/// # Errors
/// One line that says what does not fit and what to change.
pub(crate) fn check(args: &StartArgs) -> Result<(), String> {
    if !args.host.is_loopback() && !args.allow_remote {
        return Err(format!(
            "{} is not a loopback address and the admin interface has no password; \
             add --allow-remote if other hosts shall reach it",
            args.host
        ));
    }
    if args.network_passphrase.is_empty() {
        return Err("--network-passphrase must not be empty".to_owned());
    }
    if args.ledger_close.is_zero() {
        if !args.ledger_jitter.is_zero() || args.consensus_delay.is_some_and(|d| !d.is_zero()) {
            return Err(
                "--ledger-jitter and --consensus-delay need a --ledger-close above 0".to_owned(),
            );
        }
        return Ok(());
    }
    if args.clock == Clock::Manual {
        return Err(
            "--clock manual needs --ledger-close 0: only POST /admin/advance moves it".to_owned(),
        );
    }
    if args.ledger_jitter >= args.ledger_close {
        return Err("--ledger-jitter must be shorter than --ledger-close".to_owned());
    }
    if consensus_delay(args) + args.ledger_jitter >= args.ledger_close {
        return Err(
            "--consensus-delay and --ledger-jitter together must be shorter than --ledger-close"
                .to_owned(),
        );
    }
    Ok(())
}

/// The delay between freeze and visibility: as given, or a quarter of the close.
pub(crate) fn consensus_delay(args: &StartArgs) -> Duration {
    args.consensus_delay.unwrap_or(args.ledger_close / 4)
}

/// A whole number with a unit (`500ms`, `5s`, `2m`, `1h`), or a bare `0`.
fn parse_duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    if text == "0" {
        return Ok(Duration::ZERO);
    }
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let hint = || format!("{text:?} is not a duration; write it as 500ms, 5s, 2m or 1h");
    let number: u64 = number.parse().map_err(|_| hint())?;
    let milliseconds = match unit {
        "ms" => Some(number),
        "s" => number.checked_mul(1_000),
        "m" => number.checked_mul(60_000),
        "h" => number.checked_mul(3_600_000),
        _ => return Err(hint()),
    };
    milliseconds
        .map(Duration::from_millis)
        .filter(|duration| *duration <= MAX_DURATION)
        .ok_or_else(|| format!("{text:?} is longer than a day"))
}

/// The presets by name.
fn limits_parser() -> impl TypedValueParser<Value = Limits> {
    PossibleValuesParser::new(Limits::ALL.map(Limits::name)).map(|name| {
        let named = |limits: &Limits| limits.name() == name;
        Limits::ALL.into_iter().find(named).unwrap_or_default()
    })
}

/// Shortest and longest interval in seconds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct IntervalRange(u32, u32);

/// `20s-120s`, or one duration for all.
fn parse_interval_range(text: &str) -> Result<IntervalRange, String> {
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    let seconds = |part: &str| {
        let duration = parse_duration(part).ok()?;
        let whole = duration.subsec_millis() == 0;
        u32::try_from(duration.as_secs()).ok().filter(|_| whole)
    };
    match (seconds(low), seconds(high)) {
        (Some(low), Some(high)) if (1..=high).contains(&low) && high <= MAX_INTERVAL_S => {
            Ok(IntervalRange(low, high))
        }
        _ => Err(format!(
            "{text:?} is not a range of whole seconds, the lower end first, such as 20s-120s"
        )),
    }
}

fn parse_generation(text: &str) -> Result<Generation, String> {
    Generation::ALL
        .into_iter()
        .find(|generation| generation.name().eq_ignore_ascii_case(text))
        .ok_or_else(|| format!("there is no generation {text:?}; there are G0 to G6"))
}

/// The tasks that shall be there from the start.
pub(crate) fn seed_tasks(args: &StartArgs) -> Option<SeedTasks> {
    let IntervalRange(low, high) = args.seed_task_interval;
    args.seed_tasks.map(|tasks| SeedTasks {
        tasks,
        intervals_s: (low, high),
        generations: args.seed_task_generations.clone(),
    })
}

fn parse_host(text: &str) -> Result<IpAddr, String> {
    if text == "localhost" {
        return Ok(IpAddr::from([127, 0, 0, 1]));
    }
    text.parse()
        .map_err(|_| "give an IP address, such as 127.0.0.1 or ::1, or localhost".to_owned())
}

fn parse_replicas(text: &str) -> Result<usize, String> {
    text.parse()
        .ok()
        .filter(|replicas| *replicas <= MAX_REPLICAS)
        .ok_or_else(|| format!("give a number from 0 to {MAX_REPLICAS}"))
}

fn parse_protocol(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(PROTOCOL) => Ok(PROTOCOL),
        _ => Err(format!("this build runs protocol {PROTOCOL} only")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(flags: &[&str]) -> StartArgs {
        let argv = ["sorofast-sandbox", "start"].iter().chain(flags);
        match Cli::try_parse_from(argv).expect("flags parse").command {
            Command::Start(args) => *args,
            Command::Contract { .. } => unreachable!("start was asked for"),
        }
    }

    #[test]
    fn durations_take_a_unit() {
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("5s"), Ok(Duration::from_secs(5)));
        assert_eq!(parse_duration("2m"), Ok(Duration::from_mins(2)));
        assert_eq!(parse_duration("24h"), Ok(Duration::from_hours(24)));
        assert_eq!(parse_duration("0"), Ok(Duration::ZERO));
        for wrong in [
            "",
            "5",
            "s",
            "-1s",
            "1.5s",
            "5d",
            "25h",
            "99999999999999999999s",
            "2000m",
        ] {
            assert!(parse_duration(wrong).is_err(), "{wrong:?} was taken");
        }
    }

    #[test]
    fn intervals_are_a_range_of_whole_seconds() {
        assert_eq!(parse_interval_range("20s-2m"), Ok(IntervalRange(20, 120)));
        assert_eq!(parse_interval_range("5s"), Ok(IntervalRange(5, 5)));
        for wrong in ["", "0-5s", "5s-4s", "1500ms-2s", "5-6", "5s-"] {
            assert!(parse_interval_range(wrong).is_err(), "{wrong:?} was taken");
        }
    }

    #[test]
    fn the_consensus_delay_is_a_quarter_of_the_close() {
        assert_eq!(consensus_delay(&start(&[])), Duration::from_millis(1250));
        assert_eq!(
            consensus_delay(&start(&["--consensus-delay", "100ms"])),
            Duration::from_millis(100)
        );
    }

    #[test]
    fn other_hosts_are_refused_unless_asked_for() {
        assert!(check(&start(&["--host", "0.0.0.0"])).is_err());
        assert!(check(&start(&["--host", "0.0.0.0", "--allow-remote"])).is_ok());
        assert!(check(&start(&["--host", "::1"])).is_ok());
        assert!(check(&start(&["--host", "localhost"])).is_ok());
    }

    #[test]
    fn flags_that_cannot_go_together_are_refused() {
        assert!(check(&start(&["--ledger-close", "0"])).is_ok());
        assert!(check(&start(&["--ledger-close", "0", "--ledger-jitter", "1s"])).is_err());
        assert!(check(&start(&["--ledger-close", "1s", "--ledger-jitter", "1s"])).is_err());
        assert!(check(&start(&["--ledger-close", "1s", "--consensus-delay", "1s"])).is_err());
        assert!(Cli::try_parse_from(["sorofast-sandbox", "start", "--protocol", "29"]).is_err());
    }

    #[test]
    fn the_names_of_contracts_are_in_the_help_and_in_the_refusal_of_another() {
        for last in ["--help", "conuter"] {
            let said = Cli::try_parse_from(["sorofast-sandbox", "contract", last])
                .expect_err("nothing is written")
                .to_string();
            for name in crate::contracts::names() {
                assert!(said.contains(name), "{name} is not in {said}");
            }
        }
    }

    #[test]
    fn a_negative_number_is_refused_by_the_name_of_its_flag() {
        for flag in [
            "--port",
            "--seed",
            "--start-time",
            "--accounts",
            "--seed-tasks",
            "--retention",
            "--replicas",
        ] {
            let refused = Cli::try_parse_from(["sorofast-sandbox", "start", flag, "-1"]);
            let said = refused.expect_err("it was taken").to_string();
            assert!(said.contains("invalid value '-1'"), "{said}");
            assert!(said.contains(flag), "{said}");
        }
    }
}

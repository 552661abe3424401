//! The `sorofast-sandbox` command: its ends are signals, standard input, and whatever goes wrong.

use std::io::{IsTerminal, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use crate::contracts;
use crate::crypto::random_u64;
use crate::faults::{Panel, MAIN_ENDPOINT};
use crate::node::{Node, NodeConfig};
use clap::Parser;
use tokio::net::TcpListener;
use tokio::signal::unix::{signal, SignalKind};
use tokio::sync::{mpsc, watch};

use crate::app::App;
use crate::cli::{self, Cli, Command, Output, StartArgs};
use crate::friendbot::Friendbot;
use crate::rpc::Surface;
use crate::{admin, http, plan, replicas};

/// The host interprets deep call chains; its threads get the room that takes.
const STACK_BYTES: usize = 16 * 1024 * 1024;

/// The exit code for flags that do not fit together, as clap's for a flag that makes no sense by itself.
const USAGE: u8 = 2;

/// Parses the command line and does what it says; returns when that is over.
pub fn main() -> ExitCode {
    let outcome = match Cli::parse().command {
        Command::Start(args) => {
            if let Err(reason) = cli::check(&args) {
                return fail(&reason, ExitCode::from(USAGE));
            }
            start(&args)
        }
        Command::Contract { name } => write_contract(&name),
    };
    outcome.map_or_else(
        |reason| fail(&reason, ExitCode::FAILURE),
        |()| ExitCode::SUCCESS,
    )
}

fn fail(reason: &str, code: ExitCode) -> ExitCode {
    eprintln!("sorofast-sandbox: {reason}");
    code
}

fn write_contract(name: &str) -> Result<(), String> {
    let wasm = contracts::wasm(name).ok_or_else(|| format!("there is no contract {name:?}"))?;
    let mut stdout = std::io::stdout();
    if stdout.is_terminal() {
        return Err(format!(
            "wasm is binary: send it to a file, as in > {name}.wasm"
        ));
    }
    stdout
        .write_all(wasm)
        .and_then(|()| stdout.flush())
        .map_err(|error| format!("the wasm could not be written: {error}"))
}

fn start(args: &StartArgs) -> Result<(), String> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .thread_stack_size(STACK_BYTES)
        .build()
        .map_err(|error| format!("the runtime could not start: {error}"))?;
    let outcome = runtime.block_on(run(args));
    // A thread that reads stdin or still simulates is not waited for.
    runtime.shutdown_background();
    outcome
}

async fn run(args: &StartArgs) -> Result<(), String> {
    // Signals are caught before anything else, so that an early SIGTERM ends the process as well.
    let mut ends = watch_for_end(args.exit_with_stdin)?;
    let listener = bind(args).await?;
    let address = listener
        .local_addr()
        .map_err(|error| format!("the port is unknown: {error}"))?;
    let url = format!("http://{}", reachable(address));
    let plan = args.faults.as_deref().map(plan::read).transpose()?;
    let plan = plan.unwrap_or_default();
    let replicas = replicas::bind(args.host, args.replicas.max(plan.replicas.len())).await?;
    // Small enough for every JSON reader to keep it whole.
    let seed = args.seed.unwrap_or_else(|| random_u64() >> 11);
    let node = Node::new(NodeConfig {
        ledger_close: args.ledger_close,
        ledger_jitter: args.ledger_jitter,
        consensus_delay: cli::consensus_delay(args),
        flood_delay: args.flood_delay,
        network_passphrase: args.network_passphrase.clone(),
        limits: args.limits,
        retention_ledgers: args.retention,
        seed,
        clock: args.clock.into(),
        start_time_s: args.start_time,
        accounts: args.accounts,
        seed_tasks: cli::seed_tasks(args),
        load: args.load.clone(),
        first_header: plan::first_header(&plan),
    })
    .map_err(|error| error.to_string())?;
    let app = Arc::new(App {
        node: Arc::clone(&node),
        surface: Surface::new(),
        endpoint: MAIN_ENDPOINT.to_owned(),
        faults: Arc::new(Panel::new(seed)),
        replicas: replicas
            .iter()
            .map(|replica| replica.name.clone())
            .collect(),
        friendbot: Friendbot::start(Arc::clone(&node)),
        friendbot_url: format!("{url}/friendbot"),
    });
    plan::put_in_force(&app, plan).map_err(|reason| format!("--faults: {reason}"))?;
    let (stop, stopped) = watch::channel(false);
    let replica_urls = replicas::told(&replicas);
    let mut servers = replicas::serve(replicas, &app, &stopped);
    let router = http::router(app);
    if let Some(beside) = bind_beside(address).await {
        servers.spawn(http::serve(beside, router.clone(), stopped.clone()));
    }
    servers.spawn(http::serve(listener, router, stopped));
    let started = Started {
        url: &url,
        seed: node.random().seed(),
        start_time_s: node.latest().close_time_s,
        registries: admin::registries(&node),
        replicas: replica_urls,
    };
    let closing = tokio::spawn(node.run());
    announce(args, &started)?;
    let outcome = tokio::select! {
        _ = ends.recv() => Ok(()),
        ended = closing => Err(match ended {
            Ok(Err(error)) => format!("ledgers stopped closing: {error}"),
            Ok(Ok(())) => "ledgers stopped closing".to_owned(),
            Err(error) => format!("ledgers stopped closing: {error}"),
        }),
    };
    // Both ends may be gone already; stopping is all that is left to do.
    let _ = stop.send(true);
    while servers.join_next().await.is_some() {}
    outcome
}

async fn bind(args: &StartArgs) -> Result<TcpListener, String> {
    let address = SocketAddr::new(args.host, args.port);
    TcpListener::bind(address).await.map_err(|error| {
        if error.kind() == std::io::ErrorKind::AddrInUse {
            format!(
                "{address} is in use; stop what listens there or choose another port with --port \
                 (0 takes a free one)"
            )
        } else {
            format!("cannot listen on {address}: {error}")
        }
    })
}

/// The same port of `::1`, which is where some clients look for `localhost` first, and only there. The network is complete
/// without it: the port may be somebody else's, or this machine without IPv6.
async fn bind_beside(address: SocketAddr) -> Option<TcpListener> {
    if address.ip() != IpAddr::V4(Ipv4Addr::LOCALHOST) {
        return None;
    }
    let beside = SocketAddr::new(Ipv6Addr::LOCALHOST.into(), address.port());
    TcpListener::bind(beside).await.ok()
}

/// The address a client on this machine uses: an unspecified one means every interface.
pub(crate) fn reachable(address: SocketAddr) -> SocketAddr {
    let host = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(host, address.port())
}

/// What was not known before the start.
struct Started<'a> {
    url: &'a str,
    seed: u64,
    start_time_s: u64,
    registries: Vec<admin::Registry>,
    replicas: Vec<replicas::Told>,
}

/// Tells whoever started the process that it is ready, and where.
fn announce(args: &StartArgs, started: &Started<'_>) -> Result<(), String> {
    let url = started.url;
    let further = replicas::lines(&started.replicas);
    let text = match args.output {
        Output::Json => format!(
            "{}\n",
            serde_json::json!({
                "rpc_url": format!("{url}/rpc"),
                "admin_url": format!("{url}/admin"),
                "friendbot_url": format!("{url}/friendbot"),
                "network_passphrase": args.network_passphrase,
                "pid": std::process::id(),
                "seed": started.seed,
                "start_time": started.start_time_s,
                "registries": started.registries,
                "replicas": started.replicas,
            })
        ),
        Output::Table => format!(
            "The sandbox is ready (pid {}); Ctrl-C ends it.\n\
             RPC        {url}/rpc\n\
             {further}\
             friendbot  {url}/friendbot?addr=G…\n\
             admin      {url}/admin\n\
             network    {}\n\
             ledgers    {}\n\
             seed       {}\n",
            std::process::id(),
            args.network_passphrase,
            describe(args.ledger_close),
            started.seed,
        ),
    };
    let mut stdout = std::io::stdout();
    stdout
        .write_all(text.as_bytes())
        .and_then(|()| stdout.flush())
        .map_err(|error| format!("stdout could not be written: {error}"))
}

fn describe(ledger_close: Duration) -> String {
    if ledger_close.is_zero() {
        "close on POST /admin/advance only".to_owned()
    } else {
        format!("every {ledger_close:?}")
    }
}

/// A channel that yields when the process shall end: SIGTERM, SIGINT, or the end of stdin.
fn watch_for_end(with_stdin: bool) -> Result<mpsc::Receiver<()>, String> {
    let (end, ends) = mpsc::channel(1);
    for kind in [SignalKind::terminate(), SignalKind::interrupt()] {
        let mut signals =
            signal(kind).map_err(|error| format!("signals cannot be caught: {error}"))?;
        let end = end.clone();
        tokio::spawn(async move {
            while signals.recv().await.is_some() {
                // A full channel already holds the message.
                let _ = end.try_send(());
            }
        });
    }
    if with_stdin {
        std::thread::spawn(move || {
            let mut ignored = [0; 4096];
            let mut stdin = std::io::stdin();
            loop {
                match stdin.read(&mut ignored) {
                    Ok(0) => break,
                    Err(error) if error.kind() != std::io::ErrorKind::Interrupted => break,
                    Ok(_) | Err(_) => {}
                }
            }
            let _ = end.try_send(());
        });
    }
    Ok(ends)
}

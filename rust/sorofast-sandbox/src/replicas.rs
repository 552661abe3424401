//! Further ports on the same ledger.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::faults::replica_name;
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::app::App;
use crate::command::reachable;
use crate::http;

/// A port that is bound and not served yet.
#[derive(Debug)]
pub(crate) struct Bound {
    pub(crate) name: String,
    listener: TcpListener,
    address: SocketAddr,
}

/// Takes so many free ports.
pub(crate) async fn bind(host: IpAddr, count: usize) -> Result<Vec<Bound>, String> {
    let mut replicas = Vec::with_capacity(count);
    for index in 0..count {
        let name = replica_name(index);
        let problem = |error: std::io::Error| format!("there is no port for {name}: {error}");
        let listener = TcpListener::bind(SocketAddr::new(host, 0))
            .await
            .map_err(problem)?;
        let address = listener.local_addr().map_err(problem)?;
        replicas.push(Bound {
            name,
            listener,
            address,
        });
    }
    Ok(replicas)
}

/// A replica as the line that says the network is ready has it.
#[derive(Debug, Serialize)]
pub(crate) struct Told {
    name: String,
    rpc_url: String,
}

/// Name and address of each.
pub(crate) fn told(replicas: &[Bound]) -> Vec<Told> {
    replicas
        .iter()
        .map(|replica| Told {
            name: replica.name.clone(),
            rpc_url: format!("http://{}/rpc", reachable(replica.address)),
        })
        .collect()
}

/// The same, a line each.
pub(crate) fn lines(replicas: &[Told]) -> String {
    replicas.iter().fold(String::new(), |lines, replica| {
        lines + &format!("{:<9}  {}\n", replica.name, replica.rpc_url)
    })
}

/// Serves them all until `stop` turns true.
pub(crate) fn serve(replicas: Vec<Bound>, app: &App, stop: &watch::Receiver<bool>) -> JoinSet<()> {
    let mut servers = JoinSet::new();
    for (index, replica) in replicas.into_iter().enumerate() {
        let router = http::replica_router(Arc::new(app.replica(index)));
        servers.spawn(http::serve(replica.listener, router, stop.clone()));
    }
    servers
}

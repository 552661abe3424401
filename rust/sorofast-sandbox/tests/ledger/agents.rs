//! Others on the network: a crowd that fills ledgers, and a keeper that is faster.

use crate::network::{manual, Network};
use sorofast_sandbox::agents;
use sorofast_sandbox::config::ClockMode;
use sorofast_sandbox::faults::Plan;
use sorofast_sandbox::ledger::seeds::{Generation, SeedTasks};
use sorofast_sandbox::node::NodeConfig;

fn still() -> NodeConfig {
    NodeConfig {
        clock: ClockMode::Manual,
        start_time_s: Some(1_800_000_000),
        ..manual()
    }
}

fn set(network: &Network, plan: &str) {
    let plan = Plan::parse(plan).expect("a plan");
    plan.check(|_| true).expect("it makes sense");
    let agents = agents::of_plan(&plan, 1);
    network.node.disturb(plan.ledger, 1, agents);
}

fn told(network: &Network, name: &str) -> serde_json::Value {
    let mut all = network.node.agents_told().into_iter();
    let found = all.find(|(known, _)| *known == name);
    found.expect("such an agent").1
}

#[test]
fn a_crowd_fills_ledgers_and_raises_the_price() {
    let network = Network::with(still());
    set(
        &network,
        "[traffic]\naccounts = 80\nfill = 1.2\ninstructions = 50_000_000\nbid_stroops = [1_000, 90_000]\n",
    );
    network.node.advance(12, 60.0).expect("ledgers");
    let told = told(&network, "traffic");
    assert_eq!(told["accounts"], 80);
    assert_eq!(told["failed"], 0, "{told}");
    assert!(told["applied"].as_u64() > Some(60), "{told}");
    let fees = network.node.fee_stats().soroban_inclusion_fee;
    assert!(fees.max > 1_000, "{fees:?}");
    network.assert_coins();
}

#[test]
fn a_crowd_can_collide_or_pay() {
    for (kind, least) in [("conflicting = true", 10), ("kind = \"payments\"", 40)] {
        let network = Network::with(still());
        set(
            &network,
            &format!("[traffic]\naccounts = 20\nper_ledger = 10\n{kind}\n"),
        );
        network.node.advance(10, 50.0).expect("ledgers");
        let told = told(&network, "traffic");
        assert_eq!(told["failed"], 0, "{kind}: {told}");
        assert!(told["applied"].as_u64() >= Some(least), "{kind}: {told}");
        network.assert_coins();
    }
}

#[test]
fn a_rival_executes_what_is_due() {
    let run = || {
        let network = Network::with(NodeConfig {
            seed_tasks: Some(SeedTasks {
                tasks: 20,
                intervals_s: (5, 10),
                generations: vec![Generation::G3],
            }),
            ..still()
        });
        let origin = network.node.origin();
        let seeds = origin.seeds().expect("registries");
        let registry = stellar_strkey::Contract(seeds.registries[0].contract).to_string();
        set(
            &network,
            &format!("[rival]\nregistry = \"{registry}\"\naccounts = 4\nshare = 0.8\n"),
        );
        network.node.advance(10, 5.0).expect("ledgers");
        for _ in 0..6 {
            network.node.advance(1, 5.0).expect("a ledger");
        }
        let told = told(&network, "rival");
        assert!(told["applied"].as_u64() > Some(3), "{told}");
        assert_eq!(told["failed"], 0, "{told}");
        network.assert_coins();
        network.node.latest().hash
    };
    assert_eq!(run(), run());
}

#[test]
fn a_reset_meets_the_same_crowd_and_the_same_events_again() {
    let network = Network::with(still());
    set(
        &network,
        "[traffic]\naccounts = 10\nper_ledger = 4\n\n[[ledger]]\nkind = \"stall\"\nafter_s = 40\nseconds = 100\n",
    );
    let run = || {
        network.node.advance(8, 5.0).expect("ledgers");
        network.node.advance(4, 60.0).expect("ledgers");
        let ledgers = network.node.ledgers(1, 100);
        let hashes: Vec<_> = ledgers.iter().map(|ledger| ledger.hash).collect();
        (
            hashes,
            told(&network, "traffic"),
            network.node.ledger_events(),
        )
    };
    let first = run();
    assert!(first.1["applied"].as_u64() > Some(0), "{:?}", first.1);
    assert_eq!(first.2, [1]);
    network.node.reset().expect("genesis");
    assert_eq!(run(), first);
}

//! Others on the network: they have accounts of their own, and their transactions take the way everybody's take.

mod rival;
mod traffic;
mod wallet;

use crate::faults::Plan;
use crate::node::Agent;

pub use rival::Rival;
pub use traffic::Traffic;

/// Those that a plan asks for, by the name under which they tell what they did.
pub fn of_plan(plan: &Plan, seed: u64) -> Vec<(&'static str, Box<dyn Agent>)> {
    let mut agents: Vec<(&'static str, Box<dyn Agent>)> = Vec::new();
    if let Some(traffic) = &plan.traffic {
        agents.push(("traffic", Box::new(Traffic::new(traffic.clone(), seed))));
    }
    if let Some(rival) = &plan.rival {
        agents.push(("rival", Box::new(Rival::new(rival.clone(), seed))));
    }
    agents
}

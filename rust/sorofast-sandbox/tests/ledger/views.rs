//! A reader who is shown an older ledger learns nothing of what came after it, whatever it asks.

use crate::network::{pay, Key, Network, XLM};
use sorofast_sandbox::ledger::account::account_key;
use sorofast_sandbox::node::{EventId, View};

fn balance(view: View<'_>, key: &Key) -> Option<i64> {
    let read = view.entries(&[account_key(&key.id).to_vec()]);
    assert_eq!(read.latest_ledger, view.latest().sequence);
    let entry = read.entries.first()?;
    let balance = entry.entry_xdr[44..52].try_into().expect("eight bytes");
    Some(i64::from_be_bytes(balance))
}

fn events(view: View<'_>) -> usize {
    let start = EventId::ledger_start(1);
    let page = view.events(start, false, u32::MAX, 10_000, &mut |_| true);
    assert_eq!(page.range.latest.sequence, view.latest().sequence);
    page.events.len()
}

#[test]
fn an_older_view_tells_nothing_of_later_ledgers() {
    let network = Network::new();
    let key = Key::new(1);
    let view = |lag| network.node.view(lag);
    network.fund(&[key], 10 * XLM);
    let before = network.node.latest();
    let paid = network.tx(&network.friendbot(), vec![pay(&key, XLM)]);
    let record = network.apply(&network.sign(&paid, &[network.friendbot()]));
    network.close();
    // The payment lies one ledger back.
    assert_eq!(view(2).latest().hash, before.hash);
    for lag in [0, 1] {
        assert_eq!(balance(view(lag), &key), Some(11 * XLM));
        assert!(view(lag).transaction(&record.hash).record.is_some());
        assert!(view(lag).ledger_meta_xdr(record.ledger).is_some());
    }
    assert_eq!(balance(view(2), &key), Some(10 * XLM));
    let lookup = view(2).transaction(&record.hash);
    assert!(lookup.record.is_none());
    assert_eq!(lookup.range.latest.sequence, before.sequence);
    assert!(view(2).ledger_meta_xdr(record.ledger).is_none());
    assert_eq!(
        view(2).ledgers(1, 100).last().expect("ledgers").hash,
        before.hash
    );
    assert!(events(view(2)) < events(view(1)));
    assert_eq!(view(2).fee_stats().latest_ledger, before.sequence);
    assert_eq!(
        view(2).fee_stats().inclusion_fee.transaction_count + 1,
        view(1).fee_stats().inclusion_fee.transaction_count
    );
    // Before the account was made.
    assert_eq!(balance(view(3), &key), None);
    // Never before the first ledger.
    assert_eq!(view(1_000).latest().sequence, 1);
}

#[test]
fn a_view_that_lags_is_as_old_as_its_ledger() {
    let network = Network::new();
    network.node.advance(1, 20.0).expect("a ledger");
    network.node.advance(1, 20.0).expect("a ledger");
    assert!(network.node.view(1).health().healthy);
    let health = network.node.view(2).health();
    assert!(!health.healthy, "{} s", health.latest_ledger_age_s);
}

//! The whole state in a file, and back.

use crate::contracts::bump_key;
use crate::network::{call, manual, pay, wasm, Key, Network, XLM};
use sorofast_sandbox::config::{ClockMode, Limits as Preset};
use sorofast_sandbox::crypto::sha256;
use sorofast_sandbox::ledger::account::account_key;
use sorofast_sandbox::ledger::seeds::{Generation, SeedTasks};
use sorofast_sandbox::node::{EventId, NodeConfig, SubmitStatus};
use stellar_xdr::{ScVal, TransactionExt};

fn config(seed: u64) -> NodeConfig {
    NodeConfig {
        seed,
        clock: ClockMode::Manual,
        start_time_s: Some(1_800_000_000),
        ..manual()
    }
}

fn bytes_of(network: &Network) -> Vec<u8> {
    let mut bytes = Vec::new();
    network
        .node
        .save()
        .write(&mut bytes)
        .expect("memory takes everything");
    bytes
}

/// Something of everything: accounts, a contract, its entries, seeded tasks, a failed and a successful call.
fn busy(seed: u64) -> Network {
    let network = Network::with(NodeConfig {
        accounts: 3,
        seed_tasks: Some(SeedTasks {
            tasks: 14,
            intervals_s: (20, 40),
            generations: Generation::ALL.to_vec(),
        }),
        ..config(seed)
    });
    let [alice, bob] = [Key::new(1), Key::new(2)];
    network.fund(&[alice, bob], 1_000 * XLM);
    let counter = network.deploy(&alice, &wasm("counter"));
    assert!(
        network
            .run(&alice, call(&counter, "bump", vec![ScVal::U64(7)]))
            .successful
    );
    let too_much = network.tx(&bob, vec![pay(&alice, 5_000 * XLM)]);
    assert!(!network.apply(&network.sign(&too_much, &[bob])).successful);
    network.node.advance(3, 10.0).expect("ledgers");
    network
}

/// Goes on from there with transactions that compete; the hashes of the further headers.
fn go_on(network: &Network) -> Vec<[u8; 32]> {
    let first = network.node.latest().sequence + 1;
    let keys: Vec<Key> = (1..9).map(Key::new).collect();
    network.fund(&keys[2..], 1_000 * XLM);
    let counter = network.deploy(&keys[2], &wasm("counter"));
    for key in &keys {
        let bump = call(&counter, "increment", vec![]);
        let mut tx = network.soroban_tx(key, None, bump);
        if let TransactionExt::V1(data) = &mut tx.ext {
            data.resources.instructions = 390_000_000;
            data.resource_fee += 1_000_000;
        }
        tx.fee += 1_000_000;
        network.submit(&network.sign(&tx, &[*key]));
    }
    network.node.advance(3, 1.0).expect("ledgers");
    network.assert_coins();
    let ledgers = network.node.ledgers(first, 1_000);
    ledgers.iter().map(|ledger| ledger.hash).collect()
}

#[test]
fn a_loaded_state_goes_on_as_the_saved_one_would_have() {
    let saved = busy(7);
    let file = bytes_of(&saved);
    let loaded = Network::with(config(99));
    let latest = loaded.node.load(file.as_slice()).expect("a state");
    assert_eq!(latest.hash, saved.node.latest().hash);
    assert_eq!(loaded.node.now_ms(), saved.node.now_ms());
    assert_eq!(bytes_of(&loaded), file, "the same state is the same file");
    assert_eq!(loaded.node.accounts().len(), 3);
    assert!(loaded.node.origin().seeds().is_some());
    assert_eq!(loaded.node.audit(), saved.node.audit());
    assert_eq!(loaded.node.census(), saved.node.census());
    assert_eq!(go_on(&loaded), go_on(&saved));
}

#[test]
fn history_comes_along() {
    let saved = busy(1);
    let loaded = Network::with(config(1));
    loaded
        .node
        .load(bytes_of(&saved).as_slice())
        .expect("a state");
    let range = loaded.node.range();
    assert_eq!(range.oldest.sequence, 1);
    for sequence in 1..=range.latest.sequence {
        let meta = saved.node.ledger_meta_xdr(sequence);
        assert!(meta.is_some());
        assert_eq!(loaded.node.ledger_meta_xdr(sequence), meta);
    }
    let (records, _) = saved.node.applied(1, 1_000);
    assert!(records.iter().any(|record| !record.successful));
    for record in &records {
        let found = loaded.node.transaction(&record.hash).record.expect("kept");
        assert_eq!(format!("{found:?}"), format!("{record:?}"));
    }
    let events = |network: &Network| {
        let start = EventId::ledger_start(1);
        let page = network
            .node
            .events(start, false, u32::MAX, 1_000, &mut |_| true);
        format!("{:?}", page.events)
    };
    assert_eq!(events(&loaded), events(&saved));
    // Entries are those of the latest ledger; older ones are not told for it.
    let lagging = loaded.node.view(2);
    assert_eq!(lagging.latest().sequence, range.latest.sequence);
}

#[test]
fn what_waits_is_not_kept() {
    let network = busy(1);
    let alice = Key::new(1);
    let waiting = network.sign(&network.tx(&alice, vec![pay(&alice, 1)]), &[alice]);
    network.submit(&waiting);
    let file = bytes_of(&network);
    network.node.load(file.as_slice()).expect("a state");
    assert_eq!(network.node.pending(), 0);
    assert_eq!(network.submit(&waiting).status, SubmitStatus::Pending);
}

#[test]
fn expired_and_evicted_entries_come_along() {
    let saved = busy(3);
    let counter = saved.contract_id(&Key::new(1), &wasm("counter"));
    let entry = saved.node.entries(&[bump_key(&counter, 7)]).entries[0].clone();
    let soon = saved.node.latest().sequence + 10;
    let put = vec![(entry.entry_xdr.to_vec(), Some(soon))];
    saved.node.put_entries(put).expect("an entry");
    saved.node.advance(20, 0.0).expect("ledgers");
    let compare = |saved: &Network| {
        let loaded = Network::with(config(0));
        loaded
            .node
            .load(bytes_of(saved).as_slice())
            .expect("a state");
        let read = loaded.node.entries(&[bump_key(&counter, 7)]);
        assert_eq!(read.entries[0].live_until, Some(0), "archived");
        assert_eq!(loaded.node.census(), saved.node.census());
        loaded
    };
    let expired = compare(&saved);
    for network in [&saved, &expired] {
        network.node.advance(40_000, 0.0).expect("ledgers");
    }
    assert_eq!(saved.node.census().archived_entries, 1, "the scan came by");
    assert_eq!(expired.node.latest().hash, saved.node.latest().hash);
    compare(&saved);
}

#[test]
fn what_does_not_fit_is_refused_and_changes_nothing() {
    let network = Network::with(config(5));
    let alice = Key::new(1);
    network.fund(&[alice], 100 * XLM);
    network.submit(&network.sign(&network.tx(&alice, vec![pay(&alice, 1)]), &[alice]));
    let before = network.node.latest().hash;
    let refused = |bytes: &[u8], words: &str| {
        let error = network.node.load(bytes).expect_err(words).to_string();
        assert!(error.contains(words), "{error}");
        assert_eq!(error.lines().count(), 1);
        assert_eq!(network.node.latest().hash, before);
        assert_eq!(network.node.pending(), 1);
    };
    let file = bytes_of(&busy(5));
    refused(b"", "not a saved state");
    refused(b"{\"entries\": []}, and so on", "not a saved state");
    for end in [17, 40, 300, file.len() / 2, file.len() - 1] {
        refused(&file[..end], "ends too early");
    }
    refused(&[&file[..], b"\n"].concat(), "something follows");
    let mut newer = file.clone();
    newer[19] += 1;
    refused(&newer, "format 2");
    let mut damaged = file.clone();
    let last = damaged.len() - 40;
    damaged[last] ^= 1;
    refused(&damaged, "checksum");
    // With its checksum put right, it is found out by what it says.
    let resealed = |change: &dyn Fn(&mut Vec<u8>)| {
        let mut bytes = file[..file.len() - 32].to_vec();
        change(&mut bytes);
        let sum = sha256(&bytes);
        [&bytes[..], &sum].concat()
    };
    let find = |what: &[u8]| {
        file.windows(what.len())
            .position(|window| window == what)
            .expect("it is there")
    };
    let hash_at = find(&network_latest_hash(&file));
    refused(
        &resealed(&|bytes| bytes[hash_at] ^= 1),
        "does not continue the chain",
    );
    let account_at = find(&Key::new(1).id);
    // Damage shows as nonsense first, and is still called what it is.
    for place in [hash_at, account_at] {
        let mut damaged = file.clone();
        damaged[place] ^= 1;
        refused(&damaged, "checksum");
    }
    refused(
        &resealed(&|bytes| bytes[account_at] ^= 1),
        "its key is another one's",
    );
    let other = Network::with(NodeConfig {
        network_passphrase: "another network".into(),
        ..config(5)
    });
    refused(
        &bytes_of(&other),
        "--network-passphrase \"another network\"",
    );
    let testnet = Network::with(NodeConfig {
        limits: Preset::Testnet,
        ..config(5)
    });
    refused(&bytes_of(&testnet), "--limits testnet");
}

/// The hash of the latest ledger, as a file has it.
fn network_latest_hash(file: &[u8]) -> [u8; 32] {
    let network = Network::with(config(5));
    network.node.load(file).expect("a state").hash
}

#[test]
fn a_state_made_for_another_pace_takes_on_this_one() {
    let saved = Network::with(NodeConfig {
        ledger_close: std::time::Duration::from_secs(1),
        consensus_delay: std::time::Duration::ZERO,
        ..NodeConfig::default()
    });
    let loaded = Network::with(config(0));
    loaded
        .node
        .load(bytes_of(&saved).as_slice())
        .expect("a state");
    let again = Network::with(config(0));
    again
        .node
        .load(bytes_of(&loaded).as_slice())
        .expect("a state");
}

#[test]
fn a_node_starts_from_a_file_and_resets_to_it() {
    let folder = std::env::temp_dir().join(format!("sorofast-saved-{}", std::process::id()));
    let missing = NodeConfig {
        load: Some(folder.clone()),
        ..config(0)
    };
    let error = sorofast_sandbox::node::Node::new(missing.clone()).expect_err("no such file");
    assert!(error.to_string().contains("sorofast-saved"), "{error}");
    let saved = busy(11);
    std::fs::write(&folder, bytes_of(&saved)).expect("a file");
    let network = Network::with(missing);
    assert_eq!(network.node.latest().hash, saved.node.latest().hash);
    assert_eq!(network.node.random().seed(), 11);
    let first = go_on(&network);
    let latest = network.node.reset().expect("the file is still there");
    assert_eq!(latest.hash, saved.node.latest().hash);
    assert_eq!(go_on(&network), first);
    std::fs::remove_file(&folder).expect("the file");
    let before = network.node.latest().hash;
    assert!(network.node.reset().is_err());
    assert_eq!(network.node.latest().hash, before);
}

/// The file with its bytes changed and its checksum put right.
fn resealed(file: &[u8], change: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut bytes = file[..file.len() - 32].to_vec();
    change(&mut bytes);
    let sum = sha256(&bytes);
    [&bytes[..], &sum].concat()
}

/// The same with another head, of any length.
fn with_head(file: &[u8], name: &str, value: serde_json::Value) -> Vec<u8> {
    resealed(file, |bytes| {
        let length = u32::from_be_bytes([bytes[20], bytes[21], bytes[22], bytes[23]]) as usize;
        let mut head: serde_json::Value =
            serde_json::from_slice(&bytes[24..24 + length]).expect("a head");
        head[name] = value;
        let head = serde_json::to_vec(&head).expect("JSON");
        let framed = [&(head.len() as u32).to_be_bytes()[..], &head].concat();
        bytes.splice(20..24 + length, framed);
    })
}

#[test]
fn a_file_made_to_do_harm_is_refused() {
    let file = bytes_of(&busy(5));
    let network = Network::with(config(5));
    let before = network.node.latest().hash;
    let refused = |bytes: &[u8], words: &str| {
        let error = network.node.load(bytes).expect_err(words).to_string();
        assert!(error.contains(words), "{error}");
        assert_eq!(network.node.latest().hash, before);
    };
    for (name, value, words) in [
        ("accounts", u32::MAX.into(), "more accounts"),
        ("clock_ms", u64::MAX.into(), "beyond all time"),
        ("latest_ledger", (u32::MAX - 1).into(), "no such ledger"),
        ("latest_ledger", 0.into(), "no such ledger"),
        ("entries", u64::MAX.into(), ""),
    ] {
        refused(&with_head(&file, name, value), words);
    }
    let places = |what: &[u8]| {
        let found = file.windows(what.len()).enumerate();
        let found: Vec<usize> = found
            .filter(|(_, window)| *window == what)
            .map(|(place, _)| place)
            .collect();
        assert!(!found.is_empty());
        found
    };
    // An account's key comes first, and then its entry, in which the balance follows the id.
    let alice = places(&Key::new(1).id)[1] + 32;
    refused(&resealed(&file, |bytes| bytes[alice] = 0xff), "negative");
    refused(&resealed(&file, |bytes| bytes[alice] = 0x7f), "more lumens");
    let code = wasm("counter");
    let inside = places(&code)[0] + 100;
    refused(
        &resealed(&file, |bytes| bytes[inside] ^= 1),
        "is not the SHA-256",
    );
    // The lifetime follows the entry: there is one, its end, its size and its last change.
    let life = places(&code)[0] + code.len().next_multiple_of(4) + 4;
    assert_eq!(file[life], 1);
    refused(
        &resealed(&file, |bytes| bytes[life + 1] = 0xff),
        "lives longer",
    );
    refused(
        &resealed(&file, |bytes| bytes[life + 9] = 0xff),
        "no ledger gives",
    );
    // Behind the entries an envelope says who sends it: there is no such kind of key.
    let sender = *places(&Key::new(1).id).last().expect("a transaction");
    refused(
        &resealed(&file, |bytes| bytes[sender - 1] = 9),
        "cannot be read",
    );
    // The summary's times stand between its number and its hash.
    let hash = network_latest_hash(&file);
    let time = *places(&hash).first().expect("its summary") - 16;
    refused(
        &resealed(&file, |bytes| bytes[time + 15] ^= 1),
        "closed at another time",
    );
}

#[test]
fn entries_from_outside_are_counted_after_a_load() {
    let saved = busy(9);
    let key = account_key(&Key::new(1).id).to_vec();
    let mut richer = saved.node.entries(&[key]).entries[0].entry_xdr.to_vec();
    richer[45] = 1;
    saved
        .node
        .put_entries(vec![(richer, None)])
        .expect("an account");
    saved.assert_coins();
    let loaded = Network::with(config(0));
    loaded
        .node
        .load(bytes_of(&saved).as_slice())
        .expect("a state");
    assert_eq!(loaded.node.audit(), saved.node.audit());
    loaded.assert_coins();
    assert_eq!(go_on(&loaded), go_on(&saved));
}

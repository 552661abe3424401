// The public JavaScript SDK doing what its users do with it. Run by test_javascript_sdk.py.

import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { before, describe, test } from "node:test";
import {
  Address,
  Asset,
  Keypair,
  Memo,
  MuxedAccount,
  Operation,
  SorobanDataBuilder,
  TransactionBuilder,
  contract,
  nativeToScVal,
  scValToNative,
} from "@stellar/stellar-sdk";
import { PASSPHRASE, STROOPS, archive, builder, clientOptions, funded, run, server, wasmOf } from "./world.mjs";

/** Stroops of an account, as its ledger entry has them. */
const balanceOf = async (keypair) => (await server.getAccountEntry(keypair.publicKey())).balance;

/** Hashes of what was uploaded, by the contracts' names. */
const uploaded = {};

async function upload(source, name) {
  const wasm = await wasmOf(name);
  const made = (await builder(source)).addOperation(Operation.uploadContractWasm({ wasm })).build();
  const prepared = await server.prepareTransaction(made);
  prepared.sign(source);
  const found = await run(prepared);
  assert.equal(found.status, "SUCCESS");
  uploaded[name] = scValToNative(found.returnValue);
  assert.equal(Buffer.from(uploaded[name]).toString("hex"), createHash("sha256").update(wasm).digest("hex"));
}

/** A new instance of one of the contracts, for the account of the options. */
async function deploy(options, name) {
  const deployment = await contract.Client.deploy(null, { ...options, wasmHash: uploaded[name] });
  return (await deployment.signAndSend()).result;
}

/** A registry and a counter to be called by its tasks. */
async function registryAndTarget(options) {
  const registry = await deploy(options, "task_registry");
  await (await registry.init({ admin: options.publicKey, token: undefined })).signAndSend();
  return { registry, target: (await deploy(options, "counter")).options.contractId };
}

const taskOf = (creator, target) => ({
  creator,
  target,
  function: "increment",
  args: [],
  resolver: undefined,
  interval: 60n,
  last_run: 0n,
  gas_balance: 0n,
  whitelist: [],
  is_active: true,
  blocked_by: [],
  yield_strategy: undefined,
});

before(async () => {
  const source = await funded();
  await upload(source, "counter");
  await upload(source, "task_registry");
});

describe("the JavaScript SDK", { concurrency: true }, () => {
  test("friendbot gives an account", async () => {
    const keypair = Keypair.random();
    const account = await server.requestAirdrop(keypair.publicKey());
    assert.equal(account.accountId(), keypair.publicKey());
    assert.equal(await balanceOf(keypair), 10_000n * STROOPS);
    // Asked again it says that there is one, and the SDK takes that as well.
    assert.equal((await server.requestAirdrop(keypair.publicKey())).sequenceNumber(), account.sequenceNumber());
  });

  test("accounts are made and paid", async () => {
    const [alice, carol] = [await funded(), Keypair.random()];
    const muxed = new MuxedAccount(await server.getAccount(alice.publicKey()), "7");
    const made = (await builder(alice))
      .addOperation(Operation.createAccount({ destination: carol.publicKey(), startingBalance: "20" }))
      .addOperation(
        Operation.payment({
          source: muxed.accountId(),
          destination: carol.publicKey(),
          asset: Asset.native(),
          amount: "1.5",
        }),
      )
      .addMemo(Memo.text("rent"))
      .build();
    made.sign(alice);
    const found = await run(made);
    assert.equal(found.status, "SUCCESS");
    assert.equal(found.envelopeXdr.toXdr("base64"), made.toXdr());
    assert.equal(await balanceOf(carol), 215_000_000n);
    assert.equal(await balanceOf(alice), 10_000n * STROOPS - 215_000_000n - 200n);
    assert.equal((await server.getAccount(carol.publicKey())).sequenceNumber(), String(BigInt(found.ledger) << 32n));
  });

  test("a contract is deployed, called and read", async () => {
    const options = clientOptions(await funded());
    const counter = await deploy(options, "counter");
    for (const expected of [1n, 2n]) {
      const call = await counter.bump({ key: 7n });
      assert.equal(call.isReadCall, false);
      assert.equal(call.result, expected); // what the simulation says
      assert.equal((await call.signAndSend()).result, expected);
    }
    const { contractId } = counter.options;
    const found = await contract.Client.from({ ...options, contractId });
    const read = await found.get({ key: 7n });
    assert.equal(read.isReadCall, true);
    assert.equal(read.result, 2n);
    assert.deepEqual(Buffer.from(await server.getContractWasmByContractId(contractId)), await wasmOf("counter"));
    const stored = await server.getContractData(contractId, nativeToScVal(["Key", 7n], { type: ["symbol", "u64"] }));
    assert.equal(scValToNative(stored.val.contractData.val), 2n);
  });

  for (const useUpgradedAuth of [true, false]) {
    test(`another account signs its authorization, ${useUpgradedAuth ? "address v2" : "address"}`, async () => {
      const [alice, bob] = [await funded(), await funded()];
      const { registry, target } = await registryAndTarget(clientOptions(alice));
      const call = await registry.register({ config: taskOf(bob.publicKey(), target) }, { useUpgradedAuth });
      assert.deepEqual(call.needsNonInvokerSigningBy(), [bob.publicKey()]);
      await assert.rejects(call.signAndSend());
      await call.signAuthEntries({
        address: bob.publicKey(),
        signAuthEntry: clientOptions(bob).signAuthEntry,
        // Without it the SDK asks getLatestLedger, whose header of protocol 30 this release cannot decode yet.
        expiration: (await server.getHealth()).latestLedger + 100,
      });
      assert.equal((await call.signAndSend()).result, 1n);
      assert.equal(await balanceOf(bob), 10_000n * STROOPS);
    });
  }

  test("what a contract refuses fails in the simulation, with its number", async () => {
    const options = clientOptions(await funded());
    const { registry } = await registryAndTarget(options);
    const again = await registry.init({ admin: options.publicKey, token: undefined });
    assert.match(again.simulation.error, /Error\(Contract, #12\)/);
    assert.ok(again.result.isErr()); // the SDK found the number in the contract's spec
  });

  test("events are found page by page", async () => {
    const options = clientOptions(await funded());
    const startLedger = (await server.getHealth()).latestLedger;
    const { registry, target } = await registryAndTarget(options);
    const hashes = [];
    for (let i = 0; i < 3; i += 1) {
      const call = await registry.register({ config: taskOf(options.publicKey, target) });
      hashes.push((await call.signAndSend()).sendTransactionResponse.hash);
    }
    const topic = nativeToScVal("TaskRegistered", { type: "symbol" }).toXdr("base64");
    const { contractId } = registry.options;
    const filters = [{ type: "contract", contractIds: [contractId], topics: [[topic, "**"]] }];
    const first = await server.getEvents({ startLedger, filters, limit: 2 });
    const rest = await server.getEvents({ cursor: first.cursor, filters, limit: 2 });
    assert.deepEqual(
      [...first.events, ...rest.events].map((event) => event.txHash),
      hashes,
    );
    assert.equal(first.events.length, 2);
    assert.equal(first.events[0].contractId.contractId(), contractId);
    assert.equal(scValToNative(first.events[0].topic[0]), "TaskRegistered");
  });

  test("the native asset is a contract", async () => {
    const [alice, bob] = [await funded(), await funded()];
    const options = clientOptions(alice);
    const contractId = Asset.native().contractId(PASSPHRASE);
    const create = (await builder(alice)).addOperation(Operation.createStellarAssetContract({ asset: Asset.native() }));
    const prepared = await server.prepareTransaction(create.build());
    prepared.sign(alice);
    assert.equal((await run(prepared)).status, "SUCCESS");
    const holder = (await deploy(options, "counter")).options.contractId;
    const native = await contract.Client.from({ ...options, contractId });
    for (const to of [bob.publicKey(), holder]) {
      await (await native.transfer({ from: alice.publicKey(), to, amount: 3n * STROOPS })).signAndSend();
    }
    assert.equal(await balanceOf(bob), 10_003n * STROOPS);
    assert.equal((await native.balance({ id: holder })).result, 3n * STROOPS);
    const held = await server.getSACBalance(Address.fromString(holder), Asset.native(), PASSPHRASE);
    assert.equal(held.balanceEntry.amount, String(3n * STROOPS));
  });

  test("a fee-bump pays for another account", async () => {
    const [alice, bob] = [await funded(), await funded()];
    const inner = (await builder(alice))
      .addOperation(Operation.payment({ destination: bob.publicKey(), asset: Asset.native(), amount: "1" }))
      .build();
    inner.sign(alice);
    const bump = TransactionBuilder.buildFeeBumpTransaction(bob, "500", inner, PASSPHRASE);
    bump.sign(bob);
    const found = await run(bump);
    assert.equal(found.status, "SUCCESS");
    assert.equal(found.feeBump, true);
    assert.equal(found.resultXdr.feeCharged, 200n);
    assert.equal(found.resultXdr.result.type, "txFeeBumpInnerSuccess");
    assert.equal(await balanceOf(alice), 9_999n * STROOPS);
    assert.equal(await balanceOf(bob), 10_001n * STROOPS - 200n);
    const byInner = await server.getTransaction(Buffer.from(inner.hash()).toString("hex"));
    assert.equal(byInner.envelopeXdr.toXdr("base64"), bump.toXdr());
  });

  test("an archived entry is restored by the call that needs it", async () => {
    const options = clientOptions(await funded());
    const counter = await deploy(options, "counter");
    assert.equal((await (await counter.bump({ key: 1n })).signAndSend()).result, 1n);
    const key = nativeToScVal(["Key", 1n], { type: ["symbol", "u64"] });
    await archive(await server.getContractData(counter.options.contractId, key));
    assert.equal((await server.getContractData(counter.options.contractId, key)).liveUntilLedgerSeq, 0);
    assert.equal((await (await counter.bump({ key: 1n })).signAndSend()).result, 2n);
    assert.ok((await server.getContractData(counter.options.contractId, key)).liveUntilLedgerSeq > 2_000_000);
  });

  test("an entry's life is extended, and an archived one restored, by operations", async () => {
    const alice = await funded();
    const counter = await deploy(clientOptions(alice), "counter");
    assert.equal((await (await counter.bump({ key: 1n })).signAndSend()).result, 1n);
    const key = nativeToScVal(["Key", 1n], { type: ["symbol", "u64"] });
    const stored = () => server.getContractData(counter.options.contractId, key);
    const ledgerKey = (await stored()).key;
    const apply = async (operation, data) => {
      const made = (await builder(alice)).addOperation(operation).setSorobanData(data.build()).build();
      const prepared = await server.prepareTransaction(made);
      prepared.sign(alice);
      const found = await run(prepared);
      assert.equal(found.status, "SUCCESS");
      return found.ledger;
    };
    const extended = await apply(
      Operation.extendFootprintTtl({ extendTo: 3_000_000 }),
      new SorobanDataBuilder().setReadOnly([ledgerKey]),
    );
    assert.equal((await stored()).liveUntilLedgerSeq, extended + 3_000_000);
    await archive(await stored());
    const restored = await apply(Operation.restoreFootprint({}), new SorobanDataBuilder().setReadWrite([ledgerKey]));
    assert.equal((await stored()).liveUntilLedgerSeq, restored + 2_073_600 - 1);
  });

  test("the network is asked about itself and about what was applied", async () => {
    const network = await server.getNetwork();
    assert.equal(network.passphrase, PASSPHRASE);
    assert.equal(Number(network.protocolVersion), 30);
    assert.equal(Number((await server.getVersionInfo()).protocolVersion), 30);
    const [alice, bob] = [await funded(), await funded()];
    const pay = Operation.payment({ destination: bob.publicKey(), asset: Asset.native(), amount: "1" });
    const made = (await builder(alice)).addOperation(pay).build();
    made.sign(alice);
    const found = await run(made);
    const page = await server.getTransactions({ startLedger: found.ledger, pagination: { limit: 200 } });
    const [listed] = page.transactions.filter((one) => one.txHash === found.txHash);
    assert.equal(listed.ledger, found.ledger);
    assert.equal(listed.applicationOrder, found.applicationOrder);
    assert.equal(listed.resultMetaXdr.toXdr("base64"), found.resultMetaXdr.toXdr("base64"));
    const stats = await server.getFeeStats();
    assert.equal(stats.inclusionFee.min, "100");
  });
});

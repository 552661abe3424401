// What the tests share: the server, accounts from friendbot, contracts.

import { readFile } from "node:fs/promises";
import { Keypair, Networks, TransactionBuilder, contract, rpc } from "@stellar/stellar-sdk";

export const RPC_URL = process.env.SANDBOX_RPC_URL;
export const PASSPHRASE = Networks.STANDALONE;
export const STROOPS = 10_000_000n;
export const server = new rpc.Server(RPC_URL, { allowHttp: true });

/** The bytes of one of the contracts that the sandbox brings along. */
export const wasmOf = (name) => readFile(`${process.env.SANDBOX_CONTRACTS}/${name}.wasm`);

/** A new account with friendbot's 10,000 XLM. */
export async function funded() {
  const keypair = Keypair.random();
  await server.fundAddress(keypair.publicKey());
  return keypair;
}

/** A transaction of that account with its next sequence. */
export async function builder(source, options = {}) {
  const account = await server.getAccount(source.publicKey());
  return new TransactionBuilder(account, { fee: "100", networkPassphrase: PASSPHRASE, ...options }).setTimeout(300);
}

/** Sends what is signed, and what became of it. */
export async function run(transaction) {
  const sent = await server.sendTransaction(transaction);
  if (sent.status !== "PENDING") {
    throw new Error(`not taken: ${JSON.stringify(sent)}`);
  }
  return server.pollTransaction(sent.hash, { attempts: 30, sleepStrategy: () => 200 });
}

/** Options of a contract client that acts for that account. */
export function clientOptions(keypair) {
  const { signTransaction, signAuthEntry } = contract.basicNodeSigner(keypair, PASSPHRASE);
  return {
    rpcUrl: RPC_URL,
    networkPassphrase: PASSPHRASE,
    publicKey: keypair.publicKey(),
    allowHttp: true,
    signTransaction,
    signAuthEntry,
  };
}

async function admin(call, body) {
  const response = await fetch(`${process.env.SANDBOX_ADMIN_URL}/${call}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });
  if (!response.ok) {
    throw new Error(await response.text());
  }
}

/** Lets an entry's time run out within a few ledgers. */
export async function archive(found) {
  // The entry as getLedgerEntries gives it lacks the ledger of its last change in front and the extension behind.
  const data = found.val.toXdr();
  const entry = Buffer.alloc(data.length + 8);
  entry.writeUInt32BE(found.lastModifiedLedgerSeq, 0);
  Buffer.from(data).copy(entry, 4);
  const { latestLedger } = await server.getHealth();
  await admin("entries", { entries: [{ xdr: entry.toString("base64"), live_until: latestLedger + 1 }] });
  await admin("advance", { ledgers: 3 });
}

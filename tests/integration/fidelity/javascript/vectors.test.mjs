// The recorded transactions, taken apart and made again by the JavaScript SDK. Needs no sandbox.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, test } from "node:test";
import { FeeBumpTransaction, Keypair, TransactionBuilder, xdr } from "@stellar/stellar-sdk";

const vectors = JSON.parse(readFileSync(process.env.VECTORS, "utf8"));
const hex = (bytes) => Buffer.from(bytes).toString("hex");

describe("the recorded transactions", () => {
  for (const vector of vectors.cases) {
    test(vector.name, () => {
      const made = TransactionBuilder.fromXdr(vector.envelope, vectors.network_passphrase);
      assert.equal(made.toXdr(), vector.envelope);
      assert.equal(xdr.TransactionEnvelope.fromXdr(vector.envelope, "base64").toXdr("base64"), vector.envelope);
      assert.equal(hex(made.hash()), vector.hash);
      if (vector.inner_hash !== undefined) {
        assert.ok(made instanceof FeeBumpTransaction);
        assert.equal(hex(made.innerTransaction.hash()), vector.inner_hash);
      }
      const signatures = vector.signers.map((secret) => hex(Keypair.fromSecret(secret).sign(made.hash())));
      assert.deepEqual(signatures, vector.signatures.slice(0, signatures.length));
    });
  }
});

"""A sandbox driven step by step without an event loop, for tests that send thousands of things to it."""

from __future__ import annotations

import base64
import http.client
import json
import struct
import subprocess
from dataclasses import dataclass
from typing import Any, Self

from stellar_sdk import Keypair, Network, StrKey
from stellar_sdk import xdr as stellar_xdr

from helpers.network import DEADLINE_S, find_binary

PASSPHRASE = Network.STANDALONE_NETWORK_PASSPHRASE
ROOT = Keypair.from_raw_ed25519_seed(Network(PASSPHRASE).network_id())
"""The account that holds the lumens at genesis: its key is the network's id, as on every new network."""


@dataclass(frozen=True)
class Held:
    """What an account's entry says."""

    balance: int
    sequence: int


@dataclass(frozen=True)
class Header:
    """The end of a ledger's header. Its beginning has arms of protocol 30 that the SDK cannot decode."""

    ledger: int
    total_coins: int
    fee_pool: int

    @classmethod
    def parse(cls, header_xdr: str) -> Self:
        raw = base64.b64decode(header_xdr)
        # ledgerSeq, totalCoins, feePool, inflationSeq, idPool, baseFee, baseReserve, maxTxSetSize, skipList, ext
        tail = struct.Struct(">IqqIQIII128sI")
        ledger, coins, pool, *_, ext = tail.unpack(raw[-tail.size :])
        assert ext == 0
        return cls(ledger, coins, pool)


class Chain:
    """One sandbox process and one connection to it; a context manager."""

    def __init__(self, *flags: str) -> None:
        self.process = subprocess.Popen(
            [find_binary(), "start", "--port", "0", "-o", "json", "--exit-with-stdin", *flags],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        )  # fmt: skip
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"ended with {self.process.wait()}"
        self.ready: dict[str, Any] = json.loads(line)
        self.port = int(self.ready["rpc_url"].removesuffix("/rpc").rpartition(":")[2])
        self.connection = self.connect()

    def connect(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=DEADLINE_S)

    def close(self) -> None:
        self.connection.close()
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        try:
            assert self.process.wait(DEADLINE_S) == 0
        finally:
            self.process.stdout.close()
            if self.process.returncode is None:
                self.process.kill()
                self.process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(
        self, path: str, body: Any = None, connection: http.client.HTTPConnection | None = None
    ) -> tuple[int, Any]:
        """GET without a body, POST with one."""
        connection = connection or self.connection
        data = None if body is None else json.dumps(body).encode()
        headers = {} if data is None else {"Content-Type": "application/json"}
        connection.request("GET" if data is None else "POST", path, data, headers)
        with connection.getresponse() as response:
            return response.status, json.loads(response.read())

    def rpc(self, method: str, connection: http.client.HTTPConnection | None = None, **params: Any) -> Any:
        call = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        status, answer = self.ask("/rpc", call, connection)
        assert status == 200, answer
        assert "error" not in answer, answer
        return answer["result"]

    def admin(self, call: str, body: Any = None) -> Any:
        status, answer = self.ask(f"/admin/{call}", body)
        assert status == 200, (call, answer)
        return answer

    def advance(self, ledgers: int = 1, seconds: float = 0.0) -> None:
        self.admin("advance", {"ledgers": ledgers, "seconds": seconds})

    def header(self) -> Header:
        return Header.parse(self.rpc("getLatestLedger")["headerXdr"])

    def accounts(
        self, addresses: list[str], connection: http.client.HTTPConnection | None = None
    ) -> tuple[int, dict[str, Held]]:
        """The accounts there are among these, all as of one ledger, and that ledger."""
        keys = {account_key(address): address for address in addresses}
        answer = self.rpc("getLedgerEntries", connection, keys=list(keys))
        found = {}
        for entry in answer["entries"]:
            account = stellar_xdr.LedgerEntryData.from_xdr(entry["xdr"]).account
            assert account is not None
            found[keys[entry["key"]]] = Held(account.balance.int64, account.seq_num.sequence_number.int64)
        return answer["latestLedger"], found


def account_key(address: str) -> str:
    """Base64 of the account's ledger key."""
    raw = struct.pack(">II", 0, 0) + StrKey.decode_ed25519_public_key(address)
    return base64.b64encode(raw).decode()


def account_entry(address: str, balance: int, sequence: int) -> str:
    """Base64 of the ledger entry of an account without anything special."""
    entry = stellar_xdr.AccountEntry(
        account_id=Keypair.from_public_key(address).xdr_account_id(),
        balance=stellar_xdr.Int64(balance),
        seq_num=stellar_xdr.SequenceNumber(stellar_xdr.Int64(sequence)),
        num_sub_entries=stellar_xdr.Uint32(0),
        inflation_dest=None,
        flags=stellar_xdr.Uint32(0),
        home_domain=stellar_xdr.String32(b""),
        thresholds=stellar_xdr.Thresholds(b"\x01\0\0\0"),
        signers=[],
        ext=stellar_xdr.AccountEntryExt(0),
    )
    data = stellar_xdr.LedgerEntryData(stellar_xdr.LedgerEntryType.ACCOUNT, account=entry)
    return stellar_xdr.LedgerEntry(stellar_xdr.Uint32(1), data, stellar_xdr.LedgerEntryExt(0)).to_xdr()


def result_codes(result_xdr: str) -> list[str]:
    """The name of a transaction's result code, then those of its operations."""
    result = stellar_xdr.TransactionResult.from_xdr(result_xdr).result
    codes = [result.code.name]
    for operation in result.results or []:
        if operation.tr is None:
            codes.append(operation.code.name)
        else:
            (inner,) = (value for name, value in vars(operation.tr).items() if name != "type" and value)
            codes.append(inner.code.name)
    return codes


def result_code(result_xdr: str) -> str:
    """The name of a transaction's result code."""
    return stellar_xdr.TransactionResult.from_xdr(result_xdr).result.code.name

"""What the events of a simulation say, whatever a contract wrote into them."""

from __future__ import annotations

import pytest
from stellar_sdk import Address, StrKey, scval
from stellar_sdk import xdr as stellar_xdr

from sorofast.transactions.diagnostics import diagnose, keeper_fee

REGISTRY = bytes(range(32))
TASK = 7


def paid(amount: int) -> str:
    """The KeeperPaid event of the task's run, with that amount."""
    keeper = scval.to_address(StrKey.encode_contract(bytes(32)))
    topics = [scval.to_symbol("KeeperPaid"), scval.to_symbol("v1"), scval.to_uint64(TASK)]
    data = scval.to_vec([keeper, scval.to_int128(amount)])
    body = stellar_xdr.ContractEventBody(0, stellar_xdr.ContractEventV0(topics, data))
    contract = Address(StrKey.encode_contract(REGISTRY)).to_xdr_sc_address().contract_id
    event = stellar_xdr.ContractEvent(
        stellar_xdr.ExtensionPoint(0), contract, stellar_xdr.ContractEventType.CONTRACT, body
    )
    return stellar_xdr.DiagnosticEvent(True, event).to_xdr()


@pytest.mark.parametrize(
    ("amount", "fee"),
    [
        (100, 100),
        (0, 0),
        (2**63 - 1, 2**63 - 1),
        (2**63, None),
        (2**100, None),
        (-1, None),
        (-(2**127), None),
    ],
)
def test_a_fee_is_an_amount_that_a_task_can_have(amount: int, fee: int | None) -> None:
    assert keeper_fee([paid(amount)], REGISTRY, TASK) == fee


def test_a_call_that_needs_more_than_a_transaction_may_use_says_so_in_words() -> None:
    said = diagnose("HostError: Error(Budget, ExceededLimit)\n\nEvent log (newest first): …", [], REGISTRY)
    assert said is not None
    assert said.reason == "target_panics"
    assert said.text == "the call needs more instructions or memory than the network allows a transaction"

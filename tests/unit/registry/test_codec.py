"""A task's configuration: every generation of the contract reads, and a new one takes the deployed contract's shape."""

from __future__ import annotations

import pytest
from stellar_sdk import Address, Keypair, scval
from stellar_sdk import xdr as stellar_xdr

from sorofast.errors import SorofastError, XdrError
from sorofast.registry.codec import NewTask, decode_config, encode_config, struct_fields, task_key

CREATOR = Keypair.random().public_key
KEEPER = Keypair.random().public_key
TARGET = Address.from_raw_contract(bytes(range(32))).address
RESOLVER = Address.from_raw_contract(bytes(32)).address
JUNE = NewTask(CREATOR, TARGET, "tick", [scval.to_uint64(5)], 60, 10_000, RESOLVER, (KEEPER,))


def entry_of(value: stellar_xdr.SCVal) -> str:
    data = stellar_xdr.ContractDataEntry(
        ext=stellar_xdr.ExtensionPoint(0),
        contract=Address(TARGET).to_xdr_sc_address(),
        key=scval.to_vec([scval.to_symbol("Task"), scval.to_uint64(1)]),
        durability=stellar_xdr.ContractDataDurability.PERSISTENT,
        val=value,
    )
    return stellar_xdr.LedgerEntryData(stellar_xdr.LedgerEntryType.CONTRACT_DATA, contract_data=data).to_xdr()


def test_a_registered_task_reads_back() -> None:
    config = decode_config(entry_of(encode_config(JUNE, None)))
    assert config.creator == CREATOR
    assert (config.target, config.function, config.args) == (TARGET, "tick", [{"u64": 5}])
    assert (config.interval_s, config.last_run_s, config.gas_stroops) == (60, 0, 10_000)
    assert (config.resolver, config.whitelist) == (RESOLVER, [KEEPER])
    assert (config.is_active, config.blocked_by) == (True, [])
    assert config.others == {"yield_strategy": None}


def test_an_early_generation_has_fewer_fields_and_a_late_one_more() -> None:
    early = decode_config(
        entry_of(scval.to_struct({"creator": scval.to_address(CREATOR), "interval": scval.to_uint32(30)}))
    )
    assert (early.creator, early.interval_s, early.is_active, early.args) == (CREATOR, 30, True, [])
    assert early.target is None
    late = decode_config(
        entry_of(scval.to_struct({"max_runs": scval.to_uint64(9), "is_active": scval.to_bool(False)}))
    )
    assert late.others == {"max_runs": {"u64": 9}}
    assert late.is_active is False


@pytest.mark.parametrize(
    "entry",
    [
        "",
        "AAAA",
        "not base64!",
        entry_of(scval.to_uint32(1)),
        entry_of(scval.to_map({scval.to_uint32(1): scval.to_void()})),
    ],
)
def test_an_undecodable_task_is_an_error_with_a_reason(entry: str) -> None:
    with pytest.raises(XdrError):
        decode_config(entry)


def spec_type(name: str) -> stellar_xdr.SCSpecTypeDef:
    return stellar_xdr.SCSpecTypeDef(stellar_xdr.SCSpecType[f"SC_SPEC_TYPE_{name}"])


def spec_option() -> stellar_xdr.SCSpecTypeDef:
    option = stellar_xdr.SCSpecTypeOption(spec_type("ADDRESS"))
    return stellar_xdr.SCSpecTypeDef(stellar_xdr.SCSpecType.SC_SPEC_TYPE_OPTION, option=option)


def names_of(value: stellar_xdr.SCVal) -> list[str]:
    assert value.map is not None
    return [scval.from_symbol(entry.key) for entry in value.map.sc_map]


def test_a_new_task_has_the_deployed_contracts_fields() -> None:
    fields = {
        "creator": spec_type("ADDRESS"),
        "interval": spec_type("U32"),
        "permissions": spec_type("U32"),
        "resolver": spec_option(),
        "something": spec_option(),
        "whitelist": spec_type("VEC"),
    }
    value = encode_config(JUNE, fields)
    assert names_of(value) == sorted(fields)
    config = decode_config(entry_of(value))
    assert config.others == {"permissions": {"u32": 0}, "something": None}
    assert value.map is not None
    assert value.map.sc_map[1].val == scval.to_uint32(60)


def test_a_field_the_deployed_contract_lacks_is_refused() -> None:
    with pytest.raises(SorofastError, match="32 bits"):
        encode_config(NewTask(CREATOR, TARGET, "tick", [], 2**32, 1), {"interval": spec_type("U32")})
    with pytest.raises(SorofastError, match="no resolver"):
        encode_config(JUNE, {"interval": spec_type("U64"), "whitelist": spec_type("VEC")})
    with pytest.raises(SorofastError, match="no obvious default"):
        encode_config(JUNE, {"mystery": spec_type("BYTES")})


def test_a_wasm_without_a_specification_names_no_fields() -> None:
    assert struct_fields(b"\0asm\x01\0\0\0") is None
    assert struct_fields(b"no wasm at all") is None


def test_a_task_key_is_the_contracts() -> None:
    key = stellar_xdr.LedgerKey.from_xdr(task_key(TARGET, 42))
    assert key.contract_data is not None
    assert scval.from_vec(key.contract_data.key) == [scval.to_symbol("Task"), scval.to_uint64(42)]

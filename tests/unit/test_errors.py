from __future__ import annotations

import inspect
import pickle

import pytest

from sorofast import errors
from sorofast.errors import RpcError, SorofastError, XdrError

CLASSES = [
    value
    for value in vars(errors).values()
    if inspect.isclass(value) and issubclass(value, Exception) and value.__module__ == errors.__name__
]


def test_the_tree_in_the_docstring_is_the_tree_of_the_code() -> None:
    drawn = {
        line.split()[line.split().index("──") + 1] if "──" in line.split() else None for line in _tree_lines()
    }
    drawn.discard(None)
    assert drawn | {"SorofastError"} == {value.__name__ for value in CLASSES}
    assert set(errors.__all__) == {value.__name__ for value in CLASSES}


def _tree_lines() -> list[str]:
    lines = (errors.__doc__ or "").splitlines()
    return [line.replace("├──", " ── ").replace("└──", " ── ").replace("│", " ") for line in lines]


@pytest.mark.parametrize("value", CLASSES, ids=lambda value: value.__name__)
def test_every_error_says_what_the_command_ends_with(value: type[SorofastError]) -> None:
    assert issubclass(value, SorofastError)
    assert value.exit_code in {1, 2, 3, 4}
    assert value.__doc__


def test_configuration_is_told_apart_from_reachability() -> None:
    assert {errors.SecretError.exit_code, errors.WrongContract.exit_code, errors.RedisUnfit.exit_code} == {3}
    assert {errors.RpcUnreachable.exit_code, errors.RedisUnreachable.exit_code} == {4}
    assert errors.UsageError.exit_code == 2
    assert errors.LeaseLost.exit_code == 1


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            XdrError(12, "a string longer than its value"),
            "malformed XDR at byte 12: a string longer than its value",
        ),
        (
            RpcError(-32602, "startLedger must be positive", "getEvents"),
            "getEvents was answered with error -32602: startLedger must be positive",
        ),
    ],
    ids=["xdr", "rpc"],
)
def test_errors_with_fields_read_as_sentences_and_survive_a_pipe(error: SorofastError, text: str) -> None:
    assert str(error) == text
    copy = pickle.loads(pickle.dumps(error))
    assert vars(copy) == vars(error)
    assert str(copy) == text

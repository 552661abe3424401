"""The register of what is in hand outlives its process, and says nothing of what has been put down in order."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

from sorofast.coordination.in_hand import AT_ONCE_MAX, NAME_MAX_BYTES, InHand
from sorofast.errors import DecodeError
from sorofast.executions.key import TASKS, Subject

SEVEN: Subject = (TASKS, 7)
JOB: Subject = ("jobs", "nightly:a")

WORKER = """
import os, signal, sys
from sorofast.coordination.in_hand import InHand
register = InHand.attach(int(sys.argv[1]))
with register.hold([("tasks", 1)]):
    pass
with register.hold([("tasks", 7), ("jobs", "nightly:a")]):
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def register() -> InHand:
    return InHand.create()


def test_what_a_killed_process_had_in_hand_can_be_read(register: InHand) -> None:
    done = subprocess.run(
        [sys.executable, "-c", WORKER, str(register.descriptor)],
        pass_fds=[register.descriptor],
        timeout=30,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL
    assert register.read() == [SEVEN, JOB]
    register.close()


def test_nothing_is_in_hand_before_between_and_after(register: InHand) -> None:
    assert register.read() == []
    for subject in (SEVEN, JOB):
        with register.hold([subject]):
            assert register.read() == [subject]
        assert register.read() == []


def test_an_error_that_is_expected_puts_it_down(register: InHand) -> None:
    with pytest.raises(DecodeError), register.hold([SEVEN]):
        raise DecodeError("not what it claims to be")
    assert register.read() == []


def test_what_a_panic_was_about_stays_in_hand_whatever_comes_after(register: InHand) -> None:
    class Panic(BaseException):
        pass

    with pytest.raises(Panic), register.hold([SEVEN]):
        raise Panic
    with register.hold([JOB]):
        pass
    assert register.read() == [SEVEN]


def test_it_has_room_for_as_many_of_the_longest_names_as_may_be_in_hand(register: InHand) -> None:
    name = "n" * (NAME_MAX_BYTES - len("jobs/1000"))
    most: list[Subject] = [("jobs", f"{name}{1_000 + number}") for number in range(AT_ONCE_MAX)]
    with register.hold(most):
        assert register.read() == most
    with pytest.raises(ValueError, match=str(AT_ONCE_MAX)), register.hold([SEVEN] * (AT_ONCE_MAX + 1)):
        pass


def test_a_name_that_is_too_long_is_left_out(register: InHand) -> None:
    with register.hold([SEVEN, ("jobs", "n" * NAME_MAX_BYTES)]):
        assert register.read() == [SEVEN]


def test_a_register_that_was_overwritten_is_read_without_harm(register: InHand) -> None:
    register._memory[:] = b"\xff" * len(register._memory)
    assert register.read() == []
    register._memory[:12] = b"\x08\0\0\0" + b"x\n7\n/\n\xff\n"
    assert register.read() == [SEVEN]

"""Failpoints: inert without the variable, refused when they are none, and counted across processes."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from sorofast import failpoints
from sorofast.errors import ConfigError
from sorofast.settings.load import load_settings

PASS = """
import asyncio, sys
from sorofast.failpoints import failpoint
async def main():
    for number in range(5):
        await failpoint("claim.committed")
        print(number + 1, flush=True)
asyncio.run(main())
"""


SIGN = """
from sorofast.failpoints import failpoint_sync
for batch in ([1, 2], [6, 7], [17, 70], [7, 8]):
    failpoint_sync("build.signing", task=iter(batch))
    print(batch[0], flush=True)
"""


def passing(text: str, program: str = PASS) -> subprocess.CompletedProcess[str]:
    """A process that passes one failpoint several times and prints how often it came through."""
    environment = os.environ | {failpoints.VARIABLE: text}
    return subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_nothing_happens_without_the_variable() -> None:
    done = passing("")
    assert (done.returncode, done.stdout.split()) == (0, ["1", "2", "3", "4", "5"])


def test_a_process_is_killed_at_the_pass_that_was_named() -> None:
    done = passing("send.before=kill;claim.committed=kill@3")
    assert (done.returncode, done.stdout.split()) == (-9, ["1", "2"])


def test_an_error_is_raised_at_every_pass_and_names_the_place() -> None:
    done = passing("claim.committed=error")
    assert done.returncode == 1
    assert done.stdout == ""
    assert "SOROFAST_FAILPOINTS has claim.committed fail here" in done.stderr


def test_a_limit_counts_the_strikes_of_every_process_that_shares_the_marks(tmp_path: Path) -> None:
    text = f"marks={tmp_path};claim.committed=kill@2*2"
    first, second, third = passing(text), passing(text), passing(text)
    assert [first.returncode, second.returncode, third.returncode] == [-9, -9, 0]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["claim.committed.1", "claim.committed.2"]


def test_a_limit_without_marks_counts_within_the_process() -> None:
    done = passing("claim.committed=delay:1*2")
    assert (done.returncode, done.stdout.split()) == (0, ["1", "2", "3", "4", "5"])


def test_only_the_one_that_was_named_is_struck() -> None:
    done = passing("build.signing=kill?task=7", SIGN)
    assert (done.returncode, done.stdout.split()) == (-9, ["1"])
    done = passing("build.signing=kill?task=7@2", SIGN)
    assert (done.returncode, done.stdout.split()) == (-9, ["1", "6", "17"])
    done = passing("build.signing=kill?task=9", SIGN)
    assert (done.returncode, done.stdout.split()) == (0, ["1", "6", "17", "7"])


def test_where_nothing_is_awaited_errors_and_delays_strike_as_well() -> None:
    done = passing("build.signing=error?task=17", SIGN)
    assert (done.returncode, done.stdout.split()) == (1, ["1", "6"])
    assert "SOROFAST_FAILPOINTS has build.signing fail here" in done.stderr
    done = passing("build.signing=delay:1", SIGN)
    assert (done.returncode, done.stdout.split()) == (0, ["1", "6", "17", "7"])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("claim.comitted=kill", "there is no failpoint 'claim.comitted'"),
        ("claim.committed", "'claim.committed' is no failpoint"),
        ("claim.committed=explode", "is no failpoint"),
        ("claim.committed=kill@0", "is no failpoint"),
        ("claim.committed=kill?task=7", "claim.committed does not tell which task is in hand"),
        ("build.signing=kill?window=7", "build.signing does not tell which window is in hand"),
        ("build.signing=kill?task=", "is no failpoint"),
        ("build.signing=kill@2?task=7", "is no failpoint"),
        ("claim.committed=kill;claim.committed=stop", "claim.committed stands there twice"),
        ("marks=/nowhere/at/all;claim.committed=kill", "there is no such folder"),
    ],
)
def test_what_is_no_failpoint_is_refused_in_one_line(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said) as refused:
        failpoints.check(text)
    assert "\n" not in str(refused.value)
    assert failpoints.VARIABLE in str(refused.value)


def test_the_variable_is_no_setting_and_its_mistakes_are_told_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(failpoints.VARIABLE, "claim.committed=kill@3")
    assert load_settings() is not None
    monkeypatch.setenv(failpoints.VARIABLE, "claim.comitted=kill")
    with pytest.raises(ConfigError, match="there is no failpoint"):
        load_settings()

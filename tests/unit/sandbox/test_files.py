"""State files appear whole or not at all; fault plans are TOML or JSON."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from sorofast.errors import UsageError
from sorofast.sandbox.files import PLAN_BYTES_MAX, opened, read_fault_plan, replacing


def test_a_file_is_replaced_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.write_bytes(b"old")
    with replacing(path) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    with opened(path) as (file, size):
        assert (file.read(), size) == (b"new", 3)


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "state"
    path.write_bytes(b"old")

    def write_half() -> None:
        with replacing(path) as file:
            file.write(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        write_half()
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_an_unusable_path_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written"), replacing(tmp_path / "no" / "state"):
        pass
    with pytest.raises(UsageError, match="cannot be read"), opened(tmp_path / "state"):
        pass


def test_special_files_are_refused(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    for path in (pipe, tmp_path):
        with pytest.raises(UsageError, match="not a regular file"), replacing(path):
            pass
        with pytest.raises(UsageError, match="not a regular file"), opened(path):
            pass
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert list(tmp_path.iterdir()) == [pipe]


def test_a_symbolic_link_is_kept(tmp_path: Path) -> None:
    path, link = tmp_path / "state", tmp_path / "link"
    path.write_bytes(b"old")
    link.symlink_to(path)
    with replacing(link) as file:
        file.write(b"new")
    assert link.is_symlink()
    assert path.read_bytes() == b"new"


def test_a_fault_plan_is_read_from_toml_or_json(tmp_path: Path) -> None:
    plan = {"seed": 7, "rules": [{"method": "getHealth", "kind": "latency", "latency_ms": 5}]}
    toml, json = tmp_path / "plan.toml", tmp_path / "plan"
    toml.write_text('seed = 7\n[[rules]]\nmethod = "getHealth"\nkind = "latency"\nlatency_ms = 5\n')
    json.write_text(' {"seed": 7, "rules": [{"method": "getHealth", "kind": "latency", "latency_ms": 5}]}')
    assert read_fault_plan(toml) == read_fault_plan(json) == plan


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("plan.toml", "seed = ", "cannot be read as TOML"),
        ("plan.json", "{", "cannot be read as JSON"),
        ("plan.json", "[]", "expected an object"),
        ("plan.json", "[" * 100_000, "nested too deeply|cannot be read as JSON"),
        ("plan.toml", "a=" + "[" * 100_000, "nested too deeply"),
        ("plan.toml", "#" * (PLAN_BYTES_MAX + 1), "longer than"),
    ],
)
def test_an_invalid_fault_plan_is_refused(tmp_path: Path, name: str, text: str, words: str) -> None:
    path = tmp_path / name
    path.write_text(text)
    with pytest.raises(UsageError, match=words):
        read_fault_plan(path)

"""The set-up's first step names what is missing, in one line, before anything is compiled."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def run(repository: Path, folder: Path, tools: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """Runs the script with a PATH that holds sed and the tools given, each as the text of a shell script."""
    folder.mkdir()
    sed = shutil.which("sed")
    assert sed is not None
    (folder / "sed").symlink_to(sed)
    for name, text in tools.items():
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    return subprocess.run(
        ["/bin/sh", str(repository / "scripts" / "check_tools.sh")],
        env={"PATH": str(folder)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


CC = {"cc": "exit 0"}
CARGO = {"cargo": "echo 'cargo 1.91.0 (abc 2025-10-30)'"}
PYTHON = {"python3": f'exec "{sys.executable}" "$@"'}


def test_a_complete_machine_yields_its_python(repository: Path, tmp_path: Path) -> None:
    done = run(repository, tmp_path / "bin", {**CC, **CARGO, **PYTHON})
    assert (done.returncode, done.stderr) == (0, "")
    assert os.access(done.stdout.strip(), os.X_OK)


@pytest.mark.parametrize(
    ("tools", "named"),
    [
        ({}, ["gcc", "rustup", "python3-venv"]),
        ({**CARGO, **PYTHON}, ["gcc"]),
        ({**CC, **PYTHON}, ["cargo 1.91"]),
        ({**CC, **PYTHON, "cargo": "echo 'cargo 1.90.0 (abc 2025-09-18)'"}, ["cargo 1.91"]),
        ({**CC, **CARGO}, ["Python 3.11"]),
        ({**CC, **CARGO, "python3": "exit 1"}, ["Python 3.11"]),
        (
            {**CC, **CARGO, "python3": f'case "$2" in *venv*) exit 1;; esac\nexec "{sys.executable}" "$@"'},
            ["Debian package python3-venv"],
        ),
    ],
    ids=["nothing", "no compiler", "no cargo", "old cargo", "no python", "old python", "no venv"],
)
def test_what_is_missing_is_named_in_one_line(
    repository: Path, tmp_path: Path, tools: dict[str, str], named: list[str]
) -> None:
    done = run(repository, tmp_path / "bin", tools)
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    for text in named:
        assert text in line

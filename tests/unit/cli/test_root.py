"""Every command line ends with the right code and one clear line; a secret in it is refused and never repeated."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from stellar_sdk import Keypair

from sorofast import __version__
from sorofast.cli import root
from sorofast.cli.root import COMMANDS, execute

CONTRACT = "CAAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQCAIBAEAQC526"


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No sorofast.toml of the developer's lies here."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write_config(path: Path, text: str) -> str:
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_version_names_the_core_and_python(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["--version"]) == 0
    assert capsys.readouterr().out.startswith(f"sorofast {__version__} (core ")


def test_help_names_every_command_and_imports_none() -> None:
    code = (
        "import sys\nfrom sorofast.cli.root import execute\nexecute(['--help'])\n"
        "heavy = {'stellar_sdk', 'pydantic', 'aiohttp', 'redis', 'sorofast._core', 'sorofast.engine'}\n"
        "print('imported', sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.rstrip().endswith("imported []")
    for _, name, _ in COMMANDS:
        assert f" {name} " in done.stdout


@pytest.mark.parametrize("path", [path for path, _, _ in COMMANDS])
def test_every_command_can_be_imported(path: str) -> None:
    module, _, attribute = path.partition(":")
    assert hasattr(__import__(module, fromlist=[attribute]), attribute)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["taks"], "tasks"),
        (["status", "--limt", "3"], "--limt"),
        (["tasks", "show"], "TASK"),
        (["tasks", "show", "x"], "x"),
        (["tasks", "show", "0"], "0 is not a task id"),
        (["tasks", "list", "--limit", "0"], "--limit is 0"),
        (["tasks", "list", "--state", "sleepy"], "unknown state `sleepy`; choose one of due, waiting"),
        (["status", "-o", "yaml"], "yaml"),
        (["channels", "create", "0"], "COUNT is 0"),
        (["channels", "create", "99999"], "COUNT is 99999"),
        (["channels", "create", "64", "--starting-balance", "five"], "--starting-balance five"),
        (["channels", "create", "64", "--starting-balance", "0.5"], "less than 1 XLM"),
        (["channels", "create", "70", "--starting-balance", "0"], "give 1 or more"),
        (["channels", "create", "70", "--starting-balance", "0.00000001"], "at most seven decimals"),
        (["run", "--timing", "never"], "never"),
    ],
)
def test_usage_mistakes_exit_2(arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(arguments) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("error: ")
    assert captured.err.count("\n") == 1
    assert said in captured.err


REGISTER = [
    "tasks",
    "register",
    "--target",
    CONTRACT,
    "--function",
    "tick",
    "--interval",
    "60",
    "--gas",
    "1000",
]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (["--interval", "0"], "--interval 0"),
        (["--interval", "soon"], "--interval soon"),
        (["--gas", "-1"], "--gas is -1"),
        (["--function", "no-symbol"], "not a symbol"),
        (["--target", "GABC"], "--target"),
        (["--resolver", CONTRACT[:-1] + "A"], "--resolver"),
        (["--args", "5"], "has no type"),
        (["--args", "u32:-1"], "'-1' is not a valid u32; write a whole number from 0 to 2^32 - 1"),
        (
            ["--args", "u64:abc"],
            "argument 1: 'abc' is not a valid u64; write a whole number from 0 to 2^64 - 1",
        ),
        (["--args", "i128:x"], "write a whole number from -2^127 to 2^127 - 1"),
        (["--args", "timepoint:soon"], "'soon' is not a valid timepoint; write a whole number"),
        (["--args", "bytes:abc"], "'abc' is not a valid bytes; write an even number of hex digits"),
        (["--args", "address:here"], "'here' is not a valid address; write a G… or C… address"),
        (["--args", "[1]"], "has no type"),
        (["--args", "[oops"], "not JSON"),
    ],
)
def test_register_checks_its_arguments_before_it_asks_anybody(
    changed: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = list(REGISTER)
    if changed[0] in arguments:
        arguments[arguments.index(changed[0]) + 1] = changed[1]
    else:
        arguments += changed
    assert execute(arguments) == 2
    said_all = capsys.readouterr().err
    assert said in said_all
    assert said_all.count("\n") == 1


@pytest.mark.parametrize(
    ("config", "arguments", "said"),
    [
        ("", ["run"], "network.rpc_url: is not set"),
        ("", ["tasks", "list"], "network.rpc_url: is not set"),
        ("", ["channels", "list"], "network.rpc_url: is not set"),
        ("[network]\nrpc_url = 'ftp://x'", ["status"], "http://"),
        ("[contract]\nid = 'CAAA'", ["status"], "contract.id"),
        ("[engine]\nshards = 16\n[keeper]\nchannels = 3", ["config", "show"], "keeper.channels"),
        ("[engine]\nworkrs = 3", ["config", "show"], "workers"),
        ("oops", ["config", "show"], "not valid TOML"),
    ],
)
def test_configuration_mistakes_exit_3(
    config: str, arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_config(tmp_path / "other.toml", config)
    assert execute([*arguments, "-c", path]) == 3
    captured = capsys.readouterr()
    assert said in captured.err
    assert all(line.startswith("error: ") for line in captured.err.splitlines())


@pytest.mark.parametrize(
    ("arguments", "missing"),
    [
        (["tasks", "list"], {"contract.id"}),
        (["tasks", "show", "1"], {"contract.id"}),
        (REGISTER, {"contract.id", "keeper.secret_file"}),
        ([*REGISTER, "--source-secret-file", "creator.secret"], {"contract.id"}),
        (["channels", "create", "64"], {"keeper.secret_file", "keeper.channel_seed_file"}),
        (["channels", "list"], {"keeper.secret_file", "keeper.channel_seed_file"}),
        (["run"], {"contract.id", "keeper.secret_file", "keeper.channel_seed_file"}),
    ],
)
def test_every_missing_setting_is_named_at_once(
    arguments: list[str],
    missing: set[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in [name for name in os.environ if name.startswith(("SOROFAST_", "STELLAR_"))]:
        monkeypatch.delenv(name)
    assert execute(arguments) == 3
    named = {line.split(": ")[1] for line in capsys.readouterr().err.splitlines()}
    assert named == missing | {"network.passphrase", "network.rpc_url"}


def test_errors_are_json_on_request(capsys: pytest.CaptureFixture[str]) -> None:
    assert execute(["-o", "json", "status", "--limt"]) == 2
    error = json.loads(capsys.readouterr().err)["error"]
    assert (error["kind"], error["exit_code"]) == ("UsageError", 2)


@pytest.mark.parametrize("wrapped", ["{}", "--keeper={}", "x{}"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_seed_is_refused_and_not_repeated(
    wrapped: str, place: int, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = Keypair.random().secret
    arguments = ["tasks", "show", "-v"]
    arguments.insert(place, wrapped.format(secret))
    assert execute(arguments) == 3
    captured = capsys.readouterr()
    assert "secret" in captured.err
    assert secret not in captured.err + captured.out
    assert secret[1:20] not in captured.err + captured.out


@pytest.mark.parametrize("words", [12, 24])
@pytest.mark.parametrize("split", [True, False])
def test_a_phrase_is_refused_and_not_repeated(
    words: int, split: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    phrase = Keypair.generate_mnemonic_phrase(strength=words * 32 // 3)
    given = phrase.split() if split else [phrase]
    assert execute(["channels", "create", "64", *given, "-o", "json"]) == 3
    captured = capsys.readouterr()
    error = json.loads(captured.err)["error"]
    assert (error["kind"], error["exit_code"]) == ("SecretError", 3)
    assert not set(phrase.split()) & set(error["message"].split()) - ENGLISH_OF_OURS
    assert phrase not in captured.err


ENGLISH_OF_OURS = {
    "can",
    "every",
    "user",
    "this",
    "with",
    "that",
    "into",
    "file",
    "seed",
    "phrase",
    "machine",
    "hold",
    "put",
    "name",
}


def test_an_unexpected_exception_is_one_line_unless_verbose(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(arguments: list[str]) -> int:
        raise TypeError("a mistake of ours")

    monkeypatch.setattr(root, "_dispatch", broken)
    assert execute(["status"]) == 1
    assert capsys.readouterr().err == (
        "error: internal error, TypeError: a mistake of ours; run the command again with -v for the traceback\n"
    )
    assert execute(["status", "-v"]) == 1
    assert "Traceback" in capsys.readouterr().err


def test_config_show_prints_values_and_origins(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    secret = Keypair.random().secret
    write_config(
        tmp_path / "sorofast.toml",
        "[engine]\nworkers = 3\ntiming = 'safe'\n[redis]\nurl = 'redis://u:pw@h/0'",
    )
    monkeypatch.setenv("SOROFAST_ENGINE__WORKERS", "5")
    monkeypatch.setenv("SOROFAST_KEEPER__SECRET", secret)
    assert execute(["config", "show", "-o", "json", "--contract-id", CONTRACT]) == 0
    out = capsys.readouterr().out
    shown = json.loads(out)
    assert shown["engine.workers"] == {"value": 5, "origin": "environment variable SOROFAST_ENGINE__WORKERS"}
    assert shown["engine.timing"]["origin"].endswith("sorofast.toml")
    assert shown["contract.id"] == {"value": CONTRACT, "origin": "option --contract-id"}
    assert shown["engine.shards"]["origin"] == "default"
    assert secret not in out
    assert "pw" not in shown["redis.url"]["value"]


def test_a_closed_output_pipe_is_not_an_error() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "sorofast", "config", "show", "-o", "json"],
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")

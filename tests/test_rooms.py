"""Which room may import which: a room is a folder of ``src/m2m_auth``, and this table is the rule (docs/design.md)."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pytest
from front_doors import FRONT_DOORS

TOP = Path(__file__).parent.parent
SOURCES = TOP / "src" / "m2m_auth"

LOWEST = {"errors", "runtime", "presentation", "values"}
PURE = {"errors", "oauth2", "lifecycle", "values"}
ENGINE = LOWEST | PURE | {"events", "caches", "shared_cache", "source"}
CALLING = ENGINE | {"http", "requests", "httpx", "httpx2", "m2m_auth"}
ROOMS = {
    "errors": set[str](),
    "runtime": set[str](),
    "values": {"errors"},
    "presentation": {"values"},
    "events": {"runtime", "values"},
    "oauth2": {"errors", "values"},
    "lifecycle": {"errors", "oauth2", "values"},
    "caches": {"errors", "runtime", "values"},
    "shared_cache": {"events", "caches"} | LOWEST | PURE,
    "source": ENGINE,
    "http": ENGINE,
    "requests httpx httpx2 m2m_auth": ENGINE | {"http"},
    "operations settings telemetry testing": CALLING,
    "verifier": LOWEST | PURE | {"http"},
    "serving": {"values"},
    "proxy vending": CALLING | {"serving"},
    "commands": CALLING | {"operations", "settings", "serving", "proxy", "vending", "verifier", "telemetry", "testing"},
}
"""The rooms that each room may import, besides itself. ``m2m_auth`` is the package's own ``__init__``."""
MAY_IMPORT = {room: {*allowed, room} for rooms, allowed in ROOMS.items() for room in rooms.split()}

THIRD_PARTY = {
    "requests": {"requests"},
    "httpx": {"httpx"},
    "httpx2": {"httpx2"},
    "http": {"requests", "urllib3"},
    "caches": {"diskcache", "redis", "pymemcache", "cachelib"},
    "telemetry": {"opentelemetry", "prometheus_client"},
    "testing": {"pytest"},
}
"""Imported at the top of a file, which only those users import who have the library."""
THIRD_PARTY_LAZILY = {
    "caches": {"platformdirs", "botocore"},
    "oauth2": {"jwt"},
    "shared_cache": {"cryptography"},
    "source": {"anyio"},
    "verifier": {"jwt"},
    "serving": {"anyio"},
    "proxy": {"prometheus_client", "tomli"},
    "commands": {"waitress"},
}
"""Imported inside a function."""
IMPORTED_BY_COMPUTED_NAME = {"settings", "m2m_auth", "testing", "caches", "http"}
"""The rooms that import a module by a computed name: tables of lazy names, of cache URLs and of HTTP libraries."""
NOT_IN_PURE_ROOMS = {
    *{"socket", "ssl", "select", "selectors", "http", "subprocess", "sqlite3", "tempfile"},
    *{"threading", "_thread", "concurrent", "multiprocessing", "asyncio", "contextvars"},
    *{"time", "sched", "signal", "random", "logging"},
}


class Import(NamedTuple):
    """One import of a file: of a name from a module."""

    module: str
    name: str
    lazy: bool
    line: int


def imports(path: Path) -> Iterator[Import]:
    """Every import of a file, with those for the type checker and those by ``import_module("a.name")``."""
    package = path.parent.relative_to(SOURCES.parent).parts if path.is_relative_to(SOURCES) else ()

    def walk(node: ast.AST, lazy: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                yield from (Import(alias.name, "", lazy, child.lineno) for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                base = package[: len(package) - child.level + 1] if child.level else ()
                module = ".".join([*base, *filter(None, [child.module])])
                yield from (Import(module, alias.name, lazy, child.lineno) for alias in child.names)
            elif isinstance(child, ast.Call) and called(child) in {"import_module", "__import__"}:
                named = child.args[0]
                if isinstance(named, ast.Constant):
                    relative = str(named.value).startswith(".")
                    yield Import(".".join(package) * relative + str(named.value), "", lazy, child.lineno)
            checker_only = isinstance(child, ast.If) and getattr(child.test, "id", "") == "TYPE_CHECKING"
            yield from walk(child, lazy or checker_only or isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)))

    yield from walk(ast.parse(path.read_text("utf-8")), lazy=False)


def called(call: ast.Call) -> str:
    """The last part of the name of what is called."""
    return getattr(call.func, "attr", getattr(call.func, "id", ""))


def module_of(path: Path) -> str:
    """``m2m_auth.caches.memory``; a package is its ``__init__``."""
    parts = path.relative_to(SOURCES.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


FILES = {module_of(path): path for path in sorted(SOURCES.rglob("*.py"))}


def room_of(module: str) -> str:
    """The folder, or the file beside the folders. The package itself counts as a room."""
    return module.split(".")[1] if "." in module else module


def targets(module: str) -> set[tuple[str, int]]:
    """The files of the package that a file imports, and the lines."""
    found: set[tuple[str, int]] = set()
    for each in imports(FILES[module]):
        inner = f"{each.module}.{each.name}"
        target = inner if inner in FILES else each.module
        if target in FILES and target != module:
            found.add((target, each.line))
    return found


def test_each_room_imports_only_what_the_table_allows() -> None:
    """A room imports only rooms below it."""
    unknown = {room_of(module) for module in FILES} - set(MAY_IMPORT)
    wrong = [
        f"{module}:{line} imports {target}"
        for module in FILES
        for target, line in sorted(targets(module))
        if room_of(target) not in MAY_IMPORT.get(room_of(module), set())
    ]
    assert (unknown, wrong) == (set(), [])


def test_the_table_allows_no_more_than_there_is() -> None:
    """Every row is a room, every short row is used in full, and so is every third party. Long rows mean "all below"."""
    used = {
        room: {room_of(target) for module in FILES if room_of(module) == room for target, _ in targets(module)}
        for room in MAY_IMPORT
    }
    assert {room for room in MAY_IMPORT if room not in {room_of(module) for module in FILES}} == set()
    spare = {room: allowed - used[room] - {room} for room, allowed in MAY_IMPORT.items() if len(allowed) <= 4}
    assert {room: rooms for room, rooms in spare.items() if rooms} == {}
    for table, lazy in ((THIRD_PARTY, False), (THIRD_PARTY_LAZILY, True)):
        for room, packages in table.items():
            found = {
                each.module.partition(".")[0]
                for module, path in FILES.items()
                if room_of(module) == room
                for each in imports(path)
                if each.lazy is lazy
            }
            assert packages - found == set(), room


def test_the_design_page_has_every_room() -> None:
    """The table in docs/design.md names the rooms of this table, no more and no fewer."""
    page = (TOP / "docs" / "design.md").read_text("utf-8")
    cells = [line.split("|")[1] for line in page.splitlines() if line.startswith("| `")]
    assert {name for cell in cells for name in re.findall(r"`(\w+)(?:\.py)?`", cell)} == {*MAY_IMPORT} - {"m2m_auth"}


def test_computed_names_are_imported_in_few_rooms() -> None:
    """The other tests read names; a room that imports by a computed name escapes them, so it must be in the table."""
    found = {
        room_of(module)
        for module, path in FILES.items()
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Call)
        and called(node) in {"import_module", "__import__", "exec", "eval", "exec_module", "resolve_name"}
        and not isinstance(node.args[0], ast.Constant)
    }
    assert found == IMPORTED_BY_COMPUTED_NAME


def test_file_names_are_plain() -> None:
    """A room is private as a whole, or its ``__init__`` says what is public: no file name starts with an underscore."""
    folders = [SOURCES, *TOP.glob("integrations/*/src"), TOP / "example_projects", TOP / "bench", TOP / "tests"]
    files = [path.relative_to(TOP) for folder in folders for path in folder.rglob("_*.py")]
    assert [path for path in files if path.name not in {"__init__.py", "__main__.py"}] == []


def test_no_file_imports_itself_through_others() -> None:
    """There is no circle of imports, not even inside a room or for the type checker."""
    graph = {module: {target for target, _ in targets(module)} for module in FILES}
    done: set[str] = set()
    circles: list[str] = []

    def visit(module: str, path: tuple[str, ...]) -> None:
        if module in path:
            circles.append(" -> ".join((*path[path.index(module) :], module)))
        elif module not in done:
            for target in sorted(graph[module]):
                visit(target, (*path, module))
            done.add(module)

    for module in graph:
        visit(module, ())
    assert circles == []


def test_third_parties_come_in_where_the_table_says() -> None:
    """A front door imports its library at the top. Other third parties come in a function, or not at all."""
    wrong: list[str] = []
    for module, path in FILES.items():
        room = room_of(module)
        at_the_top = THIRD_PARTY.get(room, set())
        lazily = at_the_top | THIRD_PARTY_LAZILY.get(room, set())
        for each in imports(path):
            package = each.module.partition(".")[0]
            known = package in {"m2m_auth", "", "typing_extensions"} or package in {*sys.stdlib_module_names, "tomllib"}
            if not known and package not in (lazily if each.lazy else at_the_top):
                wrong.append(f"{module}:{each.line} imports {each.module}")
    assert wrong == []


def test_pure_rooms_have_no_socket_no_thread_and_no_clock() -> None:
    """In ``oauth2`` and ``lifecycle`` time is an argument, and another room sends the requests."""
    wrong: list[str] = []
    for module, path in FILES.items():
        if room_of(module) not in {"oauth2", "lifecycle"}:
            continue
        for each in imports(path):
            if each.module.partition(".")[0] in NOT_IN_PURE_ROOMS or each.module == "urllib.request":
                wrong.append(f"{module}:{each.line} imports {each.module}")
        clocks = {node.attr for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Attribute)}
        wrong += [f"{module} reads a clock: {name}" for name in clocks & {"now", "utcnow", "today"}]
    assert wrong == []


def test_the_engine_knows_no_http_library() -> None:
    """The room ``source`` does not even hold such a name in a string: the room ``http`` registers the transports."""
    names = {"requests", "httpx", "httpx2", "aiohttp", "niquests"}
    wrong = [
        f"{module}:{node.lineno}"
        for module, path in FILES.items()
        if room_of(module) == "source"
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant) and node.value in names
    ]
    assert wrong == []


def test_a_class_name_stands_once() -> None:
    """Two classes with one name give a word two meanings. The exception is M2MAuth: each HTTP library has one."""
    found: dict[str, list[str]] = {}
    for module, path in FILES.items():
        for node in ast.parse(path.read_text("utf-8")).body:
            if isinstance(node, ast.ClassDef) and node.name != "M2MAuth":
                found.setdefault(node.name.lstrip("_"), []).append(module)
    assert {name: modules for name, modules in found.items() if len(modules) > 1} == {}


def public_names() -> dict[str, set[str]]:
    """The public modules and their names, as tests/test_public_api.py fixes them."""
    from test_public_api import SURFACE

    return {module: {*names.split()} for module, names in SURFACE.items()}


def test_integrations_and_examples_use_public_names_only() -> None:
    """All that they import from m2m_auth is in ``__all__`` of a public module, so a user can write the same."""
    public = public_names()
    wrong: list[str] = []
    paths = [*TOP.glob("integrations/*/src/**/*.py"), *TOP.glob("example_projects/**/*.py")]
    for path in paths:
        for each in imports(path):
            if each.module.partition(".")[0] != "m2m_auth":
                continue
            inner = f"{each.module}.{each.name}"
            if inner not in public and each.name not in public.get(each.module, set()):
                wrong.append(f"{path.relative_to(TOP)}:{each.line} imports {each.name} from {each.module}")
    assert wrong == []


def loaded_by(statement: str, after: str = "pass") -> set[str]:
    """The top-level modules that ``statement`` adds to a new process that has run ``after``."""
    script = f"import sys; {after}; before = set(sys.modules); {statement}; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    return {module.partition(".")[0] for module in done.stdout.split()}


@pytest.mark.processes
def test_importing_the_package_is_cheap() -> None:
    """``import m2m_auth`` loads no third party and no heavy module of the standard library."""
    heavy = {"asyncio", "anyio", "dataclasses", "ssl", "sqlite3", "inspect", "multiprocessing"}
    foreign = {"requests", "urllib3", "httpx", "httpx2", "django", "flask", "diskcache", "redis", "platformdirs"}
    foreign |= {"pymemcache", "boto3", "botocore", "cachelib"}
    foreign |= {"jwt", "cryptography", "opentelemetry", "prometheus_client"}
    assert loaded_by("import m2m_auth") & (heavy | foreign) == set()


@pytest.mark.processes
@pytest.mark.parametrize("front_door", FRONT_DOORS)
def test_importing_a_front_door_adds_little_to_its_library(front_door: str) -> None:
    """A front door loads only what a token in memory needs: no crypto, no cache client, no event loop."""
    if find_spec(front_door) is None:
        pytest.skip("httpx2 needs Python 3.11")
    added = loaded_by(f"import m2m_auth.{front_door}", after=f"import {front_door}")
    unwanted = {"cryptography", "diskcache", "jwt", "asyncio", "anyio", "trio", "sqlite3", "dataclasses"}
    others = {*FRONT_DOORS} - {front_door}
    assert added & (unwanted | others) == set()

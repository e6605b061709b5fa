"""Who may import whom (DESIGN §2): the table of rooms, kept true by reading every import in the sources."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import pytest

SOURCES = Path(__file__).parent.parent / "src" / "m2m_auth"

ROOMS = {
    # no I/O, no clock, no thread: time is an argument
    "core": "errors token failure lifecycle budget retry_hints lifetime rejection origins endpoint "
    "client_authentication grants options history _words",
    # what the process has one of: its clocks, its forks, its log, who watches its calls
    "process": "clock fork events calls",
    # between the engine and the caches
    "protocol": "caches",
    "caches": "caches.memory caches.disk caches._raw_disk caches._idle_disk caches._existing_disk caches.tiered "
    "caches.bounded caches.redis caches.memcached caches._memcached_server caches.dynamodb caches._dynamodb_table "
    "caches._dynamodb_creation caches.cachelib caches._private_cachelib",
    "engine": "source flight renewal minting rotation identities kit shared guarded ledger slot seal status "
    "watcher transports awaiting apart",
    "flow": "_httpx_flow _httpx_transport",
    "plugins": "requests httpx httpx2",
    "public": "__init__",
    # the receiving side, and what stands between other people's clients and the authorization server
    "services": "verifier verifier._asking verifier._introspection verifier._jwt verifier._keys verifier._refusals "
    "verifier._settings verifier._tokens "
    "serving serving._address serving._asgi serving._shapes serving._wsgi "
    "vending vending._asked vending._browsers vending._callers vending._caps vending._narrowed "
    "vending._sources vending._vendor "
    "proxy proxy._allowed proxy._answers proxy._app proxy._config proxy._durations proxy._form "
    "proxy._limits proxy._lines proxy._lru proxy._metrics proxy._operator proxy._page proxy._parties "
    "proxy._plot proxy._readers proxy._seen proxy._service proxy._sources proxy._style proxy._tokens "
    "proxy._toml proxy._totals proxy._unavailable proxy._upstream proxy._vendors_file proxy._verifiers "
    "proxy.counters proxy.ledger",
    # what listens to on_event
    "telemetry": "telemetry telemetry._measures telemetry.opentelemetry telemetry.prometheus",
    "tools": "operations report cli _proxy_commands _doctor _doctor_race _doctor_steps _look _report_rows "
    "testing testing.cache_contract testing.fake_authorization_server testing.fake_clock testing.faults "
    "testing.pytest_plugin testing._clients testing._contract_steps testing._endpoints testing._failures "
    "testing._http testing._protected_api testing._races testing._records testing._tokens",
}
MAY_IMPORT = {
    "core": {"core"},
    "process": {"core", "process"},
    "protocol": {"core"},
    "caches": {"core", "process", "protocol"},
    "engine": {"core", "process", "protocol", "engine"},
    "flow": {"core", "process", "engine", "flow"},
    "plugins": {"core", "process", "engine", "flow"},
    "public": {"core", "engine"},
    "services": {"core", "process", "protocol", "engine", "services"},
    "telemetry": {"core", "process", "public", "telemetry"},
    "tools": {"core", "process", "protocol", "engine", "services", "tools"},
}
SIBLINGS = {
    # parts of one cache
    ("caches.disk", "caches._raw_disk"),
    ("caches.disk", "caches._idle_disk"),
    ("caches._raw_disk", "caches._idle_disk"),
    ("caches.disk", "caches._existing_disk"),
    ("caches._existing_disk", "caches.disk"),
    ("caches._existing_disk", "caches._raw_disk"),
    ("caches._existing_disk", "caches._idle_disk"),
    ("caches.memcached", "caches._memcached_server"),
    ("caches.dynamodb", "caches._dynamodb_table"),
    ("caches.dynamodb", "caches._dynamodb_creation"),
    ("caches._dynamodb_creation", "caches._dynamodb_table"),
    ("caches.cachelib", "caches._private_cachelib"),
    ("caches.bounded", "caches.memory"),  # what does not fit stays in this process's memory
    ("ledger", "caches.memory"),  # counts in this process's memory where there is no cache
}
THIRD_PARTY = {
    "requests": {"requests", "urllib3"},
    "httpx": {"httpx"},
    "httpx2": {"httpx2"},
    "caches._raw_disk": {"diskcache"},
    "caches._existing_disk": {"diskcache"},
    "caches.redis": {"redis"},
    "caches.memcached": {"pymemcache"},
    "caches._memcached_server": {"pymemcache"},
    "caches.cachelib": {"cachelib"},
    "caches._private_cachelib": {"cachelib"},
    "telemetry.opentelemetry": {"opentelemetry"},
    "telemetry.prometheus": {"prometheus_client"},
    "testing.cache_contract": {"pytest"},
    "testing._contract_steps": {"pytest"},
    "testing.pytest_plugin": {"pytest"},
}
THIRD_PARTY_LAZILY = {
    "client_authentication": {"jwt"},
    "lifetime": {"jwt"},
    "verifier._jwt": {"jwt"},
    "verifier._keys": {"jwt"},
    "serving._asgi": {"anyio"},
    "proxy._toml": {"tomli", "tomllib"},  # the latter is the standard library's since Python 3.11
    "proxy._metrics": {"prometheus_client"},
    "_proxy_commands": {"waitress"},
    "seal": {"cryptography"},
    "awaiting": {"anyio"},
    "caches.disk": {"platformdirs"},
    "caches._dynamodb_table": {"botocore"},
}
NOT_IN_CORE = {
    *{"socket", "ssl", "select", "selectors", "http", "subprocess", "sqlite3", "tempfile"},
    *{"threading", "_thread", "concurrent", "multiprocessing", "asyncio", "contextvars"},
    *{"time", "sched", "signal", "random", "logging"},
}


class Import(NamedTuple):
    """One imported module: ours (``caches.memory``) or another's (``jwt``)."""

    target: str
    ours: bool
    lazy: bool
    line: int


def name_of(path: Path) -> str:
    """``caches/memory.py`` is ``caches.memory``; a package is its ``__init__``, by its own name."""
    parts = path.relative_to(SOURCES).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" and len(parts) > 1 else parts)


FILES = {name_of(path): path for path in sorted(SOURCES.rglob("*.py"))}
ROOM_OF = {name: room for room, names in ROOMS.items() for name in names.split()}


def imports(name: str) -> Iterator[Import]:
    """Every import of a file that is run, wherever it stands; those for the type checker alone are not run."""
    tree = ast.parse(FILES[name].read_text("utf-8"))
    package = FILES[name].relative_to(SOURCES).parent.parts
    for node, lazy in walk(tree, lazy=False):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield from imported(alias.name, lazy, node.lineno)
        elif node.level == 0:
            yield from imported(node.module or "", lazy, node.lineno)
        else:
            base = [*package[: len(package) - node.level + 1], *(node.module or "").split(".")]
            module = ".".join(part for part in base if part)
            inner = [f"{module}.{alias.name}".lstrip(".") for alias in node.names]
            modules = [candidate if candidate in FILES else module or "__init__" for candidate in inner]
            yield from (Import(target, True, lazy, node.lineno) for target in dict.fromkeys(modules))


def imported(module: str, lazy: bool, line: int) -> Iterator[Import]:
    """An absolute import."""
    first, _, rest = module.partition(".")
    yield Import(rest or "__init__", True, lazy, line) if first == "m2m_auth" else Import(module, False, lazy, line)


def walk(node: ast.AST, lazy: bool) -> Iterator[tuple[ast.Import | ast.ImportFrom, bool]]:
    """The import statements below ``node``, and whether they stand in a function."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.If) and isinstance(child.test, ast.Name) and child.test.id == "TYPE_CHECKING":
            continue
        if isinstance(child, (ast.Import, ast.ImportFrom)):
            yield child, lazy
        yield from walk(child, lazy or isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)))


def test_every_file_has_a_room() -> None:
    """A new file is put into the table, or it stays out of the house."""
    assert sorted(ROOM_OF) == sorted(FILES)
    assert len(ROOM_OF) == sum(len(names.split()) for names in ROOMS.values()), "a file has one room"


@pytest.mark.parametrize("name", FILES)
def test_nobody_imports_upwards_or_sideways(name: str) -> None:
    """Each file imports from the rooms that its own room may use; caches and plugins never import each other."""
    allowed = MAY_IMPORT[ROOM_OF[name]]
    wrong = [
        f"line {found.line}: {found.target} is in the room {ROOM_OF.get(found.target)}"
        for found in imports(name)
        if found.ours and ROOM_OF.get(found.target) not in allowed and (name, found.target) not in SIBLINGS
    ]
    assert wrong == []


@pytest.mark.parametrize("name", FILES)
def test_third_parties_come_in_where_the_table_says(name: str) -> None:
    """A plugin's library at the top of the plugin, everything else inside of a function, or not at all."""
    at_the_top = THIRD_PARTY.get(name, set())
    lazily = at_the_top | THIRD_PARTY_LAZILY.get(name, set())
    found = {(each.target.partition(".")[0], each.lazy) for each in imports(name) if not each.ours}
    foreign = {(package, lazy) for package, lazy in found if package not in sys.stdlib_module_names}
    assert {package for package, lazy in foreign if not lazy} <= at_the_top
    assert {package for package, lazy in foreign if lazy} <= lazily


@pytest.mark.parametrize("name", ROOMS["core"].split())
def test_the_core_has_no_socket_no_thread_and_no_clock(name: str) -> None:
    """Time is an argument there, and a transport is somebody else's."""
    found = {each.target for each in imports(name) if not each.ours}
    assert not {module for module in found if module.partition(".")[0] in NOT_IN_CORE}
    assert "urllib.request" not in found
    tree = ast.parse(FILES[name].read_text("utf-8"))
    clocks = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)} & {"now", "utcnow", "today"}
    assert clocks == set()


def test_no_import_is_hidden_from_this_file() -> None:
    """importlib is used by those few who open by name what a user asked for by name."""
    users = {name for name in FILES if any(each.target.startswith("importlib") for each in imports(name))}
    assert users == {"caches", "caches.disk", "caches.dynamodb", "seal", "transports", "testing", "cli"}


def test_the_table_is_not_larger_than_life() -> None:
    """Every exception in it is used: what is no longer needed is taken out."""
    for name, packages in [*THIRD_PARTY.items(), *THIRD_PARTY_LAZILY.items()]:
        assert packages <= {each.target.partition(".")[0] for each in imports(name)}, name
    for name, target in SIBLINGS:
        assert target in {each.target for each in imports(name)}, name


def loaded_by(statement: str, after: str = "pass") -> set[str]:
    """The top-level modules that ``statement`` adds to a new process that has run ``after``."""
    script = f"import sys; {after}; before = set(sys.modules); {statement}; print(*sorted(set(sys.modules) - before))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    return {module.partition(".")[0] for module in done.stdout.split()}


def test_importing_the_package_is_cheap() -> None:
    """None of the third parties, and none of the standard library's heavy ones."""
    heavy = {"asyncio", "anyio", "dataclasses", "ssl", "sqlite3", "inspect", "multiprocessing"}
    foreign = {"requests", "urllib3", "httpx", "httpx2", "django", "flask", "diskcache", "redis", "platformdirs"}
    foreign |= {"pymemcache", "boto3", "botocore", "cachelib"}
    foreign |= {"jwt", "cryptography", "opentelemetry", "prometheus_client"}
    assert loaded_by("import m2m_auth") & (heavy | foreign) == set()


@pytest.mark.parametrize("plugin", ["requests", "httpx", "httpx2"])
def test_importing_a_plugin_adds_little_to_its_library(plugin: str) -> None:
    """What a token in memory does not need is not imported: no crypto, no cache client, no event loop."""
    if find_spec(plugin) is None:
        pytest.skip("httpx2 needs Python 3.11")
    added = loaded_by(f"import m2m_auth.{plugin}", after=f"import {plugin}")
    unwanted = {"cryptography", "diskcache", "jwt", "asyncio", "anyio", "trio", "dataclasses", "sqlite3"}
    others = {"requests", "httpx", "httpx2"} - {plugin}
    assert added & (unwanted | others) == set()


def test_building_a_source_adds_neither() -> None:
    """A source in memory, as far as it gets without a network."""
    build = "m2m_auth.requests.M2MAuth('https://as.example/token', 'client', 'secret')"
    added = loaded_by(build, after="import m2m_auth.requests")
    assert added & {"cryptography", "diskcache", "jwt", "asyncio", "httpx", "httpx2"} == set()

"""Keeps the tiers of tests honest: a test that opens a socket or starts a process says so with a marker.

=============  ==========================================  ============================
marker         what the test may use                       which command runs it
=============  ==========================================  ============================
(none)         memory, files, threads                      ``make check``, ``make test``
``loopback``   and sockets of this machine                 ``make test``
``processes``  and other processes: servers, forks         ``make test``
=============  ==========================================  ============================

An audit hook notes what each test uses, its fixtures included. A test that uses more than its markers allow fails; the
message names the missing marker and the line of code that needs it. ``pytest --mark-tiers`` writes the missing markers
into the files instead.
"""

from __future__ import annotations

import ast
import sys
import threading
import traceback
from collections import defaultdict
from collections.abc import Generator, Iterable
from multiprocessing import util
from pathlib import Path
from typing import Any

import pytest
import urllib3.util.connection

assert urllib3.util.connection.HAS_IPV6 in (True, False)
"""urllib3 binds a socket while it is imported. Imported here, it does so in no test."""

TIERS = ["", "loopback", "processes"]
"""The markers, from the fastest tier to the slowest."""
NEEDED = {
    **dict.fromkeys(["socket.connect", "socket.bind", "socket.sendto"], "loopback"),
    **dict.fromkeys(["subprocess.Popen", "os.fork", "os.forkpty", "os.posix_spawn", "os.system"], "processes"),
}
"""The marker that each audit event needs. An event loop's ``socketpair()`` causes none of these events."""

Used = dict[str, str]
"""What was used: the marker that it needs, and the event with the code that caused it first."""


class Recorder:
    """What the current test has used so far, and what each fixture used when it was set up."""

    def __init__(self) -> None:
        self.used: Used = {}
        self.fixtures: defaultdict[tuple[str, str], Used] = defaultdict(dict)
        self.earlier: list[threading.Thread] = []

    def start(self) -> None:
        """Begin a new test. What the threads of earlier tests still do does not count."""
        self.used = {}
        self.earlier = [thread for thread in threading.enumerate() if thread is not threading.main_thread()]

    def audit(self, event: str, args: tuple[Any, ...]) -> None:
        """Note an event that needs a marker, if the current test caused it."""
        tier = NEEDED.get(event)
        if tier is None or tier in self.used:
            return
        if any(thread.is_alive() and thread.ident == threading.get_ident() for thread in self.earlier):
            return
        self.used[tier] = f"{event}:\n" + "".join(traceback.format_stack(limit=12)[:-1])

    def used_by(self, item: pytest.Item) -> Used:
        """What this test has used, with what its fixtures used, in whichever test they were set up."""
        names = getattr(item, "fixturenames", ())
        used: Used = {}
        for (base, name), of_fixture in self.fixtures.items():
            if name in names and item.nodeid.startswith(base):
                used |= of_fixture
        return used | self.used


RECORDER = Recorder()
sys.addaudithook(RECORDER.audit)

_spawn = util.spawnv_passfds


def _audited_spawn(path: bytes, args: Any, passfds: Any) -> int:
    """Cause an event when multiprocessing spawns a process; CPython causes none."""
    sys.audit("os.posix_spawn", path)
    return _spawn(path, args, passfds)


util.spawnv_passfds = _audited_spawn


def slowest(tiers: Iterable[str]) -> str:
    """The slowest of these tiers."""
    return max(tiers, key=TIERS.index, default="")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--mark-tiers``."""
    parser.addoption("--mark-tiers", action="store_true", help="write the markers of tiers that tests lack")


def pytest_configure(config: pytest.Config) -> None:
    """Declare the markers, and start to collect missing ones if asked to."""
    config.addinivalue_line("markers", "loopback: opens sockets; `make check` leaves it out")
    config.addinivalue_line("markers", "processes: starts processes; `make check` leaves it out")
    if config.getoption("--mark-tiers") and not hasattr(config, "workerinput"):
        config.pluginmanager.register(MissingMarkers(config.rootpath))


@pytest.hookimpl(wrapper=True)
def pytest_fixture_setup(fixturedef: pytest.FixtureDef[Any]) -> Generator[None, object, object]:
    """Remember what a fixture uses. Later tests that ask for it need the same, though it is already set up."""
    before, RECORDER.used = RECORDER.used, {}
    try:
        return (yield)
    finally:
        RECORDER.fixtures[fixturedef.baseid, fixturedef.argname] |= RECORDER.used
        RECORDER.used |= before


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """Begin to record."""
    RECORDER.start()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    """Fail a test that has used more than its markers allow. An example of a page has no markers, and is in no tier."""
    if not isinstance(item, pytest.Function):
        return (yield)
    missing = ""
    try:
        result = yield
    finally:
        used = RECORDER.used_by(item)
        allowed = slowest(tier for tier in TIERS[1:] if item.get_closest_marker(tier))
        if TIERS.index(slowest(used)) > TIERS.index(allowed):
            missing = slowest(used)
        item.user_properties.append(("missing tier", missing))
    if missing and not item.config.getoption("--mark-tiers"):
        pytest.fail(f"this test needs @pytest.mark.{missing}, because of {used[missing]}", pytrace=False)
    return result


class MissingMarkers:
    """Collects the missing markers from all workers, and writes them when all tests have run."""

    def __init__(self, top: Path) -> None:
        self.top = top
        self.missing: defaultdict[str, dict[str, str]] = defaultdict(dict)
        """By file: the marker that each function or class at the top of the file lacks, or ``""``."""

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Note what a test lacks."""
        if report.when == "call":
            file, _, path = report.nodeid.partition("::")
            name = path.partition("::")[0].partition("[")[0]
            tier = str(dict(report.user_properties).get("missing tier", ""))
            self.missing[file][name] = slowest([tier, self.missing[file].get(name, "")])

    def pytest_sessionfinish(self) -> None:
        """Write them."""
        for file, missing in self.missing.items():
            if any(missing.values()):
                write_markers(self.top / file, missing)


def write_markers(path: Path, missing: dict[str, str]) -> None:
    """Add ``pytestmark`` to a file if all its tests lack the same marker, else a decorator to each that lacks one."""
    text = path.read_text("utf-8")
    body, lines = ast.parse(text).body, text.splitlines(keepends=True)
    imports = [node for node in body if isinstance(node, (ast.Import, ast.ImportFrom))]
    after_imports = imports[-1].end_lineno or 0
    tiers = set(missing.values())
    if len(tiers) == 1 and "pytestmark" not in text:
        lines.insert(after_imports, f"\npytestmark = pytest.mark.{tiers.pop()}\n")
    else:
        for node in reversed(body):
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)) and missing.get(node.name):
                first = min([node.lineno, *(decorator.lineno for decorator in node.decorator_list)])
                lines.insert(first - 1, f"@pytest.mark.{missing[node.name]}\n")
    if not any(isinstance(node, ast.Import) and node.names[0].name == "pytest" for node in imports):
        lines.insert(after_imports, "import pytest\n")
    path.write_text("".join(lines), "utf-8")

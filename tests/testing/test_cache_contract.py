"""CacheContract passes correct caches, skips what they cannot do, and fails each broken cache at its fault."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import pytest

pytestmark = pytest.mark.processes

HERE = Path(__file__).parent
DOCUMENTATION = HERE.parents[1] / "docs" / "own-cache.md"

# The tests that each broken cache fails, and a pattern of the message.
FAILURES = {
    "TestRacyAdd": {"test_threads_race_for_one_lease": r"\d+ of 16 threads hold the lease"},
    "TestWrongRelease": {"test_delete_if": "", "test_lapsed_lease": ""},
    "TestProlongedCounter": {"test_increment_expiry": "each increment prolongs the counter"},
    "TestRacyCounter": {"test_threads_lose_no_increment": ""},
    "TestEverlasting": {"test_expiry": "still there long after its time to live of 0.2 s", "test_lapsed_lease": ""},
    "TestKeptTimeToLive": {"test_expiry": ""},
    "TestImpatient": {"test_expiry": "gone before its time to live of 0.2 s was over", "test_lapsed_lease": ""},
    "TestShortKeys": {"test_long_keys_differ": ""},
    "TestCStrings": {f"test_round_trip[{value}]": "" for value in ("text", "empty", "nul")},
    "TestLeftInFork": {"test_usable_after_fork": "RuntimeError: opened by another process"},
    "TestOnlySaysShared": {"test_processes_race": "shared is True: override the fixture open_cache"},
    "TestForgotten": {"test_missing": "override the fixture open_cache; or the fixture cache"},
    "TestLambda": {"test_processes_race": "cannot be sent to another process.*Fix: a module's function"},
    "TestRacyLeases": {"test_processes_race": r"round \d+: \d of 4 processes hold the lease"},
    "TestSeparateCounts": {"test_processes_race": "two processes saw the same count"},
}
PASSES = {"TestRacyAdd": "test_add_once", "TestLambda": "test_increment"}


class Outcomes(NamedTuple):
    """The outcome of one run of pytest: for each class, the tests, or the messages by test."""

    passed: dict[str, set[str]]
    skipped: dict[str, dict[str, str]]
    failed: dict[str, dict[str, str]]
    output: str


def run_contracts(folder: Path, *selected: str) -> Outcomes:
    """Runs sample contracts in another pytest, with every warning an error."""
    for sample in ("sample_caches.py", "sample_contracts.py"):
        shutil.copy(HERE / sample, folder)
    blocks = re.findall(r"```python\n(.*?)```", DOCUMENTATION.read_text(), re.DOTALL)
    (documented,) = (block for block in blocks if "CacheContract" in block)
    (folder / "documented_cache.py").write_text(documented)
    command = [sys.executable, "-W", "error", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    run = subprocess.run(
        [*command, "-p", "no:randomly", "--junitxml=report.xml"]
        + [f"sample_contracts.py::{test}" for test in selected],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=90,
    )
    found = Outcomes({}, {}, {}, run.stdout + run.stderr)
    assert run.returncode in (0, 1), found.output
    for case in ElementTree.parse(folder / "report.xml").iter("testcase"):
        name, test = case.get("classname", "").rpartition(".")[2], case.get("name", "")
        outcome = next((part for part in case if part.tag in ("failure", "error", "skipped")), None)
        if outcome is None:
            found.passed.setdefault(name, set()).add(test)
        else:
            messages = found.skipped if outcome.tag == "skipped" else found.failed
            messages.setdefault(name, {})[test] = outcome.get("message", "")
    return found


def test_right_caches_pass(tmp_path: Path) -> None:
    """The cache of docs/own-cache.md passes everything; a skip names the capability that a cache lacks."""
    outcomes = run_contracts(tmp_path, "TestSqliteCache", "TestDictCache", "TestNothingShared")
    assert outcomes.failed == {}, outcomes.output
    assert "TestSqliteCache" not in outcomes.skipped
    assert len(outcomes.passed["TestSqliteCache"]) > 20
    assert outcomes.skipped["TestDictCache"] == {"test_processes_race": "capabilities.shared is False"}
    skipped = outcomes.skipped["TestNothingShared"]
    assert skipped["test_add_once"] == "capabilities.atomic_add is False"
    assert skipped["test_delete_if"] == "capabilities.compare_delete is False"
    assert skipped["test_increment"] == "capabilities.atomic_increment is False"
    assert {"test_expiry", "test_round_trip[nul]", "test_usable_after_fork"} <= outcomes.passed["TestNothingShared"]


def test_broken_caches_fail(tmp_path: Path) -> None:
    """Each broken cache fails the tests of its fault and no other, and the failure says what is wrong."""
    selected = [f"{name}::{test}" for name, tests in FAILURES.items() for test in tests]
    selected += [f"{name}::{test}" for name, test in PASSES.items()]
    outcomes = run_contracts(tmp_path, *selected)
    assert outcomes.passed == {name: {test} for name, test in PASSES.items()}, outcomes.output
    assert {name: set(tests) for name, tests in outcomes.failed.items()} == {
        name: set(tests) for name, tests in FAILURES.items()
    }
    for name, tests in FAILURES.items():
        for test, message in tests.items():
            assert re.search(message, outcomes.failed[name][test], re.DOTALL), f"{name}::{test}"

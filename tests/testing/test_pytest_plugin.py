"""The pytest fixtures, and that m2m_auth.testing loads nothing that is not used."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

import pytest
import requests

import m2m_auth.testing
from m2m_auth import TokenSource
from m2m_auth.testing import FakeAuthorizationServer, FakeClock


@pytest.mark.loopback
def test_server_fixture(m2m_authorization_server: FakeAuthorizationServer) -> None:
    """The server runs, accepts the default client, and uses the real time."""
    response = requests.post(
        m2m_authorization_server.token_endpoint,
        data={"grant_type": "client_credentials"},
        auth=("client", "secret"),
        timeout=5,
    )
    assert m2m_authorization_server.is_active(response.json()["access_token"])
    assert m2m_authorization_server.requests[0].time > FakeClock().wall()


@pytest.mark.loopback
@pytest.mark.parametrize("round_", [1, 2])
def test_servers_are_fresh(m2m_authorization_server: FakeAuthorizationServer, round_: int) -> None:
    """Each test has a new server."""
    assert m2m_authorization_server.token_requests == 0
    requests.get(m2m_authorization_server.token_endpoint, timeout=5)


@pytest.mark.loopback
def test_server_and_clock(m2m_authorization_server: FakeAuthorizationServer, m2m_clock: FakeClock) -> None:
    """A test that uses both fixtures has a server that uses the fake clock."""
    response = requests.post(
        m2m_authorization_server.token_endpoint,
        data={"grant_type": "client_credentials"},
        auth=("client", "secret"),
        timeout=5,
    )
    token = response.json()["access_token"]
    m2m_clock.advance(3599)
    assert m2m_authorization_server.is_active(token)
    m2m_clock.advance(1)
    assert not m2m_authorization_server.is_active(token)


@pytest.fixture(scope="module")
def lasting_server() -> Iterator[FakeAuthorizationServer]:
    """One server for two tests."""
    with FakeAuthorizationServer() as server:
        yield server


@pytest.mark.loopback
@pytest.mark.parametrize("round_", [1, 2])
@pytest.mark.usefixtures("m2m_forget_tokens")
def test_tokens_are_forgotten(lasting_server: FakeAuthorizationServer, round_: int) -> None:
    """With the fixture, equal sources of two tests do not share a token; within a test they do."""
    before = lasting_server.mints
    for _ in range(2):
        TokenSource(lasting_server.token_endpoint, "client", "secret").token()
    assert lasting_server.mints == before + 1, round_


def test_the_plugin_is_an_entry_point() -> None:
    """pytest finds the fixtures of an installed m2m-auth."""
    (plugin,) = (entry for entry in entry_points(group="pytest11") if entry.name == "m2m_auth")
    assert plugin.value == "m2m_auth.testing.pytest_plugin"


@pytest.mark.processes
@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import m2m_auth.testing", ["pytest", "m2m_auth.testing.fake_server", "m2m_auth.testing.contract_races"]),
        ("from m2m_auth.testing import FakeAuthorizationServer, FakeClock, FaultyCache", ["pytest", "multiprocessing"]),
        (
            "import pytest, m2m_auth.testing.pytest_plugin",
            ["m2m_auth.testing.fake_server", "m2m_auth.testing.cache_contract", "m2m_auth.testing.fake_clock"],
        ),
    ],
)
def test_imports_are_lazy(statement: str, absent: list[str]) -> None:
    """Loading the package or the plugin loads neither pytest nor a server; only CacheContract needs pytest."""
    for name in absent:
        assert find_spec(name) is not None, name
    program = f"{statement}\nimport sys\nprint([name for name in {absent} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)
    assert (run.stdout, run.stderr) == ("[]\n", "")


def test_public_names() -> None:
    """Every public name exists and is listed; an unknown name is an AttributeError."""
    for name in m2m_auth.testing.__all__:
        assert getattr(m2m_auth.testing, name) is not None
        assert name in dir(m2m_auth.testing)
    with pytest.raises(AttributeError, match="has no attribute 'FakeCache'"):
        _ = m2m_auth.testing.FakeCache  # type: ignore[attr-defined]


def test_standard_library_only() -> None:
    """The package imports the standard library and m2m_auth; only the contract and the plugin import pytest."""
    for path in Path(m2m_auth.testing.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                roots = {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                roots = {str(node.module).partition(".")[0]}
            else:
                continue
            foreign = roots - sys.stdlib_module_names
            allowed = {"pytest"} if "contract" in path.name or path.name == "pytest_plugin.py" else set()
            assert foreign <= allowed, path.name
            assert "pickle" not in roots, path.name

"""The pytest fixtures, and that m2m_auth.testing loads nothing that is not used."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib.metadata import entry_points
from pathlib import Path

import pytest
import requests

import m2m_auth.testing
from m2m_auth.testing import FakeAuthorizationServer, FakeClock


def test_server_fixture(m2m_authorization_server: FakeAuthorizationServer) -> None:
    """The server runs, takes the default client, and lives in real time."""
    response = requests.post(
        m2m_authorization_server.token_endpoint,
        data={"grant_type": "client_credentials"},
        auth=("client", "secret"),
        timeout=5,
    )
    assert m2m_authorization_server.is_active(response.json()["access_token"])
    assert m2m_authorization_server.requests[0].time > FakeClock().wall()


@pytest.mark.parametrize("round_", [1, 2])
def test_servers_are_fresh(m2m_authorization_server: FakeAuthorizationServer, round_: int) -> None:
    """Each test has a server of its own."""
    assert m2m_authorization_server.token_requests == 0
    requests.get(m2m_authorization_server.token_endpoint, timeout=5)


def test_server_and_clock(m2m_authorization_server: FakeAuthorizationServer, m2m_clock: FakeClock) -> None:
    """A test that uses both fixtures has a server that lives by the fake clock."""
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


def test_the_plugin_is_an_entry_point() -> None:
    """An installed m2m-auth brings its fixtures along."""
    (plugin,) = (entry for entry in entry_points(group="pytest11") if entry.name == "m2m_auth")
    assert plugin.value == "m2m_auth.testing.pytest_plugin"


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import m2m_auth.testing", ["pytest", "m2m_auth.testing._http", "m2m_auth.testing._races"]),
        ("from m2m_auth.testing import FakeAuthorizationServer, FakeClock, FaultyCache", ["pytest", "multiprocessing"]),
        (
            "import pytest, m2m_auth.testing.pytest_plugin",
            ["m2m_auth.testing._http", "m2m_auth.testing.cache_contract", "m2m_auth.testing.fake_clock"],
        ),
    ],
)
def test_imports_are_lazy(statement: str, absent: list[str]) -> None:
    """Loading the package or the plugin loads neither pytest nor a server; only CacheContract needs pytest."""
    program = f"{statement}\nimport sys\nprint([name for name in {absent} if name in sys.modules])"
    run = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30)
    assert (run.stdout, run.stderr) == ("[]\n", "")


def test_public_names() -> None:
    """Every public name can be had and is listed; others are refused as usual."""
    for name in m2m_auth.testing.__all__:
        assert getattr(m2m_auth.testing, name) is not None
        assert name in dir(m2m_auth.testing)
    with pytest.raises(AttributeError, match="has no attribute 'FakeCache'"):
        _ = m2m_auth.testing.FakeCache  # type: ignore[attr-defined]


def test_standard_library_only() -> None:
    """The package imports the standard library and m2m_auth; pytest in the contract and the plugin alone."""
    for path in Path(m2m_auth.testing.__file__).parent.glob("*.py"):
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

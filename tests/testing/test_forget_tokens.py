"""``forget_tokens`` and the pytest plugin: each test starts as a new process would, and the disk cache is the run's."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from m2m_auth import Event, HttpRequest, HttpResponse, TokenEndpointUnavailable, TokenSource, TransportError
from m2m_auth.caches.disk import user_folder
from m2m_auth.caches.memory import MemoryTokenCache
from m2m_auth.source.token_source import engine_of
from m2m_auth.testing import disk_folder, forget_tokens


@pytest.fixture(autouse=True)
def _alone() -> Iterator[None]:
    """Other tests' tokens do not count."""
    forget_tokens()
    yield
    forget_tokens()


class Server:
    """A token endpoint as a transport."""

    def __init__(self) -> None:
        self.mints = 0
        self.gate = threading.Event()
        self.gate.set()
        self.down = False

    def __call__(self, _: HttpRequest) -> HttpResponse:
        """Answers one token request."""
        self.mints += 1
        mint = self.mints
        assert self.gate.wait(10)
        if self.down:
            raise TransportError("no route")
        return HttpResponse(200, {}, json.dumps({"access_token": f"t{mint}", "expires_in": 3600}).encode())


def source(server: Server, **options: object) -> TokenSource:
    """A source of that server's tokens."""
    return TokenSource("https://tenant.example/token", "client", "s3cr3t-word", transport=server, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("cache", [None, "memory:"])
def test_sources_that_exist_start_cold(cache: str | None) -> None:
    """A source of a module, built once for all tests, has no token of the test before, and is still one with equals."""
    server, heard = Server(), list[Event]()
    it = source(server, cache=cache, on_event=heard.append)
    assert it.token().value == "t1"
    forget_tokens()
    heard.clear()
    assert it.status().mints == 0
    assert it.token().value == "t2"
    assert "minted" in [event.kind for event in heard]
    if cache is None:
        assert source(server).token().value == "t2"
    forget_tokens()
    assert it.token().value == "t3"


def test_failures_are_forgotten() -> None:
    """The pause after a failure of the test before does not hold."""
    server = Server()
    it = source(server)
    server.down = True
    with pytest.raises(TokenEndpointUnavailable):
        it.token()
    server.down = False
    forget_tokens()
    assert it.token().value == f"t{server.mints}"


def test_a_secret_that_is_fetched() -> None:
    """A source whose key is not known until its secret was fetched starts cold, too."""
    server = Server()
    it = TokenSource("https://tenant.example/token", "client", lambda: "s3cr3t-word", transport=server)
    assert it.token().value == "t1"
    forget_tokens()
    assert it.token().value == "t2"


def test_a_flight_that_is_under_way_lands_first() -> None:
    """Its token does not reach the next test."""
    server = Server()
    it = source(server)
    server.gate.clear()
    call = threading.Thread(target=it.token)
    call.start()
    while not server.mints:
        pass
    threading.Timer(0.1, server.gate.set).start()
    forget_tokens()
    call.join(10)
    assert it.token().value == f"t{server.mints}"
    assert server.mints >= 2


def test_memory_caches_are_cleared() -> None:
    """What a user's own memory cache holds is forgotten, a lease of the test before included."""
    cache = MemoryTokenCache()
    cache.set("key", b"value", 60)
    forget_tokens()
    assert cache.get("key") is None


def test_the_variable_has_one_name() -> None:
    """``testing`` must not import the disk cache, which needs an extra; so both files spell the name."""
    assert user_folder.FOLDER_VARIABLE == disk_folder._VARIABLE


def test_a_folder_that_the_user_chose_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is neither replaced nor emptied."""
    (tmp_path / "cache.db").write_bytes(b"")
    monkeypatch.setenv("M2M_AUTH_CACHE_FOLDER", str(tmp_path))
    assert disk_folder.use_own_disk_folder() is None
    forget_tokens()
    assert os.listdir(tmp_path) == ["cache.db"]


@pytest.mark.parametrize("value", ["{home}/elsewhere", "~/elsewhere"])
def test_the_variable_names_the_folder(value: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """``disk:`` alone is where the variable says; a URL with a path is not."""
    from m2m_auth.caches import from_url

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("M2M_AUTH_CACHE_FOLDER", value.format(home=tmp_path))
    assert repr(from_url("disk:")) == f"DiskTokenCache('{tmp_path}/elsewhere')"
    assert repr(from_url(f"disk:{tmp_path}/own")) == f"DiskTokenCache('{tmp_path}/own')"
    monkeypatch.setenv("M2M_AUTH_CACHE_FOLDER", "")
    assert "elsewhere" not in repr(from_url("disk:"))


def test_each_value_of_the_variable_is_another_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A test that sets it after an earlier source of the process gets the folder that it names."""
    folders: list[str] = []
    for name in ("one", "two"):
        monkeypatch.setenv("M2M_AUTH_CACHE_FOLDER", str(tmp_path / name))
        source = TokenSource("https://server.example/token", "client", "secret", cache="disk:")
        folders.append(repr(engine_of(source).cache))
    assert folders == [f"DiskTokenCache('{tmp_path}/{name}')" for name in ("one", "two")]


APPLICATION = """
import os
from m2m_auth.requests import M2MAuth
import requests

session = requests.Session()
session.auth = M2MAuth("https://tenant.example/oauth/token", "client", "s3cr3t-word", cache="disk:")
assert session.auth.source.status().mints == 0
"""
TESTS = """
import os
import pytest
import responses
import subprocess, sys
from application import session

@pytest.mark.parametrize("turn", range(3))
@responses.activate
def test_orders(turn):
    token = responses.post("https://tenant.example/oauth/token", json={"access_token": f"t{turn}", "expires_in": 3600})
    responses.get("https://api.example/orders", json=[])
    session.get("https://api.example/orders").raise_for_status()
    assert responses.calls[-1].request.headers["Authorization"] == f"Bearer t{turn}"
    assert token.call_count == 1
    assert "cache.db" in os.listdir(os.environ["M2M_AUTH_CACHE_FOLDER"])

def test_another_process_of_the_test():
    code = "from m2m_auth.caches import from_url; c = from_url('disk:'); c.set('k', b'v', 60); c.close(); print(c)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert os.environ["M2M_AUTH_CACHE_FOLDER"] in run.stdout, run.stderr
"""
DJANGO_SETTINGS = """
SECRET_KEY = "x"
INSTALLED_APPS = ["django_m2m_auth"]
M2M_AUTH = {"CLIENTS": {"billing": {"TOKEN_ENDPOINT": "https://tenant.example/oauth/token", "CLIENT_ID": "client",
                                    "CLIENT_SECRET": "s3cr3t-word"}}}
"""
DJANGO_TESTS = """
import django
import requests
import responses
from django.test import SimpleTestCase

django.setup()
from django_m2m_auth import m2m

session = requests.Session()
session.auth = m2m["billing"].requests_auth()

class Orders(SimpleTestCase):
    def test_first(self):
        self.mint("first")

    def test_second(self):
        self.mint("second")

    @responses.activate
    def mint(self, value):
        responses.post("https://tenant.example/oauth/token", json={"access_token": value, "expires_in": 3600})
        responses.get("https://api.example/", headers={"X": value})
        session.get("https://api.example/")
        self.assertEqual(responses.calls[-1].request.headers["Authorization"], f"Bearer {value}")
"""
FLASK_TESTS = """
import flask
import pytest
import responses
from flask_m2m_auth import M2M

app = flask.Flask("app")
app.config["M2M_AUTH_CLIENTS"] = {"billing": {"TOKEN_ENDPOINT": "https://tenant.example/oauth/token",
                                              "CLIENT_ID": "client", "CLIENT_SECRET": "s3cr3t-word"}}
m2m = M2M(app)

@pytest.mark.parametrize("turn", range(2))
@responses.activate
def test_orders(turn):
    responses.post("https://tenant.example/oauth/token", json={"access_token": f"t{turn}", "expires_in": 3600})
    with app.app_context():
        assert m2m["billing"].source() == f"t{turn}"
"""

Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs a project's tests with a HOME of its own, and returns the output; nothing may be left in HOME."""
    project, home, temporary = tmp_path / "project", tmp_path / "home", tmp_path / "tmp"
    for folder in (project, home, temporary):
        folder.mkdir()
    (project / "pytest.ini").write_text("[pytest]\nusefixtures = m2m_forget_tokens\nfilterwarnings = error\n")

    def run(files: dict[str, str], *arguments: str, **variables: str) -> str:
        for name, text in files.items():
            (project / name).write_text(text)
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("XDG_", "M2M_AUTH_"))}
        environment |= {"HOME": str(home), "TMPDIR": str(temporary), **variables}
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
        ran = subprocess.run(command, cwd=project, env=environment, capture_output=True, text=True, timeout=100)
        assert ran.returncode == 0, ran.stdout + ran.stderr
        assert not list(home.rglob("*"))
        assert not list(temporary.glob("m2m-auth*"))
        return ran.stdout

    return run


@pytest.mark.processes
@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_project_with_a_disk_cache(run: Run, workers: str) -> None:
    """Each test mints anew, with one worker or two of pytest-xdist, and HOME is empty afterwards."""
    files = {"application.py": APPLICATION, "test_orders.py": TESTS, "conftest.py": "import application\n"}
    assert "4 passed" in run(files, "-n", workers)


@pytest.mark.processes
def test_a_django_project(run: Run) -> None:
    """Django's default cache is the disk; SimpleTestCases with the default settings write nothing to HOME."""
    files = {"project_settings.py": DJANGO_SETTINGS, "test_orders.py": DJANGO_TESTS}
    assert "2 passed" in run(files, "-p", "no:randomly", DJANGO_SETTINGS_MODULE="project_settings")


@pytest.mark.processes
def test_a_flask_project(run: Run) -> None:
    """The same for Flask."""
    assert "2 passed" in run({"test_orders.py": FLASK_TESTS})


@pytest.mark.processes
def test_a_folder_for_several_runs(run: Run, tmp_path: Path) -> None:
    """Who wants to keep tokens from one run to the next, for a server with a quota, names a folder."""
    folder = tmp_path / "kept"
    test = """
import json
from m2m_auth import HttpResponse, TokenSource

def test_one():
    server = lambda request: HttpResponse(200, {}, json.dumps({"access_token": "t", "expires_in": 3600}).encode())
    it = TokenSource("https://tenant.example/t", "client", "s3cr3t-word", cache="disk:", transport=server)
    it.token()
    assert it.status().ledger.mints.month == 1
"""
    for _ in range(2):
        run({"test_one.py": test}, M2M_AUTH_CACHE_FOLDER=str(folder))
    assert "cache.db" in os.listdir(folder)

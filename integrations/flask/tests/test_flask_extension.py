"""The extension: one object without state for any number of apps; what it returns works everywhere."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
import requests
from flask import Flask
from flask_apps import MakeApp
from flask_m2m_auth import M2M, Client

from m2m_auth import ConfigurationError, OriginNotAllowed, TokenSource
from m2m_auth.source.registry import forget_everything
from m2m_auth.testing import FakeAuthorizationServer


@pytest.mark.loopback
def test_the_factory_pattern(server: FakeAuthorizationServer, make_app: MakeApp, m2m: M2M) -> None:
    """A view of an app from a factory calls the API with a token; two calls, one mint."""
    app = make_app()

    @app.get("/orders")
    def orders() -> str:
        with requests.Session() as session:
            session.auth = m2m["billing"].requests_auth()
            return str(session.get(f"{server.base_url}/api/orders").status_code)

    client = app.test_client()
    assert [client.get("/orders").text for _ in range(2)] == ["200", "200"]
    assert server.mints == 1


@pytest.mark.loopback
def test_every_front_door_and_the_source(server: FakeAuthorizationServer, make_app: MakeApp, m2m: M2M) -> None:
    """The front doors of requests, httpx and httpx2 share one source and one token; each is one object."""
    httpx2 = pytest.importorskip("httpx2")
    with make_app().app_context():
        billing = m2m["billing"]
        by_requests, by_httpx, by_httpx2 = billing.requests_auth(), billing.httpx_auth(), billing.httpx2_auth()
        assert m2m["billing"].requests_auth() is by_requests
        assert list(m2m) == ["billing"]
    assert isinstance(billing.source, TokenSource)
    assert by_requests.source is by_httpx.source is by_httpx2.source is billing.source
    url = f"{server.base_url}/api/orders"
    with httpx.Client(auth=by_httpx) as one, httpx2.Client(auth=by_httpx2) as two, requests.Session() as three:
        three.auth = by_requests
        assert {one.get(url).status_code, two.get(url).status_code, three.get(url).status_code} == {200}
    assert server.mints == 1


@pytest.mark.loopback
def test_an_async_view(server: FakeAuthorizationServer, make_app: MakeApp, m2m: M2M) -> None:
    """An async view awaits its calls; ten at once, one mint."""
    pytest.importorskip("asgiref")
    app = make_app()

    @app.get("/orders")
    async def call() -> dict[str, Any]:
        async with httpx.AsyncClient(auth=m2m["billing"].httpx_auth()) as client:
            answers = await asyncio.gather(*(client.get(f"{server.base_url}/api/{number}") for number in range(10)))
        return {"statuses": [answer.status_code for answer in answers]}

    assert app.test_client().get("/orders").get_json() == {"statuses": [200] * 10}
    assert server.mints == 1


@pytest.mark.loopback
def test_two_apps_have_separate_clients(server: FakeAuthorizationServer, make_app: MakeApp, m2m: M2M) -> None:
    """The same extension object and the same alias give each app its own client, and its own caches."""
    server.clients["other"] = "other secret"
    first = make_app()
    second = make_app({"CLIENT_ID": "other", "CLIENT_SECRET": "other secret", "CACHE": None})
    with first.app_context():
        own_client = m2m["billing"]
        own_client.source.token()
        with second.app_context():
            other_client = m2m["billing"]
            other_client.source.token()
        assert m2m["billing"] is own_client is not other_client
    assert vars(m2m) == {}
    assert [request.client_id for request in server.requests] == ["client", "other"]


@pytest.mark.loopback
def test_equal_clients_of_two_apps_share_a_token(server: FakeAuthorizationServer, make_app: MakeApp, m2m: M2M) -> None:
    """The same client of two apps in one process mints once."""
    for app in (make_app(), make_app()):
        with app.app_context():
            m2m["billing"].source.token()
    assert server.mints == 1


@pytest.mark.loopback
def test_a_second_init_is_refused(make_app: MakeApp, m2m: M2M) -> None:
    """The same object and another one refuse it: an app has one state."""
    app = make_app()
    for again in (m2m.init_app, M2M().init_app, M2M):
        with pytest.raises(RuntimeError, match=r"<Flask 'shop'> has been initialised.*Fix: one init_app\(\) per app"):
            again(app)


@pytest.mark.loopback
def test_m2m_of_an_app(server: FakeAuthorizationServer) -> None:
    """``M2M(app)`` is ``init_app`` for small apps."""
    app = Flask("small")
    config = {"TOKEN_ENDPOINT": server.token_endpoint, "CLIENT_ID": "client", "CLIENT_SECRET": "secret"}
    app.config["M2M_AUTH_CLIENTS"] = {"billing": config}
    m2m = M2M(app)
    with app.app_context():
        assert m2m["billing"].source() == m2m["billing"].source.token().value


@pytest.mark.loopback
@pytest.mark.parametrize("ask", [lambda m2m: m2m["billing"], list], ids=["client", "aliases"])
def test_without_an_app_context(make_app: MakeApp, m2m: M2M, ask: Any) -> None:
    """The error says what was used, what is missing, and both fixes."""
    make_app()
    with pytest.raises(RuntimeError, match=r"^m2m.* outside of an application context.*Fix: 'with app.app_context"):
        ask(m2m)


def test_an_app_that_was_not_initialised(m2m: M2M) -> None:
    """The error names the app and the call that is missing."""
    with Flask("forgotten").app_context(), pytest.raises(RuntimeError, match=r"'forgotten' has no m2m_auth\. Fix: m2m"):
        m2m["billing"]


@pytest.mark.loopback
def test_an_unknown_alias(make_app: MakeApp, m2m: M2M) -> None:
    """The error lists the known ones and names the nearest in any case; control characters cannot spoil a log."""
    with make_app().app_context():
        with pytest.raises(
            ConfigurationError, match=r"no client 'BILING' \(did you mean 'billing'\?\)\. Known: 'billing'"
        ):
            m2m["BILING"]
        for hostile in ("\x1b[2J\r\n", "../../etc", "<script>", "{0.__class__}", "%s%n", "", 7, None, ["billing"]):
            with pytest.raises(ConfigurationError, match="Known: 'billing'") as raised:
                m2m[hostile]  # type: ignore[index]
            assert str(raised.value).isprintable()


@pytest.mark.loopback
def test_objects_work_in_other_threads(server: FakeAuthorizationServer, make_app: MakeApp, m2m: M2M) -> None:
    """A client, its source and its auth from inside a context work in a thread without one."""
    with make_app().app_context():
        billing = m2m["billing"]
    answers: list[int] = []

    def call() -> None:
        answers.append(requests.get(f"{server.base_url}/api/x", auth=billing.requests_auth(), timeout=10).status_code)

    thread = threading.Thread(target=call)
    thread.start()
    thread.join()
    assert answers == [200]


@pytest.mark.loopback
def test_many_threads_get_one_object(server: FakeAuthorizationServer, make_app: MakeApp, m2m: M2M) -> None:
    """Sixteen threads ask an app for the first time at once: one client, one source, one auth, one mint."""
    app, barrier = make_app(), threading.Barrier(16)

    def first_use(_: int) -> tuple[Client, TokenSource, Any, str]:
        with app.app_context():
            barrier.wait(10)
            billing = m2m["billing"]
            return billing, billing.source, billing.httpx_auth(), billing.source()

    with ThreadPoolExecutor(16) as pool:
        assert len(set(pool.map(first_use, range(16)))) == 1
    assert server.mints == 1


@pytest.mark.loopback
def test_allowed_origins(server: FakeAuthorizationServer, make_app: MakeApp, m2m: M2M) -> None:
    """A token of this client goes to no other origin."""
    with make_app({"ALLOWED_ORIGINS": ["https://api.example"]}).app_context():
        auth = m2m["billing"].requests_auth()
    with pytest.raises(OriginNotAllowed, match=r"https://api\.example"):
        requests.get(f"{server.base_url}/api/x", auth=auth, timeout=10)
    assert server.api_calls == []


@pytest.mark.loopback
def test_options_of_the_front_doors(server: FakeAuthorizationServer, make_app: MakeApp, m2m: M2M) -> None:
    """HEADER and SCHEME reach the call; ALLOW_INSECURE_HTTP, as an environment variable has it, opens plain http."""
    with make_app({"HEADER": "X-Api-Token", "SCHEME": "Token", "ALLOW_INSECURE_HTTP": "true"}).app_context():
        auth = m2m["billing"].requests_auth()
        value = m2m["billing"].source.token().value
    requests.get(f"{server.base_url}/api/x", auth=auth, timeout=10)
    assert server.api_calls[0].headers["x-api-token"] == f"Token {value}"
    assert not server.api_calls[0].authorized
    prepared = requests.Request("GET", "http://orders:8000/", auth=auth).prepare()
    renewed = auth.source.token().value  # the fake API has refused the first: it looks at Authorization alone
    assert prepared.headers["X-Api-Token"] == f"Token {renewed}"


@pytest.mark.loopback
def test_the_default_cache_is_the_disk(server: FakeAuthorizationServer, make_app: MakeApp, m2m: M2M) -> None:
    """Without M2M_AUTH_CACHES a process that starts later finds the token; with CACHE None it does not."""
    for client, mints in (({}, 1), ({"CACHE": None}, 3)):
        for _ in range(2):
            forget_everything()  # what a new process knows
            with make_app(client).app_context():
                m2m["billing"].source.token()
        assert server.mints == mints


SILENT_START = """
import socket, sys, threading
from flask import Flask
from flask_m2m_auth import M2M
import m2m_auth.requests, m2m_auth.operations, m2m_auth.caches.redis, diskcache

happened = []
quiet = ("socket.", "sqlite3.", "os.mkdir", "os.chmod", "subprocess.", "os.fork")
def hook(event, args):
    writes = event == "open" and isinstance(args[1], str) and set(args[1]) & set("wax+")
    if event.startswith(quiet) or writes:
        happened.append((event, args))
sys.addaudithook(hook)
threading.setprofile(lambda *_: happened.append("a thread"))
app = Flask("quiet")
client = {"TOKEN_ENDPOINT": "https://as.invalid/token", "CLIENT_ID": "client", "CLIENT_SECRET": "secret"}
app.config["M2M_AUTH_CLIENTS"] = {"disk": client, "far": {**client, "CACHE": "far"}}
app.config["M2M_AUTH_CACHES"] = {"default": "disk:", "far": "redis://127.0.0.1:9"}
m2m = M2M(app)
with app.app_context():
    for alias in m2m:
        m2m[alias].requests_auth()
assert happened == [], happened
socket.socket().close()
assert happened.pop()[0].startswith("socket."), "the hook sees nothing"
thread = threading.Thread(target=print)
thread.start()
thread.join()
assert "a thread" in happened, "the profile sees nothing"
"""


@pytest.mark.processes
def test_no_io_and_no_thread() -> None:
    """Neither init_app nor asking for a client opens a socket, a database or a file to write, or starts a thread."""
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", SILENT_START]
    # Compiled modules that are not there yet would be files to write.
    env = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, env=env)
    assert (done.returncode, done.stderr) == (0, "")

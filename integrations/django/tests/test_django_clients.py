"""``m2m``: lazy, shared by threads, reset with the settings, in sync and async views."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import requests
from django.core.exceptions import ImproperlyConfigured
from django.test import AsyncClient, Client, override_settings
from django_m2m_auth import m2m, renewal_failed, token_minted

from m2m_auth import InsecureTransport, OriginNotAllowed, TokenUnavailable
from m2m_auth.source.registry import forget_everything
from m2m_auth.testing import FakeAuthorizationServer

LAZY = """
import builtins, os, socket, sys, threading
os.environ["DJANGO_SETTINGS_MODULE"] = "django_settings"
import django
from django.conf import settings
opened = []
sys.addaudithook(lambda event, args: opened.append(event) if event.startswith(("socket.connect", "sqlite3")) else None)
import django_m2m_auth
assert not settings.configured, "import reads the settings"
django.setup()
import django_views
from django_m2m_auth import m2m
assert repr(m2m["billing"]) == "<Client 'billing'>"
assert not m2m._sources and not m2m._configuration, "something was built"
m2m["billing"].requests_auth()
assert opened == [], opened
assert threading.active_count() == 1, threading.enumerate()
assert os.listdir(os.environ["XDG_CACHE_HOME"]) == [], "a folder was made"
for name in ("diskcache", "redis", "pymemcache", "cryptography.hazmat.primitives.ciphers.aead", "httpx2", "jwt"):
    assert name not in sys.modules or name == "redis", name
"""


@pytest.mark.processes
def test_import_and_ready_do_nothing(tmp_path: Path) -> None:
    """Import, ready(), m2m["billing"] and even requests_auth(): no socket, no file, no thread, nothing built early."""
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path)}
    here = Path(__file__).parent
    done = subprocess.run([sys.executable, "-c", LAZY], cwd=here, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.loopback
def test_a_sync_and_an_async_view_share_a_token(configured: dict[str, Any], server: FakeAuthorizationServer) -> None:
    """A real request through each handler: both are let in by the API, with one mint."""
    url = {"url": server.base_url + "/api/orders"}
    assert Client().get("/call", url).content.endswith(b" 200")

    async def ask() -> bytes:
        return (await AsyncClient().get("/acall", url)).content

    assert asyncio.run(ask()) == b"200"
    assert server.mints == 1


@pytest.mark.loopback
@pytest.mark.parametrize("library", ["requests", "httpx", "httpx2"])
def test_one_token_for_all_front_doors(
    configured: dict[str, Any], server: FakeAuthorizationServer, library: str
) -> None:
    """requests and another library over one source."""
    module = pytest.importorskip(library, reason="httpx2 needs Python 3.11")
    url, billing = server.base_url + "/api/x", m2m["billing"]
    with requests.Session() as session:
        session.trust_env = False
        assert session.get(url, auth=billing.requests_auth(), timeout=10).status_code == 200
    assert module.get(url, auth=getattr(billing, f"{library}_auth")()).status_code == 200
    assert server.mints == 1


@pytest.mark.loopback
def test_threads_get_one_source(configured: dict[str, Any], server: FakeAuthorizationServer) -> None:
    """16 threads that ask at the same moment get one source, and mint once."""
    barrier = threading.Barrier(16)

    def first() -> Any:
        barrier.wait(10)
        source = m2m["billing"].source
        source.token()
        return source

    with ThreadPoolExecutor(16) as pool:
        sources = {id(source) for source in pool.map(lambda _: first(), range(16))}
    assert len(sources) == 1
    assert server.mints == 1


@pytest.mark.loopback
def test_settings_changed_in_a_test_take_effect(configured: dict[str, Any], server: FakeAuthorizationServer) -> None:
    """override_settings of M2M_AUTH and of CACHES takes effect at once, also for a Client that a module has kept."""
    kept = m2m["billing"]
    before = kept.source
    assert kept.source is before
    entry = {**configured["CLIENTS"]["billing"], "AUDIENCE": "https://other.example"}
    with override_settings(M2M_AUTH={**configured, "CLIENTS": {"billing": entry}}):
        assert kept.source is not before
        kept.source.token()
        assert server.requests[-1].parameters["audience"] == "https://other.example"
        inside = kept.source
        with override_settings(CACHES={"default": {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}}):
            assert kept.source is not inside
    assert kept.source.status().state == "none"


@pytest.mark.loopback
def test_an_unknown_client_is_named(configured: dict[str, Any]) -> None:
    """The nearest one is named, and those that are known."""
    with pytest.raises(
        ImproperlyConfigured, match=r"no client 'biling' \(did you mean 'billing'\?\)\. Known: 'billing'"
    ):
        _ = m2m["biling"]


@pytest.mark.loopback
@pytest.mark.parametrize("library", ["requests", "httpx", "httpx2"])
def test_allowed_origins_hold(configured: dict[str, Any], client_options: dict[str, Any], library: str) -> None:
    """ALLOWED_ORIGINS reaches every front door."""
    module = pytest.importorskip(library, reason="httpx2 needs Python 3.11")
    entry = {**client_options, "ALLOWED_ORIGINS": ["https://api.example"]}
    with override_settings(M2M_AUTH={**configured, "CLIENTS": {"billing": entry}}):
        auth = getattr(m2m["billing"], f"{library}_auth")()
        with pytest.raises(OriginNotAllowed):
            module.get("https://elsewhere.example/", auth=auth)


def refused(status: int, headers: Mapping[str, str], body: bytes) -> bool:
    """A rule by import path; by it every answer refuses the token."""
    return b"path" in body


@pytest.mark.loopback
@pytest.mark.parametrize("library", ["requests", "httpx", "httpx2"])
def test_options_of_the_front_doors(
    configured: dict[str, Any], client_options: dict[str, Any], server: FakeAuthorizationServer, library: str
) -> None:
    """HEADER, SCHEME, IS_REJECTION by its path and ALLOW_INSECURE_HTTP reach every front door; an argument wins."""
    module = pytest.importorskip(library, reason="httpx2 needs Python 3.11")
    entry = {
        **client_options,
        "HEADER": "X-Api-Token",
        "SCHEME": "",
        "IS_REJECTION": "test_django_clients.refused",
        "ALLOW_INSECURE_HTTP": True,
    }
    server.accept_tokens = "all"
    with override_settings(M2M_AUTH={**configured, "CLIENTS": {"billing": entry}}):
        auth = getattr(m2m["billing"], f"{library}_auth")()
        value = m2m["billing"].source.token().value
        module.get(server.base_url + "/api/x", auth=auth)
        assert server.api_calls[-1].headers["x-api-token"] in (value, m2m["billing"].source.token().value)
        assert not server.api_calls[-1].authorized
        closed = getattr(m2m["billing"], f"{library}_auth")(allow_insecure_http=False)
        with pytest.raises(InsecureTransport):
            module.get("http://elsewhere.example/", auth=closed)


@pytest.mark.loopback
def test_the_secret_may_come_from_a_callable_or_a_path(
    configured: dict[str, Any], client_options: dict[str, Any], server: FakeAuthorizationServer
) -> None:
    """Both are called when the token is needed, and not before."""
    called: list[int] = []

    def fetch() -> str:
        called.append(1)
        return "secret"

    for secret in (fetch, "secret_source.fetch"):
        entry = {**client_options, "CLIENT_SECRET": secret, "AUDIENCE": f"https://{len(called)}.example"}
        with override_settings(M2M_AUTH={**configured, "CLIENTS": {"billing": entry}}):
            source = m2m["billing"].source
            assert len(called) == (0 if secret is fetch else 1)
            source.token()
    assert server.mints == 2


@pytest.mark.loopback
def test_signals(configured: dict[str, Any], server: FakeAuthorizationServer) -> None:
    """token_minted and renewal_failed carry the alias and the event; a receiver that raises breaks nothing."""
    received: list[tuple[str, str, str]] = []

    def receive(sender: Any, alias: str, event: Any, **_: Any) -> None:
        received.append((alias, event.kind, event.reason))
        raise RuntimeError("a receiver's bug")

    for signal in (token_minted, renewal_failed):
        signal.connect(receive)
    try:
        token = m2m["billing"].source.token()
        server.fail("invalid_client")
        with pytest.raises(TokenUnavailable):
            m2m["billing"].source.renew()
    finally:
        for signal in (token_minted, renewal_failed):
            signal.disconnect(receive)
    assert received == [("billing", "minted", "cold"), ("billing", "renewal_failed", "invalid_client")]
    assert token.value not in repr(received)


@pytest.mark.loopback
def test_a_receiver_may_use_the_database(configured: dict[str, Any], server: FakeAuthorizationServer) -> None:
    """The connections that it opens on the flight's thread are closed after it."""
    from django.db import connections

    wrappers: list[Any] = []

    def receive(**_: Any) -> None:
        with connections["default"].cursor() as cursor:
            cursor.execute("SELECT 1")
        wrappers.append(connections["default"])

    token_minted.connect(receive)
    try:
        m2m["billing"].source.token()
    finally:
        token_minted.disconnect(receive)
    assert wrappers[0] is not connections["default"]
    assert wrappers[0].connection is None


@pytest.mark.loopback
def test_a_new_process_takes_the_token_from_the_disk(
    configured: dict[str, Any], server: FakeAuthorizationServer
) -> None:
    """After a restart the token comes from the disk cache."""
    m2m["billing"].source.token()
    forget_everything()
    m2m.reset()
    m2m["billing"].source.token()
    assert server.mints == 1

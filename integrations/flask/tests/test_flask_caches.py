"""Caches by configuration: Flask-Caching's own, an import path, an object. A cache that stores nothing is refused."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
import redis
from flask_apps import MakeApp
from flask_caching import Cache
from flask_m2m_auth import M2M
from real_servers.stores import start_valkey

from m2m_auth import ConfigurationError
from m2m_auth.caches.memory import MemoryTokenCache
from m2m_auth.source.registry import forget_everything
from m2m_auth.testing import FakeAuthorizationServer

pytestmark = pytest.mark.filterwarnings("ignore:.*CACHE_TYPE:UserWarning")
FLASK_CACHING = {"default": {"FLASK_CACHING": True}}


def mint_in_two_processes(make_app: MakeApp, m2m: M2M, settings: dict[str, Any]) -> None:
    """Gets a token in an app with this Flask-Caching cache, and again like a process that starts later."""
    for _ in range(2):
        forget_everything()  # what a new process knows
        app = make_app(M2M_AUTH_CACHES=FLASK_CACHING, **settings)
        Cache(app)  # after init_app: it is looked for at first use
        with app.app_context():
            assert m2m["billing"].source.token().fingerprint


@pytest.mark.processes
def test_flask_caching_on_valkey(server: FakeAuthorizationServer, make_app: MakeApp, m2m: M2M) -> None:
    """RedisCache: the token is shared, under keys without the application's prefix."""
    with start_valkey() as store, redis.Redis(port=store.port) as client:
        settings = {
            "CACHE_TYPE": "RedisCache",
            "CACHE_REDIS_URL": f"redis://{store.address}/0",
            "CACHE_KEY_PREFIX": "shop",
        }
        mint_in_two_processes(make_app, m2m, settings)
        assert [key for key in client.scan_iter() if key.startswith(b"m2m1.")]
    assert server.mints == 1


@pytest.mark.loopback
@pytest.mark.filterwarnings("ignore")
def test_flask_caching_on_files(
    server: FakeAuthorizationServer, make_app: MakeApp, m2m: M2M, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """FileSystemCache: the token is shared; the log says that this cache cannot give a lease."""
    settings = {"CACHE_TYPE": "FileSystemCache", "CACHE_DIR": str(tmp_path / "files")}
    mint_in_two_processes(make_app, m2m, settings)
    assert server.mints == 1
    assert os.listdir(tmp_path / "files")
    assert "FileSystemCache) has no atomic_add: it cannot give a lease" in caplog.text


@pytest.mark.loopback
def test_flask_caching_in_memory(server: FakeAuthorizationServer, make_app: MakeApp, m2m: M2M) -> None:
    """SimpleCache is one app's memory, so each app mints; within one app the token is found again."""
    mint_in_two_processes(make_app, m2m, {"CACHE_TYPE": "SimpleCache"})
    assert server.mints == 2
    app = make_app({"CLIENT_SECRET": lambda: "secret"}, M2M_AUTH_CACHES=FLASK_CACHING, CACHE_TYPE="SimpleCache")
    cache = Cache(app)
    with app.app_context():
        m2m["billing"].source.token()
        assert any(key.startswith("m2m1.") for key in cache.cache._cache)


@pytest.mark.loopback
def test_flask_caching_that_stores_nothing(make_app: MakeApp, m2m: M2M) -> None:
    """NullCache is refused at first use, by name: every process would mint its own tokens."""
    app = make_app(M2M_AUTH_CACHES=FLASK_CACHING, CACHE_TYPE="NullCache", CACHE_NO_NULL_WARNING=True)
    Cache(app)
    with app.app_context(), pytest.raises(ConfigurationError, match=r"NullCache\(…\) stores nothing"):
        m2m["billing"].requests_auth()


@pytest.mark.loopback
def test_flask_caching_that_is_missing(make_app: MakeApp, m2m: M2M) -> None:
    """None, or several, so that it is not clear which is meant: the error says how many, and the fix."""
    app = make_app(M2M_AUTH_CACHES=FLASK_CACHING, CACHE_TYPE="SimpleCache")
    with app.app_context():
        with pytest.raises(ConfigurationError, match=r"\[.default.\]: FLASK_CACHING needs one .* there are 0\. Fix"):
            m2m["billing"].source  # noqa: B018
        Cache(app)
        second = Cache(app)
        with pytest.raises(ConfigurationError, match=r"there are 2\. Fix"):
            m2m["billing"].source  # noqa: B018
    named = make_app(M2M_AUTH_CACHES={"default": {"BACKEND": lambda: app.extensions["cache"][second]}})
    with named.app_context():
        assert m2m["billing"].source.token().fingerprint


@pytest.mark.loopback
def test_a_backend_by_path(server: FakeAuthorizationServer, make_app: MakeApp, m2m: M2M, tmp_path: Path) -> None:
    """A class and its options."""
    cache = {"BACKEND": "m2m_auth.caches.disk.DiskTokenCache", "OPTIONS": {"folder": str(tmp_path / "own_client")}}
    with make_app(M2M_AUTH_CACHES={"default": cache}).app_context():
        m2m["billing"].source.token()
    assert (tmp_path / "own_client" / "cache.db").exists()


@pytest.mark.loopback
@pytest.mark.parametrize("given", [MemoryTokenCache(), {"BACKEND": MemoryTokenCache}], ids=["object", "class"])
def test_a_cache_itself(server: FakeAuthorizationServer, make_app: MakeApp, m2m: M2M, given: Any) -> None:
    """An object with the TokenCache protocol, or a class, instead of a URL."""
    with make_app(M2M_AUTH_CACHES={"default": given}).app_context():
        m2m["billing"].source.token()
    assert server.mints == 1


REFUSED: list[tuple[Any, str]] = [
    ("reddis://host", r"no cache has this URL scheme \(did you mean 'redis'\?\)"),
    (
        {"BACKEND": "no_such.module.Cache"},
        r"'no_such\.module\.Cache' cannot be imported \(ModuleNotFoundError: no_such",
    ),
    ({"BACKEND": "m2m_auth.caches.disk.NoCache"}, r"cannot be imported \(AttributeError\)"),
    ({"BACKEND": "m2m_auth.__version__"}, r"is neither a class nor a callable"),
    (
        {"BACKEND": "m2m_auth.caches.disk.DiskTokenCache", "OPTIONS": {"fodler": "x"}},
        r"raised TypeError while it was built with the OPTIONS fodler",
    ),
    ({"BACKEND": "builtins.list"}, r"list is neither a URL"),
]


@pytest.mark.loopback
@pytest.mark.parametrize(("given", "words"), REFUSED, ids=[words[:30] for _, words in REFUSED])
def test_an_object_that_is_no_cache(make_app: MakeApp, m2m: M2M, given: Any, words: str) -> None:
    """The first use raises an error that names it, before any request."""
    with make_app(M2M_AUTH_CACHES={"default": given}).app_context(), pytest.raises(ConfigurationError, match=words):
        m2m["billing"].source  # noqa: B018

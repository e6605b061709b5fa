"""The README's examples are run, in their order; they are ``py`` blocks, which Sybil in the root conftest.py skips."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from m2m_auth.testing import FakeAuthorizationServer

README = Path(__file__).parents[1] / "README.md"


def test_the_readme(server: FakeAuthorizationServer, capsys: pytest.CaptureFixture[str]) -> None:
    """Each block runs, and prints what its comments say."""
    server.clients["billing"] = "s3cr3t"
    names: dict[str, Any] = {
        "TOKEN_ENDPOINT": server.token_endpoint,
        "CLIENT_SECRET": "s3cr3t",
        "API_ORIGIN": server.base_url,
        "API_URL": f"{server.base_url}/api/orders",
    }
    blocks = re.findall(r"^```py\n(.*?)^```$", README.read_text(), re.DOTALL | re.MULTILINE)
    try:
        for block in blocks:
            exec(compile(block, str(README), "exec"), names)
    finally:
        names["token_minted"].disconnect(names["count"])  # it prints, and would do so in other tests
    assert len(blocks) == 4
    assert capsys.readouterr().out.splitlines() == ["200", "fresh", "403"]
    assert server.mints == 1

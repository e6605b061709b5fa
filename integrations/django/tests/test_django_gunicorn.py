"""gunicorn --preload with two workers and only a client configured: one mint for both."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import pytest
from real_servers.gunicorns import ask_all, gunicorn

from m2m_auth.testing import FakeAuthorizationServer

HERE = Path(__file__).parent


@pytest.mark.parametrize("when", ["before", "after"])
def test_two_workers_share_one_token(server: FakeAuthorizationServer, tmp_path: Path, when: str) -> None:
    """Whether the master or a worker gets the first token: both workers answer, and the server has minted one."""
    own = {"M2M_TEST_ENDPOINT": server.token_endpoint, "M2M_TEST_WHEN": when, "M2M_TEST_FOLDER": str(tmp_path)}
    own |= {"XDG_CACHE_HOME": str(tmp_path), "PYTHONWARNINGS": "", "PYTHONDEVMODE": ""}
    options = ("--preload", "--workers=2", "--threads=2")
    with gunicorn("django_wsgi", tmp_path / "log", *options, environment=own, folder=HERE) as address:
        given = ask_all(f"{address}/call?url={quote(server.base_url + '/api/x')}", 2)
    assert {what for _, what in given} == {"200"}
    assert server.mints == 1
    assert (tmp_path / "m2m-auth").stat().st_mode & 0o777 == 0o700

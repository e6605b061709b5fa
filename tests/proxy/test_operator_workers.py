"""The operator's page and metrics under gunicorn: each worker shows the numbers of all workers."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import requests
from operator_support import TOKEN, bearer
from real_servers.gunicorns import gunicorn

from m2m_auth.proxy import add_vendor
from m2m_auth.testing import FakeAuthorizationServer

AUDIENCE = "https://api.example"
CONFIG = """
pepper = "pepper-of-the-tests-32-bytes-long"
operator_token = "{token}"
cache = "disk:{folder}/cache"

[upstreams.main]
token_endpoint = "{endpoint}"
client_id = "proxy"
client_secret = "secret"

[vendors.acme]
audiences = ["https://api.example"]
mints_per_month = 10
"""
WORKERS = 3


@pytest.fixture
def upstream() -> Iterator[FakeAuthorizationServer]:
    """An authorization server that knows the proxy."""
    with FakeAuthorizationServer(clients={"proxy": "secret"}) as server:
        yield server


@pytest.fixture
def proxy(tmp_path: Path, upstream: FakeAuthorizationServer) -> Iterator[tuple[str, str]]:
    """Three workers of one proxy: its URL, and the secret of the vendor acme."""
    config = tmp_path / "proxy.toml"
    config.write_text(CONFIG.format(token=TOKEN, folder=tmp_path, endpoint=upstream.token_endpoint))
    secret = add_vendor(config, "acme")
    options, environment = (f"--workers={WORKERS}", "--threads=2"), {"M2M_AUTH_PROXY_CONFIG": str(config)}
    with gunicorn("m2m_auth.proxy:app()", tmp_path / "log", *options, environment=environment) as url:
        yield url, secret


def test_all_workers_show_the_same(proxy: tuple[str, str], upstream: FakeAuthorizationServer) -> None:
    """30 requests to three workers are one mint and 29 answers from the cache, in every scrape and page."""
    url, secret = proxy
    form = {"grant_type": "client_credentials", "audience": AUDIENCE}
    for _ in range(30):  # each on its own connection, so that every worker answers some
        assert requests.post(f"{url}/oauth/token", form, auth=("acme", secret), timeout=60).status_code == 200
    assert upstream.mints == 1
    wanted = {("served", "29.0"), ("minted", "1.0"), ("refused", "0.0")}
    found: list[set[tuple[str, str]]] = []
    deadline = time.monotonic() + 60
    while found[-8:] != [wanted] * 8 and time.monotonic() < deadline:  # workers write their counts within 2 s
        text = requests.get(f"{url}/metrics", headers=bearer(), timeout=60).text
        found.append(set(re.findall(r'outcomes_total\{outcome="(\w+)",vendor="acme"\} (\S+)', text)))
    assert found[-8:] == [wanted] * 8
    assert 'upstream_seconds_bucket{le="+Inf",outcome="minted",upstream="main"} 1.0' in text
    pages = [requests.get(f"{url}/operator", headers=bearer(), timeout=60).text for _ in range(6)]
    assert all('<td data-label="Asked">30<small>' in page and "1 of 10 this month" in page for page in pages)


def test_one_login_for_all_workers(proxy: tuple[str, str]) -> None:
    """The other workers accept the cookie of one worker."""
    url, _ = proxy
    answer = requests.post(f"{url}/operator", {"token": TOKEN}, allow_redirects=False, timeout=60)
    assert (answer.status_code, answer.headers["Location"]) == (303, "./operator")
    pages = [requests.get(f"{url}/operator", cookies=answer.cookies, timeout=60) for _ in range(8)]
    assert {page.status_code for page in pages} == {200}

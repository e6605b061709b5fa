"""Careless vendors and guessers against a proxy of two gunicorn workers in front of django-oauth-toolkit."""

from __future__ import annotations

import base64
import http.client
import json
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

import pytest
from real_servers import AuthorizationServer, ClientSpec, start_dot

sys.path.insert(0, str(Path(__file__).with_name("foreign_clients")))

import served_proxy

VENDORS = [f"vendor{number}" for number in range(5)]
AUDIENCES = ["https://orders.example", "https://stock.example"]
LIMITED = "vendor4"
"""This vendor has a budget of one mint a month, and asks for two audiences."""
ATTEMPTS = 5
"""The number of unknown secrets of a vendor that the proxy tries upstream in a minute."""


THREADS = 6
Question = tuple[str, str, str]
"""Vendor, secret and audience."""


class Reply(NamedTuple):
    """What the proxy answered."""

    status: int
    retry_after: str | None
    body: dict[str, Any]


class Caller:
    """One keep-alive connection, like a vendor's backend, without a token cache."""

    def __init__(self, proxy: str, address: str = "198.51.100.1") -> None:
        self._address = address
        parts = urlsplit(proxy)
        self._path = parts.path
        self._connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=60)

    def ask(self, vendor: str, secret: str, audience: str) -> Reply:
        """One token request."""
        credentials = base64.b64encode(f"{vendor}:{secret}".encode()).decode()
        form = urlencode({"grant_type": "client_credentials", "audience": audience, "scope": "read"})
        headers = {
            "Authorization": f"Basic {credentials}",
            "Content-Type": "application/x-www-form-urlencoded",
            "X-Forwarded-For": self._address,  # as the trusted reverse proxy in front writes it
        }
        self._connection.request("POST", self._path, form, headers)
        with self._connection.getresponse() as answer:
            return Reply(answer.status, answer.headers["Retry-After"], json.loads(answer.read()))

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


def secret_of(vendor: str) -> str:
    """The right secret."""
    return f"the secret of {vendor}"


@pytest.fixture
def server() -> Iterator[AuthorizationServer]:
    """django-oauth-toolkit; each vendor has a client there."""
    with start_dot([ClientSpec(vendor, secret_of(vendor)) for vendor in VENDORS]) as server:
        yield server


@pytest.fixture
def proxy(server: AuthorizationServer, tmp_path: Path) -> Iterator[str]:
    """Two workers that share what is on disk."""
    vendors: dict[str, dict[str, Any]] = {name: {"audiences": AUDIENCES, "scopes": ["read"]} for name in VENDORS}
    vendors[LIMITED]["mints_per_month"] = 1
    limits = {"secret_attempts_per_minute": ATTEMPTS, "min_validity": 60, "trusted_proxies": 1}
    config = served_proxy.write_config(tmp_path, server.token_endpoint, vendors, **limits)
    with served_proxy.running(config, gunicorn=True) as endpoint:
        yield endpoint


def in_threads(proxy: str, questions: list[Question], address: str = "198.51.100.1") -> list[tuple[Question, Reply]]:
    """Sends all requests from several threads, each with its own connection."""

    def share(number: int) -> list[tuple[Question, Reply]]:
        with closing(Caller(proxy, address)) as caller:
            return [(question, caller.ask(*question)) for question in questions[number::THREADS]]

    with ThreadPoolExecutor(THREADS) as pool:
        return [pair for pairs in pool.map(share, range(THREADS)) for pair in pairs]


@pytest.mark.slow
def test_ten_thousand_careless_requests(server: AuthorizationServer, proxy: str) -> None:
    """10,000 calls without a client cache are one mint per vendor and audience; only one vendor runs out of budget."""
    questions = [(vendor, secret_of(vendor), audience) for vendor in VENDORS for audience in AUDIENCES]
    tokens: dict[tuple[str, str], set[str]] = {}
    refused: list[tuple[str, Reply]] = []
    answers = in_threads(proxy, questions * 1000)
    for (vendor, _, audience), reply in answers:
        if reply.status == 200:
            assert reply.body["token_type"] == "Bearer"
            assert 60 <= reply.body["expires_in"] <= 3600
            tokens.setdefault((vendor, audience), set()).add(reply.body["access_token"])
        else:
            refused.append((vendor, reply))
    assert len(answers) == 10_000
    assert [len(found) for found in tokens.values()] == [1] * 9
    assert len(set.union(*tokens.values())) == 9
    assert {vendor: server.mints(vendor) for vendor in VENDORS} == dict.fromkeys(VENDORS, 2) | {LIMITED: 1}
    assert {vendor for vendor, _ in refused} == {LIMITED}
    assert len(refused) == 1000
    assert {reply.status for _, reply in refused} == {429}
    assert all(0 < int(reply.retry_after or "0") <= 31 * 86_400 for _, reply in refused)
    assert all("access_token" not in reply.body for _, reply in refused)


def test_a_thousand_guesses(server: AuthorizationServer, proxy: str) -> None:
    """Wrong secrets never get the cached token, few of them reach the server, and the vendor is still served."""
    vendor, other = VENDORS[:2]
    with closing(Caller(proxy)) as caller:
        token = caller.ask(vendor, secret_of(vendor), AUDIENCES[0]).body["access_token"]
        assert server.token_requests() == server.mints() == 1
        guesses = [(vendor, f"guess {number}", AUDIENCES[number % 2]) for number in range(1000)]
        replies = [reply for _, reply in in_threads(proxy, guesses, address="203.0.113.9")]
        assert token not in json.dumps([reply.body for reply in replies])
        assert all("access_token" not in reply.body for reply in replies)
        statuses = Counter(reply.status for reply in replies)
        assert set(statuses) == {401, 429}, statuses
        assert statuses[429] > 800, statuses
        assert {reply.body["error"] for reply in replies if reply.status == 401} == {"invalid_client"}
        assert 1 <= server.token_requests(vendor) - 1 <= 2 * ATTEMPTS, "the bound of one minute, or of two"
        assert server.mints() == 1
        assert caller.ask(vendor, secret_of(vendor), AUDIENCES[0]).body.get("access_token") == token
        assert caller.ask(other, secret_of(other), AUDIENCES[0]).status == 200
    for _ in range(10):  # either worker, also the one that never saw this vendor's address
        with closing(Caller(proxy)) as caller:
            assert caller.ask(vendor, secret_of(vendor), AUDIENCES[0]).status == 200

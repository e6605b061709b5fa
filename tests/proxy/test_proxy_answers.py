"""The token endpoint over a real WSGI server: exactly RFC 6749 §5.1 and §5.2, and nothing more for unknown clients."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from proxy_steps import ACME, AUDIENCE, OTHER, RIGHT, Asking, Got, basic, kept_secrets, own_secrets, running, vendor

from m2m_auth.proxy import Counts
from m2m_auth.testing import FakeAuthorizationServer
from m2m_auth.values import replace

pytestmark = pytest.mark.loopback


@pytest.fixture
def server() -> Iterator[FakeAuthorizationServer]:
    """An authorization server."""
    with FakeAuthorizationServer() as running_server:
        yield running_server


@pytest.fixture
def ask(server: FakeAuthorizationServer) -> Iterator[Asking]:
    """A client of a proxy in front of it."""
    with running(own_secrets(server)) as (_, client):
        yield client


def assert_private(got: Got) -> None:
    """No cache stores the answer, no page of another origin may read it, and it sets no cookie."""
    assert got.headers["cache-control"] == "no-store"
    assert got.headers["pragma"] == "no-cache"
    assert got.headers["content-type"].partition(";")[0] == "application/json"
    assert not [name for name in got.headers if name.startswith("access-control-") or name in ("set-cookie", "vary")]
    assert "x-m2m-cache" not in got.headers


@pytest.mark.parametrize("code", ["unauthorized_client", "access_denied", "server_error", "invalid_client"])
def test_a_401_upstream_is_refused_credentials(ask: Asking, server: FakeAuthorizationServer, code: str) -> None:
    """Keycloak and Auth0 refuse a wrong secret with codes of their own: here the proxy's, so its operator must act."""
    server.fail("oauth_error", error=code, status=401)
    got = ask.token()
    assert (got.status, got.error) == (503, "temporarily_unavailable")
    assert "operator" in got.json["error_description"]


def test_a_token(ask: Asking, server: FakeAuthorizationServer) -> None:
    """§5.1: exactly these members, with the upstream's token in its own spelling."""
    got = ask.token(scope="read")
    assert set(got.json) == {"access_token", "token_type", "expires_in", "scope"}
    assert got.json["token_type"] == "Bearer"
    assert got.json["scope"] == "read"
    assert 3590 <= got.json["expires_in"] <= 3600
    assert isinstance(got.json["expires_in"], int)
    assert server.is_active(got.token)
    assert_private(got)


def test_form_and_json_and_both_credentials_share_one_token(ask: Asking, server: FakeAuthorizationServer) -> None:
    """All spellings of one request get one token and cost one mint."""
    grant = {"grant_type": "client_credentials", "audience": AUDIENCE, "scope": "write read"}
    posted = {**grant, "client_id": ACME, "client_secret": RIGHT}
    kind = {"Content-Type": "application/json"}
    answers = [
        ask.token(scope="read write"),
        ask.form(list(posted.items())),
        ask.send(json.dumps(posted).encode(), kind),
        ask.send(json.dumps({**grant, "scope": ["read", "write"]}).encode(), {**kind, **basic(ACME, RIGHT)}),
    ]
    assert len({got.token for got in answers}) == 1
    assert server.mints == 1


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"])
def test_only_post(ask: Asking, server: FakeAuthorizationServer, method: str) -> None:
    """RFC 6749 §3.2; a browser's preflight gets no permission."""
    got = ask.send(b"", basic(ACME, RIGHT), method)
    assert (got.status, got.headers["allow"]) == (405, "POST")
    assert_private(got)
    assert server.token_requests == 0


def test_another_path(ask: Asking) -> None:
    """Nothing else is served."""
    assert ask.send(b"", {}, path="/").status == 404


def test_a_challenge_where_the_header_was_used(ask: Asking) -> None:
    """§5.2: a 401 has WWW-Authenticate if the client used Basic, and has none for credentials in the body."""
    got = ask.token(secret="wrong")
    assert (got.status, got.error) == (401, "invalid_client")
    assert got.headers["www-authenticate"].startswith("Basic ")
    assert_private(got)
    pairs = {"grant_type": "client_credentials", "client_id": ACME, "client_secret": "wrong"}
    got = ask.form(list(pairs.items()))
    assert (got.status, got.error) == (401, "invalid_client")
    assert "www-authenticate" not in got.headers


@pytest.mark.parametrize(
    ("parameters", "error"),
    [
        ({"audience": "https://elsewhere.example"}, "invalid_target"),
        ({"audience": ""}, "invalid_target"),
        ({"scope": "read admin"}, "invalid_scope"),
        ({"scope": "READ"}, "invalid_scope"),
        ({"resource": "https://elsewhere.example"}, "invalid_target"),
        ({"organization": "two"}, "invalid_request"),
    ],
)
def test_what_is_not_on_the_list(server: FakeAuthorizationServer, parameters: dict[str, str], error: str) -> None:
    """A request that is not on the allow-lists is refused before a source is built: no token request is sent."""
    config = own_secrets(server, vendors={ACME: vendor(extra_parameters={"organization": ("one",)})})
    with running(config) as (proxy, ask):
        got = ask.token(**parameters)
        assert (got.status, got.error) == (400, error)
        assert_private(got)
        assert server.token_requests == 0
        assert proxy.ledger.report()[0].month == Counts(asked=1, refused=1)


def test_what_goes_upstream(server: FakeAuthorizationServer) -> None:
    """The token request has the proxy's own credentials, the exact scope set, and only the allowed parameters."""
    config = own_secrets(
        server, vendors={ACME: vendor(extra_parameters={"organization": ("one",)}, resources=("https://r.example",))}
    )
    with running(config) as (_, ask):
        assert (
            ask.token(scope="write read", organization="one", whatever="ignored", resource="https://r.example").status
            == 200
        )
        (sent,) = server.requests
    assert sent.client_id == "client"
    assert dict(sent.parameters) == {
        "grant_type": "client_credentials",
        "scope": "read write",
        "audience": AUDIENCE,
        "resource": "https://r.example",
        "organization": "one",
    }


def test_without_a_scope_the_list_is_asked_for(server: FakeAuthorizationServer) -> None:
    """RFC 6749 §3.3: the vendor's default scopes are sent, never the upstream's default for the proxy."""
    config = own_secrets(server, vendors={ACME: vendor(), "bolt": vendor("bolt", "b", default_scopes=("read",))})
    with running(config) as (_, ask):
        assert ask.token().json["scope"] == "read write"
        assert ask.token("bolt", "b").json["scope"] == "read"


def test_different_requests_get_different_tokens(ask: Asking, server: FakeAuthorizationServer) -> None:
    """Exact scope set, audience and vendor: no token of a larger set, of another audience, of another vendor."""
    requests = [
        {"scope": "read"},
        {"scope": "write"},
        {"scope": "read write"},
        {"scope": "read", "audience": OTHER},
        {"scope": "read", "client_id": "bolt", "secret": "bolt's secret"},
    ]
    tokens = {ask.token(**each).token for each in requests for _ in range(3)}  # type: ignore[arg-type]
    assert len(tokens) == server.mints == len(requests)


def test_hit_and_miss_only_when_switched_on(server: FakeAuthorizationServer) -> None:
    """The header about the cache is off by default, and an operator can switch it on."""
    with running(own_secrets(server, debug_header=True)) as (_, ask):
        assert [ask.token().headers["x-m2m-cache"] for _ in range(3)] == ["MISS", "HIT", "HIT"]
        assert "x-m2m-cache" not in ask.token(secret="wrong").headers


def test_a_body_beyond_the_cap(server: FakeAuthorizationServer) -> None:
    """A body beyond the cap gets 413 and is not read."""
    with running(own_secrets(server, max_body=512)) as (_, ask):
        got = ask.token(whatever="x" * 600)
        assert (got.status, got.error) == (413, "invalid_request")


@pytest.mark.parametrize(
    ("error", "status", "expected"),
    [
        ("invalid_scope", 400, "invalid_scope"),
        ("invalid_target", 400, "invalid_target"),
        ("unauthorized_client", 400, "unauthorized_client"),
        ("something_else", 503, "temporarily_unavailable"),
    ],
)
def test_the_upstream_s_own_errors(
    ask: Asking, server: FakeAuthorizationServer, error: str, status: int, expected: str
) -> None:
    """§5.2's codes are passed on with the proxy's own words; any other code becomes a 503."""
    server.fail("oauth_error", error=error, description="internal words of the upstream's")
    got = ask.token()
    assert (got.status, got.error) == (status, expected)
    assert b"internal words" not in got.body


def test_an_outage_of_the_upstream(ask: Asking, server: FakeAuthorizationServer) -> None:
    """Without a token the answer is 503 with Retry-After; a held token is still served; a 429 is passed on."""
    held = ask.token(scope="read").token
    server.fail("500")
    got = ask.token(scope="write")
    assert (got.status, got.error) == (503, "temporarily_unavailable")
    assert int(got.headers["retry-after"]) >= 1
    assert ask.token(scope="read").token == held
    server.recover()
    server.fail("429", retry_after=120)
    got = ask.token("bolt", "bolt's secret")
    assert got.status == 429
    assert 100 <= int(got.headers["retry-after"]) <= 125


def test_the_proxy_s_own_credentials_are_refused(ask: Asking, server: FakeAuthorizationServer) -> None:
    """It is no fault of the vendor: 503, never invalid_client, and the text names the operator."""
    server.clients = {"client": "changed"}
    got = ask.token()
    assert (got.status, got.error) == (503, "temporarily_unavailable")
    assert "operator" in got.json["error_description"]


def test_the_upstream_wants_json_and_posted_credentials(server: FakeAuthorizationServer) -> None:
    """JSON and posted credentials upstream do not change the vendors' requests."""
    config = kept_secrets(server)
    upstream = replace(config.upstreams["main"], encoding="json", client_authentication="client_secret_post")
    with running(replace(config, upstreams={"main": upstream})) as (_, ask):
        assert ask.token().status == 200
    (sent,) = server.requests
    assert (sent.client_id, sent.client_authentication) == (ACME, "client_secret_post")
    assert sent.headers["content-type"] == "application/json"

"""The servers of the package real_servers behave as the other tests and the demo expect."""

from __future__ import annotations

import hashlib
import signal
import subprocess
import sys
import textwrap
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import jwt
import pytest
import requests
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from real_servers import Api, AuthorizationServer, ClientSpec, ServerError, start_api, start_authlib, start_dot

pytestmark = pytest.mark.processes

AUDIENCES = ("https://api.example.com", "https://other.example.com")
CANARY = "canary-5b1f0e7c"

PLAIN = ClientSpec("plain", CANARY, audiences=AUDIENCES)
SPECIAL = ClientSpec("a client:ö&%", "p%+ :&/=é€~\"'\\%20", scopes=["read"])
SHORT = ClientSpec("short", "s3cr3t", lifetime=1)


def new_key() -> tuple[str, str]:
    """Return a private and a public key as PEM."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    public = key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo)
    return private.decode(), public.decode()


PRIVATE_KEY, PUBLIC_KEY = new_key()
SIGNER = ClientSpec("signer", public_key=PUBLIC_KEY)
CLIENTS = [PLAIN, SPECIAL, SHORT, SIGNER]


@pytest.fixture(scope="module")
def dot() -> Iterator[AuthorizationServer]:
    """django-oauth-toolkit, which has no clients without a secret."""
    with start_dot([PLAIN, SPECIAL, SHORT]) as server:
        yield server


@pytest.fixture(scope="module")
def authlib() -> Iterator[AuthorizationServer]:
    """Authlib's server."""
    with start_authlib(CLIENTS) as server:
        yield server


@pytest.fixture(params=["dot", "authlib"])
def server(request: pytest.FixtureRequest) -> AuthorizationServer:
    """Each of the two authorization servers, its counts at zero."""
    chosen: AuthorizationServer = request.getfixturevalue(request.param)
    chosen.reset()
    return chosen


@pytest.fixture(scope="module")
def dot_api(dot: AuthorizationServer) -> Iterator[Api]:
    """The API that introspects."""
    with start_api(dot) as running:
        yield running


@pytest.fixture(scope="module")
def jwt_api(authlib: AuthorizationServer) -> Iterator[Api]:
    """The API that checks JWTs by itself, for one audience."""
    with start_api(authlib, audience=AUDIENCES[0]) as running:
        yield running


@pytest.fixture
def api(server: AuthorizationServer, request: pytest.FixtureRequest) -> Api:
    """The API behind the server of this test, its memory empty."""
    chosen: Api = request.getfixturevalue("dot_api" if server.jwks_url is None else "jwt_api")
    chosen.reset()
    return chosen


@pytest.fixture(scope="module")
def http() -> Iterator[requests.Session]:
    """Plain requests, which ignores the proxies and the netrc of the environment."""
    with requests.Session() as session:
        session.trust_env = False
        yield session


Mint = Callable[..., requests.Response]


@pytest.fixture(scope="module")
def mint(http: requests.Session) -> Mint:
    """Return a hand-written token request."""

    def post(server: AuthorizationServer, client: ClientSpec | None = PLAIN, **form: Any) -> requests.Response:
        headers = {} if client is None else {"Authorization": client.basic_authorization}
        return http.post(server.token_endpoint, {"grant_type": "client_credentials", **form}, headers=headers)

    return post


def bearer(response: requests.Response) -> dict[str, str]:
    """Return the header that carries a freshly minted token."""
    assert response.status_code == 200, response.text
    return {"Authorization": "Bearer " + response.json()["access_token"]}


def assertion(server: AuthorizationServer, private_key: str = PRIVATE_KEY, **claims: Any) -> dict[str, str]:
    """Return the form fields of private_key_jwt."""
    now = int(time.time())
    stated = {"iss": "signer", "sub": "signer", "aud": server.token_endpoint, "iat": now, "exp": now + 60}
    signed = jwt.encode({**stated, "jti": str(uuid.uuid4()), **claims}, private_key, "RS256")
    return {
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": signed,
    }


def until(condition: Callable[[], bool], seconds: float = 60) -> None:
    """Poll until a condition holds; fail if it does not hold in time."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "this never happened"
        time.sleep(0.05)


def test_mints_and_counts(server: AuthorizationServer, mint: Mint) -> None:
    """Both servers answer a client-credentials request, and count requests and mints for each client."""
    answer = mint(server).json()
    assert answer["token_type"] == "Bearer"
    assert answer["expires_in"] == (3600 if server.jwks_url is None else 60)
    assert set(answer["scope"].split()) == {"read", "write"}
    assert "refresh_token" not in answer
    assert mint(server, SHORT).json()["expires_in"] == 1
    assert mint(server, SHORT, scope="nonsense").status_code == 400
    assert (server.mints(), server.token_requests()) == (2, 3)
    assert (server.mints("short"), server.token_requests("short"), server.mints("unknown")) == (1, 2, 0)
    server.reset()
    assert (server.mints(), server.token_requests()) == (0, 0)


def test_serves_many_threads_at_once(server: AuthorizationServer, mint: Mint) -> None:
    """Eight threads get 32 different tokens and no error: the server waits for SQLite's lock."""
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: mint(server), range(32)))
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.json()["access_token"] for answer in answers}) == server.mints() == 32


def test_takes_special_characters(server: AuthorizationServer, mint: Mint) -> None:
    """An id and a secret of special characters pass both ways: percent-encoded Basic, and in the body."""
    assert mint(server, SPECIAL).status_code == 200
    body = {"client_id": SPECIAL.client_id, "client_secret": SPECIAL.client_secret}
    assert mint(server, None, **body).status_code == 200
    assert server.mints(SPECIAL.client_id) == 2


def test_refuses_a_wrong_secret(server: AuthorizationServer, mint: Mint) -> None:
    """A wrong secret in the header or the body gets 401 invalid_client, and does not count as a mint."""
    by_header = mint(server, ClientSpec("plain", "wrong"))
    by_body = mint(server, None, client_id="plain", client_secret="wrong")
    for answer in (by_header, by_body):
        assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert (server.mints(), server.token_requests("plain")) == (0, 2)


def test_enforces_the_scopes_of_the_client(server: AuthorizationServer, mint: Mint) -> None:
    """A client gets the narrower scope that it asks for; a scope of another client is invalid_scope."""
    assert mint(server, scope="read").json()["scope"] == "read"
    refused = mint(server, SPECIAL, scope="read write")
    assert (refused.status_code, refused.json()["error"]) == (400, "invalid_scope")


def test_dot_stores_no_secret(dot: AuthorizationServer) -> None:
    """django-oauth-toolkit hashes client secrets: nothing on its disk contains one."""
    stored = b"".join(file.read_bytes() for file in dot.folder.iterdir())
    assert b"plain" in stored
    assert CANARY.encode() not in stored


def test_dot_answers_403_to_an_expired_token(dot: AuthorizationServer, mint: Mint, http: requests.Session) -> None:
    """Its own decorator accepts a live token, and answers a bare 403 instead of 401 to an expired one."""
    resource = dot.base_url + "/api/protected"

    def live() -> bool:
        """A new token of one second is accepted, unless the machine takes longer than that."""
        headers.update(bearer(mint(dot, SHORT)))
        return http.get(resource, headers=headers).status_code == 200

    headers: dict[str, str] = {}
    until(live)
    until(lambda: http.get(resource, headers=headers).status_code != 200)
    refusal = http.get(resource, headers=headers)
    assert refusal.status_code == 403
    assert "WWW-Authenticate" not in refusal.headers


def test_accepts_a_client_assertion_once(authlib: AuthorizationServer, mint: Mint) -> None:
    """An assertion of private_key_jwt, signed with PyJWT, mints once; its replay is refused."""
    authlib.reset()
    form = assertion(authlib)
    assert mint(authlib, None, **form).status_code == 200
    replayed = mint(authlib, None, **form)
    assert (replayed.status_code, replayed.json()["error"]) == (400, "invalid_client")
    assert (authlib.mints("signer"), authlib.token_requests("signer")) == (1, 2)


@pytest.mark.parametrize(
    "claims",
    [
        pytest.param({"private_key": new_key()[0]}, id="another key"),
        pytest.param({"aud": "https://elsewhere.example.com"}, id="another audience"),
        pytest.param({"exp": 1}, id="expired"),
        pytest.param({"iss": "plain", "sub": "plain"}, id="a client without a key"),
    ],
)
def test_refuses_a_bad_client_assertion(authlib: AuthorizationServer, mint: Mint, claims: dict[str, Any]) -> None:
    """An assertion with another key, audience or client, or an expired one, mints nothing."""
    refused = mint(authlib, None, **assertion(authlib, **claims))
    assert refused.status_code in (400, 401)
    assert refused.json()["error"] == "invalid_client"


def test_puts_audience_and_resource_into_aud(authlib: AuthorizationServer, mint: Mint, http: requests.Session) -> None:
    """``aud`` has the requested audience, or a list of several; an unknown one is invalid_target."""
    assert authlib.jwks_url is not None
    keys = jwt.PyJWKSet.from_dict(http.get(authlib.jwks_url).json())

    def aud(**form: Any) -> Any:
        token = mint(authlib, **form).json()["access_token"]
        header = jwt.get_unverified_header(token)
        assert header["typ"] == "at+jwt"
        claims = jwt.decode(token, keys[header["kid"]], ["RS256"], {"verify_aud": False}, issuer=authlib.base_url)
        return claims["aud"]

    first, second = AUDIENCES
    assert aud() == first
    assert aud(audience=second) == second
    assert aud(resource=second) == second
    assert aud(resource=[first, second]) == [first, second]
    for parameter in ("audience", "resource"):
        refused = mint(authlib, **{parameter: "https://unknown.example.com"})
        assert (refused.status_code, refused.json()["error"]) == (400, "invalid_target")


def test_api_accepts_a_good_token_only(
    server: AuthorizationServer, api: Api, mint: Mint, http: requests.Session
) -> None:
    """The API accepts a minted token. Without a token the challenge has no error, with a bad one invalid_token."""
    good = bearer(mint(server))
    assert http.get(api.base_url + "/hello", headers=good).json() == {"hello": "world"}
    missing = http.get(api.base_url + "/hello")
    assert (missing.status_code, missing.headers["WWW-Authenticate"]) == (401, 'Bearer realm="api"')
    bad = http.get(api.base_url + "/hello", headers={"Authorization": good["Authorization"] + "x"})
    assert bad.status_code == 401
    assert 'error="invalid_token"' in bad.headers["WWW-Authenticate"]
    assert (api.answers("/hello", 200), api.answers("/hello", 401), api.tokens()) == (1, 2, 2)


def test_api_refuses_an_expired_token(
    server: AuthorizationServer, api: Api, mint: Mint, http: requests.Session
) -> None:
    """The API refuses a token of one second with 401 after that second: it grants no leeway."""
    headers = bearer(mint(server, SHORT))
    minted = time.monotonic()
    accepted = [minted]

    def refused() -> bool:
        sent = time.monotonic()
        status = http.get(api.base_url + "/hello", headers=headers).status_code
        accepted.extend([sent] * (status == 200))
        return status == 401

    until(refused)
    assert accepted[-1] - minted <= 2, "accepted after its second, and the whole second that iat is cut to"


def test_api_refuses_a_token_for_another_audience(
    authlib: AuthorizationServer, jwt_api: Api, mint: Mint, http: requests.Session
) -> None:
    """The API refuses a good JWT for another API."""
    other = bearer(mint(authlib, audience=AUDIENCES[1]))
    assert http.get(jwt_api.base_url + "/hello", headers=other).status_code == 401


def test_a_test_makes_the_api_refuse(server: AuthorizationServer, api: Api, mint: Mint, http: requests.Session) -> None:
    """The API can refuse one token, or all seen so far, while the server accepts them; new tokens pass at once."""

    def status(headers: dict[str, str]) -> int:
        return http.get(api.base_url + "/hello", headers=headers).status_code

    first, second = bearer(mint(server)), bearer(mint(server))
    assert (status(first), status(second)) == (200, 200)
    api.reject(first["Authorization"].removeprefix("Bearer "))
    assert (status(first), status(second)) == (401, 200)
    api.reject_issued_before(time.time())
    assert (status(second), status(bearer(mint(server)))) == (401, 200)
    api.reset()
    assert status(first) == 200


def test_revocation_is_seen_by_introspection(server: AuthorizationServer, mint: Mint, http: requests.Session) -> None:
    """An introspecting API refuses a revoked token at once, on either server, and refuses text that is no token."""
    with start_api(server, introspect=True) as api:
        headers = bearer(mint(server))
        assert http.get(api.base_url + "/hello", headers=headers).status_code == 200
        server.revoke(headers["Authorization"].removeprefix("Bearer "))
        assert http.get(api.base_url + "/hello", headers=headers).status_code == 401
        assert http.get(api.base_url + "/hello", headers={"Authorization": "Bearer noise"}).status_code == 401


def test_introspection_needs_authentication(server: AuthorizationServer, http: requests.Session) -> None:
    """Introspection without a client's credentials is refused."""
    assert http.post(server.introspection_url, {"token": "x"}).status_code in (401, 403)


@pytest.mark.parametrize(
    ("style", "header"),
    [
        ("none", None),
        ("bearer", 'Bearer realm="api"'),
        ("invalid_token", 'error="invalid_token"'),
        ("insufficient_scope", 'error="insufficient_scope"'),
        ("basic", 'Basic realm="api"'),
    ],
)
def test_the_caller_chooses_the_challenge(jwt_api: Api, http: requests.Session, style: str, header: str | None) -> None:
    """``?challenge=`` sets the challenge of a refusal."""
    refused = http.post(jwt_api.base_url + f"/echo?challenge={style}", headers={"Authorization": "Bearer noise"})
    assert refused.status_code == 401
    if header is None:
        assert "WWW-Authenticate" not in refused.headers
    else:
        assert header in refused.headers["WWW-Authenticate"]


def test_api_resources(authlib: AuthorizationServer, jwt_api: Api, mint: Mint, http: requests.Session) -> None:
    """Echo reports the request, the stream is chunked, a redirect goes to ``to``, and there are two kinds of 403."""
    headers = bearer(mint(authlib))
    body = b"x" * 100_000
    for method in ("GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"):
        echo = http.request(method, jwt_api.base_url + "/echo", data=body, headers=headers).json()
        assert echo == {
            "method": method,
            "length": len(body),
            "sha256": hashlib.sha256(body).hexdigest(),
            "authorization": True,
        }
    with http.get(jwt_api.base_url + "/stream?chunks=3", headers=headers, stream=True) as stream:
        assert stream.headers["Transfer-Encoding"] == "chunked"
        assert b"".join(stream.iter_content(None)) == b"chunk 0\nchunk 1\nchunk 2\n"
    target = {"to": authlib.base_url + "/elsewhere", "code": "308"}
    redirect = http.post(jwt_api.base_url + "/redirect", params=target, allow_redirects=False)
    assert (redirect.status_code, redirect.headers["Location"]) == (308, target["to"])
    forbidden = http.get(jwt_api.base_url + "/forbidden", headers=headers)
    insufficient = http.get(jwt_api.base_url + "/insufficient", headers=headers)
    assert (forbidden.status_code, insufficient.status_code) == (403, 403)
    assert "WWW-Authenticate" not in forbidden.headers
    assert 'error="insufficient_scope"' in insufficient.headers["WWW-Authenticate"]


def test_a_server_ends_when_its_stdin_closes() -> None:
    """EOF on stdin ends a server and removes its folder. Calling stop() after that, twice, does no harm."""
    with start_authlib([PLAIN]) as server:
        assert server.process.stdin is not None
        server.process.stdin.close()
        assert server.process.wait(60) == 0
        assert not server.folder.exists()
        server.stop()
    assert not server.stderr_tail()


def test_a_server_ends_with_a_killed_parent(http: requests.Session) -> None:
    """After kill -9 of the parent, the server ends and removes its folder."""
    parent = textwrap.dedent(
        """
        import os, signal, sys
        from real_servers import start_authlib
        server = start_authlib([])
        print(server.base_url, server.folder, flush=True)
        os.kill(os.getpid(), signal.SIGKILL)
        """
    )
    tests = Path(__file__).parent
    ended = subprocess.run(
        [sys.executable, "-c", parent], cwd=tests, capture_output=True, text=True, check=False, timeout=90
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    base_url, folder = ended.stdout.split()
    until(lambda: not Path(folder).exists())

    def gone() -> bool:
        try:
            http.get(base_url + "/_stats")
        except requests.ConnectionError:
            return True
        return False

    until(gone)


def test_a_server_that_fails_says_why() -> None:
    """The error for a server that cannot start shows the end of its stderr; no process stays behind."""
    with pytest.raises(ServerError, match=r"authlib_server is not ready.*(?s:.)*Traceback"):
        start_authlib([ClientSpec("broken", public_key="not a key")])

"""The program around the library: compose files, proxies, private CAs, odd headers, folders of a pod."""

from __future__ import annotations

import gc
import logging
import pickle
import socket
from pathlib import Path
from typing import Any

import pytest
import requests
from field_support import Door, call_for, closing_door, odd_server
from real_servers.odd_http import Asked, OddServer, Reply, plain_api, plain_token

from m2m_auth import (
    ConfigurationError,
    InsecureTransport,
    OriginNotAllowed,
    TokenEndpointUnavailable,
    TokenSource,
)
from m2m_auth.caches.memory import MemoryTokenCache
from m2m_auth.testing import FakeClock

pytestmark = pytest.mark.loopback

REQUESTS = pytest.mark.parametrize("door", ["requests"], indirect=True)


# plain http in a private network


def own_address() -> str:
    """An address of this machine that is not loopback; a UDP socket that connects sends nothing."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("198.51.100.1", 9))
        except OSError:
            pytest.skip("this machine has no network but loopback")
        address = str(probe.getsockname()[0])
    if address.startswith("127."):
        pytest.skip("this machine has no network but loopback")
    return address


def test_plain_http_of_a_private_network_works_with_the_option(door: Door, caplog: pytest.LogCaptureFixture) -> None:
    """``http://keycloak:8080`` in a compose file: token endpoint and API, both over plain http, said in the log."""
    with caplog.at_level(logging.WARNING, "m2m_auth"), odd_server(host=own_address()) as server:
        auths = [
            door.auth(server, client_id=f"compose-{door.name}", audience=audience, allow_insecure_http=True)
            for audience in ("one", "two")
        ]
        assert [door.get(server.api_url, auth).status_code for auth in auths for _ in range(3)] == [200] * 6
    said = [record.getMessage() for record in caplog.records if "http" in record.getMessage()]
    assert [line for line in said if server.url in line or "plain" in line] != []
    assert len([line for line in said if "plain http" in line]) <= 2, "once for the endpoint, once for the API"


def test_without_the_option_the_error_names_it(door: Door) -> None:
    """Neither the secret nor a token goes over plain http to another machine; the message says what allows it."""
    with odd_server(host=own_address()) as server, odd_server() as local:
        with pytest.raises(ConfigurationError, match="allow_insecure_http=True"):
            door.auth(server)
        with pytest.raises(InsecureTransport, match="allow_insecure_http=True") as raised:
            door.get(server.api_url, door.auth(local))
        assert isinstance(raised.value, door.error)
        assert isinstance(raised.value, InsecureTransport)
        assert server.token_requests == server.api_calls == []


@REQUESTS
def test_a_source_alone_takes_the_option_too(door: Door) -> None:
    """``TokenSource(…, allow_insecure_http=True)`` for the token endpoint."""
    with odd_server(host=own_address()) as server:
        source = TokenSource(
            server.token_endpoint, "client", "secret", cache=MemoryTokenCache(), allow_insecure_http=True
        )
        assert server.is_live(source.token().value)


# where the token may go


def test_errors_of_a_call_are_also_the_librarys(door: Door) -> None:
    """``except requests.RequestException`` and ``except httpx.HTTPError`` catch them all, with the request on them."""
    with odd_server() as server:
        auth = door.auth(server, allowed_origins=["https://api.example.com"])
        with pytest.raises(door.error) as raised:
            door.get(server.api_url, auth)
    assert isinstance(raised.value, OriginNotAllowed)
    assert str(raised.value.request.url).startswith(server.url)
    assert server.url in str(raised.value)
    assert "https://api.example.com" in str(raised.value)


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://eu.example.com/x", True),
        ("https://a.b.example.com/x", True),
        ("https://example.com/x", False),
        ("https://eu.example.com.evil.test/x", False),
        ("https://notexample.com/x", False),
        ("https://eu.example.com:8443/x", False),
    ],
)
def test_a_wildcard_is_any_subdomain(door: Door, url: str, allowed: bool) -> None:
    """``https://*.example.com`` is any subdomain on that port, and nothing else."""
    seen: list[str] = []

    class Stop(Exception):
        """The request was about to be sent."""

    def stop(*args: Any, **options: Any) -> Any:
        seen.append(url)
        raise Stop

    with odd_server() as server:
        auth = door.auth(server, allowed_origins=["https://*.example.com"])
        if door.name == "requests":
            adapter = requests.adapters.BaseAdapter()
            adapter.send, adapter.close = stop, lambda: None  # type: ignore[method-assign]
            door.client.mount("https://", adapter)
            client = door.client
        else:
            client = door.library.Client(transport=door.library.MockTransport(stop))
        with pytest.raises(Stop if allowed else OriginNotAllowed):
            client.get(url, auth=auth)
        client.close()
    assert seen == [url] * allowed


@REQUESTS
@pytest.mark.parametrize(
    "entry", ["https://*", "https://*.", "https://api.*.com", "https://a*.example.com", "https://*example.com", "*"]
)
def test_an_entry_that_can_match_nothing_or_too_much_is_refused(door: Door, entry: str) -> None:
    """Such a line in ``allowed_origins`` is refused when it is configured, not when the first call fails."""
    with odd_server() as server, pytest.raises(ConfigurationError, match="allowed_origins"):
        door.auth(server, allowed_origins=[entry])


# how the token is sent


def test_header_and_scheme(door: Door, clock: FakeClock) -> None:
    """``header="X-Api-Token"``, ``scheme="Token"``: sent so, and a 401 recovers as with the usual header."""

    def api(server: OddServer, asked: Asked) -> Reply:
        scheme, _, token = asked.headers.get("x-api-token", "").partition(" ")
        return Reply({"scheme": scheme}, 200 if server.is_live(token) else 401)

    with odd_server(api=api, clock=clock) as server:
        auth = door.auth(server, clock, header="X-Api-Token", scheme="Token")
        assert door.get(server.api_url, auth).json() == {"scheme": "Token"}
        server.revoke_all()
        assert door.get(server.api_url, auth).status_code == 200
    assert server.mints == 2
    assert not any("authorization" in call.headers for call in server.api_calls)


def test_a_scheme_of_nothing_sends_the_bare_token(door: Door) -> None:
    """``scheme=""`` sends the token alone, as some APIs want it."""

    def api(server: OddServer, asked: Asked) -> Reply:
        return Reply({}, 200 if server.is_live(asked.headers.get("x-access-token", "")) else 401)

    with odd_server(api=api) as server:
        auth = door.auth(server, header="X-Access-Token", scheme="")
        assert door.get(server.api_url, auth).status_code == 200


@pytest.mark.parametrize("options", [{}, {"header": "X-Api-Token", "scheme": "Token"}], ids=["usual", "own header"])
def test_a_redirect_to_another_origin_carries_no_token(door: Door, options: dict[str, str]) -> None:
    """HTTP libraries drop ``Authorization`` on the way to another origin and keep other headers: ours goes, too."""
    with odd_server() as elsewhere, odd_server() as server:
        server.api = lambda odd, asked: Reply(b"", 302, {"Location": f"{elsewhere.url}/orders"})
        elsewhere.api = lambda odd, asked: Reply({}, 401)
        auth = door.auth(server, **options)
        assert door.get(server.api_url, auth).status_code == 401
    assert len(server.api_calls) == len(elsewhere.api_calls) == 1
    assert "odd-token" not in str(dict(elsewhere.api_calls[0].headers))
    assert server.mints == 1


def test_the_token_in_another_header_stays_out_of_pickles(door: Door) -> None:
    """A response that carried the token in a header of another name holds no token either."""

    def api(server: OddServer, asked: Asked) -> Reply:
        return Reply({}, 200 if server.is_live(asked.headers.get("x-api-token", "").partition(" ")[2]) else 401)

    with odd_server(api=api) as server:
        response = door.get(server.api_url, door.auth(server, header="X-Api-Token", scheme="Token"))
    assert b"odd-token" not in pickle.dumps(response)


# how the token endpoint is reached


def test_proxies_are_used(door: Door) -> None:
    """``proxies=``: the token request goes through the proxy; its target here is a name that resolves nowhere."""
    with odd_server() as server:
        endpoint = "http://keycloak.invalid/token"
        # The odd server stands in for the proxy: a proxy request has the whole URL in its first line.
        server.api = lambda odd, asked: plain_token(odd, asked) if asked.method == "POST" else plain_api(odd, asked)
        auth = door.M2MAuth(
            endpoint,
            "client",
            "secret",
            cache=MemoryTokenCache(),
            allow_insecure_http=True,
            proxies={"http": server.url, "https": server.url},
        )
        token = auth.source.token()
        assert server.is_live(token.value)
    assert server.api_calls[0].path == endpoint


def test_verify_takes_a_private_ca(door: Door, tmp_path: Path) -> None:
    """``verify=`` with the path of a private CA: the token request succeeds, and without it fails."""
    import ssl

    import trustme

    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    with odd_server(tls=context) as server:
        auth = door.auth(server, verify=str(tmp_path / "ca.pem"))
        assert server.is_live(auth.source.token().value)
        with pytest.raises(TokenEndpointUnavailable):
            door.auth(server, client_id="other").source.token()


def test_the_front_doors_own_library_mints(door: Door) -> None:
    """Whatever else is imported: the token request of a front door is made by its own library."""
    with odd_server() as server:
        door.get(server.api_url, door.auth(server))
    assert f"{door.name}/" in server.token_requests[0].headers["user-agent"]


# events


def test_every_sources_on_event_hears(clock: FakeClock) -> None:
    """Two front doors with equal parameters share a token: the one whose call started no flight hears of it, too."""
    heard: dict[str, list[str]] = {"first": [], "second": []}
    cache = MemoryTokenCache()
    with closing_door("requests") as first, closing_door("httpx") as second, odd_server(clock=clock) as server:
        one = first.auth(server, clock, cache=cache, on_event=lambda event: heard["first"].append(event.kind))
        two = second.auth(server, clock, cache=cache, on_event=lambda event: heard["second"].append(event.kind))
        assert first.get(server.api_url, one).status_code == 200
        assert second.get(server.api_url, two).status_code == 200
        server.revoke_all()
        assert second.get(server.api_url, two).status_code == 200
    assert server.mints == 2
    for kinds in heard.values():
        assert (kinds.count("minted"), kinds.count("rejected")) == (2, 1)


@REQUESTS
def test_a_subscriber_that_is_gone_hears_nothing_more(door: Door, clock: FakeClock) -> None:
    """Code that builds an M2MAuth for every request adds no subscriber for ever."""
    heard: list[str] = []
    cache = MemoryTokenCache()
    with odd_server(clock=clock) as server:
        for _ in range(20):
            door.get(
                server.api_url, door.auth(server, clock, cache=cache, on_event=lambda event: heard.append(event.kind))
            )
        kept = door.auth(server, clock, cache=cache)
        clock.advance(3600)
        gc.collect()
        before = len(heard)
        call_for(60, door, kept, server, clock)
    assert len(heard) - before <= 8, "sources that are gone are not called for ever"


# folders


@REQUESTS
@pytest.mark.parametrize("mode", [0o755, 0o750, 0o700, 0o777, 0o2770, 0o775], ids=oct)
def test_folders_that_people_have(door: Door, tmp_path: Path, mode: int) -> None:
    """0755 and 0750 of one's own work; so do a pod's emptyDir (kubernetes/kubernetes#76158), 2770 and umask 002.

    Where others could replace the folder, the error names ``?shared_parent=allow``. The files are 0600 in every case.
    """
    parent = tmp_path / "parent"
    parent.mkdir()
    parent.chmod(mode)
    url = f"disk:{parent if mode == 0o755 else parent / 'tokens'}"
    with odd_server() as server:
        try:
            door.get(server.api_url, door.auth(server, cache=url))
        except ConfigurationError as error:
            fix = str(error)
            url += "?shared_parent=allow"
        else:
            fix = url
        statuses = [door.get(server.api_url, door.auth(server, cache=url)).status_code for _ in range(2)]
    assert url.partition("?")[2] in fix, "the error names the option that lets this user go on"
    assert (statuses, server.mints) == ([200, 200], 1)
    files = [path for path in parent.rglob("*") if path.is_file()]
    assert files != []
    assert {oct(path.stat().st_mode & 0o777) for path in files} == {"0o600"}

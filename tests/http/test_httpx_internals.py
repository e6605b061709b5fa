"""The private attributes of httpx and httpx2: a release that drops one fails here, and calls go on without it."""

from __future__ import annotations

import io
from typing import Any

import pytest

from m2m_auth.http.httpx_internals import body_of, files_of, parts_of

URLS = [
    "https://api.example.com/a?b#c",
    "HTTPS://API.example.com:443/",
    "https://user:password@api.example.com:8443",
    "http://[::1]:8080/",
    "https://b\u00fccher.example/",
]


@pytest.fixture(params=["httpx", "httpx2"])
def library(request: pytest.FixtureRequest) -> Any:
    """Each of the two."""
    return pytest.importorskip(request.param)


class PublicOnly:
    """A URL without private attributes, as of a release that has renamed them."""

    def __init__(self, url: Any) -> None:
        self.scheme = url.scheme
        self.userinfo = url.userinfo
        self.host = url.host
        self.port = url.port


@pytest.mark.parametrize("url", URLS)
def test_the_parsed_url_is_there(library: Any, url: str) -> None:
    """``_uri_reference`` begins with scheme, user info, host and port; if this fails, calls take the slower way."""
    parsed = library.URL(url)
    scheme, userinfo, host, port = parts_of(parsed)
    assert type(parsed._uri_reference).__name__ == "ParseResult"
    assert (scheme, userinfo, host, port) == (
        parsed.scheme,
        parsed.userinfo.decode(),
        parsed.raw_host.decode(),
        parsed.port,
    )


def test_the_fallback_distinguishes_the_same_origins(library: Any) -> None:
    """Without ``_uri_reference`` the public properties give a value that is equal for the same pairs of URLs."""
    parsed = [library.URL(url) for url in [*URLS, *URLS]]
    fast = [parts_of(url) for url in parsed]
    slow = [parts_of(PublicOnly(url)) for url in parsed]
    assert [a == b for a in fast for b in fast] == [a == b for a in slow for b in slow]
    assert len(set(slow)) == len(URLS)


def test_the_file_behind_a_stream_is_there(library: Any) -> None:
    """``_stream`` is the file that was given as content; if this fails, uploads are no longer replayed."""
    file = io.BytesIO(b"content")
    assert body_of(library.Request("POST", URLS[0], content=file).stream) is file
    assert body_of(object()) is None


def test_the_files_of_a_form_are_there(library: Any) -> None:
    """A multipart stream has ``fields``, whose files have ``file``; other streams have none."""
    file = io.BytesIO(b"content")
    request = library.Request("POST", URLS[0], data={"a": "b"}, files={"upload": ("name", file), "text": b"bytes"})
    found = files_of(request.stream)
    assert found is not None
    assert file in found
    assert len(found) == 2
    assert files_of(library.Request("POST", URLS[0], content=b"x").stream) is None


def test_calls_go_on_without_the_private_attributes(library: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where neither attribute exists, a call carries its token and a file is sent once, never empty."""
    from importlib import import_module

    from m2m_auth.caches.memory import MemoryTokenCache
    from m2m_auth.oauth2.transport import HttpResponse

    monkeypatch.setattr("m2m_auth.http.httpx_library.parts_of", lambda url: parts_of(PublicOnly(url)))
    monkeypatch.setattr("m2m_auth.http.httpx_library.body_of", lambda _: None)
    grant = b'{"access_token": "t", "token_type": "Bearer", "expires_in": 3600}'
    auth = import_module(f"m2m_auth.{library.__name__}").M2MAuth(
        "https://as.example/token",
        "client",
        "secret",
        transport=lambda _: HttpResponse(200, {}, grant),
        cache=MemoryTokenCache(),
    )
    seen: list[tuple[str, bytes]] = []

    def api(request: Any) -> Any:
        seen.append((request.headers["Authorization"], request.read()))
        return library.Response(401 if request.method == "POST" else 200)

    with library.Client(transport=library.MockTransport(api), auth=auth) as client:
        for _ in range(2):
            assert client.get("https://api.example.com/").status_code == 200
        assert client.post("https://api.example.com/", content=io.BytesIO(b"content")).status_code == 401
    assert seen == [("Bearer t", b"")] * 2 + [("Bearer t", b"content")]

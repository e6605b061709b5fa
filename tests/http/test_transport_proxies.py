"""``proxies=``, and what a proxy that refuses, or that is not there, is reported as."""

from __future__ import annotations

import socket
from typing import Any

import pytest
from scripted_server import GRANT, WHOLE, ScriptedServer, answers, private, send

from m2m_auth.oauth2.transport import TransportError

pytestmark = pytest.mark.loopback
ELSEWHERE = "http://issuer.example/token"


def failure(transport: Any, url: str) -> TransportError:
    """Why there is no response; no proxy's password is shown."""
    with pytest.raises(TransportError) as caught:
        send(transport, url)
    assert "canary" not in str(caught.value)
    return caught.value


@pytest.mark.parametrize(
    "spelling",
    [
        "{}",
        {"http": "{}"},
        {"http://": "{}"},
        {"all": "{}"},
        {"http://issuer.example": "{}"},
        {"http://Issuer.Example/": "{}"},
        {"http://issuer.example:80": "{}"},
        {"all://issuer.example:80": "{}"},
    ],
)
def test_spellings(library: str, spelling: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A URL, or a dict as requests or httpx has it. Its user and password go to the proxy. NO_PROXY is not asked."""
    monkeypatch.setenv("NO_PROXY", "issuer.example")
    with ScriptedServer(answers(WHOLE)) as proxy:
        url = f"http://user:canary@127.0.0.1:{proxy.port}"
        proxies = url if isinstance(spelling, str) else dict.fromkeys(spelling, url)
        assert send(private(library, proxies=proxies), ELSEWHERE).body == GRANT
    assert proxy.requests[0].startswith(b"POST http://issuer.example/token HTTP/1.1")
    assert b"proxy-authorization: Basic dXNlcjpjYW5hcnk=".lower() in proxy.requests[0].lower()


def test_another_port_is_another_target(library: str) -> None:
    """The most specific entry counts: the one with the port, with the host, with the scheme."""
    with ScriptedServer(answers(WHOLE)) as proxy:
        proxies = {"all": None, "http": None, "http://issuer.example:8080": None}
        proxies["http://issuer.example"] = f"http://127.0.0.1:{proxy.port}"
        assert send(private(library, proxies=proxies), ELSEWHERE).body == GRANT
        assert failure(private(library, proxies=proxies), "http://issuer.example:8080/").cause_code == "connection"


def test_none_is_a_direct_connection(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever the environment says."""
    for name in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    with ScriptedServer(answers(WHOLE)) as server:
        assert failure(private(library), server.url).cause_code == "connection"
        assert failure(private(library, proxies={"https": None}), server.url).cause_code == "connection"
        assert send(private(library, proxies={"http": None}), server.url).body == GRANT


@pytest.mark.parametrize("url", [ELSEWHERE, "https://issuer.example/token"])
def test_a_proxy_that_wants_a_password(library: str, url: str) -> None:
    """407, to the request itself or to CONNECT: its code is ``proxy``, and the fix names where the password goes."""
    answer = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\nProxy-Authenticate: Basic\r\n\r\n"
    with ScriptedServer(answers(answer)) as proxy:
        error = failure(private(library, proxies=f"http://user:canary@127.0.0.1:{proxy.port}"), url)
    assert error.cause_code == "proxy"
    assert "the proxy answered 407. Fix: user and password in the URL of proxies= or HTTPS_PROXY" in str(error)


@pytest.mark.parametrize(("status", "code"), [(403, "proxy"), (502, "connection"), (503, "connection")])
def test_a_proxy_that_does_not_connect(library: str, status: int, code: str) -> None:
    """502 and 503 to CONNECT are as good as a refused connection; 403 is a rule of the proxy's."""
    with ScriptedServer(answers(b"HTTP/1.1 %d Nope\r\nContent-Length: 0\r\n\r\n" % status)) as proxy:
        error = failure(private(library, proxies=f"http://127.0.0.1:{proxy.port}"), "https://issuer.example/token")
    assert error.cause_code == code
    assert f"the proxy answered {status}" in str(error)


def test_a_refused_connection(library: str) -> None:
    """The operating system's own words."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        error = failure(private(library), f"http://127.0.0.1:{closed.getsockname()[1]}/token")
    assert (error.cause_code, "ConnectionRefusedError" in str(error)) == ("connection", True)


def test_a_reset_connection(library: str) -> None:
    """A server that dies before it answers."""
    with ScriptedServer(lambda connection: connection.close()) as server:
        assert failure(private(library), server.url).cause_code == "connection"


def test_a_host_that_does_not_exist(library: str) -> None:
    """The message names the host's option and DNS."""
    error = failure(private(library), "http://nowhere.invalid/token")
    assert error.cause_code == "connection"
    assert "the host name cannot be resolved" in str(error)

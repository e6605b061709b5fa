"""TLS to the token endpoint: ``verify=``, and an error that says what is wrong with the certificate and what to do."""

from __future__ import annotations

import datetime
import logging
import re
import ssl
from pathlib import Path
from typing import Any

import pytest
import requests
import trustme
from scripted_server import GRANT, WHOLE, ScriptedServer, answers, private, send

import m2m_auth
from m2m_auth import ConfigurationError, TokenSource
from m2m_auth.http.transports import as_transport
from m2m_auth.oauth2.transport import TransportError

pytestmark = pytest.mark.loopback
VARIABLES = {
    "requests": "REQUESTS_CA_BUNDLE or CURL_CA_BUNDLE",
    "httpx": "SSL_CERT_FILE or SSL_CERT_DIR",
    "httpx2": "SSL_CERT_FILE or SSL_CERT_DIR",
}
Contexts = tuple[ssl.SSLContext, ssl.SSLContext]


@pytest.fixture
def bundle(authority: trustme.CA, tmp_path: Path) -> str:
    """The authority's certificate as a file."""
    path = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return str(path)


def refused(transport: Any, url: str) -> str:
    """The message of a TLS failure."""
    with pytest.raises(TransportError) as caught:
        send(transport, url)
    assert caught.value.cause_code == "tls", caught.value
    return str(caught.value)


def serving(authority: trustme.CA, *names: str, **options: Any) -> ssl.SSLContext:
    """TLS for a server with a certificate for these names."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(*names, **options).configure_cert(context)
    return context


def test_an_unknown_authority(library: str, tls: Contexts) -> None:
    """The message names ``verify=``, ``transport=`` and the variables that this library reads."""
    with ScriptedServer(answers(WHOLE), context=tls[0]) as server:
        message = refused(private(library), server.url)
    assert "not signed by a CA that is trusted here" in message
    assert f"{library} trusts the CAs of verify=" in message
    assert f"of transport=, or of the variables {VARIABLES[library]}" in message


def test_the_variables_of_the_message_work(
    library: str, tls: Contexts, bundle: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each library reads the first variable that its message names."""
    monkeypatch.setenv(VARIABLES[library].split(" or ", maxsplit=1)[0], bundle)
    with ScriptedServer(answers(WHOLE), context=tls[0]) as server:
        assert send(private(library), server.url).body == GRANT


def test_another_host_name(library: str, authority: trustme.CA, bundle: str) -> None:
    """The fix is in token_endpoint."""
    with ScriptedServer(answers(WHOLE), context=serving(authority, "other.example")) as server:
        message = refused(private(library, verify=bundle), server.url)
    assert re.search("certificate is for another (host name|address)", message)
    assert "token_endpoint with a name that is in the certificate" in message


def test_an_expired_certificate(library: str, authority: trustme.CA, bundle: str) -> None:
    """The clock is the other suspect."""
    past = datetime.datetime(2020, 1, 1, tzinfo=datetime.timezone.utc)
    context = serving(authority, "127.0.0.1", not_before=past, not_after=past + datetime.timedelta(days=1))
    with ScriptedServer(answers(WHOLE), context=context) as server:
        assert "certificate has expired" in refused(private(library, verify=bundle), server.url)


def test_plain_http_at_the_port(library: str) -> None:
    """https:// to a port that speaks http: OpenSSL calls it a wrong version number."""
    with ScriptedServer(answers(b"HTTP/1.1 400 Bad Request\r\n\r\n"), raw=True) as server:
        message = refused(private(library), server.url.replace("http:", "https:"))
    assert "does not speak TLS at this port" in message


def test_a_client_certificate_that_is_missing(library: str, authority: trustme.CA, bundle: str) -> None:
    """TLS 1.3 says so after the handshake, while the answer is read."""
    context = serving(authority, "127.0.0.1")
    context.verify_mode = ssl.CERT_REQUIRED
    authority.configure_trust(context)
    with ScriptedServer(answers(WHOLE), context=context) as server, pytest.raises(TransportError) as caught:
        send(private(library, verify=bundle), server.url)
    if caught.value.cause_code == "tls":  # else the reset was faster than the alert
        assert "asks for a client certificate" in str(caught.value)


def test_verify(library: str, tls: Contexts, bundle: str, caplog: pytest.LogCaptureFixture) -> None:
    """A path, a context; and False, which is said once in the log, not at each request."""
    with ScriptedServer(answers(WHOLE), context=tls[0]) as server:
        for verify in (bundle, Path(bundle), tls[1]):
            assert send(private(library, verify=verify), server.url).body == GRANT
        with caplog.at_level(logging.WARNING, "m2m_auth"):
            for _ in range(3):
                assert send(private(library, verify=False), server.url).body == GRANT
    assert [record.getMessage().split(":")[0] for record in caplog.records] == ["verify=False"]


def test_a_context_keeps_its_authorities(library: str, bundle: str) -> None:
    """A context that trusts one CA still trusts only that one: requests would add its own."""
    context = ssl.create_default_context(cafile=bundle)
    before = context.get_ca_certs()
    with ScriptedServer(answers(WHOLE), context=serving(trustme.CA(), "127.0.0.1")) as server:
        assert "not signed by a CA" in refused(private(library, verify=context), server.url)
    assert context.get_ca_certs() == before
    assert context.verify_mode == ssl.CERT_REQUIRED


def test_the_sessions_verify_wins(tls: Contexts, bundle: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """psf/requests#3829: session.verify is ignored where REQUESTS_CA_BUNDLE is set. For the token request it is not."""
    other = tmp_path / "other.pem"
    trustme.CA().cert_pem.write_to_path(str(other))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(other))
    with ScriptedServer(answers(WHOLE), context=tls[0]) as server, requests.Session() as session:
        session.verify = bundle
        assert send(as_transport(session), server.url).body == GRANT


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"verify": "/no/such/ca.pem"}, "there is no such file"),
        ({"verify": ""}, "verify is blank. Fix: leave it out"),
        ({"verify": "false"}, "verify='false': there is no such file or folder. Fix: verify=False, without quotes"),
        ({"verify": 5}, "must be True, False, the path of a CA bundle or an ssl.SSLContext, not 5. Fix: "),
        ({"verify": 0}, "an ssl.SSLContext, not 0. Fix: "),
        ({"verify": ("cert.pem", "key.pem")}, "not tuple. Fix: "),
        ({"verify": __file__}, "has no CA certificates in PEM form"),
        ({"verify": str(Path(__file__).parent)}, "is a folder in which OpenSSL finds no CA certificate"),
        ({"verify": ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)}, "is an ssl.SSLContext of a server"),
        ({"proxies": 5}, "proxies must be a URL or a dict, not int"),
        ({"proxies": "user:canary@proxy:3128"}, "proxies is no URL of a proxy"),
        ({"proxies": ""}, "proxies is blank. Fix: leave it out, or {'all': None} for no proxy"),
        ({"proxies": {"https": " "}}, "proxies['https'] is blank"),
        ({"proxies": {"no_proxy": "canary"}}, "is no scheme of a target. Fix: {'https://token.example.com': None}"),
        ({"proxies": {"https": "ftp://user:canary@proxy"}}, "is no URL of a proxy"),
        ({"proxies": {"https": "http://user:canary@:99999"}}, "is no URL"),
        ({"proxies": {"ftp": "http://user:canary@proxy"}}, "is no scheme of a target"),
        ({"proxies": {"https://issuer.example/path": "http://proxy"}}, "neither a scheme nor an origin"),
        ({"proxies": {"all://*.example": "http://proxy"}}, "neither a scheme nor an origin"),
        ({"proxies": {"http://user:canary@proxy": "https://issuer.example"}}, "neither a scheme nor an origin"),
        ({"proxies": {"https": 5}}, "must be a URL or None, not int"),
        ({"verify": False, "transport": requests.Session()}, "configure the session of transport="),
        ({"proxies": "http://proxy", "transport": requests.Session()}, "configure the session of transport="),
        ({"verify": False, "transport": lambda _: None}, "configure the session of transport="),
    ],
)
def test_options_that_make_no_sense(library: str, options: dict[str, Any], words: str) -> None:
    """They are refused before any I/O, by the source and by each front door, and no password is shown."""
    door = __import__(f"m2m_auth.{library}", fromlist=["M2MAuth"]).M2MAuth
    for constructor in (TokenSource, door):
        with pytest.raises(ConfigurationError, match=re.escape(words)) as caught:
            constructor("https://issuer.example/token", "client", "secret", **options)
        assert "canary" not in str(caught.value)
        assert ". Fix: " in str(caught.value)


def test_options_are_not_shown() -> None:
    """A proxy's password is in no repr."""
    transport = private("requests", proxies="http://user:canary@proxy:3128")
    shown = repr(transport) + repr(vars(transport)) + repr(m2m_auth.TokenSource.__init__)
    assert "canary" not in shown

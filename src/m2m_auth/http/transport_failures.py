"""Why a token request got no response, in words that help and hold no secret.

An HTTP library's exception may hold the request. So only its types, an operating system's or OpenSSL's reason, and a
status are read from it.
"""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator

from ..oauth2.transport import HttpRequest, TransportError, describe
from .exchange_deadline import ExchangeDeadline

__all__ = ["PROXY_AUTHENTICATION_REQUIRED", "refused_by_proxy", "transport_error"]

PROXY_AUTHENTICATION_REQUIRED = 407
"""Only a proxy sends this status (RFC 9110 §15.5.8)."""
_PASSING = ("502", "503", "504")
"""What a proxy answers to CONNECT while the other side cannot be reached."""

CA_VARIABLES = {
    "requests": ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    "httpx": ("SSL_CERT_FILE", "SSL_CERT_DIR"),
    "httpx2": ("SSL_CERT_FILE", "SSL_CERT_DIR"),
}
"""The environment variables by which each library finds the certificate authorities that it trusts."""

_UNKNOWN_CA = (
    "the server's certificate is not signed by a CA that is trusted here",
    "trust the CA of this server, or of the proxy that opens TLS in your network",
)
_CERTIFICATE_PROBLEMS = {
    9: ("the server's certificate is not valid yet", "correct this machine's clock, or the server's certificate"),
    10: ("the server's certificate has expired", "renew it at the server, or correct this machine's clock"),
    18: ("the server's certificate is self-signed", "trust this certificate, if you know it"),
    19: _UNKNOWN_CA,
    20: _UNKNOWN_CA,
    21: _UNKNOWN_CA,
    62: ("the server's certificate is for another host name", "token_endpoint with a name that is in the certificate"),
    64: ("the server's certificate is for another address", "token_endpoint with a name that is in the certificate"),
}
"""By OpenSSL's code (X509_V_ERR_…): what is wrong, and the fix."""

_PLAIN = (
    "the server does not speak TLS at this port",
    "the port in token_endpoint, or an http:// URL in proxies= and HTTPS_PROXY",
)
_CLIENT_CERTIFICATE = (
    "the server asks for a client certificate",
    "transport= or verify= with an ssl.SSLContext that has loaded one",
)
_VERSION = ("the server and this machine have no TLS version or cipher in common", "update the older side")
_HANDSHAKE_PROBLEMS = {
    "WRONG_VERSION_NUMBER": _PLAIN,
    "HTTP_REQUEST": _PLAIN,
    "RECORD_LAYER_FAILURE": _PLAIN,
    "PACKET_LENGTH_TOO_LONG": _PLAIN,
    "CERTIFICATE_REQUIRED": _CLIENT_CERTIFICATE,
    "BAD_CERTIFICATE": _CLIENT_CERTIFICATE,
    "CERTIFICATE_UNKNOWN": _CLIENT_CERTIFICATE,
    "UNKNOWN_CA": (
        "the server does not trust the client certificate",
        "a client certificate of a CA that the server trusts",
    ),
    "PROTOCOL_VERSION": _VERSION,
    "UNSUPPORTED_PROTOCOL": _VERSION,
    "HANDSHAKE_FAILURE": _VERSION,
    "NO_PROTOCOLS_AVAILABLE": _VERSION,
    "UNRECOGNIZED_NAME": ("the server does not know this host name", "the host in token_endpoint"),
}
"""By the end of OpenSSL's reason: what is wrong, and the fix."""


def transport_error(
    request: HttpRequest, error: BaseException | None, deadline: ExchangeDeadline, library: str, note: str = ""
) -> TransportError:
    """The error to raise for a library's exception, outside of its ``except`` clause: it must not be chained.

    Args:
        request: the request; only its URL is shown.
        error: the library's exception; None for a timeout.
        deadline: the exchange's.
        library: the library's name.
        note: a sentence about the transport, such as the session's own retries.
    """
    what, code = _words(error, deadline, library)
    said = f"{what.rstrip('.')}." + (f" {note}" if note else "")
    return TransportError(f"The token endpoint {request.url} cannot be reached: {said}", code)


def refused_by_proxy(request: HttpRequest) -> TransportError:
    """The error for a 407 that came as the answer to a request over plain http."""
    return TransportError(
        f"The token endpoint {request.url} cannot be reached: {_proxy_words('407')}.",
        "proxy",
    )


def _words(error: BaseException | None, deadline: ExchangeDeadline, library: str) -> tuple[str, str]:
    """What happened and the fix, and the cause code."""
    causes = list(_causes(error))
    if error is None or deadline.has_passed or any("Timeout" in type(cause).__name__ for cause in causes):
        done = "answer" if deadline.is_connected else "answer, not even a connection,"
        return f"no {done} within {deadline.seconds:g} s", "timeout"
    for cause in causes:
        if isinstance(cause, (ssl.SSLEOFError, ssl.SSLZeroReturnError)):  # as passing as a reset connection
            why = "it may ask for a client certificate, or a firewall may be between"
            return f"the server ended the connection during TLS. If it stays so, {why}", "connection"
        if isinstance(cause, ssl.SSLError):
            return f"TLS failed: {_tls_words(cause, library)}", "tls"
    proxy = next((cause for cause in causes if type(cause).__name__ in ("ProxyError", "InvalidProxyURL")), None)
    status = _status_of_tunnel(causes)
    if status:
        return _proxy_words(status), "connection" if status in _PASSING else "proxy"
    what = describe(error)
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        host = "the host name cannot be resolved"
        what = f"{host} ({what}). Fix: check the host in {'proxies=' if proxy else 'token_endpoint'}, and DNS"
    elif proxy is not None:
        what = f"{what}, at the proxy. Fix: check proxies=, or the variables HTTPS_PROXY and NO_PROXY"
    return what, "connection"


def _tls_words(error: ssl.SSLError, library: str) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        problem = _CERTIFICATE_PROBLEMS.get(error.verify_code)
        reason = re.sub(r"[^ -~]", "?", error.verify_message or "")[:200] or "certificate verify failed"
    else:
        reason = re.sub(r"[^A-Z0-9_]", "?", error.reason or type(error).__name__.upper())
        problem = next((words for end, words in _HANDSHAKE_PROBLEMS.items() if reason.endswith(end)), None)
    what, fix = problem or ("the handshake failed", "check the server's TLS")
    variables = " or ".join(CA_VARIABLES[library])
    return (
        f"{what} ({reason}). Fix: {fix}. {library} trusts the CAs of verify= ('/path/to/ca.pem'), "
        f"of transport=, or of the variables {variables}"
    )


def _proxy_words(status: str) -> str:
    fix = "check proxies=, or the variables HTTPS_PROXY and NO_PROXY"
    if status == "407":
        fix = "user and password in the URL of proxies= or HTTPS_PROXY (http://user:password@proxy:3128)"
    elif status in _PASSING:
        fix = "is the token endpoint up, and may the proxy reach it?"
    return f"the proxy answered {status}. Fix: {fix}"


def _status_of_tunnel(causes: list[BaseException]) -> str:
    """The status that a proxy answered to CONNECT (RFC 9110 §9.3.6); empty if none did."""
    for cause in causes:
        if isinstance(cause, OSError) or type(cause).__name__ == "ProxyError":
            found = re.match(r"(?:Tunnel connection failed: )?([345]\d\d)\b", str(cause))
            if found:
                return found.group(1)
    return ""


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """An exception and those behind it, the outermost first."""
    waiting, seen = [error], set[int]()
    while waiting:
        each = waiting.pop(0)
        if isinstance(each, BaseException) and id(each) not in seen:
            seen.add(id(each))
            yield each
            waiting += [each.__cause__, each.__context__, getattr(each, "reason", None), *each.args[:2]]

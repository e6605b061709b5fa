"""What is asked of a browser: the CORS protocol (Fetch standard), and a header that foreign pages cannot send."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from ..errors import ConfigurationError
from ..oauth2.origins import is_loopback
from ..serving import Answer, Request
from .asked_scopes import Refused

__all__ = ["BrowserRules"]

_PREFLIGHT_KEPT = "600"
"""Seconds that a browser may remember a preflight's answer."""

_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_PROVES_NOTHING = re.compile(
    # What a foreign page can set without a preflight (Fetch: CORS-safelisted request-headers),
    "accept.*|content-.*|range|"
    # what browsers send by themselves,
    "authorization|cache-control|connection|cookie|date|dnt|downlink|dpr|ect|expect|host|if-.*|keep-alive|origin|pragma|"
    "priority|proxy-.*|purpose|referer|rtt|save-data|sec-.*|te|trailer|transfer-encoding|upgrade.*|user-agent|"
    "viewport-width|width|access-control-.*|device-memory|"
    # and what proxies on the way add.
    "cf-.*|cdn-.*|forwarded.*|via|x-amzn-.*|x-client-ip|x-cloud-.*|x-correlation-id|x-forwarded.*|x-real-ip|"
    "x-request-id|x-request-start|traceparent|tracestate|true-client-ip"
)


class BrowserRules:
    """The origins whose pages may ask, and the header that proves that a page asked on purpose.

    A browser sends that header to another origin only after a preflight, which is refused for origins that are not
    listed. A form cannot send it at all. So a request that has it was not forged by a foreign page.

    Args:
        origins: the origins of other sites' pages, exactly as browsers write them.
        required_header: the header's name.

    Raises:
        ConfigurationError: an entry is no origin, or ``*``; or the header proves nothing.
    """

    def __init__(self, origins: Iterable[str], required_header: str) -> None:
        if isinstance(origins, str):
            raise ConfigurationError(f"TokenVendor: origins={origins!r} must be a list. Fix: [{origins!r}]")
        self._origins = frozenset(_checked_origin(origin) for origin in origins)
        self._header = _checked_header(required_header)

    def cors(self, request: Request) -> tuple[tuple[str, str], ...]:
        """The headers with which a listed origin may read the answer; for any other, only that answers differ."""
        vary = ("Vary", "Origin")
        origin = request.headers.get("origin")
        if origin not in self._origins:
            return (vary,)
        return (
            vary,
            ("Access-Control-Allow-Origin", origin),
            ("Access-Control-Allow-Credentials", "true"),
            ("Access-Control-Expose-Headers", "Retry-After, WWW-Authenticate"),
        )

    def admit(self, request: Request) -> None:
        """Raises Refused for a request that a foreign page may have caused."""
        self._check_origin(request)
        if not request.headers.get(self._header.lower(), "").strip():
            raise Refused(400, "invalid_request", f"The request needs the header {self._header}, with any value.")

    def preflight(self, request: Request) -> Answer:
        """The answer to an OPTIONS request. Raises Refused."""
        wanted = request.headers.get("access-control-request-method")
        if "origin" not in request.headers or wanted is None:
            raise Refused(405, "invalid_request", "Use POST.", ("Allow", "POST"))
        if request.headers["origin"] not in self._origins:
            raise Refused(403, "access_denied", "Pages of this origin get no tokens here.")
        if wanted != "POST":
            raise Refused(405, "invalid_request", "Use POST.", ("Allow", "POST"))
        return Answer(
            204,
            (
                ("Cache-Control", "no-store"),
                ("Access-Control-Allow-Methods", "POST"),
                ("Access-Control-Allow-Headers", f"{self._header}, Content-Type, Authorization"),
                ("Access-Control-Max-Age", _PREFLIGHT_KEPT),
            ),
            b"",
        )

    def _check_origin(self, request: Request) -> None:
        origin = request.headers.get("origin")
        # No script can set Sec-Fetch-Site: a page of this very site needs no entry in the list.
        own = request.headers.get("sec-fetch-site") == "same-origin" and origin != "null"
        if origin is not None and origin not in self._origins and not own:
            raise Refused(403, "access_denied", "Pages of this origin get no tokens here.")
        if origin is None and request.headers.get("sec-fetch-site") in ("cross-site", "same-site"):
            raise Refused(403, "access_denied", "Pages of another site get no tokens without an origin.")


def _checked_origin(entry: object) -> str:
    if entry == "*":
        raise ConfigurationError(
            "TokenVendor: origins has '*', which would hand every site's pages the tokens of whoever opens them. "
            "Fix: list each origin, e.g. 'https://shop.example'"
        )
    wrong = f"TokenVendor: origins has {entry!r}, which is not an origin as browsers write it"
    try:
        parts = urlsplit(entry if isinstance(entry, str) else "")
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise ConfigurationError(f"{wrong}, e.g. 'https://shop.example'") from None
    if parts.scheme not in ("http", "https") or not re.fullmatch(r"[a-z0-9._:-]+", host):
        raise ConfigurationError(f"{wrong}, e.g. 'https://shop.example'")
    bracketed = f"[{host}]" if ":" in host else host
    default = {"http": 80, "https": 443}[parts.scheme]
    exact = f"{parts.scheme}://{bracketed}" + (f":{port}" if port not in (None, default) else "")
    if entry != exact:
        raise ConfigurationError(f"{wrong}. Fix: {exact!r}")
    if parts.scheme == "http" and not is_loopback(host):
        raise ConfigurationError(f"{wrong.partition(',')[0]}: a token would be readable on the way. Fix: use https")
    return exact


def _checked_header(name: object) -> str:
    if not isinstance(name, str) or not _HEADER.fullmatch(name):
        raise ConfigurationError(f"TokenVendor: required_header={name!r} is not a header's name")
    if _PROVES_NOTHING.fullmatch(name.lower()):
        raise ConfigurationError(
            f"TokenVendor: required_header={name!r} proves nothing: browsers or proxies send it without being asked. "
            "Fix: a header of your own, e.g. 'X-Requested-With'"
        )
    return name

"""Requests from browsers: the CORS protocol (Fetch standard), and a header that foreign pages cannot send."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from ..errors import ConfigurationError
from ..oauth2.origins import is_loopback
from ..serving import Answer, Request
from ..serving.http_messages import ErrorAnswer

__all__ = ["BrowserRules"]

_PREFLIGHT_MAX_AGE = "600"
"""Seconds that a browser may keep the answer to a preflight."""

_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
_PROVES_NOTHING = re.compile(
    # Headers that a foreign page can set without a preflight (Fetch: CORS-safelisted request-headers),
    "accept.*|content-.*|range|"
    # headers that browsers send by themselves,
    "authorization|cache-control|connection|cookie|date|dnt|downlink|dpr|ect|expect|host|if-.*|keep-alive|origin|pragma|"
    "priority|proxy-.*|purpose|referer|rtt|save-data|sec-.*|te|trailer|transfer-encoding|upgrade.*|user-agent|"
    "viewport-width|width|access-control-.*|device-memory|"
    # and headers that proxies add.
    "cf-.*|cdn-.*|forwarded.*|via|x-amzn-.*|x-client-ip|x-cloud-.*|x-correlation-id|x-forwarded.*|x-real-ip|"
    "x-request-id|x-request-start|traceparent|tracestate|true-client-ip"
)


class BrowserRules:
    """The origins whose pages may ask, and the header that proves that a page asked on purpose.

    A browser sends that header to another origin only after a preflight, and the preflight is refused for an origin
    that is not listed. A form cannot send the header at all. So a foreign page cannot forge a request that has it.

    Args:
        origins: the origins of other sites' pages, exactly as browsers write them.
        required_header: the header's name.

    Raises:
        ConfigurationError: an entry is ``*`` or not an origin, or the header proves nothing.
    """

    def __init__(self, origins: Iterable[str], required_header: str) -> None:
        if isinstance(origins, str):
            raise ConfigurationError(f"TokenVendor: origins={origins!r} must be a list. Fix: [{origins!r}]")
        self._origins = frozenset(_checked_origin(origin) for origin in origins)
        self._header = _checked_header(required_header)

    def cors(self, request: Request) -> tuple[tuple[str, str], ...]:
        """The headers that let a listed origin read the answer; for any other origin only ``Vary``."""
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
        """Raises ErrorAnswer for a request that a foreign page may have caused."""
        self._check_origin(request)
        if not request.headers.get(self._header.lower(), "").strip():
            raise ErrorAnswer(400, "invalid_request", f"The request needs the header {self._header}, with any value.")

    def preflight(self, request: Request) -> Answer:
        """The answer to an OPTIONS request. Raises ErrorAnswer if it is no allowed preflight."""
        wanted = request.headers.get("access-control-request-method")
        if "origin" not in request.headers or wanted is None:
            raise ErrorAnswer(405, "invalid_request", "Use POST.", ("Allow", "POST"))
        if request.headers["origin"] not in self._origins:
            raise ErrorAnswer(403, "access_denied", "Pages of this origin get no tokens.")
        if wanted != "POST":
            raise ErrorAnswer(405, "invalid_request", "Use POST.", ("Allow", "POST"))
        return Answer(
            204,
            (
                ("Cache-Control", "no-store"),
                ("Access-Control-Allow-Methods", "POST"),
                ("Access-Control-Allow-Headers", f"{self._header}, Content-Type, Authorization"),
                ("Access-Control-Max-Age", _PREFLIGHT_MAX_AGE),
            ),
            b"",
        )

    def _check_origin(self, request: Request) -> None:
        origin = request.headers.get("origin")
        # No script can set Sec-Fetch-Site, so a page of the same origin needs no entry in the list.
        own = request.headers.get("sec-fetch-site") == "same-origin" and origin != "null"
        if origin is not None and origin not in self._origins and not own:
            raise ErrorAnswer(403, "access_denied", "Pages of this origin get no tokens.")
        if origin is None and request.headers.get("sec-fetch-site") in ("cross-site", "same-site"):
            raise ErrorAnswer(403, "access_denied", "Pages of another site get no tokens without an origin.")


def _checked_origin(entry: object) -> str:
    if entry == "*":
        raise ConfigurationError(
            "TokenVendor: origins has '*': every site could read the tokens of the users who open its pages. "
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
        raise ConfigurationError(f"{wrong.partition(',')[0]}: the network could read the tokens. Fix: use https")
    return exact


def _checked_header(name: object) -> str:
    if not isinstance(name, str) or not _HEADER.fullmatch(name):
        raise ConfigurationError(f"TokenVendor: required_header={name!r} is not the name of a header")
    if _PROVES_NOTHING.fullmatch(name.lower()):
        raise ConfigurationError(
            f"TokenVendor: required_header={name!r} proves nothing: browsers or proxies send it by themselves. "
            "Fix: a header of your own, e.g. 'X-Requested-With'"
        )
    return name

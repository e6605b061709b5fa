"""What only the operator sees: the page and the metrics, behind a token of their own. Without one, both are a 404.

The page is for a browser: a form takes the token and sets a cookie that holds no secret, only until when it is good and
an HMAC of that; so it works over all workers and hosts, and ends with the token that it came from. ``Authorization:
Bearer`` is for curl and Prometheus, on the page as well. Nothing here changes anything, so there is nothing to forge
but a login, and a browser that says that a form comes from elsewhere is refused.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import re
import secrets
from collections.abc import Callable
from urllib.parse import parse_qsl

from ..errors import ConfigurationError
from ..serving import Answer, Request
from ..shared_cache.counters import SharedCounters
from . import metrics, operator_page
from .allowances import Allowance, keyed_name
from .ledger import VendorReport
from .rate_limits import Addresses
from .upstream_durations import Durations

__all__ = ["Operator"]

LOGIN = 3600
"""Seconds for which a login is good; then the token is asked for again."""

WRONG_PER_MINUTE = 10
"""Wrong tokens from one address, over all workers and hosts; then none from there is looked at for the minute."""

_COOKIE = "m2m_auth_operator"
_CHALLENGE = ("WWW-Authenticate", 'Bearer realm="operator"')
_FIXED = (
    ("Cache-Control", "no-store"),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)
_POLICY = "default-src 'none'; style-src 'nonce-{}'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
_PLAIN = ("Content-Type", "text/plain; charset=utf-8")
_NOT_FOUND = Answer(404, (_PLAIN, *_FIXED), b"Not found\n")


class Operator:
    """A service for the operator's two paths; every other path, and both without a token, is 404.

    Args:
        token: the operator's; None or "" switches everything off.
        reports: the ledger's reports of all vendors.
        counters: where wrong tokens are counted, and the time.
        durations: the upstreams' histograms.
        pepper: signs the cookie, together with the token.
        path: the page's path, from its slash.
        metrics_path: the path of Prometheus' metrics.
        trusted_proxies: as for :func:`~m2m_auth.serving.client_address`.
    """

    def __init__(
        self,
        token: str | None,
        reports: Callable[[], list[VendorReport]],
        counters: SharedCounters,
        *,
        durations: Callable[[], list[Durations]] = list,
        pepper: bytes,
        path: str = "/operator",
        metrics_path: str = "/metrics",
        trusted_proxies: int = 0,
    ) -> None:
        self._token = (token or "").encode()
        self._reports, self._durations = reports, durations
        self._key = _hmac(pepper, b"m2m-auth operator's cookie " + self._token)
        self._paths = {path: self._page, metrics_path: self._metrics} if token else {}
        self._trusted_proxies, self._addresses = trusted_proxies, Addresses(trusted_proxies)
        self._counters, self._wall = counters, counters.wall

    def __repr__(self) -> str:
        return f"<Operator of {', '.join(self._paths) or 'nothing'}>"

    def answer(self, request: Request) -> Answer:
        """The answer to this request."""
        found = self._paths.get(request.path)
        return _NOT_FOUND if found is None else found(request)

    def _metrics(self, request: Request) -> Answer:
        if request.method not in ("GET", "HEAD"):
            return _not_allowed("GET, HEAD")
        refused = self._refused(request)
        if refused is not None:
            return refused
        try:
            content_type, body = metrics.exposition(self._reports(), self._durations())
        except ConfigurationError as error:  # prometheus-client is not installed; the page works without
            return Answer(501, (_PLAIN, *_FIXED), f"{error}\n".encode())
        return Answer(200, (("Content-Type", content_type), *_FIXED), body)

    def _page(self, request: Request) -> Answer:
        if request.method == "POST":
            return self._posted(request)
        if request.method not in ("GET", "HEAD"):
            return _not_allowed("GET, HEAD, POST")
        if "authorization" in request.headers:
            refused = self._refused(request)
            if refused is not None:
                return refused
        elif not self._logged_in(request):
            return _html(401, operator_page.login(), _CHALLENGE)
        return _html(200, operator_page.page(self._reports(), self._wall()))

    def _refused(self, request: Request) -> Answer | None:
        """The answer to a caller without the token in its Authorization header (RFC 6750 §2.1); None lets it pass."""
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return Answer(401, (_PLAIN, *_FIXED, _CHALLENGE), b"The operator's token is needed\n")
        wait = self._wrong(request, given.strip())
        if wait is None:
            return None
        if wait:
            return Answer(429, (_PLAIN, *_FIXED, ("Retry-After", str(wait))), b"Too many wrong tokens\n")
        error = (_CHALLENGE[0], _CHALLENGE[1] + ', error="invalid_token"')
        return Answer(401, (_PLAIN, *_FIXED, error), b"This is not the operator's token\n")

    def _posted(self, request: Request) -> Answer:
        if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
            return _html(403, operator_page.login("That form was not from this page."))
        form = dict(parse_qsl(request.body.decode("utf-8", "replace")))
        if form.get("operation") == "leave":
            return self._back_with(request, "", 0)
        wait = self._wrong(request, form.get("token", ""))
        if wait is None:
            ends = str(int(self._wall()) + LOGIN)
            return self._back_with(request, f"{ends}.{self._signature(ends)}", LOGIN)
        if wait:
            words = f"Too many wrong tokens from here: try again in {wait} s."
            return _html(429, operator_page.login(words), ("Retry-After", str(wait)))
        return _html(401, operator_page.login("That is not the operator's token."), _CHALLENGE)

    def _wrong(self, request: Request, given: str) -> int | None:
        """None for the right token, 0 for a wrong one, and seconds to wait after too many of them."""
        where = keyed_name(self._key, "wrong token", self._addresses.of(request))[:4]
        wrong = Allowance(self._counters, f"m2m1.pw.{where}", {"minute": WRONG_PER_MINUTE})
        wait = wrong.retry_after()
        if wait:
            return math.ceil(wait)
        # Digests, so that neither the time nor an error tells the length.
        if hmac.compare_digest(_hmac(self._key, given.encode()), _hmac(self._key, self._token)):
            return None
        wrong.take()
        return 0

    def _logged_in(self, request: Request) -> bool:
        for cookie in re.split("[;,]", request.headers.get("cookie", "")):  # a comma, where the header was repeated
            name, _, value = cookie.strip().partition("=")
            ends, _, signature = value.partition(".")
            if name == _COOKIE and hmac.compare_digest(self._signature(ends).encode(), signature.encode()):
                return self._wall() < int(ends)  # signed by us, so it is a number
        return False

    def _signature(self, ends: str) -> str:
        return _hmac(self._key, ends.encode()).hex()

    def _back_with(self, request: Request, cookie: str, lives: int) -> Answer:
        """Back to the page by GET, with a cookie. Both are relative: the proxy may be mounted anywhere."""
        forwarded = request.headers.get("x-forwarded-proto", "") if self._trusted_proxies else ""
        secure = "; Secure" if "https" in (request.scheme, forwarded.rpartition(",")[2].strip()) else ""
        set_cookie = f"{_COOKIE}={cookie}; Max-Age={lives}; HttpOnly; SameSite=Strict{secure}"
        here = "./" + request.path.rpartition("/")[2]  # the dot, or a colon would make it another scheme
        return Answer(303, (("Location", here), ("Set-Cookie", set_cookie), *_FIXED), b"")


def _html(status: int, body: str, *headers: tuple[str, str]) -> Answer:
    nonce = secrets.token_urlsafe(16)
    policy = ("Content-Security-Policy", _POLICY.format(nonce))
    fixed = (("Content-Type", "text/html; charset=utf-8"), policy, *_FIXED, *headers)
    return Answer(status, fixed, operator_page.document("Token proxy", body, nonce).encode())


def _not_allowed(methods: str) -> Answer:
    return Answer(405, (_PLAIN, *_FIXED, ("Allow", methods)), b"Method not allowed\n")


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.new(key, message, hashlib.sha256).digest()

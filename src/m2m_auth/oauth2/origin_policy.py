"""Where a token may go (RFC 6750 §5.3): the entries of ``allowed_origins``, and the check that front doors make."""

from __future__ import annotations

import re
from collections.abc import Iterable
from ipaddress import ip_address
from typing import NoReturn
from urllib.parse import urlsplit

from ..errors import ConfigurationError, InsecureTransport, OriginNotAllowed
from .origins import DEFAULT_PORTS, Origin, checked_insecure_http, is_loopback, origin_of, spelled

__all__ = ["OriginPolicy"]


class OriginPolicy:
    """Decides whether a token may be sent to a URL.

    Args:
        allowed_origins: the only origins (scheme, host, port) that may get the token; None allows all.
            ``https://*.example.com`` is every subdomain at any depth, without ``example.com`` itself.
        allow_insecure_http: True allows plain http beyond loopback.

    Raises:
        ConfigurationError: an entry is not an origin, or can match no call; or an option is of another kind.
    """

    __slots__ = ("_allow_insecure_http", "_allowed", "_names", "_subdomains")

    def __init__(self, allowed_origins: Iterable[str] | None, allow_insecure_http: bool) -> None:
        self._allow_insecure_http = checked_insecure_http(allow_insecure_http)
        if isinstance(allowed_origins, str):
            raise ConfigurationError(
                f"allowed_origins={allowed_origins!r} must be a list of origins. Fix: [{allowed_origins!r}]"
            )
        if allowed_origins is not None and not isinstance(allowed_origins, Iterable):
            kind = type(allowed_origins).__name__
            raise ConfigurationError(f"allowed_origins must be a list of origins, not {kind}. Fix: ['https://…']")
        entries = None if allowed_origins is None else {_entry(each) for each in allowed_origins}
        if entries is not None and not entries:
            raise ConfigurationError(
                "allowed_origins is empty, so no call could carry a token. Fix: name one, or leave the option out"
            )
        for entry in entries or ():
            if entry[0] == "http" and not allow_insecure_http and not is_loopback(entry[1].removeprefix("*.")):
                raise ConfigurationError(
                    f"allowed_origins: {spelled(entry)!r} matches no call: every machine on the way can read plain "
                    "http. Fix: use https, or pass allow_insecure_http=True if the network itself is trusted"
                )
        self._allowed = None if entries is None else frozenset(entry for entry in entries if entry[1][0] != "*")
        self._subdomains = [(scheme, host[1:], port) for scheme, host, port in entries or () if host[0] == "*"]
        self._names = tuple(sorted(map(spelled, entries or ())))

    def check(self, url: str) -> Origin:
        """Return the origin of ``url`` if a token may be sent there.

        Raises:
            OriginNotAllowed: it is not one of the allowed origins.
            InsecureTransport: it is plain http to another machine, and plain http is not allowed.
        """
        try:
            origin = origin_of(url)
        except ValueError:
            origin = ("", "", 0)
        if not self._is_allowed(origin) or origin[0] not in DEFAULT_PORTS:
            raise OriginNotAllowed(
                f"no token was sent to {spelled(origin)}: allowed_origins is "
                f"{', '.join(self._names) or 'any http(s) origin'}. "
                "Fix: add the origin there if this call is meant to carry the token",
                origin=spelled(origin),
                allowed=self._names,
            )
        if origin[0] == "http" and not self._allow_insecure_http and not is_loopback(origin[1]):
            raise InsecureTransport(
                f"no token was sent to {spelled(origin)}: every machine on the way can read plain http. "
                "Fix: use https, or pass allow_insecure_http=True if the network itself is trusted",
                origin=spelled(origin),
            )
        return origin

    def _is_allowed(self, origin: Origin) -> bool:
        if self._allowed is None or origin in self._allowed:
            return True
        scheme, host, port = origin
        return any(
            (scheme, port) == (its_scheme, its_port)
            and host.endswith(suffix)
            and _is_name(host)  # not https://evil.example\\.example.com
            for its_scheme, suffix, its_port in self._subdomains
        )


# A string: re compiles it when it is first used, which keeps the import cheap.
_LABEL = r"[a-z0-9_-]{1,63}"
_PRIVATE = "test localhost invalid example local intranet internal private corp home lan"
"""Top-level names that no registry sells (RFC 6761 §6, RFC 6762 appendix G, and ICANN's ``.internal``)."""


def _entry(given: object) -> Origin:
    """One entry of ``allowed_origins``; the host of a wildcard begins with ``*.``. Raises ConfigurationError."""
    if not isinstance(given, str):
        fix = "'https://api.example.com'" + ("; is an environment variable unset?" if given is None else "")
        _refuse(given, "is no text", fix)
    if "@" in given:
        fix = "://".join((given.partition("://")[0], given.rpartition("@")[2])) if "://" in given else "leave them out"
        raise ConfigurationError(f"allowed_origins: an entry with credentials has more than an origin. Fix: {fix!r}")
    if re.sub(r"[\s*/:.\d]", "", given).lower() in ("", "http", "https") and not re.search(r"\d\.\d", given):
        _refuse(given, "names no host", "leave the option out to allow any https origin, or name each one")
    if given != given.strip() or not given.isprintable() or "\\" in given:
        _refuse(given, "has white space or characters that no URL has", repr("https://api.example.com"))
    scheme, mark, rest = given.partition("://")
    if not mark:
        _refuse(given, "is not an origin like 'https://api.example.com'", repr(f"https://{given.lstrip('/')}"))
    if scheme.lower() not in DEFAULT_PORTS:
        _refuse(given, "is neither https nor http, and no token goes elsewhere", repr(f"https://{rest}"))
    try:
        parts = urlsplit(given)
        port = parts.port
        scheme, host, number = origin_of(given)
    except ValueError:
        _refuse(given, "has a host or a port that does not exist", "'https://api.example.com:8443'")
    if number == 0 or port == 0:
        _refuse(given, "has port 0, where no server listens", repr(f"{scheme}://{host}"))
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        _refuse(given, "has more than an origin", repr(spelled((scheme, host, number))))
    _check_host(given, (scheme, host, number), (parts.hostname or "").removesuffix("."))
    return scheme, host, number


def _check_host(given: str, origin: Origin, written: str) -> None:
    """Refuses a host that no URL has, and wildcards other than a first ``*.``."""
    scheme, host, port = origin
    if ":" in host:
        return  # an IPv6 address, which origin_of() has read
    wildcard, name = host.startswith("*."), host.removeprefix("*.")
    if "*" in name:
        fix = spelled((scheme, _wildcard_for(name), port))
        _refuse(given, "has a '*' that does not stand for whole labels at the beginning", repr(fix))
    labels = name.split(".")
    if written.startswith(".") and all(labels[1:]):
        _refuse(given, "begins with a dot", repr(spelled((scheme, f"*{host}", port))))
    if not _is_name(name) or written.endswith("."):
        _refuse(given, "has a host that does not exist", "'https://api.example.com'")
    if labels[-1].isdigit():
        if wildcard or not _is_ip_address(name):
            _refuse(given, "has a host that is no address and no name", "'https://10.0.0.1' or a name")
    elif wildcard and _is_public(name):
        _refuse(given, f"is every name below .{name}, which others own, too", f"'{scheme}://*.example.{name}'")


def _wildcard_for(name: str) -> str:
    """The wildcard that a name with a ``*`` elsewhere probably means: ``*example.com`` is ``*.example.com``."""
    rest = name.rpartition("*")[2]
    below = rest.partition(".")[2] if rest[:1] in ("-", "_") else rest.lstrip(".")
    return f"*.{below}" if _is_name(below) and not _is_public(below) else "*.example.com"


def _is_public(name: str) -> bool:
    """True for one label, such as ``com``, below which anyone may own names."""
    return "." not in name and name not in _PRIVATE.split()


def _is_name(host: str) -> bool:
    return len(host) <= 253 and all(re.fullmatch(_LABEL, label) for label in host.split("."))


def _is_ip_address(host: str) -> bool:
    try:
        return bool(ip_address(host))
    except ValueError:
        return False


def _refuse(entry: object, why: str, fix: str) -> NoReturn:
    raise ConfigurationError(f"allowed_origins: {entry!r} {why}. Fix: {fix}")

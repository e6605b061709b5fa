"""``verify=`` and ``proxies=``: how the private transport of an HTTP library reaches the token endpoint."""

from __future__ import annotations

import importlib.util
import os
import re
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from ..errors import ConfigurationError
from ..oauth2.origins import origin_of
from ..oauth2.secrets import Secret, concealed
from ..runtime.log_once import warn_once

__all__ = ["DIRECT", "TransportOptions", "checked_transport_options"]

_SCHEMES = {
    "requests": ("http", "https", "socks4", "socks4a", "socks5", "socks5h"),
    "httpx": ("http", "https", "socks5", "socks5h"),
    "httpx2": ("http", "https", "socks5", "socks5h"),
}
"""The kinds of proxies that each library can use."""
_SOCKS = {"requests": "socks", "httpx": "socksio", "httpx2": "socksio"}
"""The module that each library needs for a SOCKS proxy."""
_EXAMPLE = "'http://proxy:3128' or {'https': 'http://proxy:3128'}; None instead of a URL is no proxy"

_Target = tuple[str, str, "int | None"]
"""A scheme or ``all``; a host, or ``""`` for every host; a port, or None for every port."""

_CA_EXAMPLE = "the path of a CA bundle, such as '/etc/ssl/private-ca.pem'"

DIRECT = Secret("")
"""Instead of a proxy's URL: no proxy, whatever the environment says."""


class TransportOptions:
    """The checked options. The URL of a proxy may hold a password, so a repr shows none.

    Args:
        verify: None (the library's default), False, the path of a CA bundle or folder, or an ``ssl.SSLContext``.
        proxies: a proxy's URL by the scheme, the host and the port of the target; :data:`DIRECT` for none.
    """

    __slots__ = ("_proxies", "verify")

    def __init__(self, verify: bool | str | ssl.SSLContext | None, proxies: Mapping[_Target, Secret]) -> None:
        self.verify = verify
        self._proxies = proxies

    def __repr__(self) -> str:
        return "<TransportOptions>"

    def ssl_context(self) -> ssl.SSLContext | None:
        """The context for ``verify``; None for the library's own. A CA bundle is read anew, since it may have changed.

        Raises:
            OSError: the CA bundle cannot be read any more.
        """
        if self.verify is None or isinstance(self.verify, ssl.SSLContext):
            return self.verify
        if self.verify is False:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            return context
        path = Path(str(self.verify))
        if path.is_dir():
            return ssl.create_default_context(capath=path)
        return ssl.create_default_context(cafile=path)

    def proxy_for(self, url: str) -> Secret | None:
        """The proxy for a URL, the most specific entry first as in requests; None where the environment decides."""
        scheme, host, port = origin_of(url)
        for its_scheme in (scheme, "all"):
            for target in ((its_scheme, host, port), (its_scheme, host, None), (its_scheme, "", None)):
                if target in self._proxies:
                    return self._proxies[target]
        return None

    def warn_if_unverified(self, url: str) -> None:
        """Says once for each URL that ``verify=False`` lets anyone on the way read the credentials."""
        if self.verify is False and url.startswith("https:"):
            warn_once(
                f"verify=False: the certificate of {url} is not checked, so anyone on the way can read the client's "
                "credentials. Fix: verify='/path/to/ca.pem'"
            )


def checked_transport_options(verify: Any, proxies: Any, library: str) -> TransportOptions:
    """The options for the private transport of a library. Nothing is sent; a CA bundle is read.

    Raises:
        ConfigurationError: there is no CA bundle at the path, or a URL is not that of a proxy.
    """
    proxies = concealed(proxies)
    table: dict[_Target, Secret] = {}
    problem = _proxies_problem(proxies, library, table)
    if problem:
        raise ConfigurationError(problem)
    options = TransportOptions(_checked_verify(verify), table)
    try:
        options.ssl_context()
    except (OSError, ValueError) as error:
        why = (
            "" if isinstance(error, ssl.SSLError) else f" ({getattr(error, 'strerror', None) or type(error).__name__})"
        )
        problem = f"verify={str(options.verify)!r} has no CA certificates in PEM form{why}"
    if problem:
        raise ConfigurationError(f"{problem}. Fix: {_CA_EXAMPLE}")
    return options


def _checked_verify(verify: Any) -> bool | str | ssl.SSLContext | None:
    if verify is None or verify is True:
        return None
    if isinstance(verify, ssl.SSLContext) and verify.protocol is ssl.PROTOCOL_TLS_SERVER:
        raise ConfigurationError("verify is an ssl.SSLContext of a server. Fix: ssl.create_default_context()")
    if verify is False or isinstance(verify, ssl.SSLContext):
        return verify
    if not isinstance(verify, (str, os.PathLike)):
        kind = repr(verify) if isinstance(verify, int) else type(verify).__name__
        raise ConfigurationError(
            f"verify must be True, False, the path of a CA bundle or an ssl.SSLContext, not {kind}. Fix: {_CA_EXAMPLE}"
            "; for a client certificate, an ssl.SSLContext that has loaded it"
        )
    given = str(verify)  # pyright: ignore[reportUnknownArgumentType]
    path = Path(given).expanduser()
    if not given.strip():
        raise ConfigurationError("verify is blank. Fix: leave it out; an unset environment variable is the usual cause")
    if not path.exists():
        switch = given.strip().capitalize()
        fix = f"verify={switch}, without quotes" if switch in ("True", "False") else _CA_EXAMPLE
        raise ConfigurationError(f"verify={given!r}: there is no such file or folder. Fix: {fix}")
    if path.is_dir() and not any(re.fullmatch(r"[0-9a-f]{8}\.\d+", each.name) for each in path.iterdir()):
        raise ConfigurationError(
            f"verify={given!r} is a folder in which OpenSSL finds no CA certificate: it looks for names such as "
            f"5ed36f99.0. Fix: the path of a CA bundle; or openssl rehash {given}"
        )
    return str(path)


def _proxies_problem(proxies: Secret | None, library: str, table: dict[_Target, Secret]) -> str:
    """What is wrong with ``proxies``, else fills ``table``. This frame holds passwords, so it raises nothing."""
    given: Any = None if proxies is None else proxies.reveal()
    if given is None:
        return ""
    if isinstance(given, str):
        problem = _url_problem(given, library)
        table["all", "", None] = Secret(given)
        return problem and f"proxies {problem}"
    if not isinstance(given, Mapping):
        return f"proxies must be a URL or a dict, not {type(given).__name__}. Fix: {_EXAMPLE}"  # pyright: ignore[reportUnknownArgumentType]
    entries: Mapping[Any, Any] = given  # pyright: ignore[reportUnknownVariableType]
    for key, url in entries.items():
        target = _target(key)
        if target is None and isinstance(key, str) and re.fullmatch(r"[A-Za-z_]{1,20}", key):
            return f"proxies[{key!r}] is no scheme of a target. Fix: {_target_fix(key)}"
        if target is None:  # the key is not shown: it may be the proxy's URL, with a password
            return f"proxies has a key that is neither a scheme nor an origin without a path. Fix: {_target_fix(key)}"
        problem = "" if url is None else _url_problem(url, library)
        if problem:
            return f"proxies[{key!r}] {problem}"
        table[target] = DIRECT if url is None else Secret(url)
    return ""


def _target_fix(key: object) -> str:
    """The environment has ``no_proxy``; ``proxies=`` says the same with None."""
    if str(key).lower() in ("no", "no_proxy"):
        return "{'https://token.example.com': None} for a direct connection to that host"
    return _EXAMPLE


def _target(key: object) -> _Target | None:
    """What a key of ``proxies`` stands for: ``https``, ``https://``, ``https://host`` or ``all://host:8443``."""
    scheme, _, rest = key.partition("://") if isinstance(key, str) else ("", "", "")
    if scheme not in ("http", "https", "all"):
        return None
    if not rest:
        return scheme, "", None
    try:
        parts = urlsplit(f"https://{rest}")
        _, host, port = origin_of(f"https://{rest}")
    except ValueError:
        return None
    if "*" in rest or "@" in rest or parts.path not in ("", "/") or parts.query or parts.fragment:
        return None
    return scheme, host, port if parts.port else None


def _url_problem(url: object, library: str) -> str:
    if not isinstance(url, str):
        return f"must be a URL or None, not {type(url).__name__}. Fix: {_EXAMPLE}"
    if not url.strip():
        why = "an unset environment variable is the usual cause"
        return f"is blank. Fix: leave it out, or {{'all': None}} for no proxy; {why}"
    try:
        parts = urlsplit(url)
        good = parts.scheme in _SCHEMES[library] and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        return f"is no URL. Fix: {_EXAMPLE}"
    if not good or not url.isprintable() or " " in url:
        return f"is no URL of a proxy ({', '.join(_SCHEMES[library])}). Fix: {_EXAMPLE}"
    if parts.scheme.startswith("socks") and importlib.util.find_spec(_SOCKS[library]) is None:
        return f"is a SOCKS proxy, and {library} cannot use one yet. Fix: pip install '{library}[socks]'"
    return ""

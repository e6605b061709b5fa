"""What an operator configured, checked; where it comes from (a file, a dictionary, a test) is another's affair."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from ...caches.protocol import TokenCache
from ...errors import ConfigurationError
from ...lifecycle.policy import DEFAULT_POLICY
from ...oauth2.secrets import Secret
from ...shared_cache.opening import checked_cache
from ...shared_cache.sealing import checked_keys
from ..parties import UpstreamConfig, VendorConfig, checked_secret_of

__all__ = ["ProxyConfig", "UpstreamConfig", "VendorConfig"]


class ProxyConfig(NamedTuple):
    """The whole configuration. Times in seconds. :meth:`checked` is called when a proxy is built."""

    upstreams: Mapping[str, UpstreamConfig]
    vendors: Mapping[str, VendorConfig]
    pepper: str | Secret
    """Keys the verifiers (HMAC-SHA-256); 16 bytes or more, the same for all workers and hosts."""
    cache: str | TokenCache = "disk:"
    encryption_keys: tuple[str | bytes | Secret, ...] = ()
    """Seal what leaves the process; the first seals, all open. None: keys from each client's own credential."""
    path: str = "/oauth/token"
    operator_path: str = "/operator"
    metrics_path: str = "/metrics"
    lifetime_cap: float = 86400.0
    """Longer-lived tokens are treated as if they ended after so many seconds."""
    min_validity: float = 60.0
    """A token that is given out is good for at least so long: longer than clients' own margins."""
    max_entries: int = 1000
    """Of how many vendors, audiences and scope sets one process keeps the tokens at hand."""
    max_body: int = 8192
    """Bytes of a request's body."""
    max_upstream_calls: int = 8
    """Token requests of one process that are under way at once, per upstream."""
    trusted_proxies: int = 0
    """How many proxies of one's own stand in front: the client's address is counted from the right."""
    failures_per_minute: int = 20
    """Wrong secrets per client, and three times as many per address; then 429."""
    secret_attempts_per_minute: int = 5
    """Unknown secrets of one vendor that are tried upstream."""
    debug_header: bool = False
    """True shows everybody in ``X-M2M-Cache`` whether an answer was a HIT or a MISS."""
    operator_token: str | Secret | None = None
    """The operator's, for its page and ``/metrics``; None: there are neither."""

    def __repr__(self) -> str:
        return f"<ProxyConfig of {len(self.vendors)} vendors>"

    def checked(self) -> ProxyConfig:
        """The configuration with its defaults filled in and its secrets concealed.

        Raises:
            ConfigurationError: what is wrong with which key, and the fix.
        """
        if not self.upstreams:
            raise ConfigurationError("upstreams is empty. Fix: [upstreams.main] with token_endpoint = 'https://…'")
        upstreams = {name: upstream.checked(name) for name, upstream in self.upstreams.items()}
        vendors = {name: vendor.checked(name, upstreams) for name, vendor in self.vendors.items()}
        for name, least, most in _NUMBERS:
            _number(name, getattr(self, name), least, most)
        if self.min_validity >= self.lifetime_cap:
            raise ConfigurationError(
                f"min_validity={self.min_validity:g} s must be shorter than lifetime_cap={self.lifetime_cap:g} s"
            )
        _check_paths(self.path, self.operator_path, self.metrics_path)
        pepper = checked_secret_of("pepper", self.pepper)
        if pepper is None or len(pepper.reveal_bytes()) < 16:
            raise ConfigurationError(
                "pepper is shorter than 16 bytes. Fix: python -c 'import secrets; print(secrets.token_urlsafe(32))' "
                "> pepper, and pepper = { file = 'pepper' }"
            )
        keys = tuple(key.reveal_bytes() if isinstance(key, Secret) else key for key in self.encryption_keys)
        return self._replace(
            upstreams=upstreams,
            vendors=vendors,
            pepper=pepper,
            cache=checked_cache(self.cache) or "memory:",
            encryption_keys=checked_keys(keys or None),
            operator_token=_checked_operator_token(self.operator_token),
        )


def _checked_operator_token(given: str | Secret | None) -> Secret | None:
    token = checked_secret_of("operator_token", given)
    if token is not None and not re.fullmatch(rb"[!-~]{16,}", token.reveal_bytes()):
        raise ConfigurationError(
            "operator_token must have 16 characters or more, printable ASCII without spaces. "
            "Fix: python -c 'import secrets; print(secrets.token_urlsafe(32))'"
        )
    return token


def _check_paths(path: str, operator_path: str, metrics_path: str) -> None:
    paths = {"path": path, "operator_path": operator_path, "metrics_path": metrics_path}
    for name, each in paths.items():
        if not isinstance(each, str) or not re.fullmatch(r"/[^\x00-\x20%?#\x7f-\U0010ffff]*", each):
            raise ConfigurationError(
                f"{name}={each!r} must begin with a slash, as '/oauth/token' does, and have no spaces, no % ? # and "
                "nothing but ASCII"
            )
        same = [other for other in paths if other != name and paths[other] == each]
        if same:
            raise ConfigurationError(f"{same[0]}={each!r} is {name} as well. Fix: another one")


_NUMBERS = (
    ("lifetime_cap", 1, DEFAULT_POLICY.max_lifetime),
    ("min_validity", 0, DEFAULT_POLICY.max_lifetime),
    ("max_entries", 1, 1_000_000),
    ("max_body", 256, 1_048_576),
    ("max_upstream_calls", 1, 1000),
    ("trusted_proxies", 0, 32),
    ("failures_per_minute", 1, 1_000_000),
    ("secret_attempts_per_minute", 1, 1_000_000),
)
_SECONDS = ("lifetime_cap", "min_validity")


def _number(name: str, value: object, least: float, most: float) -> None:
    kinds, words = ((int, float), "number") if name in _SECONDS else (int, "whole number")
    if isinstance(value, bool) or not isinstance(value, kinds) or not least <= value <= most:
        raise ConfigurationError(f"{name}={value!r} must be a {words} from {least:g} to {most:g}")

"""The issuer's public keys (RFC 7517), held for a while and fetched again at a bounded rate.

A token with an unknown key id comes after the issuer rotated its keys, or from an attacker who makes up key ids. So all
such tokens together cause at most one fetch in ``unknown_every`` seconds.
"""

from __future__ import annotations

import logging
import threading
from typing import Any, NamedTuple, cast
from urllib.parse import urlsplit

from ..errors import ConfigurationError
from ..oauth2.bearer import VerifierUnavailable
from ..oauth2.transport import HttpRequest, Transport
from ..runtime.clock import Clock
from .issuer_requests import IssuerPause, KeyedLocks, NoAnswer, ask
from .option_checks import checked_url

__all__ = ["ALGORITHMS", "IssuerKeys"]

_log = logging.getLogger("m2m_auth.verifier")

ALGORITHMS: dict[str, tuple[str, tuple[str, ...]]] = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), ("RSA", ())),
    "ES256": ("EC", ("P-256",)),
    "ES384": ("EC", ("P-384",)),
    "ES512": ("EC", ("P-521",)),
    "EdDSA": ("OKP", ("Ed25519", "Ed448")),
}
"""The possible algorithms, with the ``kty`` and ``crv`` of their keys (RFC 7518, RFC 8037). None is symmetric: an
attacker could use the public key as its secret."""

_MOST_KEYS = 100
"""The number of keys of one answer that are used."""


class CachedKeys(NamedTuple):
    """The keys of one answer, and the monotonic time when it came."""

    jwks: list[dict[str, Any]]
    since: float
    prepared: dict[tuple[int, str], Any]

    def matching(self, kid: str | None, algorithm: str) -> list[Any]:
        """The public keys for a token's ``kid`` and ``alg``; without a ``kid`` all that fit the algorithm."""
        suited = [at for at, jwk in enumerate(self.jwks) if _suits(jwk, kid, algorithm)]
        return [key for key in (self._prepare(at, algorithm) for at in suited) if key is not None]

    def _prepare(self, at: int, algorithm: str) -> Any:
        """PyJWT's object of the key, made once; None if the key is broken, or too weak for RFC 7518 §3.3."""
        if (at, algorithm) not in self.prepared:
            import jwt

            try:
                key: Any = jwt.PyJWK(self.jwks[at], algorithm).key
            except (jwt.PyJWTError, ValueError, TypeError, KeyError):
                key = None
            weak = ALGORITHMS[algorithm][0] == "RSA" and key is not None and key.key_size < 2048
            self.prepared[at, algorithm] = None if weak else key
        return self.prepared[at, algorithm]


def _suits(jwk: dict[str, Any], kid: str | None, algorithm: str) -> bool:
    kty, curves = ALGORITHMS[algorithm]
    return (
        (kid is None or jwk.get("kid") == kid)
        and jwk.get("kty") == kty
        and (not curves or jwk.get("crv") in curves)
        and jwk.get("alg", algorithm) == algorithm
        and jwk.get("use", "sig") == "sig"
        and "d" not in jwk  # a published private key proves nothing
    )


class IssuerKeys:
    """The keys of one issuer. Thread-safe; one fetch at a time.

    Args:
        issuer: the issuer's identifier. Its metadata are read if ``jwks_uri`` is None.
        jwks_uri: the URL of the keys.
        timeout: seconds that one answer may take.
        lifetime: seconds after which the keys are fetched again, in the background.
        unknown_every: seconds between two fetches that unknown keys cause.
        max_stale: seconds for which keys stay in use while the issuer is down.
    """

    def __init__(
        self,
        issuer: str,
        jwks_uri: str | None,
        transport: Transport,
        clock: Clock,
        *,
        timeout: float,
        lifetime: float,
        unknown_every: float,
        max_stale: float,
    ) -> None:
        self._issuer, self._configured, self._found = issuer, jwks_uri, jwks_uri
        self._transport, self._monotonic, self._wall = transport, clock.monotonic, clock.wall
        self._timeout, self._lifetime, self._max_stale = timeout, lifetime, max_stale
        self._unknown_every, self._unknown_from = unknown_every, 0.0
        self._pause = IssuerPause(clock)
        self._locks = KeyedLocks()
        self._held: CachedKeys | None = None

    def matching(self, kid: str | None, algorithm: str) -> list[Any]:
        """The keys that may have signed such a token; empty if the issuer has none.

        Raises:
            VerifierUnavailable: no keys are held, or the issuer cannot be asked for this one.
        """
        held = self._usable()
        return held.matching(kid, algorithm) or self._newer_than(held).matching(kid, algorithm)

    def _usable(self) -> CachedKeys:
        held, now = self._held, self._monotonic()
        if held is None or now >= held.since + self._max_stale:
            self._renew(held)
            if self._held is held:
                raise self._unavailable()
            return self._usable()
        if now >= held.since + self._lifetime and not self._pause.left(now) and not self._locks.held("keys"):
            self._renew_in_background(held)
        return held

    def _renew_in_background(self, held: CachedKeys) -> None:
        try:
            threading.Thread(target=self._renew, args=(held,), name="m2m-auth-keys", daemon=True).start()
        except RuntimeError:  # the interpreter is shutting down, or the machine is out of threads
            self._renew(held)

    def _renew(self, seen: CachedKeys | None) -> None:
        """Fetches, unless another thread did since ``seen``, or a failure is too recent."""
        with self._locks.hold("keys"):
            if self._held is seen and not self._pause.left(self._monotonic()):
                self._fetch()

    def _newer_than(self, seen: CachedKeys) -> CachedKeys:
        """The issuer's current keys, for a key that is not in ``seen``; fetched again if that is allowed now."""
        with self._locks.hold("keys"):
            now = self._monotonic()
            if self._held is seen and now >= self._unknown_from and not self._pause.left(now):
                self._unknown_from = now + self._unknown_every
                self._fetch()
            if self._held is seen and self._pause.cause:
                raise self._unavailable()
            return self._held or seen

    def _fetch(self) -> None:
        try:
            jwks = self._ask()
        except NoAnswer as error:
            self._found = self._configured  # the URL of the keys may have changed
            self._pause.failed(self._monotonic(), error)
            kept = "the held keys stay in use" if self._held else "none are held, so no token can be verified"
            _log.warning("the keys of %s cannot be fetched (%s); %s", self._issuer, error.cause, kept)
        else:
            self._pause.succeeded()
            self._held = CachedKeys(jwks, self._monotonic(), {})

    def _ask(self) -> list[dict[str, Any]]:
        if self._found is None:
            self._found = self._discover()
        answer = self._get(self._found).get("keys")
        keys = cast("list[object]", answer) if isinstance(answer, list) else []
        jwks = [cast("dict[str, Any]", key) for key in keys if isinstance(key, dict)]
        if not jwks:
            raise NoAnswer("no_keys")
        return jwks[:_MOST_KEYS]

    def _discover(self) -> str:
        """``jwks_uri`` of the issuer's metadata (RFC 8414 §3, else OpenID Connect Discovery §4)."""
        parts = urlsplit(self._issuer)
        path = parts.path.rstrip("/")
        origin = f"{parts.scheme}://{parts.netloc}"
        urls = (
            f"{origin}/.well-known/oauth-authorization-server{path}",
            f"{origin}{path}/.well-known/openid-configuration",
        )
        problem = NoAnswer("no_metadata")
        for url in urls:
            try:
                metadata = self._get(url)
            except NoAnswer as error:
                problem = error
                continue
            # RFC 8414 §3.3: metadata of another issuer would lead to the other issuer's keys.
            if metadata.get("issuer") != self._issuer:
                problem = NoAnswer("metadata_of_another_issuer")
            elif metadata.get("jwks_uri") is not None:
                try:
                    return checked_url("metadata", "jwks_uri", metadata["jwks_uri"])
                except ConfigurationError:
                    problem = NoAnswer("bad_jwks_uri")
        raise problem

    def _get(self, url: str) -> dict[str, Any]:
        request = HttpRequest("GET", url, {"Accept": "application/json"}, b"", self._timeout)
        return ask(self._transport, request, self._wall())

    def _unavailable(self) -> VerifierUnavailable:
        reason = f"the keys of {self._issuer} cannot be fetched ({self._pause.cause})"
        return VerifierUnavailable(reason, retry_after=self._pause.left(self._monotonic()))

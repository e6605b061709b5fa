"""The issuer's public keys (RFC 7517), held for a while and fetched again at a bounded rate.

A token with a key that is not known may mean that the issuer has rotated its keys, or that somebody makes up key
ids: so such tokens, however many, cause one fetch in ``unknown_every`` seconds.
"""

from __future__ import annotations

import logging
import threading
from typing import Any, NamedTuple, cast
from urllib.parse import urlsplit

from ..errors import ConfigurationError
from ..oauth2.transport import HttpRequest, Transport
from ..runtime.clock import Clock
from ..oauth2.bearer_errors import VerifierUnavailable
from .issuer_requests import Backoff, NoAnswer, Turns, ask, checked_url

__all__ = ["ALGORITHMS", "IssuerKeys"]

_log = logging.getLogger("m2m_auth.verifier")

ALGORITHMS: dict[str, tuple[str, tuple[str, ...]]] = {
    **dict.fromkeys(("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"), ("RSA", ())),
    "ES256": ("EC", ("P-256",)),
    "ES384": ("EC", ("P-384",)),
    "ES512": ("EC", ("P-521",)),
    "EdDSA": ("OKP", ("Ed25519", "Ed448")),
}
"""What may be in an allow-list, with its keys' ``kty`` and ``crv`` (RFC 7518, RFC 8037). Nothing symmetric: with a
JWKS, a public key would be taken for the secret."""

_MOST_KEYS = 100


class CachedKeys(NamedTuple):
    """The keys of one answer, and when it came (monotonic seconds)."""

    jwks: list[dict[str, Any]]
    since: float
    prepared: dict[tuple[int, str], Any]

    def matching(self, kid: str | None, algorithm: str) -> list[Any]:
        """The public keys for a token's ``kid`` and ``alg``; without a ``kid``, all that suit the algorithm."""
        suited = [at for at, jwk in enumerate(self.jwks) if _suits(jwk, kid, algorithm)]
        return [key for key in (self._prepare(at, algorithm) for at in suited) if key is not None]

    def _prepare(self, at: int, algorithm: str) -> Any:
        """PyJWT's own key, made once; None for one that is broken, or too weak for RFC 7518 §3.3."""
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
        and "d" not in jwk  # a private key in public is nobody's any more
    )


class IssuerKeys:
    """The keys of one issuer. Thread-safe; one fetch at a time, whoever needs it.

    Args:
        issuer: the issuer's identifier; its metadata are read only without ``jwks_uri``.
        jwks_uri: where the keys are.
        timeout: seconds that one answer may take.
        lifetime: seconds after which the keys are fetched again, in the background.
        unknown_every: seconds between two fetches for tokens whose key is not known.
        max_stale: seconds for which keys are used while the issuer is down.
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
        self._backoff = Backoff(clock)
        self._turns = Turns()
        self._held: CachedKeys | None = None

    def matching(self, kid: str | None, algorithm: str) -> list[Any]:
        """The keys that may have signed such a token; none, if the issuer has none like that.

        Raises:
            VerifierUnavailable: there are no keys, or the issuer cannot be asked about this one.
        """
        held = self._usable()
        return held.matching(kid, algorithm) or self._newer_than(held).matching(kid, algorithm)

    def _usable(self) -> CachedKeys:
        held, now = self._held, self._monotonic()
        if held is None or now >= held.since + self._max_stale:
            self._refresh(held)
            if self._held is held:
                raise self._unavailable()
            return self._usable()
        if now >= held.since + self._lifetime and not self._backoff.left(now) and not self._turns.taken("keys"):
            self._refresh_in_background(held)
        return held

    def _refresh_in_background(self, held: CachedKeys) -> None:
        try:
            threading.Thread(target=self._refresh, args=(held,), name="m2m-auth-keys", daemon=True).start()
        except RuntimeError:  # the interpreter is shutting down, or the machine is out of threads
            self._refresh(held)

    def _refresh(self, seen: CachedKeys | None) -> None:
        """Fetches unless somebody has done so since ``seen``, or a failure is too recent."""
        with self._turns.take("keys"):
            if self._held is seen and not self._backoff.left(self._monotonic()):
                self._fetch()

    def _newer_than(self, seen: CachedKeys) -> CachedKeys:
        """For a key that is not in ``seen``: what the issuer says now, if it may be asked."""
        with self._turns.take("keys"):
            now = self._monotonic()
            if self._held is seen and now >= self._unknown_from and not self._backoff.left(now):
                self._unknown_from = now + self._unknown_every
                self._fetch()
            if self._held is seen and self._backoff.cause:
                raise self._unavailable()
            return self._held or seen

    def _fetch(self) -> None:
        try:
            jwks = self._ask()
        except NoAnswer as error:
            self._found = self._configured  # the issuer may have moved its keys
            self._backoff.failed(self._monotonic(), error)
            kept = "those held go on serving" if self._held else "and none are held: no token can be verified"
            _log.warning("the keys of %s cannot be fetched (%s); %s", self._issuer, error.cause, kept)
        else:
            self._backoff.succeeded()
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
            # RFC 8414 §3.3: metadata of another issuer would be another's keys.
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
        reason = f"the keys of {self._issuer} cannot be fetched ({self._backoff.cause})"
        return VerifierUnavailable(reason, retry_after=self._backoff.left(self._monotonic()))

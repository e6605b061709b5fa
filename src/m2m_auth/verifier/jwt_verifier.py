"""Verifies access tokens that are JWTs (RFC 9068), with PyJWT, against the issuer's keys."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any, cast

from ..errors import ConfigurationError, missing_extra, nearest
from ..http.transports import as_transport
from ..oauth2.bearer import InvalidToken
from ..runtime.clock import SYSTEM_CLOCK, Clock
from .expected_claims import expected_claims, verified_token
from .option_checks import checked_seconds, checked_url
from .signing_keys import ALGORITHMS, IssuerKeys
from .verified_token import VerifiedToken

__all__ = ["JWTVerifier"]

_TYPES = {"at+jwt", "application/at+jwt", "jwt"}
"""The accepted ``typ`` headers. RFC 9068 §4 has the first two; most issuers send the last, or none."""
_LONGEST = 16384
"""The longest token that is read, in characters."""
_NOT_A_JWT = "The token is not a JWT that this API accepts."


class JWTVerifier:
    """Verifies JWTs against the issuer's JWKS. Needs the ``jwt`` extra; thread-safe; no I/O until the first token.

    The keys are fetched once, and again in the background when they are ``keys_lifetime`` old. Tokens with an unknown
    key cause at most one fetch per ``unknown_key_interval``. While the issuer is down, the held keys stay in use.

    Args:
        issuer: the exact value of the token's ``iss``; an https URL.
        audience: the token's ``aud`` must have this value, or one of these. None accepts any audience, so another
            API's token would open yours.
        jwks_uri: the URL of the issuer's keys; None: its metadata name it (RFC 8414, OpenID Connect Discovery).
        algorithms: the accepted signature algorithms; asymmetric ones only (RFC 8725 §3.1).
        leeway: seconds by which the clocks may differ, for ``exp``, ``nbf`` and ``iat``.
        required_claims: claims that the token must have, besides ``iss`` and ``exp`` (and ``aud``, with an audience).
        timeout: seconds that one answer of the issuer may take.
        keys_lifetime: seconds after which keys are fetched again.
        unknown_key_interval: seconds between two fetches that unknown keys cause.
        max_stale: seconds for which keys go on serving while the issuer is down.
        transport: a callable, a requests.Session or an httpx.Client, as for TokenSource.
        clock: the clocks.

    Raises:
        ConfigurationError: an option makes no sense, or PyJWT is missing.
    """

    def __init__(
        self,
        issuer: str,
        audience: str | Iterable[str] | None,
        jwks_uri: str | None = None,
        *,
        algorithms: str | Iterable[str] = tuple(ALGORITHMS),
        leeway: float = 30,
        required_claims: Iterable[str] = (),
        timeout: float = 5,
        keys_lifetime: float = 600,
        unknown_key_interval: float = 30,
        max_stale: float = 86400,
        transport: Any = None,
        clock: Clock | None = None,
    ) -> None:
        who = "JWTVerifier"
        checked_url(who, "issuer", issuer)
        try:
            import jwt
        except ImportError as error:
            raise ConfigurationError(missing_extra(who, error, "jwt")) from None
        self._signatures = jwt.PyJWS()
        self._errors = jwt.PyJWTError
        self._algorithms = _allowed(algorithms)
        needed = ("iss", "exp") if audience is None else ("iss", "exp", "aud")
        self._expected = expected_claims(who, issuer, audience, leeway, required_claims, needed)
        clock = clock or SYSTEM_CLOCK
        self._wall = clock.wall
        self._keys = IssuerKeys(
            issuer,
            None if jwks_uri is None else checked_url(who, "jwks_uri", jwks_uri),
            as_transport(transport),
            clock,
            timeout=checked_seconds(who, "timeout", timeout, 0.1, 60),
            lifetime=checked_seconds(who, "keys_lifetime", keys_lifetime, 1, 86400),
            unknown_every=checked_seconds(who, "unknown_key_interval", unknown_key_interval, 1, 3600),
            max_stale=checked_seconds(who, "max_stale", max_stale, 0, 7 * 86400),
        )

    def __repr__(self) -> str:
        return f"<JWTVerifier of {self._expected.issuer}>"

    def verify(self, token: str) -> VerifiedToken:
        """The facts of a good token.

        Raises:
            InvalidToken: it is not from this issuer for this audience, or has expired (RFC 9068 §4).
            VerifierUnavailable: the issuer's keys cannot be fetched.
        """
        kid, algorithm = self._header(token)
        keys = self._keys.matching(kid, algorithm)
        if not keys:
            raise InvalidToken("The token is signed with a key that the issuer does not have.")
        claims = self._claims(token, keys, algorithm)
        self._expected.check(claims, self._wall())
        return verified_token(claims)

    def _header(self, token: str) -> tuple[str | None, str]:
        """Key id and algorithm. Nothing else in the header is believed: no ``jku``, ``jwk`` or ``x5u``."""
        import jwt

        try:
            header = jwt.get_unverified_header(token) if len(token) <= _LONGEST else {}
        except (self._errors, ValueError, RecursionError):
            header = {}
        algorithm, kid, kind = header.get("alg"), header.get("kid"), header.get("typ", "jwt")
        if not isinstance(algorithm, str) or algorithm not in self._algorithms or "crit" in header:
            raise InvalidToken(_NOT_A_JWT)
        if not isinstance(kind, str) or kind.lower() not in _TYPES:
            raise InvalidToken("The token is a JWT of another kind, not an access token.")  # RFC 8725 §3.11
        return kid, algorithm

    def _claims(self, token: str, keys: list[Any], algorithm: str) -> dict[str, Any]:
        for key in keys:
            try:
                signed = self._signatures.decode_complete(token, key=key, algorithms=[algorithm])
                claims = json.loads(signed["payload"])
            except (self._errors, ValueError, RecursionError):
                continue
            if isinstance(claims, dict):
                return cast("dict[str, Any]", claims)
        raise InvalidToken("The token's signature is not the issuer's.")


def _allowed(algorithms: str | Iterable[str]) -> frozenset[str]:
    """The allow-list, checked. Raises ConfigurationError."""
    allowed = frozenset((algorithms,) if isinstance(algorithms, str) else algorithms)
    for name in allowed:
        if isinstance(name, str) and (name.lower() == "none" or name.upper().startswith("HS")):
            raise ConfigurationError(
                f"JWTVerifier: algorithms has {name!r}: anyone could sign tokens, with the issuer's public key "
                "or with none. Fix: asymmetric ones such as 'RS256' or 'ES256'"
            )
        if name not in ALGORITHMS:
            raise ConfigurationError(
                f"JWTVerifier: algorithms has {name!r}{nearest(str(name), ALGORITHMS)}. Known: {', '.join(ALGORITHMS)}"
            )
    if not allowed:
        raise ConfigurationError("JWTVerifier: algorithms is empty. Fix: name one, or leave it out")
    return allowed

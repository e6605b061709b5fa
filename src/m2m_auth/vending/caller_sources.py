"""The token sources behind a vendor: one for each caller and scope set. A token that is not narrow is refused."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Callable
from typing import Any, cast

from .. import TokenSource
from ..errors import ConfigurationError, TokenRequestRejected
from ..lifecycle.policy import RenewalPolicy
from ..oauth2.tokens import AccessToken
from ..runtime.bounded_map import BoundedMap
from ..runtime.clock import Clock
from .callers import Identified
from .narrowing import Narrowed, Subject

__all__ = ["CallerSources"]


class _CallerSource:
    """One caller's source for one scope set, and its latest token that was checked."""

    __slots__ = ("checked", "source", "subject")

    def __init__(self, source: TokenSource, subject: Subject) -> None:
        self.source, self.subject = source, subject
        self.checked: AccessToken | None = None


class CallerSources:
    """Builds each source once, keeps those used latest, and checks every token before it is vended.

    An evicted source is built again when its caller comes back. It is not closed, because that would close the
    connections of a cache that the other sources use too.

    Args:
        vendor: the vendor's name.
        source_for: the user's function.
        policy: when tokens are replaced.
        lifetime: the longest life of a vended token, in seconds.
        capacity: the number of sources that are kept.
        clock: the clocks.
    """

    def __init__(
        self,
        vendor: str,
        source_for: Callable[[Narrowed], TokenSource],
        policy: RenewalPolicy,
        lifetime: float,
        capacity: int,
        clock: Clock,
    ) -> None:
        self._vendor, self._source_for = vendor, source_for
        self._policy, self._lifetime, self._clock = policy, lifetime, clock
        self._sources: BoundedMap[tuple[str, tuple[str, ...]], _CallerSource] = BoundedMap(capacity)
        self._owners: BoundedMap[bytes, str] = BoundedMap(4 * capacity)
        """The caller of each token, by the token's digest."""

    def __len__(self) -> int:
        return len(self._sources)

    def token(self, caller: Identified, scopes: tuple[str, ...]) -> AccessToken:
        """The caller's token for exactly these scopes, from the cache if there is one.

        Raises:
            TokenUnavailable: there is no token, and why.
            ConfigurationError: the server gave a token that must not be vended, or ``source_for`` a wrong source.
        """
        # Two sources that are built at once share one token, so both threads may build.
        kept = self._sources.get_or_add((caller.name, scopes), lambda: self._built(caller, scopes))
        subject = kept.subject
        if caller.subject_token is not None:
            subject.token = caller.subject_token
        try:
            token = kept.source.token()
        except TokenRequestRejected:
            if not subject.exchanged or caller.subject_token in (None, subject.sent):
                raise
            # The server refused an earlier subject token. The caller has another one now, so the pause does not apply.
            token = kept.source.renew()
        if token is not kept.checked:
            _check_scopes(token, scopes)
            _check_life(token, self._lifetime)
            self._check_owner(token, caller)
            kept.checked = token
        return token

    def close(self) -> None:
        """Closes every source that is kept."""
        kept = self._sources.values()
        self._sources.clear()
        for each in kept:
            each.source.close()

    def _built(self, caller: Identified, scopes: tuple[str, ...]) -> _CallerSource:
        subject = Subject(self._vendor, caller.name)
        narrowed = Narrowed(caller=caller.name, scopes=scopes, policy=self._policy, clock=self._clock, subject=subject)
        source = self._source_for(narrowed)
        if source is None or source is not subject.source:
            # Another source could have one token for all callers, more scopes, or another renewal policy.
            raise ConfigurationError(
                f"TokenVendor: source_for returned a {type(source).__name__} that is not this caller's. "
                "Fix: return narrowed.source(…), called again each time"
            )
        return _CallerSource(source, subject)

    def _check_owner(self, token: AccessToken, caller: Identified) -> None:
        digest = hashlib.sha256(token.value.encode()).digest()
        if self._owners.get_or_add(digest, lambda: caller.name) != caller.name:
            raise ConfigurationError(
                "Two callers were about to get the same token: the server answers several requests of this client with "
                "one token. Fix: configure it to issue a new token each time"
            )


def _check_scopes(token: AccessToken, scopes: tuple[str, ...]) -> None:
    """Raises ConfigurationError if the token has more scopes than were asked for.

    An answer without ``scope`` grants what was asked (RFC 6749 §5.1), but a JWT may say otherwise. Fewer scopes are
    fine: the answer to the caller names them.
    """
    inside = _scopes_inside(_claims(token.value))
    for where, granted in (("the answer's scope", (token.scope or "").split()), ("the token's own scope", inside)):
        more = set(granted) - set(scopes)
        if more:
            raise ConfigurationError(
                f"The server does not narrow: asked for {' '.join(scopes)!r}, {where} also has "
                f"{' '.join(sorted(more))!r}. No such token is vended. Fix: have the server honour the scope "
                "parameter for this client, or register a client that has no other scopes"
            )


def _check_life(token: AccessToken, lifetime: float) -> None:
    """Raises ConfigurationError if the token lives longer than ``lifetime`` seconds.

    APIs check a JWT's own ``exp``, which may be later than ``expires_in`` says.
    """
    claims = _claims(token.value)
    issued, expires = claims.get("iat", token.issued_at), claims.get("exp")
    life = token.expires_at - token.issued_at
    if isinstance(issued, (int, float)) and isinstance(expires, (int, float)):
        life = max(life, expires - issued)
    if life > lifetime + 1:
        raise ConfigurationError(
            f"The server gives tokens that live {life:.0f} s, or does not say how long they live (expires_in), and a "
            f"vended one may live {lifetime:.0f} s. "
            "Fix: shorten the access tokens of this client at the server, or allow TokenVendor(lifetime=…)"
        )


def _claims(value: str) -> dict[str, Any]:
    """The claims of a token that is a JWT, whatever its header looks like; empty for any other token. Not verified."""
    parts = value.split(".")
    if len(parts) != 3:
        return {}
    try:
        claims: Any = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", claims) if isinstance(claims, dict) else {}


def _scopes_inside(claims: dict[str, Any]) -> list[str]:
    """The scopes in ``scope`` (RFC 9068 §2.2.3) and in ``scp``: an API reads one or the other."""
    found: list[str] = []
    for claim in (claims.get("scope"), claims.get("scp")):
        each = cast("list[object]", claim) if isinstance(claim, list) else [claim]
        found += [name for text in each if isinstance(text, str) for name in text.split()]
    return found

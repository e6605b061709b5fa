"""The sources behind a vendor, one for each caller and scope set."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, cast

from ..errors import ConfigurationError, TokenRequestRejected
from ..lifecycle.policy import RenewalPolicy
from ..oauth2.tokens import AccessToken
from ..runtime.clock import Clock
from ..runtime.fork_safety import on_fork
from ..source.token_source import TokenSource
from .callers import Identified
from .narrowing import Narrowed, Subject

__all__ = ["Sources"]


class _Entry:
    """One caller's source for one scope set, and the latest token of it that was found narrow."""

    __slots__ = ("narrow", "source", "subject")

    def __init__(self, source: TokenSource, subject: Subject) -> None:
        self.source, self.subject = source, subject
        self.narrow: AccessToken | None = None


class Sources:
    """Builds each source once, keeps the latest ``most``, and lets no token through that is not narrow.

    Args:
        vendor: the vendor's name.
        source_for: the user's function.
        policy: when tokens are replaced.
        lifetime: the longest life of a vended token, in seconds.
        most: how many sources are kept. One that is evicted is built anew when its caller comes back.
        clock: the clock.
    """

    def __init__(
        self,
        vendor: str,
        source_for: Callable[[Narrowed], TokenSource],
        policy: RenewalPolicy,
        lifetime: float,
        most: int,
        clock: Clock,
    ) -> None:
        self._vendor, self._source_for = vendor, source_for
        self._policy, self._lifetime, self._most, self._clock = policy, lifetime, most, clock
        self._entries: OrderedDict[tuple[str, tuple[str, ...]], _Entry] = OrderedDict()
        self._owners: OrderedDict[bytes, str] = OrderedDict()
        """Whose each token is, by its digest."""
        self._lock = threading.Lock()
        on_fork(self)

    def after_fork(self) -> None:
        """In a forked child the lock may never be released."""
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def token(self, caller: Identified, scopes: tuple[str, ...]) -> AccessToken:
        """The caller's token for exactly these scopes, from the cache if there is one.

        Raises:
            TokenUnavailable: there is none, and why.
            ConfigurationError: the server gave a token that must not be vended, or ``source_for`` no such source.
        """
        entry = self._entry(caller, scopes)
        subject = entry.subject
        if caller.subject_token is not None:
            subject.token = caller.subject_token
        try:
            token = entry.source.token()
        except TokenRequestRejected:
            if not subject.exchanged or caller.subject_token in (None, subject.sent):
                raise
            # It was an earlier token of this caller's that was refused, so the pause that it caused says nothing now.
            token = entry.source.renew()
        if token is not entry.narrow:
            _check_scopes(token, scopes)
            _check_life(token, self._lifetime)
            self._check_owner(token, caller)
            entry.narrow = token
        return token

    def close(self) -> None:
        """Closes every source that is kept."""
        with self._lock:
            entries = list(self._entries.values())
            self._entries.clear()
        for entry in entries:
            entry.source.close()

    def _entry(self, caller: Identified, scopes: tuple[str, ...]) -> _Entry:
        key = caller.name, scopes
        with self._lock:
            entry = self._entries.get(key)
            if entry is not None:
                self._entries.move_to_end(key)
                return entry
        subject = Subject(self._vendor, caller.name)
        # Outside of the lock, since it is the user's code; two that are built at once share one token all the same.
        source = self._source_for(Narrowed(caller.name, scopes, self._policy, self._clock, subject))
        if source is None or source is not subject.source:
            # Any other source could be one for all callers, or for more scopes, or renew its tokens at other times.
            raise ConfigurationError(
                f"TokenVendor: source_for returned a {type(source).__name__} that is not this caller's. "
                "Fix: return narrowed.source(…), called anew each time"
            )
        with self._lock:
            entry = self._entries.setdefault(key, _Entry(source, subject))
            # The evicted source is not closed: that would close the cache's connections, which the others use, too.
            while len(self._entries) > self._most:
                self._entries.popitem(last=False)
        return entry

    def _check_owner(self, token: AccessToken, caller: Identified) -> None:
        digest = hashlib.sha256(token.value.encode()).digest()
        with self._lock:
            owner = self._owners.setdefault(digest, caller.name)
            while len(self._owners) > 4 * self._most:
                self._owners.popitem(last=False)
        if owner != caller.name:
            raise ConfigurationError(
                "Two callers were about to get the same token: the server answers each request of this client with "
                "one that it has issued before. Fix: have it issue a new one each time"
            )


def _check_scopes(token: AccessToken, scopes: tuple[str, ...]) -> None:
    """Raises ConfigurationError for a token that may do more than was asked for.

    An answer without ``scope`` means what was asked (RFC 6749 §5.1), unless a JWT says otherwise. Less is fine: the
    caller is told.
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
    """Raises ConfigurationError for a token that lives longer than ``lifetime`` seconds.

    ``expires_in`` may say less than a JWT's own ``exp``, which is what an API goes by.
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
    """The claims of a token that is a JWT; of any other token, none. Its signature is the API's to check."""
    parts = value.split(".")
    if len(parts) != 3:
        return {}
    try:
        claims: Any = json.loads(base64.urlsafe_b64decode(parts[1] + "=" * (-len(parts[1]) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        return {}
    return cast("dict[str, Any]", claims) if isinstance(claims, dict) else {}


def _scopes_inside(claims: dict[str, Any]) -> list[str]:
    """The scopes in ``scope`` (RFC 9068 §2.2.3) and ``scp``; an API reads one or the other, and either may say more."""
    found: list[str] = []
    for claim in (claims.get("scope"), claims.get("scp")):
        each = cast("list[object]", claim) if isinstance(claim, list) else [claim]
        found += [name for text in each if isinstance(text, str) for name in text.split()]
    return found

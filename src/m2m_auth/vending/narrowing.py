"""One caller's token source: it has a cache key of its own, few scopes and a short-lived token."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from .. import TokenSource
from ..errors import ConfigurationError
from ..lifecycle.policy import RenewalPolicy
from ..oauth2.client_authentication.protocol import ClientAuthentication, RequestCredentials
from ..oauth2.client_authentication.registry import by_name
from ..oauth2.secrets import Secret, SecretSource, checked_secret, concealed
from ..values import Value

if TYPE_CHECKING:
    from ..runtime.clock import Clock

__all__ = ["Narrowed", "Subject", "TokenExchange", "caller_key", "schedule_for"]

MAX_WAIT = 5.0
"""The longest time that a request waits for a mint, in seconds. The mint goes on, and the next request finds its token.
A waiting request occupies a thread of the application, and a slow authorization server must not occupy all."""
ACCESS_TOKEN = "urn:ietf:params:oauth:token-type:access_token"  # noqa: S105 - RFC 8693 §3's name, no password


class TokenExchange(Value):
    """The token-exchange grant (RFC 8693): exchanges the caller's own token for a narrower one of the same caller.

    The subject token is fetched for each mint and is not part of the cache key. So a caller keeps the vended token when
    its own token is renewed.
    """

    subject_token: Callable[[str], str] | None = None
    """Fetches the subject token of the caller with this name. None: the latest ``Caller.subject_token`` of ``caller=``;
    :func:`by_bearer_token` fills it."""
    subject_token_type: str = ACCESS_TOKEN
    """The type of the subject token (RFC 8693 §3)."""
    requested_token_type: str = ACCESS_TOKEN
    """The type of the token to ask for."""


def caller_key(vendor: str, name: str) -> str:
    """A key that no other caller of any vendor has. It is ASCII, whatever the names are."""
    return json.dumps([vendor, name])


class Subject:
    """One caller of one vendor: the latest token that it sent, and the source that was built for it."""

    __slots__ = ("exchanged", "key", "name", "sent", "source", "token")

    def __init__(self, vendor: str, name: str) -> None:
        self.name = name
        self.key = caller_key(vendor, name)
        self.token: Secret | None = None
        self.exchanged = False
        """True if that token is the one that is exchanged."""
        self.sent: Secret | None = None
        """The token that was exchanged last."""
        self.source: TokenSource | None = None

    def __repr__(self) -> str:
        return "<Subject>"


class _ExchangeGrant:
    """The parameters of a token exchange that stay the same."""

    grant_type = "urn:ietf:params:oauth:grant-type:token-exchange"
    encoding = "form"

    def __init__(self, exchange: TokenExchange) -> None:
        self._exchange = exchange

    def parameters(self) -> tuple[tuple[str, str], ...]:
        """The two types. The subject token changes, so it is added when the request is sent."""
        exchange = self._exchange
        return (
            ("subject_token_type", exchange.subject_token_type),
            ("requested_token_type", exchange.requested_token_type),
        )


class _ForCaller:
    """A client authentication for one caller: its tokens have a cache key and a sealing key of their own.

    Without it, the sources of two callers with equal scopes would be equal, and would share one token.
    """

    def __init__(self, inner: ClientAuthentication, subject: Subject, exchange: TokenExchange | None) -> None:
        self._inner, self._subject, self._exchange = inner, subject, exchange
        self.method = f"{inner.method}:vended"

    def credential(self, client_secret: Secret | None) -> bytes:
        """The client's own credential, bound to the caller."""
        text = b"m2m-auth vended to " + self._subject.key.encode()
        return hmac.new(self._inner.credential(client_secret), text, hashlib.sha256).digest()

    def authenticate(
        self, client_id: str, client_secret: Secret | None, token_endpoint: str, now: float
    ) -> RequestCredentials:
        """The client's own credentials; in a token exchange also the subject token, which is as secret."""
        headers, parameters = self._inner.authenticate(client_id, client_secret, token_endpoint, now)
        if self._exchange is not None:
            parameters = (*parameters, ("subject_token", self._subject_token(self._exchange).reveal()))
        return RequestCredentials(headers, parameters)

    def _subject_token(self, exchange: TokenExchange) -> Secret:
        if exchange.subject_token is not None:
            fetched = exchange.subject_token(self._subject.name)
            return checked_secret("the result of TokenExchange.subject_token", fetched)
        if self._subject.token is None:
            raise ConfigurationError(
                "TokenExchange has no subject token. Fix: caller=by_bearer_token(…), or a caller function that returns "
                "Caller(name, token), or TokenExchange(subject_token=…)"
            )
        self._subject.sent = self._subject.token
        return self._subject.sent


class Narrowed(Value):
    """The argument of ``source_for``: the caller, the scopes, and when the token is replaced."""

    caller: str
    """The caller's name."""
    scopes: tuple[str, ...]
    """The scopes of the token; it gets no others."""
    policy: RenewalPolicy
    """Replaces a token ``leeway`` before its end."""
    clock: Clock
    """The vendor's clock."""
    subject: Subject
    """The caller's part in a token exchange."""

    def __repr__(self) -> str:
        return f"<Narrowed {' '.join(self.scopes)}>"

    def source(
        self,
        token_endpoint: str,
        client_id: str,
        client_secret: str | SecretSource | None = None,
        *,
        exchange: TokenExchange | None = None,
        client_authentication: str | ClientAuthentication = "client_secret_basic",
        **options: Any,
    ) -> TokenSource:
        """The source of this caller's token. No other caller has its key, in this process or in a shared cache.

        Args:
            token_endpoint: the token endpoint's URL.
            client_id: the client identifier.
            client_secret: the client secret, or a callable that fetches it.
            exchange: exchanges the caller's own token (RFC 8693); None: client credentials with fewer scopes.
            client_authentication: as in :class:`~m2m_auth.TokenSource`.
            **options: further arguments of :class:`~m2m_auth.TokenSource`, e.g. ``audience``, ``cache``, ``budget``.

        Raises:
            ConfigurationError: an option makes no sense, or the vendor sets it.
        """
        client_secret = concealed(client_secret)
        for name in ("scope", "policy", "clock"):
            if name in options:
                raise ConfigurationError(f"narrowed.source(): the TokenVendor sets {name}=. Fix: leave it out")
        if exchange is not None:
            if "grant" in options:
                raise ConfigurationError("narrowed.source(): pass grant= or exchange=, not both")
            options["grant"] = _ExchangeGrant(exchange)
            self.subject.exchanged = exchange.subject_token is None
        self.subject.source = TokenSource(
            token_endpoint,
            client_id,
            client_secret,
            client_authentication=_ForCaller(by_name(client_authentication), self.subject, exchange),
            scope=self.scopes,
            policy=self.policy,
            clock=self.clock,
            **options,
        )
        return self.subject.source


def schedule_for(lifetime: float, leeway: float) -> RenewalPolicy:
    """Keeps a token that lives ``lifetime`` seconds until ``leeway`` before its end; a shorter one in proportion.

    The window for renewals in the background is only a moment long, so a token is not renewed before it is due. From
    then on a call waits for the new token. While the server is down, it gets the old one as long as that is good.
    """
    share, moment = leeway / lifetime, 1.001
    return RenewalPolicy(
        window=share * moment,
        window_cap=leeway * moment,
        margin=share,
        margin_cap=leeway,
        jitter=0.0,
        max_wait=MAX_WAIT,
        default_lifetime=2 * lifetime,  # a token of unknown life counts as one that lives too long, and is refused
    )

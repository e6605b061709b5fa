"""The token source: hands out the held token; flights renew it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, NoReturn

from ..oauth2.secrets import concealed
from ..runtime.fork_safety import delaying_forks
from .options import refuse_unknown

if TYPE_CHECKING:
    from os import PathLike
    from ssl import SSLContext

    from typing_extensions import Never, Self

    from ..caches.protocol import TokenCache
    from ..events import Subscriber
    from ..lifecycle.mint_budget import MintBudget
    from ..lifecycle.policy import RenewalPolicy
    from ..oauth2.answer_rules import AnswerRules
    from ..oauth2.client_authentication.protocol import ClientAuthentication
    from ..oauth2.grants import Grant
    from ..oauth2.secrets import SecretSource
    from ..oauth2.tokens import AccessToken
    from ..runtime.clock import Clock
    from .engine import Engine
    from .status import SourceStatus
    from .watcher import TokenWatcher

__all__ = ["TokenSource", "engine_of"]


class TokenSource:
    """A source of access tokens for one client and one audience: one mint per token lifetime for the whole fleet.

    Build it once, or for every request: sources with equal parameters share one token per process. Any number of
    threads, tasks and event loops may use it. It does no I/O until a token is asked for. It is also a
    ``Callable[[], str]``, and a context manager that closes its cache.

    Args:
        token_endpoint: the token endpoint's URL (RFC 6749 §3.2); https, except on loopback.
        client_id: the client identifier (RFC 6749 §2.2).
        client_secret: the client secret, or a callable that fetches it (a secret manager). The callable is
            called again when the server refuses the credentials.
        audience: the ``audience`` parameter, as Auth0 and others have it.
        scope: the scopes (RFC 6749 §3.3), as a string separated by spaces or a list.
        resource: the ``resource`` parameter (RFC 8707), one URI or several.
        extra_parameters: further parameters of the token request.
        client_authentication: how the client proves who it is (RFC 6749 §2.3): ``client_secret_basic``,
            ``client_secret_post``, or an object such as :class:`~m2m_auth.PrivateKeyJWT`.
        grant: the grant; client credentials (RFC 6749 §4.4) by default.
        answers: how this server's answers differ from RFC 6749 §5.1: :class:`~m2m_auth.AnswerRules`.
        cache: None (this process's memory), a URL such as ``disk:``, a :class:`~m2m_auth.caches.TokenCache`, or
            a native client such as a ``redis.Redis``.
        encryption_keys: keys (16 bytes or more) for what leaves the process; the first seals, all open. By
            default the key is derived from the client's own credential.
        policy: when tokens are renewed, and how long a call waits.
        budget: how many tokens this client may mint; None: no limit.
        transport: how the token endpoint is reached: a ``requests.Session``, an ``httpx.Client``, or a callable
            from :class:`~m2m_auth.HttpRequest` to :class:`~m2m_auth.HttpResponse`. By default a private session of an
            HTTP library that is loaded, else of one that is installed.
        verify: which CAs the private session trusts: the path of a CA bundle (PEM) or an ``ssl.SSLContext``; None or
            True: the library's own; False: the server is not verified, which is said once in the log. With
            ``transport`` it is an error: the session has its own.
        proxies: the proxy of the private session: a URL such as ``http://proxy:3128``, or a dict as requests has it,
            ``{"https": "http://proxy:3128"}``; a value of None: no proxy. None: the environment, e.g. HTTPS_PROXY.
        clock: the clocks; for tests.
        on_event: called with every :class:`~m2m_auth.Event`, on the thread where it happens.
        alias: this source's short name in events and the log, e.g. ``billing``; the client id stands beside it.
        allow_insecure_http: True sends the client's secret over plain http to a token endpoint on another machine, too:
            for a trusted network, such as ``http://keycloak:8080`` in compose. The log says so once.

    Raises:
        ConfigurationError: an option makes no sense; raised before any I/O.
        TypeError: there is no such option; the message names the nearest one.
    """

    __slots__ = ("__weakref__", "_engine")

    def __init__(
        self,
        token_endpoint: str,
        client_id: str,
        client_secret: str | SecretSource | None = None,
        *,
        audience: str | None = None,
        scope: str | Iterable[str] | None = None,
        resource: str | Sequence[str] | None = None,
        extra_parameters: Mapping[str, str] | None = None,
        client_authentication: str | ClientAuthentication = "client_secret_basic",
        grant: Grant | None = None,
        answers: AnswerRules | None = None,
        cache: str | TokenCache | None = None,
        encryption_keys: Sequence[str | bytes] | None = None,
        policy: RenewalPolicy | None = None,
        budget: MintBudget | None = None,
        transport: Any = None,
        verify: bool | str | PathLike[str] | SSLContext | None = None,
        proxies: str | Mapping[str, str | None] | None = None,
        clock: Clock | None = None,
        on_event: Subscriber | None = None,
        alias: str | None = None,
        allow_insecure_http: bool = False,
        **unknown: Never,
    ) -> None:
        client_secret, encryption_keys = concealed(client_secret), concealed(encryption_keys)
        proxies = concealed(proxies)  # their URLs may hold a password
        refuse_unknown(unknown, TokenSource.__init__)
        # The engine, the HTTP library and the cache's client are imported with the first source that needs them: with
        # the package, every program would pay for them. A fork during an import would leave the child without it.
        with delaying_forks():
            from .construction import construct_engine

            self._engine = construct_engine(
                token_endpoint,
                client_id,
                client_secret,
                audience=audience,
                scope=scope,
                resource=resource,
                extra_parameters=extra_parameters,
                client_authentication=client_authentication,
                grant=grant,
                answers=answers,
                cache=cache,
                encryption_keys=encryption_keys,
                policy=policy,
                budget=budget,
                transport=transport,
                verify=verify,
                proxies=proxies,
                clock=clock,
                on_event=on_event,
                alias=alias,
                allow_insecure_http=allow_insecure_http,
            )

    # a token

    def token(self) -> AccessToken:
        """A token that is good now. Blocks only where none is held, ``policy.max_wait`` seconds at most.

        Raises:
            TokenUnavailable: there is none, and why; the error is new for each caller.
        """
        engine = self._engine
        held = engine.state.held
        # Each read of a clock goes through an attribute of ``time``, so that freezegun and time-machine work.
        if (
            held is not None
            and engine.on_system_clock
            and time.monotonic() < held.fresh_until
            and time.time() < held.fresh_until_wall
        ):
            return held.token
        return engine.token()

    async def atoken(self) -> AccessToken:
        """The same for asyncio and trio: never blocks the event loop. A cancelled caller does not stop the flight.

        Raises:
            TokenUnavailable: there is none, and why.
        """
        engine = self._engine
        held = engine.state.held
        if (
            held is not None
            and engine.on_system_clock
            and time.monotonic() < held.fresh_until
            and time.time() < held.fresh_until_wall
        ):
            return held.token
        return await engine.atoken()

    def __call__(self) -> str:
        """The token's value: a source is a ``Callable[[], str]``, as many SDKs take one.

        Raises:
            TokenUnavailable: there is none, and why.
        """
        return self.token().value

    @property
    def async_callable(self) -> Callable[[], Awaitable[str]]:
        """The same for SDKs that take a ``Callable[[], Awaitable[str]]``."""
        return self._value

    async def _value(self) -> str:
        return (await self.atoken()).value

    # a forced mint, and a token that an API refused

    def renew(self) -> AccessToken:
        """Mints a new token now, e.g. after the client's rights have changed. Single flight still applies.

        While the shared cache cannot give a lease, tokens are minted at least 10 s apart (or a tenth of their life, if
        that is longer); until then this returns the held one.

        Raises:
            TokenUnavailable: the attempt failed; a held token is kept.
        """
        return self._engine.renew()

    async def arenew(self) -> AccessToken:
        """The same for asyncio and trio: never blocks the event loop.

        Raises:
            TokenUnavailable: the attempt failed; a held token is kept.
        """
        return await self._engine.arenew()

    def reject(self, token: AccessToken) -> None:
        """Reports that a resource server refused this token with a 401 (RFC 6750 §3.1); only this one is dropped.

        The next call mints another. If that one is refused too, no mint is forced for 60 s, doubling to 4 h: an API
        that refuses every token must not use up the quota. Front doors call this themselves.
        """
        self._engine.reject(token)

    # renewed by a timer

    def watch(self) -> TokenWatcher:
        """Renews the token by timer from now on, even while no call is made; a context manager.

        ``with source.watch() as watcher: watcher.wait_until_ready(10)`` starts a long-running service warm.
        """
        from .watcher import TokenWatcher

        return TokenWatcher(self._engine)

    # what it knows

    def status(self) -> SourceStatus:
        """What this process knows now, and the ledger, which is read from the shared cache."""
        return self._engine.status()

    async def astatus(self) -> SourceStatus:
        """The same for asyncio and trio: never blocks the event loop."""
        return await self._engine.astatus()

    def close(self) -> None:
        """Closes the cache's connections. They open again if the source is used again."""
        if self._engine.cache is not None:
            self._engine.cache.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        engine = getattr(self, "_engine", None)  # not there yet in the traceback of a ConfigurationError
        if engine is None:
            return "<TokenSource>"
        request = engine.context.request
        return f"<TokenSource {request.client_id!r} at {request.token_endpoint}>"

    def __copy__(self) -> Self:
        """The source itself: a copy would share its token anyway."""
        return self

    def __deepcopy__(self, memo: object) -> Self:
        """The source itself, so that objects that hold one can be deep-copied, such as a session or settings."""
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a TokenSource is not pickled: build it where it is used; equal sources share one token")


def engine_of(source: TokenSource) -> Engine:
    """The engine behind a source: for front doors and tools. It is not public."""
    return source._engine  # pyright: ignore[reportPrivateUsage]

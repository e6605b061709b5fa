"""The base of every front door's ``M2MAuth``: its options, and the token source behind it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, NoReturn

from ..oauth2.secrets import concealed
from ..oauth2.token_header import AUTHORIZATION
from ..source.options import refuse_unknown
from ..source.token_source import TokenSource, engine_of
from .auth_flow import AuthFlow
from .transports import as_transport

if TYPE_CHECKING:
    from os import PathLike
    from ssl import SSLContext

    from typing_extensions import Never, Self

    from ..caches.protocol import TokenCache
    from ..events import Subscriber
    from ..lifecycle.mint_budget import MintBudget
    from ..lifecycle.policy import RenewalPolicy
    from ..oauth2.answer_rules import AnswerRules
    from ..oauth2.challenges import RejectionRule
    from ..oauth2.client_authentication.protocol import ClientAuthentication
    from ..oauth2.grants import Grant
    from ..oauth2.secrets import SecretSource
    from ..runtime.clock import Clock

__all__ = ["FrontDoor"]


class FrontDoor:
    """Attaches a bearer token to every request, and once replaces a token that the API refused."""

    _library: ClassVar[Any]
    """The :class:`~m2m_auth.http.http_library.HttpLibrary` of this front door."""

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
        allowed_origins: Iterable[str] | None = None,
        allow_insecure_http: bool = False,
        is_rejection: RejectionRule | None = None,
        header: str = AUTHORIZATION,
        scheme: str | None = "Bearer",
        **unknown: Never,
    ) -> None:
        """The options of :class:`~m2m_auth.TokenSource`, and those that say where and how the token goes to the API.

        Args:
            token_endpoint: the token endpoint's URL; https, except on loopback.
            client_id: the client identifier (RFC 6749 §2.2).
            client_secret: the client secret, or a callable that fetches it, e.g. from a secret manager.
            audience: the ``audience`` parameter of the token request.
            scope: the scopes, as a string separated by spaces or as a list.
            resource: the ``resource`` parameter (RFC 8707), one URI or several.
            extra_parameters: further parameters of the token request.
            client_authentication: ``client_secret_basic``, ``client_secret_post``, or an object such as
                :class:`~m2m_auth.PrivateKeyJWT`.
            grant: the grant; client credentials by default.
            answers: how the token endpoint's answers differ from RFC 6749 §5.1: :class:`~m2m_auth.AnswerRules`.
            cache: None (this process's memory), a URL such as ``disk:``, or a :class:`~m2m_auth.caches.TokenCache`.
            encryption_keys: keys (16 bytes or more) for what leaves the process; the first seals, all open. By
                default the key is derived from the client's own credential.
            policy: when tokens are renewed, and how long a call waits.
            budget: how many tokens this client may mint; None: no limit.
            transport: how the token endpoint is reached: a ``requests.Session``, an ``httpx.Client``, or a callable;
                by default a private client of this front door's library.
            verify: which CAs the private client trusts: the path of a CA bundle (PEM) or an ``ssl.SSLContext``; None
                or True: the library's own; False: the server is not verified, which is said once in the log.
            proxies: the proxy of the private client: a URL, or a dict as requests has it; None: the environment.
            clock: the clocks; for tests.
            on_event: called with every :class:`~m2m_auth.events.Event`, on the thread where it happens.
            alias: this source's short name in events and the log, e.g. ``billing``.
            allowed_origins: the only origins (scheme, host, port) that may get the token; None allows any https one.
                ``https://*.example.com`` is every subdomain, without ``example.com`` itself.
            allow_insecure_http: True sends the token over plain http to other machines, too, and the client's secret
                to such a token endpoint: for a trusted network, as in compose.
            is_rejection: decides whether a response refuses the token: a function of status and headers, or of
                status, headers and body. By default every 401 does, unless its challenge is Bearer with the error
                ``insufficient_scope`` or ``invalid_request`` (RFC 6750 §3.1). The body is the first MiB as bytes; the
                caller can still read all of it. It is ``b""`` for ``text/event-stream``, and with ``stream=True`` in
                requests for a body without a Content-Length or a longer one. What the function raises reaches the
                caller.
            header: the header that carries the token, e.g. ``X-Api-Token``; the user's own Authorization is left alone.
            scheme: the word before the token, e.g. ``Token``; ``""`` or None for the token alone.
            **unknown: there are no others.

        Raises:
            TypeError: an option does not exist; the message names the nearest one.
            ConfigurationError: an option makes no sense; raised before any I/O.
            OriginNotAllowed, InsecureTransport: (on a call) the token may not go there; nothing was sent.
            TokenUnavailable: (on a call) there is no token, so nothing was sent. All three are also the HTTP library's
                base error.
        """
        client_secret, encryption_keys = concealed(client_secret), concealed(encryption_keys)
        proxies = concealed(proxies)  # their URLs may hold a password
        refuse_unknown(unknown, FrontDoor.__init__)
        source = TokenSource(
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
            transport=as_transport(transport, self._library.name, verify=verify, proxies=proxies),
            clock=clock,
            on_event=on_event,
            alias=alias,
            allow_insecure_http=allow_insecure_http,
        )
        flow = AuthFlow(
            source, self._library, allowed_origins, allow_insecure_http, is_rejection, header=header, scheme=scheme
        )
        self._open(source, flow)

    @classmethod
    def from_source(
        cls,
        source: TokenSource,
        *,
        allowed_origins: Iterable[str] | None = None,
        allow_insecure_http: bool = False,
        is_rejection: RejectionRule | None = None,
        header: str = AUTHORIZATION,
        scheme: str | None = "Bearer",
        **unknown: Never,
    ) -> Self:
        """The same over a source that exists already, e.g. one that another HTTP library uses too.

        ``allow_insecure_http`` is about the API here; the source has its own for the token endpoint.

        Raises:
            ConfigurationError: an option makes no sense.
            TypeError: there is no such option, or it is one of the source.
        """
        refuse_unknown(unknown, FrontDoor.from_source, of_the_source=FrontDoor.__init__)
        auth = cls.__new__(cls)
        flow = AuthFlow(
            source, cls._library, allowed_origins, allow_insecure_http, is_rejection, header=header, scheme=scheme
        )
        auth._open(source, flow)
        return auth

    def _open(self, source: TokenSource, flow: AuthFlow) -> None:
        self.source = source
        """The token source behind it; share it between front doors."""
        self._engine = engine_of(source)
        self._flow = flow

    def __repr__(self) -> str:
        return f"<M2MAuth of {getattr(self, 'source', None)!r}>"

    def __copy__(self) -> Self:
        return self  # a copied session shares its token

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("an M2MAuth is not pickled: build it where it is used; equal ones share one token")

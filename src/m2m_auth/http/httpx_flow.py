"""The authentication flow that the httpx and httpx2 plugins share; it knows neither library by name."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator, Callable, Generator, Iterable
from functools import partial
from time import monotonic
from typing import TYPE_CHECKING, Any, NoReturn

from ..errors import TokenUnavailable, also_a
from ..oauth2.challenges import RejectionRule, bearer_rejection
from ..oauth2.origins import Origin, OriginPolicy, same_origin
from ..oauth2.secrets import SecretSource, concealed
from ..oauth2.tokens import AccessToken
from ..runtime.observers import observers
from ..source.options import SourceOptions
from ..source.token_source import TokenSource, engine_of
from .calls import tell_call
from .httpx_transport import transport_over

if TYPE_CHECKING:
    from typing_extensions import Self, Unpack

__all__ = ["HttpxFlow"]


class HttpxFlow:
    """Attaches a bearer token to every request, and once replaces a token that the API refused.

    Takes the arguments of :class:`~m2m_auth.TokenSource`, and:

    Args:
        allowed_origins: the only origins (scheme, host, port) that may get the token; None allows any https one.
        allow_insecure_http: True sends the token over plain http to other machines, too.
        is_rejection: decides from status and headers whether a response means that the token is out; by
            default a 401 whose challenge is Bearer with no error or ``invalid_token`` (RFC 6750 §3.1).

    Raises:
        ConfigurationError: an option makes no sense; raised before any I/O.
        OriginNotAllowed, InsecureTransport: (on a call) the token may not go there; nothing was sent.
        TokenUnavailable: (on a call) there is no token, so nothing was sent; also the library's HTTPError.
    """

    requires_request_body = False
    requires_response_body = False
    library: Any
    """The HTTP library's module."""

    def __init__(
        self,
        token_endpoint: str,
        client_id: str,
        client_secret: str | SecretSource | None = None,
        *,
        allowed_origins: Iterable[str] | None = None,
        allow_insecure_http: bool = False,
        is_rejection: RejectionRule | None = None,
        **options: Unpack[SourceOptions],
    ) -> None:
        client_secret = concealed(client_secret)
        options["encryption_keys"] = concealed(options.get("encryption_keys"))
        if options.get("transport") is None:
            options["transport"] = transport_over(self.library, None)
        source = TokenSource(token_endpoint, client_id, client_secret, **options)  # pyright: ignore[reportArgumentType]
        self._attach(source, allowed_origins, allow_insecure_http, is_rejection)

    @classmethod
    def from_source(
        cls,
        source: TokenSource,
        *,
        allowed_origins: Iterable[str] | None = None,
        allow_insecure_http: bool = False,
        is_rejection: RejectionRule | None = None,
    ) -> Self:
        """The same over a source that exists already, e.g. one shared with requests."""
        auth = cls.__new__(cls)
        auth._attach(source, allowed_origins, allow_insecure_http, is_rejection)
        return auth

    def _attach(
        self,
        source: TokenSource,
        allowed_origins: Iterable[str] | None,
        allow_insecure_http: bool,
        is_rejection: RejectionRule | None,
    ) -> None:
        self.source = source
        """The token source behind it; share it between plugins."""
        self._origins = OriginPolicy(allowed_origins, allow_insecure_http)
        self._checked: dict[tuple[Any, ...], Origin] = {}
        self._is_rejection = is_rejection or bearer_rejection

    def __repr__(self) -> str:
        return f"<M2MAuth of {getattr(self, 'source', None)!r}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("an M2MAuth is not pickled: build it where it is used; equal ones share one token")

    def sync_auth_flow(self, request: Any) -> Generator[Any, Any, None]:
        """Called by ``Client`` for each call."""
        origin = self._origin(request)
        token: AccessToken | TokenUnavailable
        try:
            token = self.source.token()
        except TokenUnavailable as error:
            token = error
        if isinstance(token, TokenUnavailable):
            raise also_a(token, self.library.HTTPError, _request=request)
        start = self._attached(request, token)
        begin = monotonic() if observers else None
        try:
            response = yield request
        except GeneratorExit as ended:
            self._look_at(ended.__context__, origin)
            raise
        if begin is not None:
            self._tell(response, token, begin)
        if not self._refused(response, origin, token):
            return
        replay = self._replay(response, start)
        if replay is None:
            return
        try:
            replacement = self.source.token()
        except TokenUnavailable:
            return  # the API's own answer says more than "no token" would
        if replacement == token:
            return
        replay.headers["Authorization"] = replacement.authorization
        # The client reads a response before it sends another request; this one's body may have no end.
        response.stream.close()
        response.stream = self.library.ByteStream(b"")
        begin = monotonic() if observers else None
        second = yield replay
        if begin is not None:
            self._tell(second, replacement, begin, again=True)
        self._refused(second, origin, replacement)

    def async_auth_flow(self, request: Any) -> AsyncGenerator[Any, Any]:
        """Called by ``AsyncClient`` for each call; the same, awaiting."""
        origin = self._origin(request)
        return _Told(self._async_flow(request, origin), partial(self._look_at, origin=origin))

    async def _async_flow(self, request: Any, origin: Origin) -> AsyncGenerator[Any, Any]:
        token: AccessToken | TokenUnavailable
        try:
            token = await self.source.atoken()
        except TokenUnavailable as error:
            token = error
        if isinstance(token, TokenUnavailable):
            raise also_a(token, self.library.HTTPError, _request=request)
        start = self._attached(request, token)
        begin = monotonic() if observers else None
        response = yield request
        if begin is not None:
            self._tell(response, token, begin)
        if not self._refused(response, origin, token):
            return
        replay = self._replay(response, start)
        if replay is None:
            return
        try:
            replacement = await self.source.atoken()
        except TokenUnavailable:
            return
        if replacement == token:
            return
        replay.headers["Authorization"] = replacement.authorization
        await response.stream.aclose()
        response.stream = self.library.ByteStream(b"")
        begin = monotonic() if observers else None
        second = yield replay
        if begin is not None:
            self._tell(second, replacement, begin, again=True)
        self._refused(second, origin, replacement)

    def _origin(self, request: Any) -> Origin:
        """The request's origin, if a token may go there; remembered, since calls go to the same few."""
        url = request.url
        try:
            # Both libraries' parsed URL: scheme, userinfo, host, port. Their public properties cost ten times as much.
            parts = url._uri_reference[:4]
        except AttributeError:
            parts = (url.scheme, url.userinfo, url.host, url.port)
        origin = self._checked.get(parts)
        if origin is None:
            origin = self._origins.check(_target(url))
            if len(self._checked) < 64:
                self._checked[parts] = origin
        return origin

    def _refused(self, response: Any, origin: Origin, token: AccessToken) -> bool:
        """True if this response, from where the token was sent, says that this token is refused."""
        status = response.status_code
        if status != 401 and self._is_rejection is bearer_rejection:
            return False
        sent = response.request  # a redirect's target, if the client followed one
        if sent.headers.get("Authorization") != token.authorization or not same_origin(_target(sent.url), origin):
            return False
        if not self._is_rejection(status, response.headers):
            return False
        self.source.reject(token)
        return True

    def _tell(self, response: Any, token: AccessToken, begin: float, *, again: bool = False) -> None:
        """Somebody watches: tells of each request that carried the token; the client may have followed redirects."""
        source, now = self.source, monotonic()
        for answer in (*response.history, response):
            sent = answer.request
            if sent.headers.get("Authorization") != token.authorization:
                continue
            seconds = now - begin if answer is response else answer.elapsed.total_seconds()
            begin += seconds
            tell_call(
                engine_of(source).context.events,
                token,
                engine_of(source).clock.wall(),
                method=sent.method,
                url=str(sent.url),
                status=answer.status_code,
                seconds=seconds,
                again=again,
            )

    def _look_at(self, error: Any, origin: Origin) -> None:
        """The call ended without a response for the flow: an event hook may have raised for a refusing one.

        There is no replay then, but the next call must not carry the same token.
        """
        if isinstance(error, self.library.HTTPStatusError):
            token = engine_of(self.source).token_sent_as(error.response.request.headers.get("Authorization"))
            if token is not None:
                self._refused(error.response, origin, token)

    def _attached(self, request: Any, token: AccessToken) -> int | None:
        """Sets the header; gives where the body starts, if it is a file that can be wound back there."""
        request.headers["Authorization"] = token.authorization
        body = getattr(request.stream, "_stream", None)
        if body is None or isinstance(body, bytes) or not isinstance(request.stream, self.library.SyncByteStream):
            return None
        try:
            return int(body.tell()) if body.seekable() else None
        except (AttributeError, OSError, ValueError):
            return None

    def _replay(self, response: Any, start: int | None) -> Any:
        """The refused request once more, with its body as it was; None if that is gone."""
        sent = response.request
        if not _rewound(sent.stream, self.library.ByteStream, start):
            return None
        replay = self.library.Request(
            sent.method, sent.url, headers=sent.headers, stream=sent.stream, extensions=sent.extensions
        )
        if isinstance(sent.stream, self.library.ByteStream):
            replay.read()  # so that event hooks find its content, as on any request
        return replay


def _target(url: Any) -> str:
    """What the library connects to; the whole URL as a string may read differently (``https:////host``)."""
    return f"{url.scheme}://{url.netloc.decode()}/"


class _Told(AsyncGenerator[Any, Any]):
    """An auth flow that is told with which exception its client gives up; an async generator alone is not."""

    def __init__(self, flow: AsyncGenerator[Any, Any], told: Callable[[BaseException | None], None]) -> None:
        self._flow, self._told = flow, told

    def asend(self, value: Any) -> Any:
        return self._flow.asend(value)

    def athrow(self, *error: Any) -> Any:
        return self._flow.athrow(*error)

    async def aclose(self) -> None:
        self._told(sys.exc_info()[1])
        await self._flow.aclose()


def _rewound(stream: Any, byte_stream: type, start: int | None) -> bool:
    """True if the body can be sent again, from where it started: never an emptied upload."""
    if isinstance(stream, byte_stream):
        return True
    fields = getattr(stream, "fields", None)
    if fields is not None:  # multipart: the library itself winds each file back to its beginning
        files = [field.file for field in fields if hasattr(field, "file")]
        return all(isinstance(file, (str, bytes)) or _seekable(file) for file in files)
    if start is None:
        return False
    try:
        stream._stream.seek(start)
    except (AttributeError, OSError, ValueError):
        return False
    return True


def _seekable(file: Any) -> bool:
    try:
        return bool(file.seekable())
    except (AttributeError, ValueError):
        return False

"""The plugin for requests: ``session.auth = M2MAuth(…)``."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta
from functools import partial
from time import monotonic
from time import time as wall
from typing import TYPE_CHECKING, Any, NoReturn

from .errors import TokenUnavailable, also_a, missing_extra
from .http.calls import tell_call
from .http.requests_transport import transport_over
from .oauth2.challenges import RejectionRule, bearer_rejection
from .oauth2.origins import Origin, OriginPolicy, same_origin
from .oauth2.secrets import SecretSource, concealed
from .runtime.observers import observers
from .source.options import SourceOptions
from .source.token_source import TokenSource, engine_of

try:
    import requests
    from requests.auth import AuthBase
    from requests.utils import rewind_body
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(missing_extra("m2m_auth.requests", error, "requests"), name=error.name) from None

if TYPE_CHECKING:
    from requests import PreparedRequest, Response
    from typing_extensions import Self, Unpack

__all__ = ["M2MAuth"]

_REPLAYED = "_m2m_auth_replayed"
_KNOWN_ORIGINS = 64
"""Origins whose check is remembered; a call to another one is checked each time."""


class M2MAuth(AuthBase):
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
        TokenUnavailable: (on a call) there is no token, so nothing was sent; also a requests.RequestException.
    """

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
            options["transport"] = transport_over(None)
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
        """The same over a source that exists already, e.g. one shared with httpx."""
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
        self._is_rejection = is_rejection or bearer_rejection
        self._checked: dict[str, partial[Response]] = {}
        # No URL begins with a line break: nothing is known yet.
        self._latest: tuple[str, int, partial[Response]] = ("\n", 1, partial(self._on_response, ("", "", 0)))

    def __repr__(self) -> str:
        return f"<M2MAuth of {getattr(self, 'source', None)!r}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("an M2MAuth is not pickled: build it where it is used; equal ones share one token")

    def __call__(self, request: PreparedRequest) -> PreparedRequest:
        """Called by requests for each request it prepares."""
        held = engine_of(self.source).state.held
        prefix, length, hook = self._latest
        # Written out for speed, like TokenSource.token(): two clocks, a prefix, a header and a hook.
        if (
            held is not None
            and monotonic() < held.fresh_until
            and wall() < held.fresh_until_wall
            and request.url[:length] == prefix  # type: ignore[index]
        ):
            request.headers["Authorization"] = held.authorization
            request.hooks["response"].append(hook)
            return request
        return self._slowly(request)

    def _slowly(self, request: PreparedRequest) -> PreparedRequest:
        url = request.url or ""
        # Everything that begins like this has the same origin: the slash ends the authority.
        scheme, _, rest = url.partition("://")
        authority, slash, _ = rest.partition("/")
        prefix = f"{scheme}://{authority}/"
        hook = self._checked.get(prefix)
        if hook is None:
            hook = partial(self._on_response, self._origins.check(url))
            if slash and len(self._checked) < _KNOWN_ORIGINS and not set(authority) & set("@\\?#"):
                self._checked[prefix] = hook
        if prefix in self._checked and engine_of(self.source).on_system_clock:
            self._latest = prefix, len(prefix), hook
        failure: TokenUnavailable | None = None
        try:
            request.headers["Authorization"] = self.source.token().authorization
        except TokenUnavailable as error:
            failure = error
        if failure is not None:
            raise also_a(failure, requests.RequestException, request=request, response=None)
        request.hooks["response"].append(hook)
        return request

    def _on_response(self, origin: Origin, response: Response, **kwargs: Any) -> Response:
        """The response hook. It fires for redirects' targets too, so it looks where this response came from."""
        status = response.status_code
        if observers:
            self._tell(response)
        if status != 401 and self._is_rejection is bearer_rejection:
            return response
        sent = response.request
        token = engine_of(self.source).token_sent_as(sent.headers.get("Authorization"))
        if token is None or not same_origin(sent.url, origin) or not self._is_rejection(status, response.headers):
            return response
        self.source.reject(token)
        adapter: Any = getattr(response, "connection", None)
        replay = sent.copy()
        if adapter is None or getattr(sent, _REPLAYED, False) or not _rewound(replay):
            return response
        try:
            replacement = self.source.token()
        except TokenUnavailable:
            return response  # the API's own answer says more than "no token" would
        if replacement == token:
            return response
        replay.headers["Authorization"] = replacement.authorization
        setattr(replay, _REPLAYED, True)
        response.close()
        begin = monotonic()
        second: Response = adapter.send(replay, **kwargs)
        second.elapsed = timedelta(seconds=monotonic() - begin)  # as the session does for the first
        second.history = [*response.history, response]
        return self._on_response(origin, second, **kwargs)

    def _tell(self, response: Response) -> None:
        """Somebody watches: tells of a call that carried a token, which a redirect's target may not have."""
        sent, source = response.request, self.source
        authorization = sent.headers.get("Authorization")
        if authorization is not None:
            tell_call(
                engine_of(source).context.events,
                engine_of(source).token_sent_as(authorization),
                engine_of(source).clock.wall(),
                method=sent.method or "",
                url=sent.url or "",
                status=response.status_code,
                seconds=response.elapsed.total_seconds(),
                again=getattr(sent, _REPLAYED, False),
            )


def _rewound(request: PreparedRequest) -> bool:
    """True if the body can be sent again, from where it started: never an emptied upload."""
    body = request.body
    if body is None or isinstance(body, (str, bytes)):
        return True
    if not isinstance(getattr(request, "_body_position", None), int):
        return False
    try:
        rewind_body(request)
    except (requests.exceptions.UnrewindableBodyError, ValueError):  # ValueError: the file is closed
        return False
    return True

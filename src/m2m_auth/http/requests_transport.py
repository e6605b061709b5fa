"""The transport over requests, for token requests."""

from __future__ import annotations

import copy
import ssl
from collections import OrderedDict
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from ..errors import ConfigurationError, missing_extra
from ..oauth2.transport import HttpRequest, HttpResponse, TransportError
from .exchange_deadline import ExchangeDeadline
from .response_bodies import OutOfTime, body_of
from .sent_headers import headers_to_send, our_user_agent
from .transport_failures import PROXY_AUTHENTICATION_REQUIRED, refused_by_proxy, transport_error
from .transport_options import DIRECT, TransportOptions

try:
    import requests
    from requests.adapters import HTTPAdapter
    from urllib3.exceptions import HTTPError
    from urllib3.util import Timeout

    from .requests_connections import BoundAdapter, WaitsTooLong, is_plain
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(missing_extra("m2m_auth.requests", error, "requests"), name=error.name) from None

if TYPE_CHECKING:
    from requests import PreparedRequest, Response, Session

__all__ = ["RequestsTransport", "transport_over"]

_BROKEN = (requests.RequestException, HTTPError, OSError)
"""What a connection that breaks raises, also while a body is read."""


def transport_over(library: object, session: Session | None, options: TransportOptions) -> RequestsTransport:  # noqa: ARG001
    """A transport over the user's session, or over a new private one for each token request.

    Token requests are rare, and a connection kept between them would not survive a fork.
    """
    if session is not None and not isinstance(session, requests.Session):
        raise ConfigurationError(f"transport={type(session).__name__} is not a requests.Session")
    return RequestsTransport(session, options)


class RequestsTransport:
    """Sends token requests with requests.

    Of a user's session, its headers, proxies, ``verify``, ``cert`` and hooks are used. Its ``auth``, cookies, default
    parameters and default ``Authorization`` are for the API, and are not sent. A plain session is used by its
    settings, over connections that keep to the deadline and read past informational responses. One with adapters or
    methods of its own sends the request itself: then each of its attempts is bounded.
    """

    def __init__(self, session: Session | None, options: TransportOptions) -> None:
        self._session, self._options = session, options
        self.user_agent = our_user_agent("requests", requests.__version__)
        """What token requests say, unless the user's session says something else."""
        if session is not None:
            self.user_agent = self._headers({})["User-Agent"]

    def __repr__(self) -> str:
        return f"<RequestsTransport over {'a private' if self._session is None else 'a given'} session>"

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Sends one token request.

        Raises:
            TransportError: there is no response.
        """
        self._options.warn_if_unverified(request.url)
        try:
            context = self._options.ssl_context()
        except OSError as error:
            problem = f"The CA bundle of verify= cannot be read: {type(error).__name__}"
        else:
            with ExchangeDeadline(request.timeout) as deadline, self._bound(request.url, deadline, context) as session:
                return self._send(session, request, deadline)
        raise TransportError(problem, "tls")

    @contextmanager
    def _bound(self, url: str, deadline: ExchangeDeadline, context: ssl.SSLContext | None) -> Generator[Session]:
        """A private session; the user's; or for a plain one of the user's, its settings over bounded connections."""
        theirs = self._session
        adapter: Any = None if theirs is None else theirs.get_adapter(url)
        if theirs is not None and not (is_plain(theirs, requests.Session) and is_plain(adapter, HTTPAdapter)):
            yield theirs
            return
        session = requests.Session() if theirs is None else copy.copy(theirs)
        session.adapters = OrderedDict()  # the copy has the same one
        for scheme in ("https://", "http://"):
            session.mount(scheme, BoundAdapter(deadline, context, adapter))
        with session:
            yield session

    def _send(self, session: Session, request: HttpRequest, deadline: ExchangeDeadline) -> HttpResponse:
        first: list[Response] = []
        problem: BaseException | None = None
        response: Response | None = None
        try:
            response = self._exchange(session, request, first)
        except WaitsTooLong as error:  # the session would sleep past the deadline instead of giving us this answer
            return HttpResponse(error.status, error.headers, b"")
        except Exception as error:  # a hook of the user's session may raise anything, often for the status
            if not first and not isinstance(error, _BROKEN):
                raise
            problem, response = error, first[0] if first else None
        if response is not None:
            with response:
                if response.status_code == PROXY_AUTHENTICATION_REQUIRED:
                    raise refused_by_proxy(request)
                try:
                    return HttpResponse(response.status_code, response.headers, _body(response, deadline))
                except OutOfTime:
                    problem = None
                except _BROKEN as error:
                    problem = error
        # Outside of the except clause, so that the library's exception, which holds the request, is not chained.
        raise transport_error(request, problem, deadline, "requests", _retries(session, request.url))

    def _exchange(self, session: Session, request: HttpRequest, first: list[Response]) -> Response:
        """Sends the request. The response is in ``first``, too, before a hook of the user's session may raise."""
        # A session's verify loses against REQUESTS_CA_BUNDLE (psf/requests#3829), one of the request does not.
        verify = None if session.verify is True else session.verify
        timeout: Any = Timeout(total=request.timeout)
        return session.send(
            self._message(session, request, first),
            **session.merge_environment_settings(
                request.url, self._proxies(request.url), stream=True, verify=verify, cert=None
            ),
            timeout=timeout,
            allow_redirects=False,
        )

    def _message(self, session: Session, request: HttpRequest, first: list[Response]) -> PreparedRequest:
        """Prepared without the session, which would add its auth or ~/.netrc, its cookies and its parameters."""

        def keep(response: Response, **_: Any) -> None:
            first.append(response)

        return requests.Request(
            request.method,
            request.url,
            self._headers(request.headers),
            # As text, which is what requests makes of a form: the matchers of `responses` expect it.
            data=request.body.decode() if request.body.isascii() else request.body,
            hooks={"response": [keep, *session.hooks["response"]]},
        ).prepare()

    def _headers(self, own: Mapping[str, str]) -> dict[str, str]:
        theirs = () if self._session is None else self._session.headers.items()
        return headers_to_send(own, theirs, self.user_agent, "python-requests/")

    def _proxies(self, url: str) -> dict[str, Any]:
        proxy = self._options.proxy_for(url)
        if proxy is None:
            return {}
        return dict.fromkeys(("http", "https", "all"), None if proxy is DIRECT else proxy.reveal())


def _body(response: Response, deadline: ExchangeDeadline) -> bytes:
    """The body; a hook of the user's session may have read it already."""
    if getattr(response, "_content_consumed", False):
        return body_of(iter([response.content]), "", deadline, _BROKEN)
    return body_of(_chunks(response, deadline), response.headers.get("Content-Encoding", ""), deadline, _BROKEN)


def _chunks(response: Response, deadline: ExchangeDeadline) -> Iterator[bytes]:
    """The body's bytes in the pieces that arrive, as they are."""
    raw = response.raw
    try:
        deadline.watch(raw.fileno())
    except (OSError, ValueError, AttributeError):  # a response without a connection, e.g. of a test
        deadline.is_connected = True
    read = getattr(raw, "read1", None) or raw.read
    while chunk := read(65536, decode_content=False):
        yield chunk


def _retries(session: Session, url: str) -> str:
    """A sentence about the session's own retries: they multiply the requests and the waiting."""
    retries: Any = getattr(session.get_adapter(url), "max_retries", None)
    if not any(getattr(retries, name, None) for name in ("total", "connect", "read", "status")):
        return ""
    return (
        "The session of transport= retries by itself (urllib3's Retry). "
        "Fix: a session without retries for the token request, which is retried here"
    )

"""The transport over httpx or httpx2, for token requests; the library is an argument."""

from __future__ import annotations

import copy
import ssl
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from typing import Any

from ..errors import ConfigurationError
from ..oauth2.transport import HttpRequest, HttpResponse, TransportError
from .exchange_deadline import ExchangeDeadline
from .response_bodies import OutOfTime, body_of
from .sent_headers import headers_to_send, our_user_agent
from .transport_failures import PROXY_AUTHENTICATION_REQUIRED, refused_by_proxy, transport_error
from .transport_options import DIRECT, TransportOptions

__all__ = ["HttpxTransport", "transport_over"]


def transport_over(library: Any, client: Any, options: TransportOptions) -> HttpxTransport:
    """A transport over the user's client, or over a new private one for each token request.

    Token requests are rare, and a connection kept between them would not survive a fork.
    """
    if client is not None and not isinstance(client, library.Client):
        raise ConfigurationError(
            f"transport={type(client).__name__} of {library.__name__} cannot send a token request, which runs "
            f"on a thread without an event loop. Fix: pass a {library.__name__}.Client"
        )
    return HttpxTransport(library, client, options)


class HttpxTransport:
    """Sends token requests with httpx or httpx2.

    Of a user's client, its headers, transports, proxies and event hooks are used. Its ``auth``, cookies, ``base_url``,
    default parameters and default ``Authorization`` are for the API, and are not sent.
    """

    def __init__(self, library: Any, client: Any, options: TransportOptions) -> None:
        self._library, self._client, self._options = library, client, options
        _import_rest_of(library)
        self.user_agent = our_user_agent(library.__name__, library.__version__)
        """What token requests say, unless the user's client says something else."""
        if client is not None:
            self.user_agent = self._headers({})["User-Agent"]

    def __repr__(self) -> str:
        owner = "a private" if self._client is None else "a given"
        return f"<HttpxTransport over {owner} client of {self._library.__name__}>"

    def __call__(self, request: HttpRequest) -> HttpResponse:
        """Sends one token request.

        Raises:
            TransportError: there is no response.
        """
        self._options.warn_if_unverified(request.url)
        if self._client is not None:
            return self._send(self._client, request)
        try:
            private = self._private_client(request.url)  # reads CAs, for as long as an answer may take
        except OSError as error:
            problem = f"The CA bundle of verify= or SSL_CERT_FILE cannot be read: {type(error).__name__}"
        else:
            with private:
                return self._send(private, request)
        raise TransportError(problem, "tls")

    def _private_client(self, url: str) -> Any:
        proxy, context = self._options.proxy_for(url), self._options.ssl_context()
        verify: Any = True if context is None else context
        if proxy is None:
            return self._library.Client(verify=verify)
        if proxy is DIRECT:
            return self._library.Client(verify=verify, mounts={"https://": None, "http://": None})
        return self._library.Client(verify=verify, proxy=proxy.reveal())

    def _headers(self, own: Mapping[str, str]) -> dict[str, str]:
        theirs = () if self._client is None else self._client.headers.multi_items()
        return headers_to_send(own, theirs, self.user_agent, f"python-{self._library.__name__}/")

    def _send(self, client: Any, request: HttpRequest) -> HttpResponse:
        library = self._library
        broken = (library.HTTPError, library.StreamError, OSError)
        first: list[Any] = []
        problem: BaseException | None
        response: Any = None
        with ExchangeDeadline(request.timeout) as deadline:
            try:
                message = self._message(request, deadline)
                response = _noting(client, first).send(message, auth=_no_auth, follow_redirects=False, stream=True)
                if response.status_code == PROXY_AUTHENTICATION_REQUIRED:
                    raise refused_by_proxy(request)
                return HttpResponse(response.status_code, response.headers, _body(response, deadline, broken))
            except OutOfTime:
                problem = None
            except Exception as error:  # a hook of the user's client may raise anything, often for the status
                if response is None and first and not isinstance(error, (library.TransportError, library.StreamError)):
                    answered = first[0]  # the client has closed it
                    return HttpResponse(answered.status_code, answered.headers, getattr(answered, "_content", b""))
                if not isinstance(error, (*broken, library.InvalidURL)):
                    raise
                problem = error
            finally:
                if response is not None:
                    response.close()
        # Outside of the except clause, so that the library's exception, which holds the request, is not chained.
        raise transport_error(request, problem, deadline, library.__name__)

    def _message(self, request: HttpRequest, deadline: ExchangeDeadline) -> Any:
        """Made without the client, which would add its cookies and its parameters."""
        return self._library.Request(
            request.method,
            request.url,
            headers=self._headers(request.headers),
            content=request.body,
            extensions={"timeout": self._library.Timeout(request.timeout).as_dict(), "trace": _Trace(deadline)},
        )


@lru_cache(maxsize=4)
def _import_rest_of(library: Any) -> None:
    """Imports now what the library imports with its first client: httpcore, anyio, trio, and where its CAs are from.

    On a flight it would take seconds of a small pod's start, as if the server were slow; and a fork in the middle of
    an import leaves the child without the module.
    """
    library.Client(verify=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT), trust_env=False).close()
    with suppress(OSError, ValueError):  # the first client meets the error, and reports it
        library.create_ssl_context()


def _noting(client: Any, first: list[Any]) -> Any:
    """The user's client, or a copy whose first event hook puts the response into ``first``: a later one may raise."""
    hooks = client.event_hooks
    if not hooks["response"]:
        return client
    noting = copy.copy(client)
    noting.event_hooks = {**hooks, "response": [first.append, *hooks["response"]]}
    return noting


class _Trace:
    """Called by httpcore at each step of a connection (its ``trace`` extension)."""

    def __init__(self, deadline: ExchangeDeadline) -> None:
        self._deadline = deadline

    def __call__(self, event: str, info: dict[str, Any]) -> None:
        if event == "connection.connect_tcp.started":
            # The arguments of the call that follows: its timeout is for each address of the host.
            info["timeout"] = self._deadline.to_connect(info["host"], info["port"])
        elif event.endswith(".started") and "timeout" in info:
            info["timeout"] = self._deadline.remaining()
        elif event == "connection.connect_tcp.complete":
            connection = info["return_value"].get_extra_info("socket")
            if connection is not None:
                self._deadline.watch(connection.fileno())


def _no_auth(request: Any) -> Any:
    """With an auth of its own, the token request does not use the client's ``auth``, nor ~/.netrc."""
    return request


def _body(response: Any, deadline: ExchangeDeadline, broken: tuple[type[Exception], ...]) -> bytes:
    """The body; an event hook of the user's client may have read it already."""
    deadline.is_connected = True
    if response.is_stream_consumed:
        return body_of(iter([response.content]), "", deadline, broken)
    return body_of(response.iter_raw(), response.headers.get("content-encoding", ""), deadline, broken)

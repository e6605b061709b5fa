"""An OAuth 2.0 authorization server on loopback, with a small protected API, for tests."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from types import TracebackType
from typing import Any, Literal

from ...runtime.clock import SYSTEM_CLOCK
from ..fake_clock import FakeClock
from .http_server import HOST, LoopbackServer, ReceivedRequest, Reply, Wire
from .injected_failures import JSON, FailureMode, FailureQueue, InjectedFailure, describe, error_reply
from .issued_tokens import IssuedToken, TokenFormat, TokenStore
from .protected_api import ApiCall, api_answer, bearer_token, send_api_answer
from .token_requests import (
    BasicEncoding,
    Claim,
    RecordedRequest,
    RequestRefused,
    invalid_request,
    read_claim,
    read_parameters,
)

__all__ = ["FakeAuthorizationServer"]

_NO_STORE = ("Cache-Control", "no-store")


class FakeAuthorizationServer:
    """A token endpoint that counts and records requests, and that a test can slow down or let fail; on 127.0.0.1.

    Use it as a context manager, or call :meth:`start` and :meth:`stop`. After a :meth:`stop` the port refuses
    connections. :meth:`start` opens the same port again; counts and tokens are kept. A test may change every attribute
    below at any time, from any thread.

    It serves ``POST /oauth/token`` (client credentials; form or JSON; HTTP Basic or credentials in the body),
    ``POST /introspect`` (RFC 7662, for an authenticated client) and a protected API under ``/api/``:

    - any path and method: 200 and ``{"method", "path", "body_length", "body_sha256"}`` for an active bearer
      token, else 401 with :attr:`challenge`;
    - ``/api/redirect?to=<url>&code=307`` redirects;
    - ``/api/stream?chunks=<n>&size=1024&interval_ms=10`` streams its body, with any status; without ``chunks`` the
      stream has no end.

    Args and attributes:
        clients: the secret of each client id. Default: ``{"client": "secret"}``.
        accept_any_client: True accepts every client id, with any secret or assertion, or without one.
        lifetime: the lifetime of new tokens, in seconds; None: no end, and no ``expires_in`` in the answer.
        latency: seconds of real time between the issue of a token and its answer.
        token_format: ``"opaque"``, or ``"jwt"``: signed with HS256 by a key that only the server knows.
        same_token: True answers with the latest token for the same client, scope and audience, and its remaining
            lifetime, while that is at least a second.
        clock: a :class:`FakeClock` for the server's time; default: the machine's clock.

    Attributes:
        grant_types: the accepted grants, ``{"client_credentials"}``.
        basic_encoding: how ids and secrets in HTTP Basic are decoded: ``"percent"`` or ``"raw"`` (not at all).
        keep_alive: False closes the connection after every answer.
        extra_response: members that replace or extend those of a good token answer: an odd ``expires_in``, ``scope``, …
        leave_out: members removed from a good token answer, for example ``{"expires_in"}``.
        extra_headers: headers added to a good token answer.
        challenge: the ``WWW-Authenticate`` of the API's 401; a list sends several; None sends none.
        accept_tokens: which bearer tokens the API accepts: ``"active"`` ones, ``"none"`` or ``"all"``.
        api_status: if not None, the status of every API answer, with any token.
        api_headers: headers added to every API answer.
        api_calls: every call of the API, in the order of arrival (see :class:`ApiCall`).
        requests: every request to the token endpoint, in the order of arrival (see :class:`RecordedRequest`).
    """

    def __init__(
        self,
        *,
        clients: Mapping[str, str] | None = None,
        accept_any_client: bool = False,
        lifetime: float | None = 3600.0,
        latency: float = 0.0,
        token_format: TokenFormat = "opaque",  # noqa: S107 - a format
        same_token: bool = False,
        clock: FakeClock | None = None,
    ) -> None:
        self.clients: dict[str, str] = {"client": "secret"} if clients is None else dict(clients)
        self.accept_any_client = accept_any_client
        self.lifetime = lifetime
        self.latency = latency
        self.token_format: TokenFormat = token_format
        self.same_token = same_token
        self.grant_types = {"client_credentials"}
        self.basic_encoding: BasicEncoding = "percent"
        self.keep_alive = True
        self.extra_response: dict[str, Any] = {}
        self.leave_out: set[str] = set()
        self.extra_headers: dict[str, str] = {}
        self.challenge: str | Sequence[str] | None = 'Bearer error="invalid_token"'
        self.accept_tokens: Literal["active", "none", "all"] = "active"
        self.api_status: int | None = None
        self.api_headers: dict[str, str] = {}
        self.api_calls: list[ApiCall] = []
        self.requests: list[RecordedRequest] = []
        self._now = SYSTEM_CLOCK.wall if clock is None else clock.true_time
        self._mints = 0
        self._changed = threading.Condition()
        self._failures = FailureQueue()
        self._tokens = TokenStore()
        self._server: LoopbackServer | None = None
        self._port = 0

    def __repr__(self) -> str:
        where = f"{HOST}:{self._port}" if self._server else "stopped"
        return f"<FakeAuthorizationServer {where} mints={self._mints} token_requests={len(self.requests)}>"

    def start(self) -> FakeAuthorizationServer:
        """Opens the port and serves until :meth:`stop`. Returns the server.

        Raises:
            RuntimeError: it is already running.
            OSError: no port is free, or another program uses the port of before the stop.
        """
        if self._server is not None:
            raise RuntimeError("this FakeAuthorizationServer is already running. Fix: call stop() first")
        self._server = LoopbackServer(self._serve, self._port)
        self._port = self._server.port
        return self

    def stop(self) -> None:
        """Closes the port and every connection, and ends every thread, also of hanging requests. Harmless twice."""
        server, self._server = self._server, None
        if server is not None:
            server.stop()

    def __enter__(self) -> FakeAuthorizationServer:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def base_url(self) -> str:
        """``http://127.0.0.1:<port>``. Raises RuntimeError before the first :meth:`start`."""
        if not self._port:
            raise RuntimeError(
                "this FakeAuthorizationServer has no address yet. Fix: call start(), or use `with server:`"
            )
        return f"http://{HOST}:{self._port}"

    @property
    def issuer(self) -> str:
        """The issuer identifier, as in the ``iss`` of its tokens: the :attr:`base_url`."""
        return self.base_url

    @property
    def token_endpoint(self) -> str:
        """The URL of the token endpoint."""
        return f"{self.base_url}/oauth/token"

    @property
    def mints(self) -> int:
        """The number of tokens that the server issued; a token whose answer was lost counts as well."""
        return self._mints

    @property
    def token_requests(self) -> int:
        """The number of requests to the token endpoint, refused and unanswered ones included."""
        return len(self.requests)

    def wait_for_token_requests(self, count: int, timeout: float = 10.0) -> None:
        """Waits until ``count`` token requests have arrived since the first start; answers may be pending.

        Raises:
            TimeoutError: fewer arrived within ``timeout`` seconds.
        """
        with self._changed:
            if not self._changed.wait_for(lambda: len(self.requests) >= count, timeout):
                raise TimeoutError(f"{len(self.requests)} of {count} token requests arrived within {timeout} s")

    def fail(self, mode: FailureMode, times: int | None = None, **details: object) -> None:
        """Makes the token endpoint fail, ``times`` times or (None) until :meth:`recover`.

        Calls form a queue: ``fail("500", 2)`` then ``fail("reset", 1)`` gives two 500s, a reset, then tokens. The next
        call ends a failure without ``times``.

        Modes and their details:
            ``500``, ``503``: an HTML error page; ``status``, ``body``, ``headers``.
            ``429``: ``retry_after`` (seconds; a datetime becomes an HTTP date; a string stays as it is), ``headers``,
            ``status``.
            ``hang``: no answer until :meth:`recover`, then the real one if the client still waits.
            ``reset``: a TCP reset. ``slow_drip``: the real answer, byte by byte, each after ``interval``
            seconds. ``truncated``: half of the real answer.
            ``not_json``: 200 and a sign-in page. ``empty``: 200 and nothing. ``huge``: 200 and a good token
            answer of ``size`` bytes (2 MiB). ``redirect``: ``location``, ``status`` (302).
            ``invalid_client``: a 401. ``oauth_error``: ``error``, ``description``, ``uri``, ``status`` (400).
            ``empty_403``: 403 without a body.

        Raises:
            ValueError: the mode is unknown, or ``times`` is less than one.
            TypeError: the mode has no such detail.
        """
        failure = describe(mode, details)
        if times is not None and times < 1:
            raise ValueError(f"fail({mode!r}, times={times!r}): times is at least 1, or None for ever")
        self._failures.add(failure, times)

    def recover(self) -> None:
        """Ends every failure, also those in the queue. Requests that hang get their answer."""
        self._failures.recover()

    def revoke(self, token: str) -> None:
        """Makes one token inactive. Raises ValueError if this server did not issue it."""
        with self._changed:
            self._tokens.revoke(token)

    def revoke_all(self) -> None:
        """Makes every token that was issued so far inactive."""
        with self._changed:
            self._tokens.revoke_all()

    def is_active(self, token: str) -> bool:
        """Whether this server issued the token and it is neither expired nor revoked."""
        with self._changed:
            return self._tokens.active(token, self._now()) is not None

    def _serve(self, request: ReceivedRequest, wire: Wire) -> None:
        wire.keep_alive = wire.keep_alive and self.keep_alive
        if request.path == "/oauth/token":
            self._serve_token(request, wire)
        elif request.path == "/introspect":
            wire.send(self._introspect(request))
        elif request.path.startswith("/api/"):
            self._serve_api(request, wire)
        else:
            wire.send(Reply(404))

    def _serve_token(self, request: ReceivedRequest, wire: Wire) -> None:
        latency = self.latency
        record = self._record(request)
        failure = self._failures.take() or InjectedFailure()
        if failure.delivery == "hang":
            wire.hang_until(failure.over)
        if failure.delivery == "reset":
            wire.pause(latency)
            wire.reset()
        reply = failure.reply or self._token_reply(request)
        wire.pause(latency)
        record.status = reply.status
        if failure.delivery == "slow_drip":
            wire.send_in_drops(reply, failure.interval)
        elif failure.delivery == "truncated":
            wire.send_truncated(reply)
        else:
            wire.send(reply)

    def _record(self, request: ReceivedRequest) -> RecordedRequest:
        parameters: dict[str, Any] = {}
        claim: Claim | None = None
        with suppress(RequestRefused):  # an unreadable request is recorded as far as it can be read
            parameters = read_parameters(request)
            claim = read_claim(request, parameters, self.basic_encoding)
        record = RecordedRequest(
            time=self._now(),
            method=request.method,
            client_id=claim.client_id if claim else None,
            client_authentication=claim.method if claim else None,
            parameters=parameters,
            headers=request.headers,
        )
        with self._changed:
            self.requests.append(record)
            self._changed.notify_all()
        return record

    def _token_reply(self, request: ReceivedRequest) -> Reply:
        if request.method != "POST":
            return Reply(405, b"", (("Allow", "POST"),))
        try:
            parameters = read_parameters(request)
            return self._grant(self._authenticated(request, parameters), parameters)
        except RequestRefused as refused:
            return refused.reply

    def _authenticated(self, request: ReceivedRequest, parameters: Mapping[str, Any]) -> str:
        claim = read_claim(request, parameters, self.basic_encoding)
        if not self.accept_any_client:
            claim.verify(self.clients)
        return claim.client_id

    def _grant(self, client_id: str, parameters: Mapping[str, Any]) -> Reply:
        grant = parameters.get("grant_type")
        if grant is None:
            raise invalid_request("grant_type is missing")
        if str(grant) not in self.grant_types:
            raise RequestRefused(error_reply(400, "unsupported_grant_type"))
        now = self._now()
        audience = parameters.get("audience", parameters.get("resource"))
        with self._changed:
            wanted = IssuedToken("", client_id, parameters.get("scope"), audience, now, self.lifetime)
            token = self._tokens.again(wanted, now) if self.same_token else None
            if token is None:
                token = wanted
                self._tokens.issue(token, self.issuer, self.token_format)
            self._mints += 1
        members: dict[str, Any] = {"access_token": token.value, "token_type": "Bearer"}
        members.update(expires_in=token.remaining(now), scope=token.scope)
        members = {name: value for name, value in members.items() if value is not None}
        members.update(self.extra_response)
        members = {name: value for name, value in members.items() if name not in self.leave_out}
        return Reply(200, json.dumps(members).encode(), (JSON, _NO_STORE, *self.extra_headers.items()))

    def _introspect(self, request: ReceivedRequest) -> Reply:
        try:
            parameters = read_parameters(request)
            self._authenticated(request, parameters)
        except RequestRefused as refused:
            return refused.reply
        with self._changed:
            token = self._tokens.active(str(parameters.get("token")), self._now())
        answer: dict[str, Any] = {"active": token is not None}
        if token is not None:
            answer = {**answer, **token.claims(self.issuer), "token_type": "Bearer"}
        return Reply(200, json.dumps(answer).encode(), (JSON, _NO_STORE))

    def _serve_api(self, request: ReceivedRequest, wire: Wire) -> None:
        status = self.api_status or (200 if self._accepted(bearer_token(request)) else 401)
        call, reply = api_answer(request, status, self.challenge, tuple(self.api_headers.items()))
        self.api_calls.append(call)
        send_api_answer(request, reply, wire)

    def _accepted(self, token: str | None) -> bool:
        if self.accept_tokens == "active":
            with self._changed:
                return self._tokens.active(token, self._now()) is not None
        return self.accept_tokens == "all" and token is not None

"""What the fake server answers on each of its paths, given its settings."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any, Literal

from ..fake_clock import FakeClock
from .http_server import Reply, Request, Wire
from .injected_failures import JSON, Failure, FailureQueue, error_reply
from .issued_tokens import IssuedToken, TokenFormat, TokenStore
from .protected_api import api_answer, bearer_token, send_api_answer
from .records import ApiCall, RecordedRequest
from .token_requests import BasicEncoding, Claim, Refused, invalid_request, read_claim, read_parameters

_NO_STORE = ("Cache-Control", "no-store")


class Endpoints:
    """The settings, the state and the answers of :class:`FakeAuthorizationServer`, which documents them."""

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
        self._now = time.time if clock is None else clock.true_time
        self._mints = 0
        self._changed = threading.Condition()
        self._failures = FailureQueue()
        self._tokens = TokenStore()

    @property
    def issuer(self) -> str:
        """Where the server is."""
        raise NotImplementedError

    def _serve(self, request: Request, wire: Wire) -> None:
        wire.keep_alive = wire.keep_alive and self.keep_alive
        if request.path == "/oauth/token":
            self._serve_token(request, wire)
        elif request.path == "/introspect":
            wire.send(self._introspect(request))
        elif request.path.startswith("/api/"):
            self._serve_api(request, wire)
        else:
            wire.send(Reply(404))

    def _serve_token(self, request: Request, wire: Wire) -> None:
        latency = self.latency
        record = self._record(request)
        failure = self._failures.take() or Failure()
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

    def _record(self, request: Request) -> RecordedRequest:
        parameters: dict[str, Any] = {}
        claim: Claim | None = None
        with suppress(Refused):  # a request that cannot be read is recorded as far as it can
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

    def _token_reply(self, request: Request) -> Reply:
        if request.method != "POST":
            return Reply(405, b"", (("Allow", "POST"),))
        try:
            parameters = read_parameters(request)
            return self._grant(self._authenticated(request, parameters), parameters)
        except Refused as refused:
            return refused.reply

    def _authenticated(self, request: Request, parameters: Mapping[str, Any]) -> str:
        claim = read_claim(request, parameters, self.basic_encoding)
        if not self.accept_any_client:
            claim.verify(self.clients)
        return claim.client_id

    def _grant(self, client_id: str, parameters: Mapping[str, Any]) -> Reply:
        grant = parameters.get("grant_type")
        if grant is None:
            raise invalid_request("grant_type is missing")
        if str(grant) not in self.grant_types:
            raise Refused(error_reply(400, "unsupported_grant_type"))
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

    def _introspect(self, request: Request) -> Reply:
        try:
            parameters = read_parameters(request)
            self._authenticated(request, parameters)
        except Refused as refused:
            return refused.reply
        with self._changed:
            token = self._tokens.active(str(parameters.get("token")), self._now())
        answer: dict[str, Any] = {"active": token is not None}
        if token is not None:
            answer = {**answer, **token.claims(self.issuer), "token_type": "Bearer"}
        return Reply(200, json.dumps(answer).encode(), (JSON, _NO_STORE))

    def _serve_api(self, request: Request, wire: Wire) -> None:
        status = self.api_status or (200 if self._accepted(bearer_token(request)) else 401)
        call, reply = api_answer(request, status, self.challenge, tuple(self.api_headers.items()))
        self.api_calls.append(call)
        send_api_answer(request, reply, wire)

    def _accepted(self, token: str | None) -> bool:
        if self.accept_tokens == "active":
            with self._changed:
                return self._tokens.active(token, self._now()) is not None
        return self.accept_tokens == "all" and token is not None

"""The transport to one authorization server, which keeps the proxy's own rules about minting.

The engine decides when to mint. This transport takes each mint from its vendor's budget, bounds the token requests that
are under way at once, and bounds how many unknown secrets are tried.

It also moves the end of each token. A vended token must be good for ``min_validity``, so for the engine the token ends
that much earlier. The real lifetime is put in front of the token's value; :func:`unpacked` takes it off again.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import Protocol

from ..lifecycle.policy import DEFAULT_POLICY
from ..oauth2.token_response import TokenResponse, UnusableTokenResponse, parse_token_response
from ..oauth2.tokens import AccessToken
from ..oauth2.transport import HttpRequest, HttpResponse, Transport, TransportError
from ..runtime.clock import Clock
from ..runtime.fork_safety import on_fork
from .allowances import Allowance
from .ledger import VendorLedger

__all__ = ["BUDGET", "BUSY", "SECRET_ATTEMPTS", "DurationObserver", "Upstream", "reserved", "unpacked"]

BUDGET, BUSY, SECRET_ATTEMPTS = "vendor_budget", "proxy_busy", "secret_attempts"
"""An error's ``cause_code`` if the authorization server was not asked: the reason."""
_SAME_GUESS = 3.0
"""Seconds in which another attempt with the same secret is no further guess: a cold start tries twice."""
_SHORTEST = 5.0
"""The shortest time for which a token is worth keeping, in seconds."""


class DurationObserver(Protocol):
    """Records how long a token request took, in seconds, and whether its answer held a token."""

    def __call__(self, seconds: float, *, minted: bool) -> None:
        """Called after each token request."""
        ...


def reserved(lifetime: float, min_validity: float) -> float:
    """How long before its end a token is no longer vended, in seconds.

    One second more than ``min_validity``, because answers have whole seconds. If almost nothing would be left of the
    token, half its life: a token that is shorter than promised is better than a mint for every request.
    """
    reserve = min_validity + 1
    return reserve if lifetime - reserve >= _SHORTEST else lifetime / 2


def unpacked(token: AccessToken) -> tuple[str, float]:
    """The token as the authorization server gave it, and its lifetime in seconds."""
    lifetime, _, value = token.value.partition(":")
    return value, float(lifetime)


class Upstream:
    """One upstream: the limits that its token requests share in this process.

    Args:
        transport: reaches the token endpoint.
        clock: the clocks.
        observe: records how long each token request took.
        min_validity: how long a vended token must still be good, in seconds.
        lifetime_cap: a token that lives longer ends for the proxy after this many seconds.
        max_calls: the number of token requests that may be under way at once.
    """

    def __init__(
        self,
        transport: Transport,
        clock: Clock,
        observe: DurationObserver,
        min_validity: float,
        lifetime_cap: float,
        max_calls: int,
    ) -> None:
        self._transport, self._clock, self._observe = transport, clock, observe
        self._min_validity, self._lifetime_cap, self._max_calls = min_validity, lifetime_cap, max_calls
        self.after_fork()
        on_fork(self)

    def after_fork(self) -> None:
        """In a forked child: no token request is under way."""
        self._free = threading.BoundedSemaphore(self._max_calls)

    def transport_for(self, vendor: str, ledger: VendorLedger, attempts: Allowance | None) -> Transport:
        """The transport for one vendor and secret; with ``attempts`` if its secret is not known yet."""
        paid_until = float("-inf")

        def send(request: HttpRequest) -> HttpResponse:
            if attempts is None:
                return self._mint(request, vendor, ledger)[0]
            nonlocal paid_until
            now = self._clock.monotonic()
            if now < paid_until:
                return self._mint(request, vendor, ledger)[0]
            taken = attempts.take()
            if not taken.granted:
                raise TransportError("Too many unknown secrets were tried", SECRET_ATTEMPTS)
            paid_until = now + _SAME_GUESS
            minted = False
            try:
                response, minted = self._mint(request, vendor, ledger)
            except TransportError as error:
                minted = error.cause_code in (BUDGET, BUSY)  # the secret was not tried
                raise
            finally:
                if minted:
                    attempts.give_back(taken)
            return response

        return send

    def _mint(self, request: HttpRequest, vendor: str, ledger: VendorLedger) -> tuple[HttpResponse, bool]:
        """The answer, and whether the server minted a token, be it one that may not be used."""
        taken = ledger.mints(vendor).take()
        if not taken.granted:
            raise TransportError("This vendor's mint budget is used up", BUDGET)
        minted = False
        try:
            sent_at = self._clock.wall()
            with self._turn(request) as request:
                began = self._clock.monotonic()
                try:
                    response = self._transport(request)
                    response, minted = self._packed(response, sent_at)
                finally:
                    self._observe(self._clock.monotonic() - began, minted=minted)
        finally:
            if not minted:
                ledger.mints(vendor).give_back(taken)
        if minted:
            ledger.minted(vendor)
        return response, minted

    @contextmanager
    def _turn(self, request: HttpRequest) -> Generator[HttpRequest, None, None]:
        """Waits until one more request may be under way; gives the request with the rest of its time."""
        began = self._clock.monotonic()
        if not self._free.acquire(timeout=request.timeout / 2):
            raise TransportError("Too many token requests are under way", BUSY)
        try:
            left = request.timeout - (self._clock.monotonic() - began)
            yield HttpRequest(request.method, request.url, request.headers, request.body, left)
        finally:
            self._free.release()

    def _packed(self, response: HttpResponse, sent_at: float) -> tuple[HttpResponse, bool]:
        """The answer, with the end of its token moved if it has one, and whether the server minted.

        The engine describes an answer without a usable token.
        """
        answer = parse_token_response(
            response,
            sent_at=sent_at,
            default_lifetime=DEFAULT_POLICY.default_lifetime,
            max_lifetime=self._lifetime_cap,
        )
        if not isinstance(answer, TokenResponse):
            return response, isinstance(answer, UnusableTokenResponse) and answer.minted
        ends = answer.lifetime - reserved(answer.lifetime, self._min_validity)
        packed = f"{answer.lifetime:.3f}:{answer.access_token}"
        moved = {"access_token": packed, "token_type": answer.token_type, "scope": answer.scope, "expires_in": ends}
        return HttpResponse(200, response.headers, json.dumps(moved).encode()), True

"""A state holds what one process knows about one key: the held token, the pause, and the running flight.

Equal sources share one state, so code that builds a new ``M2MAuth`` for every request still mints once.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import TYPE_CHECKING

from ..lifecycle.decision import Pause
from ..lifecycle.forced_mint_ban import ForcedMintBan
from ..lifecycle.schedule import Schedule
from ..oauth2.tokens import AccessToken
from ..runtime.fork_safety import notice_fork
from .flight import Flight

if TYPE_CHECKING:
    from ..shared_cache.entries import RotatedRefreshToken

__all__ = ["HeldToken", "TokenState"]


class HeldToken:
    """A token in this process's hands, ready for the hot path: two clock comparisons and its header.

    Args:
        token: the token.
        edges: its schedule on the monotonic clock.
        offset: wall clock minus monotonic clock when it was taken in hand. Where the two later disagree
            (a suspended machine, a jumped clock) the smaller remainder wins.
        guessed: the edges are a guess, since another clock is ahead of ours.
    """

    __slots__ = (
        "authorization",
        "edges",
        "fingerprint",
        "fresh_until",
        "fresh_until_wall",
        "guessed",
        "offset",
        "token",
    )

    def __init__(
        self, token: AccessToken, edges: Schedule, offset: float, fingerprint: str, *, guessed: bool = False
    ) -> None:
        self.guessed = guessed
        self.token = token
        self.authorization = token.authorization
        self.edges = edges
        self.offset = offset
        self.fingerprint = fingerprint
        self.fresh_until = edges.renew_at
        self.fresh_until_wall = edges.renew_at + offset

    def age(self, monotonic: float) -> float:
        """Seconds since the token was asked for."""
        return monotonic - self.edges.expires_at + self.token.expires_at - self.token.issued_at

    def now(self, monotonic: float, wall: float) -> float:
        """The time to hold against ``edges``: the later of the two clocks."""
        return max(monotonic, wall - self.offset)

    def edges_at(self, monotonic: float, wall: float) -> Schedule:
        """``edges``, earlier by what only the wall clock has noticed; pauses and flights know the monotonic one."""
        unnoticed = self.now(monotonic, wall) - monotonic
        return self.edges if not unnoticed else Schedule(*(edge - unnoticed for edge in self.edges))


class TokenState:
    """The state of one key in one process. Reads are plain attribute reads; changes belong to flights."""

    __slots__ = (
        "__weakref__",
        "flight",
        "forced_mint_ban",
        "held",
        "last_mint",
        "lease_failed_for",
        "lock",
        "mints",
        "pause",
        "previous",
        "refused",
        "rejected",
        "rotation",
    )

    def __init__(self) -> None:
        self.held: HeldToken | None = None
        self.pause: Pause | None = None
        self.flight: Flight | None = None
        self.refused: HeldToken | None = None
        """A token that an API refused, until there is another."""
        self.previous: HeldToken | None = None
        """The held token's predecessor: a call that is still under way may carry it."""
        self.rotation: RotatedRefreshToken | None = None
        """The newest refresh token that this process was given."""
        self.rejected: tuple[str, ...] = ()
        """The fingerprints of the last few refused tokens."""
        self.forced_mint_ban: ForcedMintBan | None = None
        self.last_mint = float("-inf")
        self.mints = 0
        self.lease_failed_for = ""
        """The fingerprint of the token that could not be renewed because the cache could not give the lease."""
        self.lock = threading.Lock()

    def after_fork(self) -> None:
        """In a forked child: the flight's thread does not exist here, and its lock may never be released."""
        self.lock = threading.Lock()
        self.flight = None

    def fly(
        self, work: Callable[[], object], reason: str, now: float, seen: HeldToken | None, deadline: float
    ) -> Flight | None:
        """Joins the running flight, or starts one; None if the held token is no longer ``seen``: look again.

        A flight older than ``deadline`` seconds is given up on: its thread may end when it likes.
        """
        notice_fork()
        with self.lock:
            flight = self.flight
            if flight is not None and now - flight.started < deadline:
                return flight
            if self.held is not seen:
                return None
            flight = self.flight = Flight(now, reason)
        flight.launch(work, self._forget_flight)
        return flight

    def _forget_flight(self, flight: Flight) -> None:
        with self.lock:
            if self.flight is flight:
                self.flight = None

"""What one process knows about one key: the held token, the pause after a failure, and the running flight.

Equal sources share one token state, so code that builds a new ``M2MAuth`` for every request still mints once.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable

from ..events import Listeners
from ..lifecycle.decision import Pause
from ..lifecycle.forced_mint_ban import ForcedMintBan, Refusal, is_cleared
from ..lifecycle.schedule import Schedule
from ..oauth2.tokens import AccessToken
from ..runtime.clock import is_frozen
from ..runtime.fork_safety import notice_fork
from ..shared_cache.entries import RotatedRefreshToken
from .flight import Flight

__all__ = ["EndpointWait", "HeldToken", "TokenState"]


JUMP = 1.0
"""Seconds between the two clocks that are no jump: the wall clock is being corrected."""


class HeldToken:
    """A token that this process holds, ready for the hot path: two clock comparisons and its header.

    Args:
        token: the token.
        edges: its schedule on the monotonic clock.
        offset: wall clock minus monotonic clock when the process took the token. Where the two disagree later
            (a suspended machine, a jumped clock) the smaller remaining life counts.
        fingerprint: the token's full fingerprint.
        guessed: the edges are a guess, because the host that minted the token has a clock ahead of this host's.
        replaced: the refusal of the token that this one replaced, or None.

    Attributes:
        refusal: the first refusal of this token, once an API has refused it.
        accepted: True if the API that refused this token, or the one before it, has taken this one since.
        works_elsewhere: True if another API has taken it meanwhile.
    """

    __slots__ = (
        "accepted",
        "authorization",
        "edges",
        "fingerprint",
        "fresh_until",
        "fresh_until_wall",
        "guessed",
        "offset",
        "refusal",
        "replaced",
        "token",
        "works_elsewhere",
    )

    def __init__(
        self,
        token: AccessToken,
        edges: Schedule,
        offset: float,
        fingerprint: str,
        *,
        guessed: bool = False,
        replaced: Refusal | None = None,
    ) -> None:
        self.guessed = guessed
        self.replaced = replaced
        self.refusal: Refusal | None = None
        self.accepted = self.works_elsewhere = False
        self.token = token
        self.authorization = token.authorization
        self.edges = edges
        self.offset = offset
        self.fingerprint = fingerprint
        # The short cuts of calls read the clocks as they are. While freezegun stops them, no call takes a short cut.
        self.fresh_until = -math.inf if is_frozen() else edges.renew_at
        self.fresh_until_wall = edges.renew_at + offset

    @property
    def lifetime(self) -> float:
        """The token's whole life, in seconds."""
        return self.token.expires_at - self.token.issued_at

    def age(self, monotonic: float) -> float:
        """Seconds since the token was asked for."""
        return monotonic - self.edges.expires_at + self.lifetime

    def now(self, monotonic: float, wall: float) -> float:
        """The time to compare with ``edges``: the later of the two clocks."""
        return max(monotonic, wall - self.offset)

    def is_good(self, monotonic: float, wall: float) -> bool:
        """True if the token has not expired by either clock."""
        return self.now(monotonic, wall) < self.edges.expires_at

    def edges_at(self, monotonic: float, wall: float) -> Schedule:
        """``edges``, earlier by what only the wall clock has noticed: pauses and flights use the monotonic clock."""
        unnoticed = self.now(monotonic, wall) - monotonic
        return self.edges if not unnoticed else Schedule(*(edge - unnoticed for edge in self.edges))


class TokenState:
    """The state of one key in one process. Any thread reads its attributes; only flights and ``reject`` change them."""

    __slots__ = (
        "__weakref__",
        "ban_read_at",
        "beside",
        "earlier",
        "flight",
        "forced_mint_ban",
        "held",
        "last_mint",
        "lease_failed_for",
        "listeners",
        "lock",
        "mints",
        "offset",
        "on_trial",
        "pause",
        "refused",
        "rejected",
        "rotation",
    )

    def __init__(self) -> None:
        self.held: HeldToken | None = None
        self.pause: Pause | None = None
        self.flight: Flight | None = None
        self.beside: Flight | None = None
        """The latest piece of work with the shared cache for which no call waits."""
        self.refused: HeldToken | None = None
        """The token that an API refused, until another one replaces it."""
        self.earlier: tuple[HeldToken, ...] = ()
        """The tokens before the held one, the latest last: a call that is sent again hours later may carry one."""
        self.rotation: RotatedRefreshToken | None = None
        """The newest refresh token that this process received."""
        self.rejected: tuple[str, ...] = ()
        """The fingerprints of the latest refused tokens."""
        self.forced_mint_ban: ForcedMintBan | None = None
        """The ban on forced mints that holds now, or the latest one."""
        self.ban_read_at = -math.inf
        """When a call last looked at the shared ban, on the monotonic clock."""
        self.on_trial = False
        """True: front doors report whether an API takes the held token. It replaced a refused one, or a ban holds."""
        self.listeners = Listeners()
        """Those who hear of the events of this key."""
        self.last_mint = -math.inf
        self.mints = 0
        self.lease_failed_for = ""
        """The fingerprint of the token for whose renewal no cache could give a lease."""
        self.offset = math.inf
        """Wall clock minus monotonic clock when the engine last looked."""
        self.lock = threading.Lock()

    def forget(self) -> None:
        """Starts anew, as in a new process; its sources keep hearing of its events."""
        listeners = self.listeners
        TokenState.__init__(self)
        self.listeners = listeners

    def after_fork(self) -> None:
        """In a forked child: the flight's thread does not exist, and no thread releases the old lock."""
        self.lock = threading.Lock()
        self.flight = self.beside = None

    def fly(
        self, work: Callable[[Flight], object], reason: str, now: float, seen: HeldToken | None, deadline: float
    ) -> Flight | None:
        """Joins the running flight or starts one; None if the held token is no longer ``seen``: decide again.

        A flight older than ``deadline`` seconds no longer counts: another one starts beside it.
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

    def notice_jump(self, monotonic: float, wall: float) -> None:
        """A wall clock that was set ahead, or a suspended machine: what waits for a time waits that much less.

        A held token's own ``offset`` does the same for its end.
        """
        jumped = wall - monotonic - self.offset
        if -JUMP < jumped < JUMP:
            return
        with self.lock:
            jumped, self.offset = wall - monotonic - self.offset, wall - monotonic
            if jumped < JUMP:
                return
            if self.pause is not None:
                self.pause = self.pause._replace(until=self.pause.until - jumped)
            if self.forced_mint_ban is not None:
                self.forced_mint_ban = self.forced_mint_ban._replace(until=self.forced_mint_ban.until - jumped)
            self.last_mint -= jumped

    def restore_refused(self, monotonic: float, wall: float) -> bool:
        """Holds the refused token again if it is still good and there is no other; True if a token is held then."""
        refused = self.refused
        if self.held is None and refused is not None and refused.is_good(monotonic, wall):
            self.rejected = tuple(each for each in self.rejected if each != refused.fingerprint)
            self.held, self.refused = refused, None
            self.on_trial = True
        return self.held is not None

    def ban_holds(self, now: float) -> bool:
        """True while forced mints are banned."""
        return self.forced_mint_ban is not None and now < self.forced_mint_ban.until

    def renewal_is_no_help(self, now: float) -> bool:
        """True if every API that gets the held token is known to refuse it, and its next one."""
        held = self.held
        refused = held is not None and held.refusal is not None and not held.works_elsewhere
        return refused and self.ban_holds(now)

    def refusal_to_get_over(self, now: float) -> Refusal | None:
        """The refusal of the latest token, for the next one; None if it was not refused, or has worked since."""
        if self.refused is not None:
            return self.refused.refusal
        held, ban = self.held, self.forced_mint_ban
        if held is not None:
            if held.accepted or (held.refusal is None and is_cleared(held.age(now), held.lifetime, ban, now)):
                return None
            return held.refusal or held.replaced
        return Refusal(ban.origin) if ban is not None and ban.is_recent(now) else None

    def _forget_flight(self, flight: Flight) -> None:
        with self.lock:
            if self.flight is flight:
                self.flight = None


class EndpointWait:
    """A wait that a token endpoint asked one client for (``Retry-After``), whatever the client requests there."""

    __slots__ = ("offset", "pause")

    def __init__(self) -> None:
        self.pause: Pause | None = None
        """The latest wait, over or not, until a success; None: there was none."""
        self.offset = math.inf
        """Wall clock minus monotonic clock when the wait began: it ends by either of the two."""

"""A slot holds what one process knows about one key: the held token, the pause, and the running flight.

Equal sources share one slot, so code that builds a new ``M2MAuth`` for every request still mints once.
"""

from __future__ import annotations

import threading
import weakref
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import TYPE_CHECKING

from .fork import notice_fork, on_fork
from .lifecycle import Bar, Pause, Schedule
from .token import AccessToken

if TYPE_CHECKING:
    from .flight import Flight
    from .shared import Rotation

__all__ = ["Held", "Same", "Slot", "forget_everything", "same", "slot_for", "unshared_slot"]


class Held:
    """A token in this process's hands, ready for the hot path: two clock comparisons and its header.

    Args:
        token: the token.
        edges: its schedule on the monotonic clock.
        offset: wall clock minus monotonic clock when it was taken in hand. Where the two later disagree
            (a suspended machine, a jumped clock) the smaller remainder wins.
        guessed: the edges are a guess, since another clock is ahead of ours.
    """

    __slots__ = ("authorization", "edges", "fresh_until", "fresh_until_wall", "guessed", "mark", "offset", "token")

    def __init__(self, token: AccessToken, edges: Schedule, offset: float, mark: str, *, guessed: bool = False) -> None:
        self.guessed = guessed
        self.token = token
        self.authorization = token.authorization
        self.edges = edges
        self.offset = offset
        self.mark = mark
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


class Slot:
    """The state of one key in one process. Reads are plain attribute reads; changes belong to flights."""

    __slots__ = (
        "__weakref__",
        "bar",
        "flight",
        "held",
        "last_mint",
        "lock",
        "mints",
        "out",
        "pause",
        "previous",
        "rejected",
        "rotation",
        "unleased",
    )

    def __init__(self) -> None:
        self.held: Held | None = None
        self.pause: Pause | None = None
        self.flight: Flight | None = None
        self.out: Held | None = None
        """A token that an API refused, until there is another."""
        self.previous: Held | None = None
        """The held token's predecessor: a call that is still under way may carry it."""
        self.rotation: Rotation | None = None
        """The newest refresh token that this process was given."""
        self.rejected: tuple[str, ...] = ()
        """The marks of the last few refused tokens."""
        self.bar: Bar | None = None
        self.last_mint = float("-inf")
        self.mints = 0
        self.unleased = ""
        """The mark of the token that could not be renewed because the cache could not give the lease."""
        self.lock = threading.Lock()

    def after_fork(self) -> None:
        """In a forked child: the flight's thread does not exist here, and its lock may never be released."""
        self.lock = threading.Lock()
        self.flight = None

    def fly(
        self, work: Callable[[], object], reason: str, now: float, seen: Held | None, deadline: float
    ) -> Flight | None:
        """Joins the running flight, or starts one; None if the held token is no longer ``seen``: look again.

        A flight older than ``deadline`` seconds is given up on: its thread may end when it likes.
        """
        from .flight import Flight

        notice_fork()
        with self.lock:
            flight = self.flight
            if flight is not None and now - flight.started < deadline:
                return flight
            if self.held is not seen:
                return None
            flight = self.flight = Flight(now, reason)
        flight.launch(self, work)
        return flight


class Same:
    """An object as a part of a key, by identity."""

    __slots__ = ("_target",)

    def __init__(self, target: object) -> None:
        self._target = target

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Same) and other._target is self._target

    def __hash__(self) -> int:
        return id(self._target)


_NOTHING = Same(None)


def same(target: object) -> Same:
    """``target`` as a part of a key."""
    return _NOTHING if target is None else Same(target)


_CAPACITY = 1024
_lock = threading.Lock()
_slots: weakref.WeakValueDictionary[Hashable, Slot] = weakref.WeakValueDictionary()
_recent: OrderedDict[Hashable, Slot] = OrderedDict()


def slot_for(key: Hashable, build: Callable[[], Slot]) -> Slot:
    """The process's slot for ``key``. Slots in use are always found; of the rest the latest 1,024 are kept."""
    with _lock:
        slot = _slots.get(key)
        if slot is None:
            slot = _slots[key] = build()
        _recent[key] = slot
        _recent.move_to_end(key)
        if len(_recent) > _CAPACITY:
            _recent.popitem(last=False)
        return slot


def unshared_slot() -> Slot:
    """A slot that no other source finds: it has no key yet."""
    slot = Slot()
    on_fork(slot)
    return slot


def forget_everything() -> None:
    """Empties the registry, and this process's own ledger: sources built from now on start cold. For tests."""
    from .ledger import forget

    with _lock:
        _slots.clear()
        _recent.clear()
    forget()


class _Registry:
    def after_fork(self) -> None:
        global _lock
        _lock = threading.Lock()
        for slot in list(_slots.values()):
            slot.after_fork()


_registry = _Registry()
on_fork(_registry)

"""What a flight is given: the source's unchanging parts, and one generation of the client's credential."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from .clock import Clock
from .endpoint import Transport
from .events import Reporter
from .lifecycle import RenewalPolicy
from .options import TokenRequest
from .shared import SharedState
from .slot import Slot
from .token import Secret

if TYPE_CHECKING:
    from .budget import MintBudget

__all__ = ["COLD", "FORCED", "REJECTED", "RENEWAL", "Identity", "Kit"]

COLD, RENEWAL, REJECTED, FORCED = "cold", "renewal", "rejected", "forced"
"""Why a token is minted."""


class Identity(NamedTuple):
    """One generation of the client's credential, and the slot of its tokens."""

    secret: Secret | None
    mark_key: bytes
    slot: Slot
    shared: SharedState

    def __repr__(self) -> str:
        return "<Identity>"


class Kit(NamedTuple):
    """What every flight of one source needs; nothing in it changes."""

    request: TokenRequest
    policy: RenewalPolicy
    transport: Transport
    clock: Clock
    report: Reporter
    budget: MintBudget | None
    changed_secret: Callable[[Identity], Identity | None]
    """Asks the secret source again; the new identity, or None if the secret is the same."""

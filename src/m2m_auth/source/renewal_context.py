"""What a flight works with: its source's unchanging parts, and one generation of the client's credential."""

from __future__ import annotations

from typing import NamedTuple

from ..events import EventEmitter
from ..lifecycle.mint_budget import MintBudget
from ..lifecycle.policy import RenewalPolicy
from ..oauth2.answer_rules import AnswerRules
from ..oauth2.secrets import Secret
from ..oauth2.token_request import TokenRequest
from ..oauth2.transport import Transport
from ..runtime.clock import Clock
from ..shared_cache.shared_store import SharedStore
from .token_state import EndpointWait, TokenState

__all__ = ["COLD", "FORCED", "REJECTED", "RENEWAL", "Credential", "RenewalContext"]

COLD, RENEWAL, REJECTED, FORCED = "cold", "renewal", "rejected", "forced"
"""Why a token is minted: none is held, its time has come, an API refused it, or ``renew()`` was called."""


class Credential(NamedTuple):
    """One generation of the client's credential, with the state and the shared store of its tokens."""

    secret: Secret | None
    fingerprint_key: bytes
    state: TokenState
    store: SharedStore
    wait: EndpointWait
    """What the token endpoint asked the client to wait."""

    def __repr__(self) -> str:
        return "<Credential>"


class RenewalContext(NamedTuple):
    """What every flight of one source needs; it never changes."""

    request: TokenRequest
    answers: AnswerRules
    policy: RenewalPolicy
    transport: Transport
    clock: Clock
    events: EventEmitter
    budget: MintBudget | None

"""The engine behind a :class:`~m2m_auth.TokenSource`: decides, starts flights, and knows the client's credential.

The public source has a few methods; what front doors and tools need beside them is here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from ..caches.protocol import TokenCache
from ..errors import TokenUnavailable
from ..lifecycle.decision import Action, Pause, decide
from ..lifecycle.failure import Failure, FailureKind, hold_off
from ..lifecycle.forced_mint_ban import YOUNG, next_ban
from ..lifecycle.schedule import state_at
from ..oauth2.tokens import AccessToken
from ..runtime.fork_safety import delaying_forks
from .credentials import CredentialSource
from .registry import unregistered_token_state
from .renewal_context import COLD, FORCED, REJECTED, RENEWAL, Credential, RenewalContext
from .token_state import HeldToken, TokenState

if TYPE_CHECKING:
    from concurrent.futures import Future

    from .flight import Flight
    from .ledger import LedgerReport
    from .renewal import Renewal
    from .status import SourceStatus

__all__ = ["Engine", "Waiting"]


class Waiting(NamedTuple):
    """Wait for this flight, ``timeout`` seconds at most, then decide again."""

    flight: Flight
    timeout: float


class Engine:
    """One source's engine. It does no I/O itself: flights do.

    Args:
        context: what every flight of this source is given.
        credentials: makes the credential of each secret.
        cache: the shared cache, or None.
        on_system_clock: True if the clock is the system's, which hot paths then read without a detour.
    """

    __slots__ = (
        "_asked_for",
        "_renewal",
        "cache",
        "clock",
        "context",
        "credential",
        "credentials",
        "on_system_clock",
        "state",
    )

    def __init__(
        self, context: RenewalContext, credentials: CredentialSource, cache: TokenCache | None, *, on_system_clock: bool
    ) -> None:
        self.context = context
        self.credentials = credentials
        self.cache = cache
        self.clock = context.clock
        self.on_system_clock = on_system_clock
        self._renewal = _renewal()
        self._asked_for: Pause | None = None
        self.credential = credentials.first()
        """The current generation of the client's credential; None until its secret is fetched."""
        self.state = self.credential.state if self.credential is not None else unregistered_token_state()
        """What this process knows of the key; hot paths read ``state.held``."""

    # a token

    def token(self) -> AccessToken:
        """A token that is good now; waits where it must, on this thread. See :meth:`TokenSource.token`."""
        give_up = self.clock.monotonic() + self.context.policy.max_wait
        step = self.step(give_up)
        while isinstance(step, Waiting):
            step.flight.wait(step.timeout)
            step = self.step(give_up, step)
        return step

    async def atoken(self) -> AccessToken:
        """The same, awaiting: the event loop is never blocked."""
        from .flight import landing

        give_up = self.clock.monotonic() + self.context.policy.max_wait
        step = self.step(give_up)
        while isinstance(step, Waiting):
            await landing(step.flight.future, step.timeout)
            step = self.step(give_up, step)
        return step

    def step(self, give_up: float, waited: Waiting | None = None) -> AccessToken | Waiting:
        """One decision: a token, a flight to wait for, or TokenUnavailable. Callers loop."""
        while True:
            state, now = self.state, self.clock.monotonic()
            held, pause, flight = state.held, state.pause, state.flight
            decision = decide(
                held.edges_at(now, self.clock.wall()) if held is not None else None,
                now,
                self.context.policy,
                pause,
                flight.started if flight is not None else None,
            )
            action = decision.action
            if held is not None and action is Action.RENEW:
                self._fly(RENEWAL, held)
                return held.token
            if held is not None and (action is Action.USE or (action is Action.WAIT and waited is not None)):
                return held.token
            if action is Action.FAIL and pause is not None and not self._may_ask_again(pause):
                self._raise(pause, now)
            if action is not Action.WAIT and now >= give_up:
                raise TokenUnavailable(
                    f"No token came within {self.context.policy.max_wait:g} s "
                    f"from {self.context.request.token_endpoint}",
                    cause_code="max_wait",
                )
            flight = self._fly(self._reason(state), held)
            if flight is None:
                continue  # the second look: the held token has changed in the meantime
            if action is Action.WAIT:
                return Waiting(flight, max(decision.until - now, 0.0))
            return Waiting(flight, max(give_up - now, 0.0))

    def _reason(self, state: TokenState) -> str:
        if state.refused is not None:
            return REJECTED
        return COLD if state.held is None else RENEWAL

    def _fly(self, reason: str, seen: HeldToken | None) -> Flight | None:
        credential = self.credential
        if credential is None:
            return self._fly_with(self._resolve, reason, seen)
        return self._fly_with(self._renewal(self.context, credential, reason, self.changed_secret).run, reason, seen)

    def _fly_with(self, work: Any, reason: str, seen: HeldToken | None) -> Flight | None:
        return self.state.fly(work, reason, self.clock.monotonic(), seen, self.context.policy.flight_deadline)

    def _raise(self, pause: Pause, now: float) -> NoReturn:
        failure = pause.failure
        if failure is None:
            raise TokenUnavailable("There is no token", cause_code="unknown")
        raise failure.error(retry_after=max(pause.until - now, 0.0))

    def _share_ban(self) -> None:
        credential = self.credential
        if credential is not None and credential.state.forced_mint_ban is not None:
            ban = credential.state.forced_mint_ban
            credential.shared.write_ban(
                ban._replace(until=self.clock.wall() + ban.until - self.clock.monotonic()), self.context.events
            )
            credential.shared.release_thread()

    # which secret, and so which key

    def _become(self, credential: Credential) -> None:
        self.credential = credential
        self.state = credential.state

    def _resolve(self) -> None:
        """The first flight of a source whose secret must be fetched: fetch it, then fly for its key."""
        bootstrap = self.state
        try:
            secret = self.credentials.fetch()
            fetched = secret if isinstance(secret, Failure) else self.credentials.of(secret)
        except BaseException as error:
            from .renewal import raised

            fetched = raised(error)
        if isinstance(fetched, Failure):
            failure = fetched.following(bootstrap.pause.failure if bootstrap.pause else None)
            hold = hold_off(
                failure, self.context.policy.lead(self.context.policy.default_lifetime), self.clock.uniform()
            )
            bootstrap.pause = Pause(self.clock.monotonic() + hold, failure)
            self.context.events.emit("renewal_failed", reason=failure.cause_code, holds=hold)
            return
        self._become(fetched)
        if self.state.held is None:
            flight = self._fly(COLD, None)
            if flight is not None:
                flight.wait(self.context.policy.max_wait)

    def _may_ask_again(self, pause: Pause) -> bool:
        """True once per recorded refusal of the credentials, if the secret can be fetched anew."""
        failure = pause.failure
        refused = failure is not None and failure.kind is FailureKind.CREDENTIALS
        return refused and self.credentials.can_fetch and self._asked_for is not pause

    def changed_secret(self, credential: Credential) -> Credential | None:
        """Asks the secret source again after a refusal; the new credential, or None if there is no other secret."""
        if not self.credentials.can_fetch:
            return None
        self._asked_for = credential.state.pause
        secret = self.credentials.fetch()
        if isinstance(secret, Failure) or secret == credential.secret:
            return None
        changed = self.credentials.of(secret)
        self._become(changed)
        return changed

    # what callers ask for beside a token

    def renew(self) -> AccessToken:
        """Has a new token minted now, e.g. after the client's rights have changed. Single flight still applies.

        While the shared cache cannot give a lease, tokens are minted at least 10 s apart (or a tenth of their life, if
        that is longer); until then this returns the held one.

        Raises:
            TokenUnavailable: the attempt failed; a held token is kept.
        """
        state = self.state
        before = state.held
        flight = self._fly(FORCED, before)
        if flight is not None:
            flight.wait(self.context.policy.max_wait)
        state = self.state
        if state.held is not None and state.held is not before:
            return state.held.token
        if state.pause is not None and state.pause.failure is not None:
            self._raise(state.pause, self.clock.monotonic())
        return self.token()

    def reject(self, token: AccessToken) -> None:
        """A resource server refused this token with a 401: this one, and only this one, is refused.

        The next call mints another, unless this token is younger than 5 s or such mints are barred: an API
        that refuses every token must not burn the quota. Plugins call this themselves.
        """
        state, now = self.state, self.clock.monotonic()
        held = state.held
        if held is None or held.token != token:
            return
        if state.forced_mint_ban is not None and now < state.forced_mint_ban.until:
            return
        events = self.context.events
        if held.age(now) < YOUNG:
            ban = state.forced_mint_ban = next_ban(state.forced_mint_ban, now)
            events.emit("rejection_barred", held.fingerprint, holds=ban.until - now)
            if self.cache is not None:
                self._fly_with(self._share_ban, "forced_mint_ban", held)
            return
        with state.lock:
            if state.held is not held:
                return
            state.refused, state.held = held, None
            state.rejected = (*state.rejected[-3:], held.fingerprint)
        events.emit("rejected", held.fingerprint)

    def token_sent_as(self, authorization: str | None) -> AccessToken | None:
        """The token that this Authorization header carried, if it is the held one or its predecessor; for plugins."""
        state = self.state
        for held in (state.held, state.refused, state.previous):
            if held is not None and held.authorization == authorization:
                return held.token
        return None

    # for watchers

    def is_ready(self) -> bool:
        """True if a good token is held."""
        held = self.state.held
        return held is not None and held.now(self.clock.monotonic(), self.clock.wall()) < held.edges.expires_at

    def renew_if_due(self) -> tuple[float, Future[None] | None]:
        """For watchers: starts a flight if one is due; the seconds until the next look, and the running flight."""
        state, now = self.state, self.clock.monotonic()
        held, pause, flight = state.held, state.pause, state.flight
        if flight is None and pause is not None and now < pause.until and not self._may_ask_again(pause):
            return pause.until - now, None
        if held is not None:
            left = held.edges.renew_at - held.now(now, self.clock.wall())
            if left > 0:
                return left, None
        flight = self._fly(self._reason(state), held)
        if flight is None:
            return 0.0, None
        return max(flight.started + self.context.policy.flight_deadline - now, 0.0), flight.future

    # for tools

    def status(self) -> SourceStatus:
        """What this process knows now, and the ledger, which is read from the shared cache."""
        from .status import SourceStatus

        state, now = self.state, self.clock.monotonic()
        held, pause = state.held, state.pause
        failure = pause.failure if pause is not None else None
        return SourceStatus(
            state=state_at(held.edges if held else None, held.now(now, self.clock.wall()) if held else now),
            fingerprint=held.token.fingerprint if held else None,
            issued_at=held.token.issued_at if held else None,
            renew_at=held.fresh_until_wall if held else None,
            expires_at=held.token.expires_at if held else None,
            last_failure=failure.message if failure else None,
            retry_in=pause.until - now if pause is not None and pause.until > now else None,
            mints=state.mints,
            ledger=self._ledger(),
        )

    def _ledger(self) -> LedgerReport:
        from ..runtime.worker_thread import on_worker_thread
        from ..shared_cache.shared_store import NOTHING_SHARED
        from .ledger import ledger_of

        credential, ledger, events = self.credential, ledger_of(self.context), self.context.events
        if credential is None or self.cache is None:
            return ledger.read(NOTHING_SHARED, events)

        def read() -> LedgerReport:
            try:
                return ledger.read(credential.shared, events)
            finally:
                credential.shared.release_thread()

        return on_worker_thread(read)  # the caller's thread may have connections of its own to the same cache

    def resolved_credential(self) -> Credential | Failure:
        """The client's credential; a secret that must be fetched for it is fetched now, on this thread."""
        if self.credential is None:
            secret = self.credentials.fetch()
            if isinstance(secret, Failure):
                return secret
            self._become(self.credentials.of(secret))
        return self.credential  # type: ignore[return-value]


def _renewal() -> type[Renewal]:
    """What flights need, imported when the first source is built: not at import, and not on a flight (see fork.py)."""
    with delaying_forks():
        # The socket module imports this codec to resolve the first name.
        import encodings.idna  # noqa: F401 # pyright: ignore[reportUnusedImport]

        from . import flight  # noqa: F401 # pyright: ignore[reportUnusedImport]
        from .renewal import Renewal
    return Renewal

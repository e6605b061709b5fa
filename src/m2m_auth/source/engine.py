"""The engine behind a :class:`~m2m_auth.TokenSource`: decides what a call does, and starts the flights.

What a call gets depends on the state of the held token:

- **fresh**: the held token at once.
- **stale**: the held token at once; a flight renews it in the background.
- **expiring**: the call waits for the running flight for a moment, then gets the held token, which is still good.
- **expired**, or none: the call waits for the flight, or fails at once from the recorded failure.

The public source has few methods; what front doors and tools need beside them is here.
"""

from __future__ import annotations

# The socket module imports this codec to resolve the first name. A fork during an import on a flight would leave a
# half-made module in the child, so all that flights need is imported with this module.
import encodings.idna  # noqa: F401 # pyright: ignore[reportUnusedImport]
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, NoReturn

from ..caches.protocol import TokenCache
from ..errors import ConfigurationError, TokenUnavailable, missing_extra
from ..lifecycle.decision import Action, Pause, decide
from ..lifecycle.failure import Failure, FailureKind, hold_off
from ..lifecycle.forced_mint_ban import YOUNG, next_ban
from ..lifecycle.schedule import state_at
from ..oauth2.origins import Origin
from ..oauth2.tokens import AccessToken
from .credentials import CredentialSource
from .flight import Flight, landing
from .registry import unregistered_token_state
from .renewal import Renewal
from .renewal_context import COLD, FORCED, REJECTED, RENEWAL, Credential, RenewalContext
from .token_state import HeldToken, TokenState

if TYPE_CHECKING:
    from concurrent.futures import Future

    from .ledger import LedgerReport
    from .status import SourceStatus

__all__ = ["Engine", "Waiting"]


class Waiting(NamedTuple):
    """The call waits for this flight, ``timeout`` seconds at most, then the engine decides again."""

    flight: Flight
    timeout: float


class Engine:
    """One source's engine. It does no I/O itself: flights do.

    Args:
        context: what every flight of this source is given.
        credentials: makes the credential of each secret.
        cache: the shared cache, or None.
        on_system_clock: True if the source has no clock of its own; hot paths then read the system's directly.
    """

    __slots__ = (
        "_asked_for",
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
        self._asked_for: Pause | None = None
        """The recorded refusal after which the secret was last fetched again."""
        self.credential = credentials.first()
        """The current generation of the client's credential; None until its secret is fetched."""
        self.state = self.credential.state if self.credential is not None else unregistered_token_state()
        """What this process knows of the key; hot paths read ``state.held``."""

    # a token

    def token(self) -> AccessToken:
        """A token that is good now; waits on this thread if it must. See :meth:`TokenSource.token`."""
        give_up = self.clock.monotonic() + self.context.policy.max_wait
        step = self.step(give_up)
        while isinstance(step, Waiting):
            step.flight.wait(step.timeout)
            step = self.step(give_up, step)
        return step

    async def atoken(self) -> AccessToken:
        """The same for asyncio and trio: it awaits the flight, so the event loop is never blocked."""
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
            if action is Action.FAIL and pause is not None and not self._may_fetch_again(pause):
                self._raise(pause, now)
            if action is not Action.WAIT and now >= give_up:
                raise TokenUnavailable(
                    f"No token came within {self.context.policy.max_wait:g} s "
                    f"from {self.context.request.token_endpoint}",
                    cause_code="max_wait",
                )
            flight = self._fly(self._reason(state), held)
            if flight is None:
                continue  # another flight has just changed the held token
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
            return self._fly_with(self._fetch_and_fly, reason, seen)
        return self._fly_with(partial(self._run_renewal, credential, reason), reason, seen)

    def _run_renewal(self, credential: Credential, reason: str) -> None:
        Renewal(self.context, credential, reason, self.changed_secret).run()

    def _fly_with(self, work: Callable[[], object], reason: str, seen: HeldToken | None) -> Flight | None:
        return self.state.fly(work, reason, self.clock.monotonic(), seen, self.context.policy.flight_deadline)

    def _raise(self, pause: Pause, now: float) -> NoReturn:
        failure = pause.failure
        if failure is None:
            raise TokenUnavailable("There is no token", cause_code="unknown")
        raise failure.error(retry_after=max(pause.until - now, 0.0))

    # the client's credential

    def _become(self, credential: Credential) -> None:
        self.credential = credential
        self.state = credential.state

    def _fetch_and_fly(self) -> None:
        """The first flight of a source whose secret must be fetched: fetches it, then flies for its key."""
        before = self.state
        try:
            secret = self.credentials.fetch()
            fetched = secret if isinstance(secret, Failure) else self.credentials.of(secret)
        except BaseException as error:
            from .failures import failure_from_exception

            fetched = failure_from_exception(error)
        if isinstance(fetched, Failure):
            failure = fetched.following(before.pause.failure if before.pause else None)
            policy = self.context.policy
            hold = hold_off(failure, policy.lead(policy.default_lifetime), self.clock.uniform())
            before.pause = Pause(self.clock.monotonic() + hold, failure)
            self.context.events.emit("renewal_failed", reason=failure.cause_code, holds=hold)
            return
        self._become(fetched)
        if self.state.held is None:
            flight = self._fly(COLD, None)
            if flight is not None:
                flight.wait(self.context.policy.max_wait)

    def _may_fetch_again(self, pause: Pause) -> bool:
        """True once per recorded refusal of the credentials, if the secret can be fetched again."""
        failure = pause.failure
        refused = failure is not None and failure.kind is FailureKind.CREDENTIALS
        return refused and self.credentials.can_fetch and self._asked_for is not pause

    def changed_secret(self, credential: Credential) -> Credential | None:
        """Asks the secret source again after a refusal; the new credential, or None if the secret is unchanged."""
        if not self.credentials.can_fetch:
            return None
        self._asked_for = credential.state.pause
        secret = self.credentials.fetch()
        if isinstance(secret, Failure) or secret == credential.secret:
            return None
        changed = self.credentials.of(secret)
        self._become(changed)
        return changed

    def resolved_credential(self) -> Credential | Failure:
        """The client's credential; a secret that must be fetched for it is fetched now, on this thread."""
        if self.credential is None:
            secret = self.credentials.fetch()
            if isinstance(secret, Failure):
                return secret
            self._become(self.credentials.of(secret))
        return self.credential  # type: ignore[return-value]

    # a forced mint

    def renew(self) -> AccessToken:
        """Mints a new token now. See :meth:`TokenSource.renew`."""
        before = self.state.held
        flight = self._fly(FORCED, before)
        if flight is not None:
            flight.wait(self.context.policy.max_wait)
        return self._renewed(before) or self.token()

    async def arenew(self) -> AccessToken:
        """The same for asyncio and trio."""
        before = self.state.held
        flight = self._fly(FORCED, before)
        if flight is not None:
            await landing(flight.future, self.context.policy.max_wait)
        return self._renewed(before) or await self.atoken()

    def _renewed(self, before: HeldToken | None) -> AccessToken | None:
        """The new token; None if the flight ended with neither a token nor a failure."""
        state = self.state
        if state.held is not None and state.held is not before:
            return state.held.token
        if state.pause is not None and state.pause.failure is not None:
            self._raise(state.pause, self.clock.monotonic())
        return None

    # a token that an API refused

    def reject(self, token: AccessToken, origin: Origin | None = None) -> None:  # noqa: ARG002
        """Handles a token that an API refused with a 401. See :meth:`TokenSource.reject`."""
        state, now = self.state, self.clock.monotonic()
        held = state.held
        if held is None or held.token != token:
            return
        if state.forced_mint_ban is not None and now < state.forced_mint_ban.until:
            return
        events = self.context.events
        if held.age(now) < YOUNG:
            ban = state.forced_mint_ban = next_ban(state.forced_mint_ban, now)
            events.emit("forced_mint_ban", held.fingerprint, holds=ban.until - now)
            if self.cache is not None:
                self._fly_with(self._share_ban, "forced_mint_ban", held)
            return
        with state.lock:
            if state.held is not held:
                return
            state.refused, state.held = held, None
            state.rejected = (*state.rejected[-3:], held.fingerprint)
        events.emit("rejected", held.fingerprint)

    def _share_ban(self) -> None:
        credential = self.credential
        if credential is not None and credential.state.forced_mint_ban is not None:
            ban = credential.state.forced_mint_ban
            until = self.clock.wall() + ban.until - self.clock.monotonic()
            credential.store.write_ban(ban._replace(until=until), self.context.events)
            credential.store.release_thread()

    def accepted(self, token: AccessToken, origin: Origin) -> None:
        """Front doors report, while ``state.on_trial``, that an answer below 400 followed a request with this token."""

    def refuse_banned_call(self, origin: Origin) -> None:
        """Raises TokenUnavailable where this origin refuses every token."""

    def token_sent_as(self, value: str | None) -> AccessToken | None:
        """The token with this value, if it is the held one or the one before it."""
        state = self.state
        for held in (state.held, state.refused, state.previous):
            if held is not None and held.token.value == value:
                return held.token
        return None

    # for watchers

    def is_ready(self) -> bool:
        """True if a good token is held."""
        held = self.state.held
        return held is not None and held.is_good(self.clock.monotonic(), self.clock.wall())

    def renew_if_due(self) -> tuple[float, Future[None] | None]:
        """Starts a flight if one is due; the seconds until the next check, and the running flight's future."""
        state, now = self.state, self.clock.monotonic()
        held, pause, flight = state.held, state.pause, state.flight
        if flight is None and pause is not None and now < pause.until and not self._may_fetch_again(pause):
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

    async def astatus(self) -> SourceStatus:
        """The same for asyncio and trio: a thread reads the ledger."""
        try:
            import anyio.to_thread
        except ImportError as error:
            raise ConfigurationError(missing_extra("astatus()", error, "async")) from None
        return await anyio.to_thread.run_sync(self.status)

    def _ledger(self) -> LedgerReport:
        from ..runtime.worker_thread import on_worker_thread
        from ..shared_cache.shared_store import NOTHING_SHARED
        from .ledger import ledger_of

        credential, ledger, events = self.credential, ledger_of(self.context), self.context.events
        if credential is None or self.cache is None:
            return ledger.read(NOTHING_SHARED, events)

        def read() -> LedgerReport:
            try:
                return ledger.read(credential.store, events)
            finally:
                credential.store.release_thread()

        return on_worker_thread(read)  # the caller's thread may have connections of its own to the same cache

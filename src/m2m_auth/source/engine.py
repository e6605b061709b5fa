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
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, NamedTuple, NoReturn, TypeVar

from ..caches.protocol import TokenCache
from ..errors import ConfigurationError, M2MAuthError, TokenEndpointUnavailable, TokenUnavailable, missing_extra
from ..lifecycle.decision import Action, Pause, decide
from ..lifecycle.failure import Failure, hold_off
from ..oauth2.origins import Origin
from ..oauth2.tokens import AccessToken
from .credentials import CredentialSource
from .failures import failure_from_exception
from .flight import Busy, Flight, landing
from .registry import unregistered_token_state
from .rejection import Rejection
from .renewal import FETCHING, Renewal
from .renewal_context import COLD, FORCED, REJECTED, RENEWAL, Credential, RenewalContext
from .token_state import HeldToken, TokenState

if TYPE_CHECKING:
    from concurrent.futures import Future

    from .status import SourceStatus

__all__ = ["Engine", "Waiting"]

_Error = TypeVar("_Error", bound=M2MAuthError)

GRACE = 1.0
"""Seconds that a callable of the user's may take beyond ``policy.mint_deadline`` before callers stop waiting."""


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
        "_rejection",
        "cache",
        "clock",
        "context",
        "credential",
        "credentials",
        "on_system_clock",
        "state",
        "wording",
    )

    def __init__(
        self, context: RenewalContext, credentials: CredentialSource, cache: TokenCache | None, *, on_system_clock: bool
    ) -> None:
        self.context = context
        self.credentials = credentials
        self.cache = cache
        self.clock = context.clock
        self.on_system_clock = on_system_clock
        self.wording: Callable[[str], str] = str
        """How the messages of a call's errors name options; the settings of a framework have names of their own."""
        self._asked_for: Pause | None = None
        """The recorded refusal after which the secret was last fetched again."""
        self.credential = credentials.first()
        """The current generation of the client's credential; None until its secret is fetched."""
        self.state = self.credential.state if self.credential is not None else unregistered_token_state()
        """What this process knows of the key; hot paths read ``state.held``."""
        self._rejection = Rejection(context, shared=cache is not None)
        self._listen()

    def __reduce__(self) -> NoReturn:
        raise TypeError("an engine is not pickled: it holds the client's credential")

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
            state, now, wall = self.state, self.clock.monotonic(), self.clock.wall()
            state.notice_jump(now, wall)
            held, pause, flight = state.held, state.pause, state.flight
            if held is not None and state.renewal_is_no_help(now) and self.is_ready():
                return held.token
            decision = decide(
                held.edges_at(now, wall) if held is not None else None,
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
            if action is Action.NEED and flight is not None:
                self._fail_if_overdue(flight, now)
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
            return Waiting(flight, max(min(give_up - now, self._patience(flight, now)), 0.0))

    def _patience(self, flight: Flight, now: float) -> float:
        """How long a call waits for this flight before it looks at what the flight does."""
        since = now if flight.busy is None else flight.busy.since
        return since + self.context.policy.mint_deadline + GRACE - now

    def _fail_if_overdue(self, flight: Flight, now: float) -> None:
        """Raises TokenEndpointUnavailable if the flight waits too long for a callable of the user's."""
        busy, policy = flight.busy, self.context.policy
        if busy is None or self._patience(flight, now) > 0 or now - flight.started >= policy.flight_deadline:
            return
        left = max(flight.started + policy.flight_deadline - now, 0.0)
        if not flight.overdue:
            flight.overdue = True
            self.context.events.emit("renewal_failed", reason="timeout", seconds=now - busy.since, holds=left)
        raise self.worded(
            TokenEndpointUnavailable(
                f"No token came from {self.context.request.token_endpoint}: {busy.what} is still busy after "
                f"{policy.mint_deadline:g} s (policy.mint_deadline). Fix: {busy.fix}",
                cause_code="timeout",
                retry_after=left,
            )
        )

    def _reason(self, state: TokenState) -> str:
        if state.refused is not None:
            return REJECTED
        return COLD if state.held is None else RENEWAL

    def _fly(self, reason: str, seen: HeldToken | None) -> Flight | None:
        credential = self.credential
        work = self._fetch_and_fly if credential is None else partial(self._run_renewal, credential, reason)
        return self.state.fly(work, reason, self.clock.monotonic(), seen, self.context.policy.flight_deadline)

    def _run_renewal(self, credential: Credential, reason: str, flight: Flight) -> None:
        Renewal(self.context, credential, reason, self.changed_secret, flight).run()

    def _raise(self, pause: Pause, now: float) -> NoReturn:
        failure = pause.failure
        if failure is None:
            raise TokenUnavailable("There is no token", cause_code="unknown")
        raise self.worded(failure.error(retry_after=max(pause.until - now, 0.0)))

    def worded(self, error: _Error) -> _Error:
        """The error, with the options named as this source's user knows them."""
        error.args = (self.wording(str(error)), *error.args[1:])
        return error

    # the client's credential

    def _become(self, credential: Credential) -> None:
        with self.state.lock:
            self.state.listeners.remove(self.context.events)
        self.credential = credential
        self.state = credential.state
        self._listen()

    def _listen(self) -> None:
        """From now on this source's subscriber hears of its key, whichever source's call starts a flight."""
        events = self.context.events
        events.listeners = self.state.listeners
        if events.subscriber is not None:
            with self.state.lock:
                self.state.listeners.add(events)

    def _fetch_and_fly(self, outer: Flight) -> None:
        """The first flight of a source whose secret must be fetched: fetches it, then flies for its key."""
        before = self.state
        outer.busy = Busy(self.clock.monotonic(), *FETCHING)
        try:
            secret = self.credentials.fetch()
            fetched = secret if isinstance(secret, Failure) else self.credentials.of(secret)
        except BaseException as error:
            fetched = failure_from_exception(error)
        outer.busy = None
        if isinstance(fetched, Failure):
            failure = fetched.following(before.pause.failure if before.pause else None)
            policy = self.context.policy
            hold = hold_off(failure, policy.lead(policy.default_lifetime), self.clock.uniform())
            before.pause = Pause(self.clock.monotonic() + hold, failure)
            self.context.events.emit("renewal_failed", reason=failure.cause_code, holds=hold)
            return
        self._become(fetched)
        self._asked_for = fetched.state.pause
        if self.state.held is None:
            flight = self._fly(COLD, None)
            if flight is not None:
                flight.wait(self.context.policy.max_wait)

    def _may_fetch_again(self, pause: Pause) -> bool:
        """True once per recorded refusal of the credentials, if the secret can be fetched again."""
        failure = pause.failure
        refused = failure is not None and failure.may_be_the_credential
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
        # Of a secret that was refused before: a source that alternates would be asked in turns, without an end.
        self._asked_for = changed.state.pause or self._asked_for
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
        for timeout in self._waits(flight):
            flight.wait(timeout)  # type: ignore[union-attr]
        return self._renewed(before) or self.token()

    async def arenew(self) -> AccessToken:
        """The same for asyncio and trio."""
        before = self.state.held
        flight = self._fly(FORCED, before)
        for timeout in self._waits(flight):
            await landing(flight.future, timeout)  # type: ignore[union-attr]
        return self._renewed(before) or await self.atoken()

    def _waits(self, flight: Flight | None) -> Iterator[float]:
        """The waits for a forced mint, one after another, until it has landed. Raises if that takes too long."""
        give_up = self.clock.monotonic() + self.context.policy.max_wait
        while flight is not None and not flight.future.done():
            now = self.clock.monotonic()
            self._fail_if_overdue(flight, now)
            if now >= give_up:
                return
            yield min(give_up - now, max(self._patience(flight, now), 0.0))

    def _renewed(self, before: HeldToken | None) -> AccessToken | None:
        """The new token; None if the flight ended with neither a token nor a failure."""
        state = self.state
        if state.held is not None and state.held is not before:
            return state.held.token
        if state.pause is not None and state.pause.failure is not None:
            self._raise(state.pause, self.clock.monotonic())
        return None

    # a token that an API refused

    def reject(self, token: AccessToken, origin: Origin | None = None) -> None:
        """Handles a token that the API at ``origin`` refused. See :meth:`TokenSource.reject`."""
        self._rejection.reject(self.state, self.credential, token, origin)

    def accepted(self, token: AccessToken, origin: Origin | None = None) -> None:
        """The API at ``origin`` took this token. Front doors report it while ``state.on_trial`` is true."""
        self._rejection.accepted(self.state, self.credential, token, origin)

    def refuse_banned_call(self, origin: Origin) -> None:
        """Called where no good token is held: an API that refuses every new token gets no more of them for a while.

        Raises:
            TokenUnavailable: a ban on forced mints holds for this API.
        """
        self._rejection.refuse_banned_call(self.state, self.credential, origin)

    def token_sent_as(self, authorization: str | None) -> AccessToken | None:
        """The token that this Authorization header, or this bare value, carried: the held one or one of the latest."""
        state = self.state
        for held in (state.held, state.refused, *reversed(state.earlier)):
            if held is not None and authorization in (held.authorization, held.token.value):
                return held.token
        return None

    # for watchers

    def is_ready(self) -> bool:
        """True if a good token is held."""
        held = self.state.held
        return held is not None and held.is_good(self.clock.monotonic(), self.clock.wall())

    def renew_if_due(self) -> tuple[float, Future[None] | None]:
        """Starts a flight if one is due; the seconds until the next check, and the running flight's future."""
        state, now, wall = self.state, self.clock.monotonic(), self.clock.wall()
        state.notice_jump(now, wall)
        held, pause, flight = state.held, state.pause, state.flight
        ban = state.forced_mint_ban
        if ban is not None and state.renewal_is_no_help(now) and self.is_ready():
            return ban.until - now, None
        if flight is None and pause is not None and now < pause.until and not self._may_fetch_again(pause):
            return pause.until - now, None
        if held is not None:
            left = held.edges.renew_at - held.now(now, wall)
            if left > 0:
                return left, None
        flight = self._fly(self._reason(state), held)
        if flight is None:
            return 0.0, None
        return max(flight.started + self.context.policy.flight_deadline - now, 0.0), flight.future

    # for tools

    def status(self) -> SourceStatus:
        """What this process knows now, and the ledger, which is read from the shared cache."""
        from .status import status_of

        return status_of(self.context, self.state, self.credential if self.cache is not None else None)

    async def astatus(self) -> SourceStatus:
        """The same for asyncio and trio: a thread reads the ledger."""
        try:
            import anyio.to_thread
        except ImportError as error:
            raise ConfigurationError(missing_extra("astatus()", error, "async")) from None
        return await anyio.to_thread.run_sync(self.status)

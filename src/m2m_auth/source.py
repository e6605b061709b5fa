"""The token source: hands out the held token, and has flights keep it good."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from . import lifecycle
from .caches import TokenCache
from .client_authentication import ClientAuthentication
from .clock import SYSTEM_CLOCK, Clock
from .errors import TokenUnavailable
from .events import Reporter, Subscriber
from .failure import Failure, Kind
from .fork import importing
from .grants import Grant
from .identities import Identities, checked_cache
from .kit import COLD, FORCED, REJECTED, RENEWAL, Identity, Kit
from .lifecycle import DEFAULT_POLICY, YOUNG, Action, Pause, RenewalPolicy, hold_off, next_bar
from .options import SecretSource, TokenRequest, checked_alias, checked_secret_source, refuse_unknown
from .seal import checked_keys
from .slot import Held, Slot, unshared_slot
from .token import AccessToken, concealed
from .transports import as_transport

if TYPE_CHECKING:
    from concurrent.futures import Future

    from typing_extensions import Never, Self

    from .budget import MintBudget
    from .flight import Flight
    from .ledger import LedgerReport
    from .renewal import Renewal
    from .status import SourceStatus
    from .watcher import TokenWatcher

__all__ = ["TokenSource"]


class _Waiting(NamedTuple):
    """Wait for this flight, ``timeout`` seconds at most, then look again."""

    flight: Flight
    timeout: float


class TokenSource:
    """A source of access tokens for one client and one audience: one mint per token lifetime for the whole fleet.

    Build it once or for every request: sources with equal parameters share one token per process. Use it from
    any number of threads, tasks and event loops. It does no I/O until a token is asked for.

    Args:
        token_endpoint: the token endpoint's URL; https, except on loopback.
        client_id: the client identifier (RFC 6749 §2.2).
        client_secret: the client secret, or a callable that fetches it (a secret manager); the callable is
            asked again when the server answers ``invalid_client``.
        audience: the ``audience`` parameter, as Auth0 and others have it.
        scope: the scopes, as a string separated by spaces or a list.
        resource: the ``resource`` parameter (RFC 8707), one URI or several.
        extra_parameters: further parameters of the token request.
        client_authentication: ``client_secret_basic``, ``client_secret_post``, or an object such as
            :class:`~m2m_auth.client_authentication.PrivateKeyJWT`.
        grant: the grant; client credentials by default.
        cache: None (this process's memory), a URL such as ``disk:``, or a :class:`~m2m_auth.caches.TokenCache`.
        encryption_keys: keys (16 bytes or more) for what leaves the process; the first seals, all open. By
            default the key is derived from the client's own credential.
        policy: when tokens are renewed and how long anybody waits.
        budget: how many tokens this client may mint; None: as many as it takes.
        transport: how the token endpoint is reached: a ``requests.Session``, an ``httpx.Client``, or a callable.
        clock: the clocks; for tests.
        on_event: called with every :class:`~m2m_auth.events.Event`, on the thread where it happens.
        alias: this source's short name in events and the log, e.g. ``billing``; the client id is always there.

    Raises:
        ConfigurationError: an option makes no sense; raised before any I/O.
    """

    __slots__ = (
        "__weakref__",
        "_asked_for",
        "_cache",
        "_clock",
        "_identities",
        "_identity",
        "_kit",
        "_policy",
        "_renewal",
        "monotonic",
        "on_system_clock",
        "slot",
        "wall",
    )

    def __init__(
        self,
        token_endpoint: str,
        client_id: str,
        client_secret: str | SecretSource | None = None,
        *,
        audience: str | None = None,
        scope: str | Iterable[str] | None = None,
        resource: str | Sequence[str] | None = None,
        extra_parameters: Mapping[str, str] | None = None,
        client_authentication: str | ClientAuthentication = "client_secret_basic",
        grant: Grant | None = None,
        cache: str | TokenCache | None = None,
        encryption_keys: Sequence[str | bytes] | None = None,
        policy: RenewalPolicy | None = None,
        budget: MintBudget | None = None,
        transport: Any = None,
        clock: Clock | None = None,
        on_event: Subscriber | None = None,
        alias: str | None = None,
        **unknown: Never,
    ) -> None:
        client_secret, encryption_keys = concealed(client_secret), concealed(encryption_keys)
        refuse_unknown(unknown)
        request = TokenRequest.checked(
            token_endpoint,
            client_id,
            client_authentication=client_authentication,
            grant=grant,
            audience=audience,
            scope=scope,
            resource=resource,
            extra_parameters=extra_parameters,
        )
        secret = checked_secret_source(client_secret)
        keys = checked_keys(encryption_keys)
        self._cache = checked_cache(cache)
        self._policy = (policy or DEFAULT_POLICY).checked()
        self._clock = clock or SYSTEM_CLOCK
        self._identities = Identities(request, secret, keys, self._cache, self._policy, clock)
        reporter = Reporter(request.client_id, on_event, request.audience, checked_alias(alias))
        self._kit = Kit(
            request,
            self._policy,
            as_transport(transport),
            self._clock,
            reporter,
            budget.checked() if budget is not None else None,
            self._changed_secret,
        )
        self.on_system_clock = clock is None
        """For plugins' hot paths, which then read the clocks without a detour."""
        self.monotonic, self.wall = self._clock.monotonic, self._clock.wall
        self._renewal = _renewal()
        self._asked_for: Pause | None = None
        self._identity = self._identities.first()
        self.slot = self._identity.slot if self._identity is not None else unshared_slot()
        """The engine's own; plugins read ``slot.held`` on their hot path."""

    # a token

    def token(self) -> AccessToken:
        """A token that is good now. Waits only where none is held, ``policy.max_wait`` seconds at most.

        Raises:
            TokenUnavailable: there is none, and why; the error is new for each caller.
        """
        held = self.slot.held
        if held is not None and self.monotonic() < held.fresh_until and self.wall() < held.fresh_until_wall:
            return held.token
        give_up = self.monotonic() + self._policy.max_wait
        step = self._step(give_up)
        while isinstance(step, _Waiting):
            step.flight.wait(step.timeout)
            step = self._step(give_up, step)
        return step

    async def atoken(self) -> AccessToken:
        """The same for asyncio and trio: never blocks the event loop; a cancelled caller stops nothing.

        Raises:
            TokenUnavailable: there is none, and why.
        """
        held = self.slot.held
        if held is not None and self.monotonic() < held.fresh_until and self.wall() < held.fresh_until_wall:
            return held.token
        give_up = self.monotonic() + self._policy.max_wait
        step = self._step(give_up)
        while isinstance(step, _Waiting):
            from .awaiting import landed

            await landed(step.flight.future, step.timeout)
            step = self._step(give_up, step)
        return step

    def __call__(self) -> str:
        """The token's value: a source is a ``Callable[[], str]``, as many SDKs take one."""
        return self.token().value

    def renew(self) -> AccessToken:
        """Has a new token minted now, e.g. after the client's rights have changed. Single flight still applies.

        While the shared cache cannot give a lease, tokens are minted at least 10 s apart (or a tenth of their life, if
        that is longer); until then this returns the held one.

        Raises:
            TokenUnavailable: the attempt failed; a held token is kept.
        """
        slot = self.slot
        before = slot.held
        flight = self._fly(FORCED, before)
        if flight is not None:
            flight.wait(self._policy.max_wait)
        slot = self.slot
        if slot.held is not None and slot.held is not before:
            return slot.held.token
        if slot.pause is not None and slot.pause.failure is not None:
            self._raise(slot.pause, self.monotonic())
        return self.token()

    def reject(self, token: AccessToken) -> None:
        """A resource server refused this token with a 401: this one, and only this one, is out.

        The next call mints another, unless this token is younger than 5 s or such mints are barred: an API
        that refuses every token must not burn the quota. Plugins call this themselves.
        """
        slot, now = self.slot, self.monotonic()
        held = slot.held
        if held is None or held.token != token:
            return
        if slot.bar is not None and now < slot.bar.until:
            return
        report = self._kit.report
        if held.age(now) < YOUNG:
            bar = slot.bar = next_bar(slot.bar, now)
            report.tell("rejection_barred", held.mark, holds=bar.until - now)
            if self._cache is not None:
                self._fly_with(self._share_bar, "bar", held)
            return
        with slot.lock:
            if slot.held is not held:
                return
            slot.out, slot.held = held, None
            slot.rejected = (*slot.rejected[-3:], held.mark)
        report.tell("rejected", held.mark)

    def token_behind(self, authorization: str | None) -> AccessToken | None:
        """The token that this Authorization header carried, if it is the held one or its predecessor; for plugins."""
        slot = self.slot
        for held in (slot.held, slot.out, slot.previous):
            if held is not None and held.authorization == authorization:
                return held.token
        return None

    # kept fresh by timer

    def watch(self) -> TokenWatcher:
        """Keeps the token fresh by timer from now on, even when nobody calls; a context manager.

        ``with source.watch() as watcher: watcher.wait_until_ready(10)`` starts a long-running service warm.
        """
        from .watcher import TokenWatcher

        return TokenWatcher(self)

    def is_ready(self) -> bool:
        """True if a good token is held."""
        held = self.slot.held
        return held is not None and held.now(self.monotonic(), self.wall()) < held.edges.expires_at

    def look(self) -> tuple[float, Future[None] | None]:
        """For watchers: starts a flight if one is due; the seconds until the next look, and the running flight."""
        slot, now = self.slot, self.monotonic()
        held, pause, flight = slot.held, slot.pause, slot.flight
        if flight is None and pause is not None and now < pause.until and not self._may_ask_again(pause):
            return pause.until - now, None
        if held is not None:
            left = held.edges.renew_at - held.now(now, self.wall())
            if left > 0:
                return left, None
        flight = self._fly(self._reason(slot), held)
        if flight is None:
            return 0.0, None
        return max(flight.started + self._policy.flight_deadline - now, 0.0), flight.future

    # what it is doing

    def status(self) -> SourceStatus:
        """What this process knows now, and the ledger, which is read from the shared cache."""
        from .status import SourceStatus

        slot, now = self.slot, self.monotonic()
        held, pause = slot.held, slot.pause
        failure = pause.failure if pause is not None else None
        return SourceStatus(
            state=lifecycle.state(held.edges if held else None, held.now(now, self.wall()) if held else now),
            fingerprint=held.token.fingerprint if held else None,
            issued_at=held.token.issued_at if held else None,
            renew_at=held.fresh_until_wall if held else None,
            expires_at=held.token.expires_at if held else None,
            last_failure=failure.message if failure else None,
            retry_in=pause.until - now if pause is not None and pause.until > now else None,
            mints=slot.mints,
            ledger=self._ledger(),
        )

    def _ledger(self) -> LedgerReport:
        from .apart import on_a_thread
        from .ledger import ledger_of
        from .shared import NOTHING_SHARED

        identity, ledger, report = self._identity, ledger_of(self._kit), self._kit.report
        if identity is None or self._cache is None:
            return ledger.read(NOTHING_SHARED, report)

        def read() -> LedgerReport:
            try:
                return ledger.read(identity.shared, report)
            finally:
                identity.shared.release_thread()

        return on_a_thread(read)  # the caller's thread may have connections of its own to the same cache

    def inside(self) -> tuple[Kit, TokenCache | None, Identity | Failure]:
        """For tools: its parts, and which key it is for; a secret that must be fetched for that is fetched now."""
        identity = self._identity
        if identity is None:
            secret = self._identities.fetch()
            if isinstance(secret, Failure):
                return self._kit, self._cache, secret
            identity = self._identities.of(secret)
            self._become(identity)
        return self._kit, self._cache, identity

    def close(self) -> None:
        """Closes the cache's connections. They open again if the source is used again."""
        if self._cache is not None:
            self._cache.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        kit = getattr(self, "_kit", None)  # half built, in the traceback of a ConfigurationError
        if kit is None:
            return "<TokenSource>"
        request = kit.request
        return f"<TokenSource {request.client_id!r} at {request.token_endpoint}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a TokenSource is not pickled: build it where it is used; equal sources share one token")

    # how

    def _step(self, give_up: float, waited: _Waiting | None = None) -> AccessToken | _Waiting:
        """One decision: a token, a flight to wait for, or TokenUnavailable. Callers loop."""
        while True:
            slot, now = self.slot, self.monotonic()
            held, pause, flight = slot.held, slot.pause, slot.flight
            decision = lifecycle.decide(
                held.edges_at(now, self.wall()) if held is not None else None,
                now,
                self._policy,
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
                    f"No token came within {self._policy.max_wait:g} s from {self._kit.request.token_endpoint}",
                    cause_code="max_wait",
                )
            flight = self._fly(self._reason(slot), held)
            if flight is None:
                continue  # the second look: the held token has changed in the meantime
            if action is Action.WAIT:
                return _Waiting(flight, max(decision.until - now, 0.0))
            return _Waiting(flight, max(give_up - now, 0.0))

    def _reason(self, slot: Slot) -> str:
        if slot.out is not None:
            return REJECTED
        return COLD if slot.held is None else RENEWAL

    def _fly(self, reason: str, seen: Held | None) -> Flight | None:
        identity = self._identity
        if identity is None:
            return self._fly_with(self._resolve, reason, seen)
        return self._fly_with(self._renewal(self._kit, identity, reason).run, reason, seen)

    def _fly_with(self, work: Any, reason: str, seen: Held | None) -> Flight | None:
        return self.slot.fly(work, reason, self.monotonic(), seen, self._policy.flight_deadline)

    def _raise(self, pause: Pause, now: float) -> NoReturn:
        failure = pause.failure
        if failure is None:
            raise TokenUnavailable("There is no token", cause_code="unknown")
        raise failure.error(retry_after=max(pause.until - now, 0.0))

    def _share_bar(self) -> None:
        identity = self._identity
        if identity is not None and identity.slot.bar is not None:
            bar = identity.slot.bar
            identity.shared.write_bar(bar._replace(until=self.wall() + bar.until - self.monotonic()), self._kit.report)
            identity.shared.release_thread()

    # which secret, and so which key

    def _become(self, identity: Identity) -> None:
        self._identity = identity
        self.slot = identity.slot

    def _resolve(self) -> None:
        """The first flight of a source whose secret must be fetched: fetch it, then fly for its key."""
        bootstrap = self.slot
        try:
            secret = self._identities.fetch()
            fetched = secret if isinstance(secret, Failure) else self._identities.of(secret)
        except BaseException as error:
            from .renewal import raised

            fetched = raised(error)
        if isinstance(fetched, Failure):
            failure = fetched.following(bootstrap.pause.failure if bootstrap.pause else None)
            hold = hold_off(failure, self._policy.lead(self._policy.default_lifetime), self._clock.uniform())
            bootstrap.pause = Pause(self.monotonic() + hold, failure)
            self._kit.report.tell("renewal_failed", reason=failure.cause_code, holds=hold)
            return
        self._become(fetched)
        if self.slot.held is None:
            flight = self._fly(COLD, None)
            if flight is not None:
                flight.wait(self._policy.max_wait)

    def _may_ask_again(self, pause: Pause) -> bool:
        """True once per recorded refusal of the credentials, if the secret can be fetched anew."""
        failure = pause.failure
        refused = failure is not None and failure.kind is Kind.CREDENTIALS
        return refused and self._identities.can_fetch and self._asked_for is not pause

    def _changed_secret(self, identity: Identity) -> Identity | None:
        """Asks the secret source again after a refusal; the new identity, or None if there is no other secret."""
        if not self._identities.can_fetch:
            return None
        self._asked_for = identity.slot.pause
        secret = self._identities.fetch()
        if isinstance(secret, Failure) or secret == identity.secret:
            return None
        changed = self._identities.of(secret)
        self._become(changed)
        return changed


def _renewal() -> type[Renewal]:
    """What flights need, imported when the first source is built: not at import, and not on a flight (see fork.py)."""
    with importing():
        # The socket module imports this codec to resolve the first name.
        import encodings.idna  # noqa: F401 # pyright: ignore[reportUnusedImport]

        from . import flight  # noqa: F401 # pyright: ignore[reportUnusedImport]
        from .renewal import Renewal
    return Renewal

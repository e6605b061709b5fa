"""The token source: hands out the held token, and has flights keep it good."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, NoReturn

from . import lifecycle
from .caches import TokenCache, from_url
from .client_authentication import ClientAuthentication
from .clock import Clock
from .errors import ConfigurationError, TokenUnavailable
from .events import Reporter, Subscriber
from .failure import Failure, Kind
from .grants import Grant
from .lifecycle import Action, Pause, RenewalPolicy, hold_off
from .options import SecretSource, TokenRequest, checked_secret_source, refuse_unknown
from .renewal import COLD, FORCED, REJECTED, RENEWAL, YOUNG, Identity, Kit, Renewal, next_bar
from .seal import Seal, checked_keys, require_cryptography
from .shared import CacheNames, SharedState
from .slot import Flight, Held, Same, Slot, slot_for
from .token import AccessToken, Secret, checked_secret
from .transports import as_transport

if TYPE_CHECKING:
    from typing_extensions import Never, Self

__all__ = ["SourceStatus", "TokenSource"]


class SourceStatus(NamedTuple):
    """A snapshot of a source, for dashboards and health checks. Times are Unix times in seconds."""

    state: str
    """none, fresh, stale, expiring or expired."""
    fingerprint: str | None
    """8 hexadecimal digits for the held token."""
    issued_at: float | None
    renew_at: float | None
    """From when on the next call has the token renewed, in this process."""
    expires_at: float | None
    last_failure: str | None
    """Why the last attempt failed, in words; None if it did not."""
    retry_in: float | None
    """Seconds until the next attempt may be made, None if one may be made now."""
    mints: int
    """How many tokens this process has minted for this key."""


class _Waiting(NamedTuple):
    """Wait for this flight, ``timeout`` seconds at most, then look again; ``spare`` is good meanwhile."""

    flight: Flight
    timeout: float
    spare: AccessToken | None


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
            :class:`~m2m_auth.client_authentication.PrivateKeyJwt`.
        grant: the grant; client credentials by default.
        cache: None (this process's memory), a URL such as ``disk:``, or a :class:`~m2m_auth.caches.TokenCache`.
        encryption_keys: keys (16 bytes or more) for what leaves the process; the first seals, all open. By
            default the key is derived from the client's own credential.
        policy: when tokens are renewed and how long anybody waits.
        transport: how the token endpoint is reached: a ``requests.Session``, an ``httpx.Client``, or a callable.
        clock: the clocks; for tests.
        on_event: called with every :class:`~m2m_auth.events.Event`, on the thread where it happens.

    Raises:
        ConfigurationError: an option makes no sense; raised before any I/O.
    """

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
        transport: Any = None,
        clock: Clock | None = None,
        on_event: Subscriber | None = None,
        **unknown: Never,
    ) -> None:
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
        self._secret_source = checked_secret_source(client_secret)
        self._keys = checked_keys(encryption_keys)
        self._cache = _checked_cache(cache)
        self._policy = (policy or RenewalPolicy()).checked()
        self._clock = clock or Clock()
        self._custom_clock = clock
        reporter = Reporter(request.client_id, on_event)
        self._kit = Kit(request, self._policy, as_transport(transport), self._clock, reporter, self._changed_secret)
        self.monotonic, self.wall = self._clock.monotonic, self._clock.wall
        self._asked_for: Pause | None = None
        self._identity: Identity | None = None
        self.slot: Slot
        """The engine's own; plugins read ``slot.held`` on their hot path."""
        if callable(self._secret_source):
            self.slot = Slot()
        else:
            self._become(self._identify(self._secret_source))

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
            _wait(step)
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

        Raises:
            TokenUnavailable: the attempt failed; a held token is kept.
        """
        slot = self.slot
        before = slot.held
        flight = self._fly(FORCED, before)
        if flight is not None:
            _wait(_Waiting(flight, self._policy.max_wait, None))
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
        if self.wall() - token.issued_at < YOUNG and now < held.edges.expires_at:
            bar = slot.bar = next_bar(slot.bar, now)
            report.tell("rejection_barred", held.mark, seconds=bar.until - now)
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

    # what it is doing

    def status(self) -> SourceStatus:
        """What this process knows now; no I/O."""
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
        )

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
        request = self._kit.request
        return f"<TokenSource {request.client_id!r} at {request.token_endpoint}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a TokenSource is not pickled: build it where it is used; equal sources share one token")

    # how

    def _step(self, give_up: float, waited: _Waiting | None = None) -> AccessToken | _Waiting:
        """One decision: a token, a flight to wait for, or TokenUnavailable. Callers loop."""
        while True:
            slot, now = self.slot, self.monotonic()
            held, pause, flight = slot.held, slot.pause, slot.flight
            effective = held.now(now, self.wall()) if held is not None else now
            decision = lifecycle.decide(
                held.edges if held is not None else None,
                effective,
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
                return _Waiting(flight, max(decision.until - now, 0.0), held.token if held else None)
            return _Waiting(flight, max(give_up - now, 0.0), None)

    def _reason(self, slot: Slot) -> str:
        if slot.out is not None:
            return REJECTED
        return COLD if slot.held is None else RENEWAL

    def _fly(self, reason: str, seen: Held | None) -> Flight | None:
        identity = self._identity
        if identity is None:
            return self._fly_with(self._resolve, reason, seen)
        return self._fly_with(Renewal(self._kit, identity, reason).run, reason, seen)

    def _fly_with(self, work: Any, reason: str, seen: Held | None) -> Flight | None:
        return self.slot.fly(work, reason, self.monotonic(), seen, self._policy.lease)

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

    def _identify(self, secret: Secret | None) -> Identity:
        """The identity of this secret; computing it does no I/O."""
        request = self._kit.request
        credential = request.authentication.credential(secret)
        generation = hmac.new(credential, b"m2m-auth credential generation", hashlib.sha256).digest()
        mark_key = hmac.new(credential, b"m2m-auth token fingerprint", hashlib.sha256).digest()
        names = CacheNames(request.digest(generation))
        seal = Seal(self._keys or (Secret(credential),))
        key = (names.digest, Same(self._cache), self._policy, Same(self._custom_clock))
        slot = slot_for(key, Slot)
        shared = SharedState(self._cache, seal, names, self.monotonic, self.wall)
        return Identity(secret, mark_key, slot, shared)

    def _become(self, identity: Identity) -> None:
        self._identity = identity
        self.slot = identity.slot

    def _fetch_secret(self) -> Secret | Failure:
        """Asks the secret source; its exceptions are described by type, since a message might hold the secret."""
        source = self._secret_source
        problem = ""
        try:
            if callable(source):
                return checked_secret("what the client_secret callable returned", source())
        except ConfigurationError as error:
            problem = str(error)
        except Exception as error:
            problem = f"the client_secret callable raised {type(error).__name__}"
        return Failure(Kind.UNAVAILABLE, "TokenUnavailable", f"No client secret: {problem}", "secret_unavailable")

    def _resolve(self) -> None:
        """The first flight of a source whose secret must be fetched: fetch it, then fly for its key."""
        bootstrap = self.slot
        secret = self._fetch_secret()
        if isinstance(secret, Failure):
            attempts = bootstrap.pause.failure.attempts + 1 if bootstrap.pause and bootstrap.pause.failure else 1
            secret = secret._replace(attempts=attempts)
            hold = hold_off(secret, self._policy.lead(self._policy.default_lifetime), self._clock.uniform())
            bootstrap.pause = Pause(self.monotonic() + hold, secret)
            self._kit.report.tell("renewal_failed", reason=secret.cause_code, seconds=hold)
            return
        self._become(self._identify(secret))
        slot = self.slot
        if slot.held is None:
            flight = self._fly(COLD, None)
            if flight is not None:
                flight.future.result(self._policy.max_wait)

    def _may_ask_again(self, pause: Pause) -> bool:
        """True once per recorded refusal of the credentials, if the secret can be fetched anew."""
        failure = pause.failure
        if failure is None or failure.kind is not Kind.CREDENTIALS or self._asked_for is pause:
            return False
        return callable(self._secret_source)

    def _changed_secret(self, identity: Identity) -> Identity | None:
        if not callable(self._secret_source):
            return None
        self._asked_for = identity.slot.pause
        secret = self._fetch_secret()
        if isinstance(secret, Failure) or secret == identity.secret:
            return None
        changed = self._identify(secret)
        self._become(changed)
        return changed


def _wait(waiting: _Waiting) -> None:
    from concurrent.futures import TimeoutError as TimedOut

    try:
        waiting.flight.future.result(waiting.timeout)
    except TimedOut:
        return


def _checked_cache(cache: str | TokenCache | None) -> TokenCache | None:
    if isinstance(cache, str):
        cache = _opened(cache)
    if cache is None:
        return None
    if not isinstance(cache, TokenCache):
        raise ConfigurationError(
            f"cache={type(cache).__name__} is neither a URL such as 'disk:' nor an object with the TokenCache protocol"
        )
    if cache.capabilities.shared:
        require_cryptography()
    return cache


_open_caches: dict[str, TokenCache] = {}


def _opened(url: str) -> TokenCache:
    """One cache per URL and process, so that equal sources share it."""
    cache = _open_caches.get(url)
    if cache is None:
        cache = _open_caches.setdefault(url, from_url(url))
    return cache

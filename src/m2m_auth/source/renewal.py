"""One flight's work: the seven steps from the shared cache to a minted token (BEHAVIOUR §2).

    ① read the shared cache, adopt a token that is better than ours   ② honour a shared failure
    ③ take the lease   ④ read the cache again   ⑤ mint   ⑥ share it, if it expires later   ⑦ release

A process killed at any of them costs the others one lease at most, and one extra mint at most.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..errors import ConfigurationError
from ..lifecycle.decision import Pause
from ..lifecycle.failure import Failure, FailureKind, hold_off
from ..lifecycle.forced_mint_ban import LONGEST_BAN, ForcedMintBan, next_ban
from ..lifecycle.mint_budget import Spending
from ..lifecycle.schedule import Schedule, schedule
from ..oauth2.tokens import AccessToken, token_fingerprint
from ..shared_cache.entries import Entry, Lease
from ..shared_cache.shared_store import new_owner
from .ledger import ledger_of
from .mint import ask
from .renewal_context import FORCED, REJECTED, RENEWAL, Credential, RenewalContext
from .token_state import HeldToken

__all__ = ["Renewal", "raised"]

LOOK_AGAIN = 0.25
"""Seconds until a process that found the lease held looks again."""
POLL = (0.05, 0.1)
"""A process without a token polls for the lease holder's every 50 ms, plus up to 100."""
RETURN = (0.5, 0.1)
"""Processes that share a failure come back spread over this share of its hold: with a token, and without."""


class Renewal:
    """One run of the seven steps."""

    def __init__(
        self,
        context: RenewalContext,
        credential: Credential,
        reason: str,
        changed_secret: Callable[[Credential], Credential | None],
    ) -> None:
        self._context, self._credential, self._reason = context, credential, reason
        self._changed_secret = changed_secret
        self._state, self._shared, self._events = credential.state, credential.shared, context.events
        self._monotonic, self._wall = context.clock.monotonic, context.clock.wall
        self._superseded: set[str] = set()
        self._sent: float | None = None
        self._previous: Failure | None = self._state.pause.failure if self._state.pause else None

    def run(self) -> None:
        """Ends with a better token in the state, or with a pause that says why not and until when."""
        try:
            self._steps()
        except BaseException as error:  # SystemExit too: whoever waits must not start flight after flight
            self._fail(raised(error), 0.0 if self._sent is None else self._monotonic() - self._sent)
        finally:
            self._shared.release_thread()

    def _steps(self) -> None:
        entry = self._shared.read(self._events, newest=self._reason == FORCED)  # ①
        if self._reason == FORCED:
            self._superseded.update(
                fingerprint for fingerprint in (self._fingerprint(entry), _fingerprint(self._state.held)) if fingerprint
            )
        if self._adopt(entry) or (self._shared.tiered and self._adopt(self._newest())):
            return
        if self._known_failure() or self._forced_mint_banned():  # ②
            return
        owner = new_owner()
        lease = self._take_lease(owner)  # ③
        if lease is Lease.HELD or (lease is Lease.ERROR and self._too_soon()):
            return
        try:
            entry = self._newest()  # ④
            if self._adopt(entry) or self._known_failure():  # another process has landed since ①
                return
            if self._reason == REJECTED and self._state.refused is not None:
                refused = self._state.refused
                entry = (entry or Entry()).without(refused.fingerprint)
                self._shared.write(entry, refused.edges.expires_at - self._monotonic(), self._events)
            if not self._over_budget():
                self._mint(entry)  # ⑤ ⑥
        finally:
            self._shared.release_lease(owner, self._events)  # ⑦

    # ① and ④

    def _newest(self) -> Entry | None:
        return self._shared.read(self._events, newest=True)

    def _fingerprint(self, entry: Entry | None) -> str | None:
        return (
            None
            if entry is None or entry.value is None
            else token_fingerprint(self._credential.fingerprint_key, entry.value)
        )

    def _adopt(self, entry: Entry | None) -> bool:
        """Takes the shared token in hand if it is better than ours: expires later, and nobody refused it."""
        fingerprint = self._fingerprint(entry)
        if entry is None or entry.value is None or fingerprint is None:
            if self._shared.answers:
                self._events.emit("cache_miss", reason=self._reason)
            return False
        self._events.emit("cache_hit", fingerprint, self._reason)
        if fingerprint in self._superseded:
            return False
        if fingerprint in entry.rejected or fingerprint in self._state.rejected:
            self._events.emit("tombstone_hit", fingerprint)
            return False
        held, now = self._state.held, self._monotonic()
        edges, skewed = self._edges(entry, fingerprint, now)
        if edges.expires_at <= now:
            return False
        if held is not None and self._usable(held):
            ours = held.edges_at(now, self._wall())
            if skewed and fingerprint != held.fingerprint:
                # Somebody has renewed: no reason to mint. We take it when our clock says that it is born.
                born = now + entry.issued_at - self._wall()
                if now < ours.expiring_at:
                    self._state.pause = Pause(min(born, ours.expiring_at))
                    return True
            elif fingerprint == held.fingerprint:
                if not held.guessed:
                    return False
            elif edges.expires_at <= ours.expires_at:
                return False
        self._hold(entry, fingerprint, edges, guessed=skewed)
        self._events.emit("adopted", fingerprint, self._reason, holds=edges.expires_at - now)
        return True

    def _edges(self, entry: Entry, fingerprint: str, now: float) -> tuple[Schedule, bool]:
        """When a shared token ends for us, and whether that is a guess because the clocks disagree."""
        policy = self._context.policy
        age = self._wall() - entry.issued_at
        if age >= -1.0:
            return schedule(now - max(age, 0.0), entry.lifetime, policy, self._context.clock.uniform()), False
        # Another clock is ahead of ours, so neither tells the token's age; that it is still in the cache tells that
        # it lives. Trust that for M, and look again half-way.
        self._events.emit("clock_skew", fingerprint, seconds=-age)
        margin = policy.last_stretch(entry.lifetime)
        return Schedule(now + margin / 2, now + margin * 0.9, now + margin), True

    def _hold(self, entry: Entry, fingerprint: str, edges: Schedule, *, guessed: bool = False) -> None:
        token = AccessToken(
            entry.value or "",
            scope=entry.scope,
            issued_at=entry.issued_at,
            expires_at=entry.issued_at + entry.lifetime,
            fingerprint=fingerprint,
        )
        if entry.quota_low:
            edges = edges._replace(renew_at=max(edges.renew_at, edges.expiring_at))
        state = self._state
        if state.held is not None and state.held.fingerprint != fingerprint:
            self._events.emit("renewed", fingerprint, self._reason, holds=edges.expires_at - self._monotonic())
            state.previous = state.held
        elif state.held is None:
            state.previous = state.refused
        state.held = HeldToken(token, edges, self._wall() - self._monotonic(), fingerprint, guessed=guessed)
        state.pause, state.refused = None, None

    def _usable(self, held: HeldToken | None) -> bool:
        return held is not None and held.now(self._monotonic(), self._wall()) < held.edges.expires_at

    # ②

    def _known_failure(self) -> bool:
        """True if another process has just failed, and the next attempt is not due yet."""
        known = self._shared.read_failure(self._events)
        if known is None:
            return False
        failure, remaining = known
        self._previous = failure
        if remaining <= 0:
            return False
        # Not everybody need come back at once, least of all those for whom nobody waits.
        share = RETURN[0] if self._usable(self._state.held) else RETURN[1]
        now, held = self._monotonic(), self._state.held
        until = now + remaining + min(remaining, 60.0) * share * self._context.clock.uniform()
        if held is not None and self._usable(held):  # not beyond what is left of the token to find the next one in
            until = max(now + remaining, min(until, held.edges_at(now, self._wall()).expiring_at))
        self._state.pause = Pause(until, failure)
        if failure.kind is FailureKind.CREDENTIALS:
            self._try_changed_secret()
        return True

    def _forced_mint_banned(self) -> bool:
        """True if a forced mint is barred; the refused token is then served on: a new one would not help."""
        if self._reason != REJECTED:
            return False
        ban = self._shared.read_ban(self._events)
        remaining = ban.until - self._wall() if ban else 0.0
        if ban is None or not 0 < remaining <= LONGEST_BAN:
            return False
        self._state.forced_mint_ban = ForcedMintBan(self._monotonic() + remaining, ban.level)
        return self._put_back()

    def _put_back(self) -> bool:
        state = self._state
        if state.held is None and state.refused is not None and self._usable(state.refused):
            refused = state.refused
            state.rejected = tuple(fingerprint for fingerprint in state.rejected if fingerprint != refused.fingerprint)
            state.held, state.refused = refused, None
            return True
        return state.held is not None

    # ③

    def _take_lease(self, owner: bytes) -> Lease:
        """ACQUIRED or ERROR: mint. HELD: there is nothing left to do in this flight."""
        since = holder_since = self._monotonic()
        holder: bytes | None = None
        waited = False
        while True:
            lease = self._shared.take_lease(owner, self._context.policy.lease, self._events)
            if lease is not Lease.HELD:
                break
            if self._usable(self._state.held) and self._reason == RENEWAL:
                self._state.pause = Pause(self._monotonic() + LOOK_AGAIN)
                return lease
            if holder is None:
                holder = self._shared.lease_holder(self._events)
            if self._monotonic() - holder_since >= self._shared.longest_lease(self._context.policy.lease):
                # Either another process has taken over, or the cache is lying.
                successor = self._shared.lease_holder(self._events)
                if successor == holder:
                    lease = Lease.ERROR
                    break
                holder, holder_since = successor, self._monotonic()
            waited = True
            self._context.clock.sleep(POLL[0] + POLL[1] * self._context.clock.uniform())
            if self._adopt(self._newest()) or self._known_failure():
                self._events.emit("lease_wait", reason=self._reason, seconds=self._monotonic() - since)
                return lease
        if waited:
            self._events.emit("lease_wait", reason=self._reason, seconds=self._monotonic() - since)
        return lease

    def _too_soon(self) -> bool:
        """True if a process that cannot ask for the lease had better not mint yet, since it holds a good token.

        A fault may pass before the token ends, and somebody else may renew it: the first time it waits for half of
        what is left to wait. If the cache stays away it mints on its own, though not often.
        """
        state, held = self._state, self._state.held
        if held is None or not self._usable(held):
            return False
        now = self._monotonic()
        lifetime = held.token.expires_at - held.token.issued_at
        not_before = min(state.last_mint + max(10.0, lifetime / 10), held.edges.expires_at)
        if state.lease_failed_for != held.fingerprint:
            state.lease_failed_for = held.fingerprint
            not_before = max(not_before, now + (held.edges.expiring_at - now) / 2)
        if now >= not_before:
            return False
        state.pause = Pause(not_before)
        return True

    # ⑤ and ⑥

    def _over_budget(self) -> bool:
        """True if the client's own budget forbids this mint: a held token then lives to its end."""
        budget = self._context.budget
        if budget is None:
            return False
        counts = ledger_of(self._context).counts(self._shared, self._events)
        spending = budget.spending(counts)
        if spending is Spending.FREE:
            return False
        exhausted = spending is Spending.EXHAUSTED
        self._events.emit("budget_exhausted" if exhausted else "budget_low", reason=str(counts.month))
        if spending is Spending.LOW:
            return False
        served_on = self._put_back() and self._usable(self._state.held)
        if not exhausted and not served_on:
            return False  # the reserve is for callers who would otherwise have no token
        renews_in = budget.renews_in(counts, self._wall())
        held, now = self._state.held, self._monotonic()
        if served_on and held is not None and self._reason != FORCED:
            self._state.pause = Pause(min(held.edges.expires_at, now + renews_in))
            return True
        message = f"The mint budget is used up ({counts.month} this month, {counts.hour} this hour; {budget})"
        failure = Failure(FailureKind.BUDGET, "MintBudgetExhausted", message, "budget_exhausted", renews_in)
        # A forced mint that is refused holds nobody up: the token is served on, and renew() tells its caller.
        self._state.pause = Pause(now if served_on else now + hold_off(failure, 0.0, 0.0), failure)
        return True

    def _mint(self, entry: Entry | None) -> None:
        sent, sent_wall = self._monotonic(), self._wall()
        self._sent = sent
        answer = ask(self._context, self._credential, sent_wall)
        took = self._monotonic() - sent
        if isinstance(answer, Failure):
            ledger_of(self._context).record_failure(self._shared, self._events)
            if took >= self._context.policy.mint_deadline and self._adopt(self._newest()):
                return  # suspended while it waited: another process has taken over
            self._fail(answer, took)
            if answer.kind is FailureKind.CREDENTIALS:
                self._try_changed_secret()
            return
        fingerprint = token_fingerprint(self._credential.fingerprint_key, answer.access_token)
        state = self._state
        ledger_of(self._context).record(self._reason, self._shared, self._events)
        state.last_mint = sent
        state.mints += 1
        self._events.emit("minted", fingerprint, self._reason, took, answer.lifetime - took)
        if answer.quota_low:
            self._events.emit("quota_low", fingerprint)
        if self._no_better(fingerprint, sent + answer.lifetime):
            return
        rejected = entry.rejected if entry else ()
        minted = Entry(answer.access_token, answer.scope, sent_wall, answer.lifetime, rejected, answer.quota_low)
        self._share(minted)
        if self._previous is not None:
            self._shared.clear_failure(self._events)
        edges = schedule(sent, minted.lifetime, self._context.policy, self._context.clock.uniform())
        self._hold(minted, fingerprint, edges)

    def _no_better(self, fingerprint: str, expires_at: float) -> bool:
        """True if the server gave nothing new: the same token, one it refused, or one that ends earlier."""
        state, held = self._state, self._state.held
        if fingerprint in state.rejected:
            self._events.emit("renewal_noop", fingerprint, self._reason)
            state.forced_mint_ban = next_ban(state.forced_mint_ban, self._monotonic())
            if not self._put_back():
                failure = Failure(
                    FailureKind.UNAVAILABLE,
                    "TokenUnavailable",
                    "The server gives back a token that an API refuses",
                    "rejected",
                )
                self._fail(failure)
            return True
        if held is None or not self._usable(held):
            return False
        same, now = fingerprint == held.fingerprint, self._monotonic()
        ours = held.edges_at(now, self._wall())
        if not same and (self._reason != RENEWAL or expires_at > ours.expires_at):
            return False
        self._events.emit("renewal_noop", fingerprint, self._reason)
        state.pause = Pause(ours.expiring_at if now < ours.expiring_at else ours.expires_at)
        return True

    def _share(self, minted: Entry) -> None:
        """Writes the token unless a later one is there already: our lease may have lapsed while we minted."""
        latest = self._newest()
        fingerprint = self._fingerprint(latest)
        if (
            latest is not None
            and fingerprint is not None
            and fingerprint not in self._superseded | set(self._state.rejected)
        ):
            # An entry from a clock ahead of ours would look later for ever.
            later = latest.issued_at + latest.lifetime > minted.issued_at + minted.lifetime
            if later and latest.issued_at <= self._wall() + 1 and fingerprint not in latest.rejected:
                return
        self._shared.write(minted, minted.lifetime - (self._wall() - minted.issued_at), self._events)

    # when it went wrong

    def _fail(self, failure: Failure, took: float = 0.0) -> None:
        """Holds off, here and in every process that shares the cache."""
        failure = failure.following(self._previous)
        policy, held = self._context.policy, self._state.held or self._state.refused
        lifetime = held.token.expires_at - held.token.issued_at if held else policy.default_lifetime
        hold = hold_off(failure, policy.lead(lifetime), self._context.clock.uniform())
        self._state.pause = Pause(self._monotonic() + hold, failure)
        self._shared.write_failure(failure, hold, self._events)
        self._events.emit("renewal_failed", reason=failure.cause_code, seconds=took, holds=hold)
        served = self._state.held
        if served is not None and self._usable(served):
            left = served.edges.expires_at - served.now(self._monotonic(), self._wall())
            self._events.emit("served_stale", served.fingerprint, failure.cause_code, holds=left)

    def _try_changed_secret(self) -> None:
        """Refused credentials: a secret source may know a newer secret. It has a key, and a state, of its own."""
        changed = self._changed_secret(self._credential)
        if changed is None:
            return
        state = changed.state
        if state.held is None and self._usable(self._state.held):
            state.held = self._state.held
        work = Renewal(self._context, changed, self._reason, self._changed_secret).run
        flight = state.fly(work, self._reason, self._monotonic(), state.held, self._context.policy.flight_deadline)
        if flight is not None:
            flight.wait(self._context.policy.max_wait)


def raised(error: BaseException) -> Failure:
    """What an exception on a flight is worth.

    Beside our own it is a bug, or a user's transport, clock or authentication object gone wild: the type and the place
    are enough to find it, and the message might hold a secret.
    """
    if isinstance(error, ConfigurationError):
        return Failure(FailureKind.CONFIGURATION, "TokenUnavailable", str(error), "configuration")
    what = f"{type(error).__name__} while getting a token{_place(error)}"
    return Failure(FailureKind.UNAVAILABLE, "TokenUnavailable", what, "internal_error")


def _fingerprint(held: HeldToken | None) -> str | None:
    return held.fingerprint if held is not None else None


def _place(error: BaseException) -> str:
    """Where it was raised; the message is left refused."""
    trace: Any = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f" ({trace.tb_frame.f_code.co_filename}:{trace.tb_lineno})" if trace is not None else ""

"""One flight's work: seven steps from the shared cache to a minted token.

    1. Read the shared cache; adopt a token that expires later than the held one and that no API has refused.
    2. Obey a failure that another process has shared, and a ban on forced mints.
    3. Take the lease, or wait for the process that has it.
    4. Read the shared cache again: another process may have minted since step 1.
    5. Mint: one token request, unless the budget forbids it.
    6. Share the new token, if it expires later than the shared one.
    7. Release the lease.

A process that is killed at any step costs at most one extra mint, and delays the others by one lease at most.
"""

from __future__ import annotations

from collections.abc import Callable

from ..lifecycle.decision import Pause
from ..lifecycle.failure import Failure, FailureKind, hold_off
from ..lifecycle.forced_mint_ban import Refusal, next_ban
from ..lifecycle.mint_budget import Spending
from ..lifecycle.schedule import schedule
from ..oauth2.token_response import TokenResponse
from ..shared_cache.entries import Entry
from ..shared_cache.lease import Lease
from .adoption import CLOCK_TOLERANCE, Adoption
from .failures import FailureRecord, failure_from_exception
from .flight import Busy, Flight
from .lease import MintLease
from .ledger import ledger_of
from .mint import request_token
from .rejection import read_ban, share_ban
from .renewal_context import COLD, FORCED, REJECTED, RENEWAL, Credential, RenewalContext

__all__ = ["FETCHING", "Renewal"]

BLIPS = ("connection", "http_502", "http_503", "http_504")
"""Failures after which a caller without a token gets a second attempt, before anything is recorded or shared."""
SECOND_ATTEMPT = (0.3, 0.3)
"""It comes after 0.3 s, plus up to 0.3 s."""
_TRANSPORT = (
    "the transport (transport=)",
    "pass a session or client with timeouts and without retries of its own, which sleep between attempts",
)
FETCHING = ("the callable that fetches the secret (client_secret=)", "give it a timeout")
BRIEF = 2.0
"""Seconds. A failure that took longer is no blip."""


class Renewal:
    """One run of the seven steps.

    Args:
        context: the source's unchanging parts.
        credential: the generation of the client's credential to mint with.
        reason: why a token is minted: cold, renewal, rejected or forced.
        changed_secret: asks the secret source again after a refusal; returns the new credential, or None.
        flight: the flight that runs this.
    """

    def __init__(
        self,
        context: RenewalContext,
        credential: Credential,
        reason: str,
        changed_secret: Callable[[Credential], Credential | None],
        flight: Flight,
    ) -> None:
        self._flight = flight
        self._context, self._credential, self._reason = context, credential, reason
        self._changed_secret = changed_secret
        self._state, self._store = credential.state, credential.store
        self._clock, self._events = context.clock, context.events
        self._adoption = Adoption(context, credential, reason)
        self._failures = FailureRecord(context, credential)
        self._lease = MintLease(context, credential, reason)
        self._sent: float | None = None
        """When the token request was sent, on the monotonic clock."""

    def run(self) -> None:
        """Ends with a better token in the state, or with a pause that says why not and until when."""
        try:
            self._steps()
        except BaseException as error:  # SystemExit too: without a pause, waiters start flight after flight
            took = 0.0 if self._sent is None else self._clock.monotonic() - self._sent
            self._failures.record(failure_from_exception(error), took)
        finally:
            self._store.release_thread()

    def _steps(self) -> None:
        entry = self._store.read(self._events, newest=self._reason == FORCED)  # step 1
        if self._reason == FORCED:
            self._adoption.supersede(entry)
        if self._adoption.adopt(entry) or (self._store.tiered and self._adoption.adopt(self._newest())):
            return
        if self._is_paused() or self._is_forced_mint_banned():  # step 2
            return
        lease = self._lease.take(self._is_settled)  # step 3
        if lease is Lease.HELD or (lease is Lease.ERROR and self._lease.must_wait_without_lease()):
            return
        try:
            entry = self._newest()  # step 4
            if self._adoption.adopt(entry) or self._is_paused_by_another():
                return
            entry = self._with_tombstone(entry)
            if not self._is_over_budget():
                self._mint(entry)  # steps 5 and 6
        finally:
            self._lease.release()  # step 7

    def _newest(self) -> Entry | None:
        return self._store.read(self._events, newest=True)

    def _is_good(self) -> bool:
        held = self._state.held
        return held is not None and held.is_good(self._clock.monotonic(), self._clock.wall())

    def _restore_refused(self) -> bool:
        return self._state.restore_refused(self._clock.monotonic(), self._clock.wall())

    # step 2

    def _is_paused(self) -> bool:
        own = self._failures.own() if self._reason != FORCED else None
        return self._obeys(own) or self._is_paused_by_another() or self._obeys(self._failures.waiting())

    def _is_paused_by_another(self) -> bool:
        return self._obeys(self._failures.shared())

    def _obeys(self, failure: Failure | None) -> bool:
        """True if there is a failure; where a newer secret may help, the secret is fetched again."""
        if failure is not None and failure.may_be_the_credential:
            self._try_changed_secret()
        return failure is not None

    def _is_forced_mint_banned(self) -> bool:
        """True if a forced mint is banned; calls then get the refused token again: a new one would not help.

        A process without a token learns of the ban, too: its token is then known to replace a refused one.
        """
        if self._reason not in (REJECTED, COLD):
            return False
        ban, state = read_ban(self._context, self._credential), self._state
        if ban is not None and (ban.over or state.forced_mint_ban is None or ban.until >= state.forced_mint_ban.until):
            state.forced_mint_ban = ban
        return self._reason == REJECTED and state.ban_holds(self._clock.monotonic()) and self._restore_refused()

    # step 3

    def _is_settled(self) -> bool:
        """True if the process with the lease has shared a token or a failure."""
        return self._adoption.adopt(self._newest()) or self._is_paused_by_another()

    # step 4

    def _with_tombstone(self, entry: Entry | None) -> Entry | None:
        """For a refused token: the entry without it, which is shared before anything else happens."""
        refused = self._state.refused
        if self._reason != REJECTED or refused is None:
            return entry
        tombstone = (entry or Entry()).without(refused.fingerprint, refused.refusal)
        self._store.write(tombstone, refused.edges.expires_at - self._clock.monotonic(), self._events)
        return tombstone

    # step 5

    def _is_over_budget(self) -> bool:
        """True if the client's own budget forbids this mint: a held token then lives to its end."""
        budget = self._context.budget
        if budget is None:
            return False
        counts = ledger_of(self._context).counts(self._store, self._events)
        spending = budget.spending(counts)
        if spending is Spending.FREE:
            return False
        exhausted = spending is Spending.EXHAUSTED
        self._events.emit("budget_exhausted" if exhausted else "budget_low", reason=str(counts.month))
        if spending is Spending.LOW:
            return False
        served_on = self._restore_refused() and self._is_good()
        if not exhausted and not served_on:
            return False  # the reserve is for callers who would otherwise have no token
        renews_in = budget.renews_in(counts, self._clock.wall())
        held, now = self._state.held, self._clock.monotonic()
        if served_on and held is not None and self._reason != FORCED:
            self._state.pause = Pause(min(held.edges.expires_at, now + renews_in))
            return True
        message = f"The mint budget is used up ({counts.month} this month, {counts.hour} this hour; {budget})"
        failure = Failure(FailureKind.BUDGET, "MintBudgetExhausted", message, "budget_exhausted", renews_in)
        # A forced mint that is refused delays no call: calls get the held token, and renew() raises for its caller.
        self._state.pause = Pause(now if served_on else now + hold_off(failure, 0.0, 0.0), failure)
        return True

    def _mint(self, entry: Entry | None, *, again: bool = True) -> None:
        # What is refused during the request may be the cause of the new token's refusal, too: a server that restarts.
        to_get_over = self._state.refusal_to_get_over(self._clock.monotonic())
        answer, sent, sent_wall, took = self._request()
        if isinstance(answer, Failure) and self._is_blip(answer, took):
            ledger_of(self._context).record_failure(self._store, self._events)
            self._clock.sleep(SECOND_ATTEMPT[0] + SECOND_ATTEMPT[1] * self._clock.uniform())
            answer, sent, sent_wall, took = self._request()
        if isinstance(answer, Failure):
            self._refused(answer, took)
            return
        fingerprint = self._adoption.fingerprint(answer.access_token)
        self._count_mint()
        self._events.emit("minted", fingerprint, self._reason, took, answer.lifetime - took)
        if answer.quota_low:
            self._events.emit("quota_low", fingerprint)
        if again and self._is_at_its_end(answer, fingerprint):
            self._clock.sleep(1.0)
            self._mint(entry, again=False)
            return
        if self._is_no_better(answer, fingerprint, sent):
            return
        if answer.lifetime_assumed:
            self._events.emit("lifetime_assumed", fingerprint, answer.lifetime_assumed, holds=answer.lifetime)
        rejected, tombstone = (entry.rejected, entry.value is None) if entry else ((), False)
        replaced = to_get_over or (entry.replaced if entry and tombstone else None)
        minted = Entry(
            answer.access_token, answer.scope, sent_wall, answer.lifetime, rejected, answer.quota_low, replaced
        )
        self._share(minted)
        self._failures.clear()
        edges = schedule(sent, minted.lifetime, self._context.policy, self._clock.uniform())
        self._adoption.hold(minted, fingerprint, edges)

    def _request(self) -> tuple[TokenResponse | Failure, float, float, float]:
        """One token request: the answer, when it was sent by both clocks, and how long it took."""
        sent, sent_wall = self._clock.monotonic(), self._clock.wall()
        self._sent = sent
        self._flight.busy = Busy(sent, *_TRANSPORT)
        answer = request_token(self._context, self._credential, sent_wall)
        self._flight.busy = None
        return answer, sent, sent_wall, self._clock.monotonic() - sent

    def _is_blip(self, failure: Failure, took: float) -> bool:
        """True where no token is held and the server, or what is in front of it, may have just restarted."""
        return (
            failure.cause_code in BLIPS
            and failure.retry_after is None
            and took <= BRIEF
            and not self._is_good()
            and self._failures.previous is None
        )

    def _count_mint(self) -> None:
        ledger_of(self._context).record(self._reason, self._store, self._events)
        self._state.last_mint = self._sent or 0.0
        self._state.mints += 1

    def _refused(self, failure: Failure, took: float) -> None:
        if failure.minted:
            self._count_mint()
            self._events.emit("unusable", reason=self._reason, seconds=took)
        else:
            ledger_of(self._context).record_failure(self._store, self._events)
        if took >= self._context.policy.mint_deadline and self._adoption.adopt(self._newest()):
            return  # the machine was suspended during the request, and another process has minted
        self._obeys(self._failures.record(failure, took))

    def _is_at_its_end(self, answer: TokenResponse, fingerprint: str) -> bool:
        """True if the server gives back the token that has just expired, and says so: the next one is a moment away.

        False where the end was the default's: then the server says the same of each token.
        """
        held = self._state.held
        same = held is not None and fingerprint == held.fingerprint and held.lifetime != answer.lifetime
        return same and answer.has_ended and not self._is_good()

    def _is_no_better(self, answer: TokenResponse, fingerprint: str, sent: float) -> bool:
        """True if the server gave nothing new: the same token, one that an API refused, or one that ends earlier."""
        state, held, now = self._state, self._state.held, self._clock.monotonic()
        if fingerprint in state.rejected:
            self._events.emit("renewal_noop", fingerprint, self._reason)
            if not state.ban_holds(now):
                refusal = state.refused.refusal if state.refused is not None else None
                state.forced_mint_ban = next_ban(state.forced_mint_ban, now, refusal or Refusal())
                share_ban(self._context, self._credential)
            if not self._restore_refused():
                message = "The server gives back a token that an API refuses"
                self._failures.record(Failure(FailureKind.UNAVAILABLE, "TokenUnavailable", message, "rejected"))
            return True
        if held is None or not self._is_good():
            return False
        edges = held.edges_at(now, self._clock.wall())
        ends_later = sent + answer.lifetime > edges.expires_at
        if fingerprint != held.fingerprint and (self._reason != RENEWAL or ends_later):
            return False
        self._events.emit("renewal_noop", fingerprint, self._reason)
        state.pause = Pause(edges.expiring_at if now < edges.expiring_at else edges.expires_at)
        return True

    # step 6

    def _share(self, minted: Entry) -> None:
        """Writes the token unless a later one is there: the lease may have lapsed during the mint."""
        latest, wall = self._newest(), self._clock.wall()
        if (
            latest is not None
            and self._adoption.is_usable(latest)
            and latest.issued_at + latest.lifetime > minted.issued_at + minted.lifetime
            and latest.issued_at <= wall + CLOCK_TOLERANCE  # an entry from a clock ahead would look later for ever
        ):
            return
        self._store.write(minted, minted.lifetime - (wall - minted.issued_at), self._events)

    # a changed secret

    def _try_changed_secret(self) -> None:
        """After refused credentials: a newer secret has a key and a state of its own, and so a flight of its own."""
        self._flight.busy = Busy(self._clock.monotonic(), *FETCHING)
        changed = self._changed_secret(self._credential)
        self._flight.busy = None
        if changed is None:
            return
        state = changed.state
        if state.held is None and self._is_good():
            state.held = self._state.held

        def work(flight: Flight) -> None:
            # It asks no further: of two secrets in turns, each flight would wait for the other.
            Renewal(self._context, changed, self._reason, lambda _: None, flight).run()

        now, deadline = self._clock.monotonic(), self._context.policy.flight_deadline
        flight = state.fly(work, self._reason, now, state.held, deadline)
        if flight is not None:
            flight.wait(self._context.policy.max_wait)

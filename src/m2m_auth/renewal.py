"""One flight's work: the seven steps from the shared cache to a minted token (BEHAVIOUR §2).

    ① read the shared cache, adopt a token that is better than ours   ② honour a shared failure
    ③ take the lease   ④ read the cache again   ⑤ mint   ⑥ share it, if it expires later   ⑦ release

A process killed at any of them costs the others one lease at most, and one extra mint at most.
"""

from __future__ import annotations

from typing import Any

from .budget import Spending
from .errors import ConfigurationError
from .failure import Failure, Kind
from .kit import FORCED, REJECTED, RENEWAL, Identity, Kit
from .ledger import ledger_of
from .lifecycle import BAR_MAX, Bar, Pause, Schedule, hold_off, next_bar, schedule
from .minting import ask
from .shared import Entry, Lease, new_owner
from .slot import Held
from .token import AccessToken, fingerprint

__all__ = ["Renewal", "raised"]

LOOK_AGAIN = 0.25
"""Seconds until a process that found the lease held looks again."""
POLL = (0.05, 0.1)
"""A process without a token polls for the lease holder's every 50 ms, plus up to 100."""
RETURN = (0.5, 0.1)
"""Processes that share a failure come back spread over this share of its hold: with a token, and without."""


class Renewal:
    """One run of the seven steps."""

    def __init__(self, kit: Kit, identity: Identity, reason: str) -> None:
        self._kit, self._identity, self._reason = kit, identity, reason
        self._slot, self._shared, self._report = identity.slot, identity.shared, kit.report
        self._monotonic, self._wall = kit.clock.monotonic, kit.clock.wall
        self._superseded: set[str] = set()
        self._sent: float | None = None
        self._previous: Failure | None = self._slot.pause.failure if self._slot.pause else None

    def run(self) -> None:
        """Ends with a better token in the slot, or with a pause that says why not and until when."""
        try:
            self._steps()
        except BaseException as error:  # SystemExit too: whoever waits must not start flight after flight
            self._fail(raised(error), 0.0 if self._sent is None else self._monotonic() - self._sent)
        finally:
            self._shared.release_thread()

    def _steps(self) -> None:
        entry = self._shared.read(self._report, newest=self._reason == FORCED)  # ①
        if self._reason == FORCED:
            self._superseded.update(mark for mark in (self._mark(entry), _mark(self._slot.held)) if mark)
        if self._adopt(entry) or (self._shared.tiered and self._adopt(self._newest())):
            return
        if self._known_failure() or self._barred():  # ②
            return
        owner = new_owner()
        lease = self._take_lease(owner)  # ③
        if lease is Lease.HELD or (lease is Lease.ERROR and self._too_soon()):
            return
        try:
            entry = self._newest()  # ④
            if self._adopt(entry) or self._known_failure():  # another process has landed since ①
                return
            if self._reason == REJECTED and self._slot.out is not None:
                out = self._slot.out
                entry = (entry or Entry()).without(out.mark)
                self._shared.write(entry, out.edges.expires_at - self._monotonic(), self._report)
            if not self._over_budget():
                self._mint(entry)  # ⑤ ⑥
        finally:
            self._shared.release_lease(owner, self._report)  # ⑦

    # ① and ④

    def _newest(self) -> Entry | None:
        return self._shared.read(self._report, newest=True)

    def _mark(self, entry: Entry | None) -> str | None:
        return None if entry is None or entry.value is None else fingerprint(self._identity.mark_key, entry.value)

    def _adopt(self, entry: Entry | None) -> bool:
        """Takes the shared token in hand if it is better than ours: expires later, and nobody refused it."""
        mark = self._mark(entry)
        if entry is None or entry.value is None or mark is None:
            if self._shared.answers:
                self._report.tell("cache_miss", reason=self._reason)
            return False
        self._report.tell("cache_hit", mark, self._reason)
        if mark in self._superseded:
            return False
        if mark in entry.rejected or mark in self._slot.rejected:
            self._report.tell("tombstone_hit", mark)
            return False
        held, now = self._slot.held, self._monotonic()
        edges, skewed = self._edges(entry, mark, now)
        if edges.expires_at <= now:
            return False
        if held is not None and self._usable(held):
            ours = held.edges_at(now, self._wall())
            if skewed and mark != held.mark:
                # Somebody has renewed: no reason to mint. We take it when our clock says that it is born.
                born = now + entry.issued_at - self._wall()
                if now < ours.expiring_at:
                    self._slot.pause = Pause(min(born, ours.expiring_at))
                    return True
            elif mark == held.mark:
                if not held.guessed:
                    return False
            elif edges.expires_at <= ours.expires_at:
                return False
        self._take_in_hand(entry, mark, edges, guessed=skewed)
        self._report.tell("adopted", mark, self._reason, holds=edges.expires_at - now)
        return True

    def _edges(self, entry: Entry, mark: str, now: float) -> tuple[Schedule, bool]:
        """When a shared token ends for us, and whether that is a guess because the clocks disagree."""
        policy = self._kit.policy
        age = self._wall() - entry.issued_at
        if age >= -1.0:
            return schedule(now - max(age, 0.0), entry.lifetime, policy, self._kit.clock.uniform()), False
        # Another clock is ahead of ours, so neither tells the token's age; that it is still in the cache tells that
        # it lives. Trust that for M, and look again half-way.
        self._report.tell("clock_skew", mark, seconds=-age)
        margin = policy.last_stretch(entry.lifetime)
        return Schedule(now + margin / 2, now + margin * 0.9, now + margin), True

    def _take_in_hand(self, entry: Entry, mark: str, edges: Schedule, *, guessed: bool = False) -> None:
        token = AccessToken(
            entry.value or "",
            scope=entry.scope,
            issued_at=entry.issued_at,
            expires_at=entry.issued_at + entry.lifetime,
            fingerprint=mark,
        )
        if entry.thrifty:
            edges = edges._replace(renew_at=max(edges.renew_at, edges.expiring_at))
        slot = self._slot
        if slot.held is not None and slot.held.mark != mark:
            self._report.tell("renewed", mark, self._reason, holds=edges.expires_at - self._monotonic())
            slot.previous = slot.held
        elif slot.held is None:
            slot.previous = slot.out
        slot.held = Held(token, edges, self._wall() - self._monotonic(), mark, guessed=guessed)
        slot.pause, slot.out = None, None

    def _usable(self, held: Held | None) -> bool:
        return held is not None and held.now(self._monotonic(), self._wall()) < held.edges.expires_at

    # ②

    def _known_failure(self) -> bool:
        """True if another process has just failed, and the next attempt is not due yet."""
        known = self._shared.read_failure(self._report)
        if known is None:
            return False
        failure, remaining = known
        self._previous = failure
        if remaining <= 0:
            return False
        # Not everybody need come back at once, least of all those for whom nobody waits.
        share = RETURN[0] if self._usable(self._slot.held) else RETURN[1]
        now, held = self._monotonic(), self._slot.held
        until = now + remaining + min(remaining, 60.0) * share * self._kit.clock.uniform()
        if held is not None and self._usable(held):  # not beyond what is left of the token to find the next one in
            until = max(now + remaining, min(until, held.edges_at(now, self._wall()).expiring_at))
        self._slot.pause = Pause(until, failure)
        if failure.kind is Kind.CREDENTIALS:
            self._try_changed_secret()
        return True

    def _barred(self) -> bool:
        """True if a forced mint is barred; the refused token is then served on: a new one would not help."""
        if self._reason != REJECTED:
            return False
        bar = self._shared.read_bar(self._report)
        remaining = bar.until - self._wall() if bar else 0.0
        if bar is None or not 0 < remaining <= BAR_MAX:
            return False
        self._slot.bar = Bar(self._monotonic() + remaining, bar.level)
        return self._put_back()

    def _put_back(self) -> bool:
        slot = self._slot
        if slot.held is None and slot.out is not None and self._usable(slot.out):
            out = slot.out
            slot.rejected = tuple(mark for mark in slot.rejected if mark != out.mark)
            slot.held, slot.out = out, None
            return True
        return slot.held is not None

    # ③

    def _take_lease(self, owner: bytes) -> Lease:
        """ACQUIRED or ERROR: mint. HELD: there is nothing left to do in this flight."""
        since = holder_since = self._monotonic()
        holder: bytes | None = None
        waited = False
        while True:
            lease = self._shared.take_lease(owner, self._kit.policy.lease, self._report)
            if lease is not Lease.HELD:
                break
            if self._usable(self._slot.held) and self._reason == RENEWAL:
                self._slot.pause = Pause(self._monotonic() + LOOK_AGAIN)
                return lease
            if holder is None:
                holder = self._shared.lease_holder(self._report)
            if self._monotonic() - holder_since >= self._shared.longest_lease(self._kit.policy.lease):
                # Either another process has taken over, or the cache is lying.
                successor = self._shared.lease_holder(self._report)
                if successor == holder:
                    lease = Lease.ERROR
                    break
                holder, holder_since = successor, self._monotonic()
            waited = True
            self._kit.clock.sleep(POLL[0] + POLL[1] * self._kit.clock.uniform())
            if self._adopt(self._newest()) or self._known_failure():
                self._report.tell("lease_wait", reason=self._reason, seconds=self._monotonic() - since)
                return lease
        if waited:
            self._report.tell("lease_wait", reason=self._reason, seconds=self._monotonic() - since)
        return lease

    def _too_soon(self) -> bool:
        """True if a process that cannot ask for the lease had better not mint yet, since it holds a good token.

        A fault may pass before the token ends, and somebody else may renew it: the first time it waits for half of
        what is left to wait. If the cache stays away it mints on its own, though not often.
        """
        slot, held = self._slot, self._slot.held
        if held is None or not self._usable(held):
            return False
        now = self._monotonic()
        lifetime = held.token.expires_at - held.token.issued_at
        not_before = min(slot.last_mint + max(10.0, lifetime / 10), held.edges.expires_at)
        if slot.unleased != held.mark:
            slot.unleased = held.mark
            not_before = max(not_before, now + (held.edges.expiring_at - now) / 2)
        if now >= not_before:
            return False
        slot.pause = Pause(not_before)
        return True

    # ⑤ and ⑥

    def _over_budget(self) -> bool:
        """True if the client's own budget forbids this mint: a held token then lives to its end."""
        budget = self._kit.budget
        if budget is None:
            return False
        counts = ledger_of(self._kit).counts(self._shared, self._report)
        spending = budget.spending(counts)
        if spending is Spending.FREE:
            return False
        exhausted = spending is Spending.EXHAUSTED
        self._report.tell("budget_exhausted" if exhausted else "budget_low", reason=str(counts.month))
        if spending is Spending.LOW:
            return False
        served_on = self._put_back() and self._usable(self._slot.held)
        if not exhausted and not served_on:
            return False  # the reserve is for callers who would otherwise have no token
        renews_in = budget.renews_in(counts, self._wall())
        held, now = self._slot.held, self._monotonic()
        if served_on and held is not None and self._reason != FORCED:
            self._slot.pause = Pause(min(held.edges.expires_at, now + renews_in))
            return True
        message = f"The mint budget is used up ({counts.month} this month, {counts.hour} this hour; {budget})"
        failure = Failure(Kind.BUDGET, "MintBudgetExhausted", message, "budget_exhausted", renews_in)
        # A forced mint that is refused holds nobody up: the token is served on, and renew() tells its caller.
        self._slot.pause = Pause(now if served_on else now + hold_off(failure, 0.0, 0.0), failure)
        return True

    def _mint(self, entry: Entry | None) -> None:
        sent, sent_wall = self._monotonic(), self._wall()
        self._sent = sent
        answer = ask(self._kit, self._identity, sent_wall)
        took = self._monotonic() - sent
        if isinstance(answer, Failure):
            ledger_of(self._kit).record_failure(self._shared, self._report)
            if took >= self._kit.policy.mint_deadline and self._adopt(self._newest()):
                return  # suspended while it waited: another process has taken over
            self._fail(answer, took)
            if answer.kind is Kind.CREDENTIALS:
                self._try_changed_secret()
            return
        mark = fingerprint(self._identity.mark_key, answer.access_token)
        slot = self._slot
        ledger_of(self._kit).record(self._reason, self._shared, self._report)
        slot.last_mint = sent
        slot.mints += 1
        self._report.tell("minted", mark, self._reason, took, answer.lifetime - took)
        if answer.thrifty:
            self._report.tell("quota_low", mark)
        if self._no_better(mark, sent + answer.lifetime):
            return
        rejected = entry.rejected if entry else ()
        minted = Entry(answer.access_token, answer.scope, sent_wall, answer.lifetime, rejected, answer.thrifty)
        self._share(minted)
        if self._previous is not None:
            self._shared.clear_failure(self._report)
        edges = schedule(sent, minted.lifetime, self._kit.policy, self._kit.clock.uniform())
        self._take_in_hand(minted, mark, edges)

    def _no_better(self, mark: str, expires_at: float) -> bool:
        """True if the server gave nothing new: the same token, one it refused, or one that ends earlier."""
        slot, held = self._slot, self._slot.held
        if mark in slot.rejected:
            self._report.tell("renewal_noop", mark, self._reason)
            slot.bar = next_bar(slot.bar, self._monotonic())
            if not self._put_back():
                failure = Failure(
                    Kind.UNAVAILABLE,
                    "TokenUnavailable",
                    "The server gives back a token that an API refuses",
                    "rejected",
                )
                self._fail(failure)
            return True
        if held is None or not self._usable(held):
            return False
        same, now = mark == held.mark, self._monotonic()
        ours = held.edges_at(now, self._wall())
        if not same and (self._reason != RENEWAL or expires_at > ours.expires_at):
            return False
        self._report.tell("renewal_noop", mark, self._reason)
        slot.pause = Pause(ours.expiring_at if now < ours.expiring_at else ours.expires_at)
        return True

    def _share(self, minted: Entry) -> None:
        """Writes the token unless a later one is there already: our lease may have lapsed while we minted."""
        latest = self._newest()
        mark = self._mark(latest)
        if latest is not None and mark is not None and mark not in self._superseded | set(self._slot.rejected):
            # An entry from a clock ahead of ours would look later for ever.
            later = latest.issued_at + latest.lifetime > minted.issued_at + minted.lifetime
            if later and latest.issued_at <= self._wall() + 1 and mark not in latest.rejected:
                return
        self._shared.write(minted, minted.lifetime - (self._wall() - minted.issued_at), self._report)

    # when it went wrong

    def _fail(self, failure: Failure, took: float = 0.0) -> None:
        """Holds off, here and in every process that shares the cache."""
        failure = failure.following(self._previous)
        policy, held = self._kit.policy, self._slot.held or self._slot.out
        lifetime = held.token.expires_at - held.token.issued_at if held else policy.default_lifetime
        hold = hold_off(failure, policy.lead(lifetime), self._kit.clock.uniform())
        self._slot.pause = Pause(self._monotonic() + hold, failure)
        self._shared.write_failure(failure, hold, self._report)
        self._report.tell("renewal_failed", reason=failure.cause_code, seconds=took, holds=hold)
        served = self._slot.held
        if served is not None and self._usable(served):
            left = served.edges.expires_at - served.now(self._monotonic(), self._wall())
            self._report.tell("served_stale", served.mark, failure.cause_code, holds=left)

    def _try_changed_secret(self) -> None:
        """Refused credentials: a secret source may know a newer secret. It has a key, and a slot, of its own."""
        changed = self._kit.changed_secret(self._identity)
        if changed is None:
            return
        slot = changed.slot
        if slot.held is None and self._usable(self._slot.held):
            slot.held = self._slot.held
        work = Renewal(self._kit, changed, self._reason).run
        flight = slot.fly(work, self._reason, self._monotonic(), slot.held, self._kit.policy.flight_deadline)
        if flight is not None:
            flight.wait(self._kit.policy.max_wait)


def raised(error: BaseException) -> Failure:
    """What an exception on a flight is worth.

    Beside our own it is a bug, or a user's transport, clock or authentication object gone wild: the type and the place
    are enough to find it, and the message might hold a secret.
    """
    if isinstance(error, ConfigurationError):
        return Failure(Kind.CONFIGURATION, "TokenUnavailable", str(error), "configuration")
    what = f"{type(error).__name__} while getting a token{_place(error)}"
    return Failure(Kind.UNAVAILABLE, "TokenUnavailable", what, "internal_error")


def _mark(held: Held | None) -> str | None:
    return held.mark if held is not None else None


def _place(error: BaseException) -> str:
    """Where it was raised; the message is left out."""
    trace: Any = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f" ({trace.tb_frame.f_code.co_filename}:{trace.tb_lineno})" if trace is not None else ""

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
from .lifecycle import Pause, hold_off, schedule
from .minting import ask
from .shared import Bar, Entry, Lease, new_owner
from .slot import Held, Slot
from .token import AccessToken, fingerprint

__all__ = ["Renewal"]

LOOK_AGAIN = 0.25
"""Seconds until a process that found the lease held looks again."""
POLL = (0.05, 0.1)
"""A process without a token polls for the lease holder's every 50 ms, plus up to 100."""
YOUNG = 5.0
"""A refused token younger than this many seconds does not cause another mint: the API refuses new ones too."""
BAR, BAR_MAX = 60.0, 300.0
"""Seconds that forced mints are barred then; doubles up to the second."""


class Renewal:
    """One run of the seven steps."""

    def __init__(self, kit: Kit, identity: Identity, reason: str) -> None:
        self._kit, self._identity, self._reason = kit, identity, reason
        self._slot, self._shared, self._report = identity.slot, identity.shared, kit.report
        self._monotonic, self._wall = kit.clock.monotonic, kit.clock.wall
        self._superseded: set[str] = set()
        self._previous: Failure | None = self._slot.pause.failure if self._slot.pause else None

    def run(self) -> None:
        """Ends with a better token in the slot, or with a pause that says why not and until when."""
        try:
            self._steps()
        except ConfigurationError as error:
            self._fail(Failure(Kind.CONFIGURATION, "TokenUnavailable", str(error), "configuration"))
        except Exception as error:
            # A bug, or a user's transport, clock or authentication object gone wild: the type is enough to
            # find it, and the message might hold a secret.
            what = f"{type(error).__name__} while getting a token{_place(error)}"
            self._fail(Failure(Kind.UNAVAILABLE, "TokenUnavailable", what, "internal_error"))
        finally:
            self._shared.release_thread()

    def _steps(self) -> None:
        entry = self._shared.read(self._report)  # ①
        if self._reason == FORCED:
            self._superseded.update(mark for mark in (self._mark(entry), _mark(self._slot.held)) if mark)
        if self._adopt(entry) or self._known_failure() or self._barred():  # ②
            return
        owner = new_owner()
        lease = self._take_lease(owner)  # ③
        if lease is Lease.HELD or (lease is Lease.ERROR and self._too_soon()):
            return
        try:
            entry = self._shared.read(self._report)  # ④
            if self._adopt(entry):
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

    def _mark(self, entry: Entry | None) -> str | None:
        return None if entry is None or entry.value is None else fingerprint(self._identity.mark_key, entry.value)

    def _adopt(self, entry: Entry | None) -> bool:
        """Takes the shared token in hand if it is better than ours: expires later, and nobody refused it."""
        mark = self._mark(entry)
        if entry is None or entry.value is None or mark is None or mark in self._superseded:
            return False
        if mark in entry.rejected or mark in self._slot.rejected:
            self._report.tell("tombstone_hit", mark)
            return False
        monotonic, wall = self._monotonic(), self._wall()
        age = wall - entry.issued_at
        if age < -1.0:
            # Another clock is ahead of ours, so neither tells the token's age; that it is still in the cache
            # does. Trust that for a moment, then look again.
            self._report.tell("clock_skew", mark, seconds=-age)
            margin = schedule(0.0, entry.lifetime, self._kit.policy, 0.0)
            age = entry.lifetime - (margin.expires_at - margin.expiring_at)
        age = max(age, 0.0)
        held = self._slot.held
        expires_at = monotonic - age + entry.lifetime
        if expires_at <= monotonic:
            return False
        if held is not None and (mark == held.mark or expires_at <= held.edges.expires_at) and self._usable(held):
            return False
        token = Entry(entry.value, entry.scope, wall - age, entry.lifetime)
        self._take_in_hand(token, mark, monotonic - age)
        self._report.tell("adopted", mark, self._reason)
        return True

    def _take_in_hand(self, entry: Entry, mark: str, start: float) -> Held:
        token = AccessToken(
            entry.value or "",
            scope=entry.scope,
            issued_at=entry.issued_at,
            expires_at=entry.issued_at + entry.lifetime,
            fingerprint=mark,
        )
        edges = schedule(start, entry.lifetime, self._kit.policy, self._kit.clock.uniform())
        held = Held(token, edges, self._wall() - self._monotonic(), mark)
        slot = self._slot
        slot.previous = slot.held or slot.out
        slot.held, slot.pause, slot.out = held, None, None
        return held

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
        self._slot.pause = Pause(self._monotonic() + remaining, failure)
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
        since = self._monotonic()
        while True:
            lease = self._shared.take_lease(owner, self._kit.policy.lease, self._report)
            waited = self._monotonic() - since
            if lease is not Lease.HELD:
                break
            if self._usable(self._slot.held) and self._reason == RENEWAL:
                self._slot.pause = Pause(self._monotonic() + LOOK_AGAIN)
                return lease
            if waited >= self._kit.policy.lease:
                # No lease lasts longer: the cache is lying.
                lease = Lease.ERROR
                break
            self._kit.clock.sleep(POLL[0] + POLL[1] * self._kit.clock.uniform())
            if self._adopt(self._shared.read(self._report)) or self._known_failure():
                self._report.tell("lease_wait", reason=self._reason, seconds=self._monotonic() - since)
                return lease
        if waited:
            self._report.tell("lease_wait", reason=self._reason, seconds=waited)
        return lease

    def _too_soon(self) -> bool:
        """Without a working cache a process renews on its own, but a held token early only so often."""
        held = self._slot.held
        if held is None or not self._usable(held):
            return False
        lifetime = held.token.expires_at - held.token.issued_at
        next_mint = min(self._slot.last_mint + max(10.0, lifetime / 10), held.edges.expires_at)
        if self._monotonic() >= next_mint:
            return False
        self._slot.pause = Pause(next_mint)
        return True

    # ⑤ and ⑥

    def _over_budget(self) -> bool:
        """True if the client's own budget forbids this mint: a held token then lives to its end."""
        budget = self._kit.budget
        if budget is None:
            return False
        counts = self._kit.ledger.counts(self._shared, self._report)
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
        if served_on and self._slot.held is not None and self._reason != FORCED:
            self._slot.pause = Pause(min(self._slot.held.edges.expires_at, self._monotonic() + renews_in))
            return True
        message = f"The mint budget is used up ({counts.month} this month, {counts.hour} this hour; {budget})"
        failure = Failure(Kind.BUDGET, "MintBudgetExhausted", message, "budget_exhausted", renews_in)
        hold = hold_off(failure, 0.0, 0.0)
        self._slot.pause = Pause(self._monotonic() + hold, failure)
        return True

    def _mint(self, entry: Entry | None) -> None:
        sent, sent_wall = self._monotonic(), self._wall()
        answer = ask(self._kit, self._identity, sent_wall)
        if isinstance(answer, Failure):
            self._kit.ledger.record_failure(self._shared, self._report)
            self._fail(answer)
            if answer.kind is Kind.CREDENTIALS:
                self._try_changed_secret()
            return
        mark = fingerprint(self._identity.mark_key, answer.access_token)
        slot, took = self._slot, self._monotonic() - sent
        self._kit.ledger.record(self._reason, self._shared, self._report)
        slot.last_mint = sent
        slot.mints += 1
        self._report.tell("minted", mark, self._reason, took)
        if self._no_better(mark, sent + answer.lifetime):
            return
        rejected = entry.rejected if entry else ()
        minted = Entry(answer.access_token, answer.scope, sent_wall, answer.lifetime, rejected)
        self._share(minted)
        if self._previous is not None:
            self._shared.clear_failure(self._report)
        self._take_in_hand(minted, mark, sent)

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
        same = mark == held.mark
        if not same and (self._reason != RENEWAL or expires_at > held.edges.expires_at):
            return False
        edges = held.edges
        self._report.tell("renewal_noop", mark, self._reason)
        now = self._monotonic()
        slot.pause = Pause(edges.expiring_at if now < edges.expiring_at else edges.expires_at)
        return True

    def _share(self, minted: Entry) -> None:
        """Writes the token unless a later one is there already: our lease may have lapsed while we minted."""
        latest = self._shared.read(self._report)
        mark = self._mark(latest)
        if latest is not None and mark is not None and mark not in self._superseded | set(self._slot.rejected):
            # An entry from a clock ahead of ours would look later for ever.
            later = latest.issued_at + latest.lifetime > minted.issued_at + minted.lifetime
            if later and latest.issued_at <= minted.issued_at + 1 and mark not in latest.rejected:
                return
        self._shared.write(minted, minted.lifetime - (self._wall() - minted.issued_at), self._report)

    # when it went wrong

    def _fail(self, failure: Failure) -> None:
        """Holds off, here and in every process that shares the cache."""
        failure = failure.following(self._previous)
        policy, held = self._kit.policy, self._slot.held or self._slot.out
        lifetime = held.edges.expires_at - held.edges.renew_at if held else policy.lead(policy.default_lifetime)
        hold = hold_off(failure, lifetime, self._kit.clock.uniform())
        self._slot.pause = Pause(self._monotonic() + hold, failure)
        self._shared.write_failure(failure, hold, self._report)
        self._report.tell("renewal_failed", reason=failure.cause_code, seconds=hold)

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


def next_bar(bar: Bar | None, now: float) -> Bar:
    """The next bar against forced mints: 60 s, doubling to 5 min while they follow each other."""
    follows = bar is not None and now < bar.until + BAR_MAX
    level = bar.level + 1 if bar is not None and follows else 0
    return Bar(now + min(BAR * 2.0**level, BAR_MAX), level)


def _mark(held: Held | None) -> str | None:
    return held.mark if held is not None else None


def _place(error: BaseException) -> str:
    """Where it was raised; the message is left out."""
    trace: Any = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return f" ({trace.tb_frame.f_code.co_filename}:{trace.tb_lineno})" if trace is not None else ""

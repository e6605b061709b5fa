"""Examines one cache: storage, sealing, leases, times to live, races and clocks."""

from __future__ import annotations

import secrets
import time

from ...caches.protocol import TokenCache, release_thread
from ...errors import ConfigurationError
from ...oauth2.secrets import Secret
from ...presentation.wording import cache_name, duration
from ...shared_cache.sealing import Seal, require_cryptography
from ...values import Value
from .race import COUNTS, ROUNDS, OpenCache, Race, by_processes, by_threads, words

__all__ = ["Examination", "Finding"]

_TTL = 300.0
_SLACK = 5.0
"""Seconds that an entry may outlive its time to live, for busy machines."""
_CLOCK_KEY = "m2m1.doctor.clock"
_ANOTHER = "use 'disk:' for one machine; 'valkey://', 'redis://', 'memcached://' or 'dynamodb://' for several"


class Finding(Value):
    """One result of an examination."""

    alias: str
    """The alias of the cache or client; ``settings`` for a finding about the whole configuration."""
    ok: bool
    """False: this is wrong, and the fleet may mint more than one token per lifetime."""
    what: str
    """The result, in words."""
    fix: str = ""
    """What to do; empty if there is nothing to do. With ``ok`` it is advice."""


class _EndOfExamination(Exception):
    """The last finding makes the next steps pointless."""


class Examination:
    """The steps for one cache. Each step relies on the ones before it.

    Args:
        alias: the cache's alias, for the findings.
        cache: the cache.
        opener: opens the cache in another process; None if that is not possible.
    """

    def __init__(self, alias: str, cache: TokenCache, opener: OpenCache | None) -> None:
        self._alias, self._cache, self._opener = alias, cache, opener
        self._capabilities = cache.capabilities
        self._key = f"m2m1.d.{secrets.token_hex(12)}"
        self._found: list[Finding] = []

    def findings(self) -> list[Finding]:
        """Take the steps, and return the findings. A fault that makes later steps pointless ends the examination."""
        steps = self._storage, self._sealing, self._lease, self._expiry, self._race, self._clocks
        try:
            for step in steps:
                step()
            self._tidy()
        except _EndOfExamination:
            pass
        except Exception as error:  # a user's own cache may raise anything
            self._wrong(
                f"it does not answer: {words(error)}",
                "check that its server runs, that this machine reaches it, and that address, password and permissions "
                "are right; until then each process mints for itself",
            )
        finally:
            release_thread(self._cache)
        return self._found

    def _storage(self) -> None:
        key, value, since = self._key, b"m2m-auth doctor", time.perf_counter()
        self._cache.set(key, value, _TTL)
        found = self._cache.get(key)
        took = time.perf_counter() - since
        if found is None:
            both = [self._cache.add(f"{key}.add", owner, _TTL) for owner in (b"one", b"two")]
            lease = ", and its add always wins, so every process believes that it holds the lease" if all(both) else ""
            self._fatal(
                f"{cache_name(self._cache)} loses values: one was not there right after it was set{lease}",
                f"if it is a dummy cache or full, replace it: {_ANOTHER}; otherwise set its clock, which may be ahead",
            )
        if found != value:
            self._fatal(
                f"{cache_name(self._cache)} returns another value than the one that was set",
                f"correct its get, which must return the bytes that were set, or {_ANOTHER}",
            )
        self._cache.delete(key)
        if self._cache.get(key) is not None:
            self._wrong("a deleted value is still there, so a refused token would be used again", "correct its delete")
        self._fine(f"{cache_name(self._cache)} answers: a value was set and read in {took * 1000:.1f} ms")

    def _sealing(self) -> None:
        if not self._capabilities.shared:
            private = "it is private to this process: several workers mint a token each"
            self._advise(private, f"if there are several processes, {_ANOTHER}")
            return
        try:
            require_cryptography()
        except ConfigurationError as error:
            self._fatal(str(error), "install the package")
        seal, token = Seal([Secret(secrets.token_bytes(32))]), secrets.token_bytes(4096)
        self._cache.set(self._key, seal.seal(self._key, token), _TTL)
        sealed = self._cache.get(self._key)
        if sealed is None or seal.open(self._key, sealed) != token:
            self._wrong(
                "a sealed token of 4 kB did not come back whole, so large tokens are minted by each process",
                "raise the cache's limit on the size of values, or find what changes them on the way",
            )
        else:
            self._fine("a sealed token of 4 kB came back whole")

    def _lease(self) -> None:
        if not self._capabilities.atomic_add:
            self._wrong(
                "it has no atomic add and so no lease: several processes may mint at the same moment",
                _ANOTHER,
            )
            return
        key = f"{self._key}.add"
        first, second = (self._cache.add(key, owner, _TTL) for owner in (b"one", b"two"))
        if not first:
            self._wrong(
                "its add never wins, so callers wait for a lease that no process holds",
                f"correct its add, or {_ANOTHER}",
            )
        elif second:
            self._wrong("its add always wins, so every process believes that it holds the lease", _ANOTHER)
        elif not self._capabilities.compare_delete:
            self._advise(
                "it cannot release a lease early, so a lease ends with its time to live; that costs nothing while "
                "mints succeed, but the first retries after a failure may be late",
                f"for an early release, {_ANOTHER}",
            )
        elif self._cache.delete_if(key, b"two") or not self._cache.delete_if(key, b"one"):
            self._wrong("its delete_if deletes the lease of another holder", f"correct its delete_if, or {_ANOTHER}")
        elif not self._cache.add(key, b"three", _TTL):
            self._wrong("a released lease cannot be taken again", f"correct its delete_if, or {_ANOTHER}")
        else:
            self._fine("a lease has one holder, and only the holder releases it")

    def _expiry(self) -> None:
        """Entries end with their time to live, so the lease of a dead process does too."""
        key, ttl = f"{self._key}.ttl", max(0.5, 2 * self._capabilities.resolution)
        began = time.monotonic()
        self._cache.set(key, b"brief", ttl)
        while True:
            age = time.monotonic() - began
            if self._cache.get(key) is None:
                break
            if age > ttl + self._capabilities.resolution + _SLACK:
                self._wrong(
                    f"a value of {ttl:g} s to live is still there after {age:.0f} s: so is a dead process's lease",
                    "set the clocks of this machine and of the cache's server by NTP, or correct its times to live",
                )
                return
            time.sleep(ttl / 20)
        if time.monotonic() - began < ttl - self._capabilities.resolution:
            self._wrong(
                f"a value of {ttl:g} s to live was gone after {age:.1f} s: leases end while their holders are minting",
                "set the clocks of this machine and of the cache's server by NTP; check that the cache is not full",
            )
        else:
            self._fine("values end with their time to live")

    def _race(self) -> None:
        self._cache.set(self._key, b"seen?", _TTL)
        runners, race = "threads", Race(problem="only this process can open this cache")
        if self._capabilities.shared and self._opener is not None:
            runners, race = "processes", by_processes(self._opener, self._key)
            if race.problem:
                fix = "give the cache as a URL, or open_cache= a module's function"
                self._advise(f"{race.problem}; two threads race instead, which proves less", fix)
        if race.problem:
            runners, race = "threads", by_threads(self._cache, self._key)
        if race.problem:
            self._wrong(f"two {runners} at once: {race.problem}", "check that it accepts several connections at once")
            return
        if not race.saw:
            self._wrong(
                "another process does not see this process's entries, although the cache claims to be shared",
                f"check that both open the same folder, server and database; otherwise {_ANOTHER}",
            )
            return
        self._judge_leases(race, runners)
        self._judge_counts(race, runners)

    def _judge_leases(self, race: Race, runners: str) -> None:
        wrong = [winners for winners in race.winners if winners != 1]
        if wrong:
            how = "two winners" if max(wrong) > 1 else "no winner"
            self._wrong(
                f"two {runners} raced for {len(race.winners)} leases, and {len(wrong)} had {how}: add is not atomic",
                f"correct its add, or {_ANOTHER}",
            )
        elif race.winners:
            self._fine(f"two {runners} raced for {len(race.winners)} leases: one winner each time")

    def _judge_counts(self, race: Race, runners: str) -> None:
        if not self._capabilities.atomic_increment:
            self._advise(
                "it has no atomic increment, so counts of mints may be lost: ledger and budgets are estimates",
                f"for exact budgets, {_ANOTHER}",
            )
        elif sorted(race.counts) != list(range(1, 2 * COUNTS + 1)):
            self._wrong(
                f"two {runners} counted to {2 * COUNTS} together, and counts were lost or returned twice",
                f"correct its increment, or {_ANOTHER}; until then budgets let too many mints pass",
            )
        else:
            self._fine(f"two {runners} counted to {2 * COUNTS} together, and lost nothing")

    def _clocks(self) -> None:
        """Each examination stores its time. A stored time in the future shows that a clock is wrong."""
        if not self._capabilities.shared:
            return
        now = time.time()
        try:
            ahead = float(self._cache.get(_CLOCK_KEY) or b"0") - now
        except ValueError:
            ahead = 0.0
        self._cache.set(_CLOCK_KEY, f"{now:.3f}".encode(), 86400)
        if ahead > 2:
            self._wrong(
                f"an earlier examination is dated {duration(ahead)} in the future: this machine's clock or another's "
                "is wrong",
                "set the clocks of all machines by NTP",
            )

    def _tidy(self) -> None:
        for name in ("", ".add", ".n", *(f".{turn:02}" for turn in range(ROUNDS))):
            self._cache.delete(f"{self._key}{name}")

    def _fine(self, what: str) -> None:
        self._found.append(Finding(alias=self._alias, ok=True, what=what, fix=""))

    def _advise(self, what: str, fix: str) -> None:
        self._found.append(Finding(alias=self._alias, ok=True, what=what, fix=fix))

    def _wrong(self, what: str, fix: str) -> None:
        self._found.append(Finding(alias=self._alias, ok=False, what=what, fix=fix))

    def _fatal(self, what: str, fix: str) -> None:
        self._wrong(what, fix)
        raise _EndOfExamination

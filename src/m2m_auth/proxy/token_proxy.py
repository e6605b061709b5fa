"""The token proxy: ``POST /oauth/token`` for other people's clients, one mint per vendor, audience and lifetime."""

from __future__ import annotations

from typing import Any, cast

from ..caches.protocol import TokenCache
from ..errors import ConfigurationError, TokenRequestRejected, TokenUnavailable
from ..http.transports import as_transport
from ..oauth2.secrets import Secret
from ..oauth2.tokens import AccessToken
from ..runtime.clock import SYSTEM_CLOCK, Clock
from ..serving import Answer, Request
from .configuration.config import ProxyConfig, VendorConfig
from .allowances import Allowance, Counters, ends_in, short
from .error_responses import UNKNOWN, credentials_refused, told
from .ledger import VendorLedger
from .parsed_requests import Requests, Seen
from .rate_limits import Addresses, Failures, Rate, UnderWay
from .responses import Refused, granted
from .secret_verifiers import Verifiers
from .upstream_durations import UpstreamDurations
from .upstream_transport import BUDGET, GUESSES, unpacked
from .allow_lists import allowed
from .vendor_sources import AtHand
from .vendor_tokens import Tokens

__all__ = ["TokenProxy"]


class TokenProxy:
    """The service behind the token proxy's URL; framework-neutral (see :mod:`m2m_auth.serving`).

    Args:
        config: the configuration; see :func:`m2m_auth.proxy.load`.
        transport: how the token endpoints are reached, as for :class:`~m2m_auth.TokenSource`.
        clock: the clocks; for tests.

    Attributes:
        config: the configuration, checked.
        ledger: what each vendor asked for and got: ``proxy.ledger.report()``.
        durations: how long the authorization servers took.
        counters: what all workers and hosts count together.

    Raises:
        ConfigurationError: the configuration makes no sense; raised before any I/O.
    """

    def __init__(self, config: ProxyConfig, *, transport: Any = None, clock: Clock = SYSTEM_CLOCK) -> None:
        self.config = config = config.checked()
        pepper = cast("Secret", config.pepper)
        key = pepper.reveal_bytes()
        self._cache = cast("TokenCache", config.cache)
        self._wall = clock.wall
        counters = self.counters = Counters(self._cache, clock)
        self.ledger = VendorLedger(config.vendors, counters, key)
        configured = {name: vendor.verifiers for name, vendor in config.vendors.items()}
        self._verifiers = Verifiers(pepper, configured, counters)
        self._failures = Failures(counters, key, config.failures_per_minute)
        limit: dict[str, int | None] = {"minute": config.secret_attempts_per_minute}
        self._guesses = {
            name: Allowance(counters, f"m2m1.pg.{short(key, 'guesses', name)}", limit) for name in ("", *config.vendors)
        }
        self._rates = {name: Rate(vendor.requests_per_minute) for name, vendor in config.vendors.items()}
        self.durations = UpstreamDurations(config.upstreams, counters, key)
        self.tokens = Tokens(config, self.ledger, self.durations, as_transport(transport), clock)
        self._addresses = Addresses(config.trusted_proxies)
        self._requests = Requests(self._verifiers, config.max_entries)
        self._trying = UnderWay()
        """Secrets that are being tried upstream now: who comes with the same one waits for the outcome."""
        self._blind_until = 0.0
        """Until then nobody can tell whether an unknown secret is right: the authorization server fails."""

    def __repr__(self) -> str:
        return f"<TokenProxy {self.config.path} for {len(self.config.vendors)} vendors>"

    def close(self) -> None:
        """Writes what the ledger has still to write, and closes the cache's connections."""
        self.ledger.close()
        self._cache.close()

    def answer(self, request: Request) -> Answer:
        """The answer to one request: a token (RFC 6749 §5.1) or an error (§5.2)."""
        try:
            if request.path != self.config.path:
                raise Refused(404, "not_found", "The token endpoint is elsewhere")
            if request.method != "POST":
                raise Refused(405, "invalid_request", "The token endpoint takes POST (RFC 6749 3.2)", allow="POST")
            return self._answer(request)
        except Refused as refused:
            return refused.answer(basic="authorization" in request.headers)

    def _answer(self, request: Request) -> Answer:
        mark, readings = self._requests.read(request)
        address = self._addresses.of(request)
        for seen in readings:
            wait = self._failures.wait(seen.name, address)
            if wait:
                words = "Too many failed attempts"
                raise self._blind() or Refused(429, "temporarily_unavailable", words, retry_after=wait)
        for seen in [seen for seen in readings if self._verifiers.knows(seen.name, seen.mac)]:  # all are looked at
            self._failures.succeeded(seen.name, address)
            first = seen.wanted is None
            answer = self._known(seen)
            if first:
                self._requests.remember(mark, seen)  # of those only who get tokens
            return answer
        try:
            return self._not_known(readings, address)
        finally:
            self.counters.release()

    # a secret that is right

    def _known(self, seen: Seen) -> Answer:
        name, vendor, began = seen.name, self.config.vendors[seen.name], self._wall()
        own = self._keeps_its_own(vendor)
        try:
            wait = self._rates[name].wait(began)
            if wait:
                raise Refused(429, "temporarily_unavailable", "This client asks too often", retry_after=wait)
            wanted = seen.wanted = seen.wanted or allowed(vendor, seen.asked)
        except Refused:
            self.ledger.refused(name)
            raise
        at_hand = self.tokens.at_hand(name, vendor, wanted, seen.asked.secret if own else None, seen.mac)
        try:
            token = at_hand.source.token()
        except TokenUnavailable as error:
            if own and credentials_refused(error):
                self._verifiers.forget(name, seen.mac)
            raise self._refused(name, error, own) from None
        return self._granted(name, at_hand, token, seen.mac if own else None, began)

    def _granted(self, name: str, at_hand: AtHand, token: AccessToken, enrolling: bytes | None, began: float) -> Answer:
        value, lifetime = unpacked(token)
        ends, now = token.issued_at + lifetime, self._wall()
        # Minted by a clock ahead of ours: then all that is known is that the engine still takes it for good.
        left = ends - now if token.issued_at <= now + 1 else min(lifetime, self.config.min_validity)
        if enrolling is not None and at_hand.enrolled_until < ends:
            at_hand.enrolled_until = ends
            self._verifiers.enrol(name, enrolling, ends)
        hit = token.issued_at < began or at_hand.last == token.fingerprint
        if not hit:
            at_hand.last = token.fingerprint
        self.ledger.served(name, hit=hit)
        shown = ("HIT" if hit else "MISS") if self.config.debug_header else None
        known = at_hand.answer
        if known is not None and known[:3] == (token.fingerprint, int(left), shown):
            return known[3]
        headers = () if shown is None else (("X-M2M-Cache", shown),)
        answer = granted(value, max(int(left), 1), token.scope, *headers)  # many clients take 0 for no end at all
        at_hand.answer = token.fingerprint, int(left), shown, answer
        return answer

    def _refused(self, name: str, error: TokenUnavailable, own: bool) -> Refused:
        if error.cause_code != BUDGET:
            self.ledger.refused(name)
            return told(error, own_credentials=own, budget_wait=0.0)
        self.ledger.refused_over_budget(name)
        refused = told(error, own_credentials=own, budget_wait=self.ledger.mints(name).retry_after())
        self.counters.release()
        return refused

    # a secret that this process does not know

    def _not_known(self, readings: list[Seen], address: str) -> Answer:
        """By what other workers know, or by trying it upstream; else a refusal, at the same price for every client."""
        for seen in readings:
            answer = self._learnt(seen, address)
            if answer is not None:
                return answer
        vendor = self.config.vendors.get(readings[0].name)
        blind = self._blind() if vendor is None or self._keeps_its_own(vendor) else None
        for name in {seen.name for seen in readings}:
            # Blind, only this client's are counted: others behind the address may have nothing to do with it.
            self._failures.failed(name, None if blind else address)
        raise blind or Refused(401, "invalid_client", UNKNOWN)

    def _learnt(self, seen: Seen, address: str) -> Answer | None:
        name, mac = seen.name, seen.mac
        guesses = self._guesses.get(name, self._guesses[""])
        joins = mac in self._trying
        learnt, spent = self._verifiers.learn(name, mac), guesses.retry_after() > 0
        if learnt:
            self._failures.succeeded(name, address)
            return self._known(seen)
        vendor = self.config.vendors.get(name)
        own = vendor is not None and self._keeps_its_own(vendor)
        joins |= mac in self._trying or self._verifiers.knows(name, mac)  # or it was, a moment ago
        if vendor is None or not own or (spent and not joins):
            return None
        answer = self._tried(seen, vendor, guesses)
        if answer is not None:
            self._failures.succeeded(name, address)
        return answer

    def _blind(self) -> Refused | None:
        """The answer to an unknown secret while the authorization server fails; None while it does not."""
        left = self._blind_until - self._wall()
        if not 0 < left <= 60:
            return None
        words = "The authorization server does not answer, and nobody else knows this client's secret"
        return Refused(503, "temporarily_unavailable", words, retry_after=left)

    def _tried(self, seen: Seen, vendor: VendorConfig, guesses: Allowance) -> Answer | None:
        """The answer to a client whose secret the authorization server takes; None if it does not."""
        name, secret, began = seen.name, seen.asked.secret, self._wall()
        try:
            wanted = allowed(vendor, seen.asked)
            with self._trying.while_(seen.mac):
                token = self.tokens.source(name, vendor, wanted, secret, guesses).token()
        except (Refused, ConfigurationError):  # a list of what a client may have is not for strangers
            return None
        except TokenUnavailable as error:
            if credentials_refused(error) or error.cause_code == GUESSES:
                return None
            if not isinstance(error, TokenRequestRejected) and error.cause_code != BUDGET:
                self._blind_until = self._wall() + ends_in("minute", self._wall())  # then others may be tried
            raise self._refused(name, error, own=True) from None
        at_hand = self.tokens.at_hand(name, vendor, wanted, secret, seen.mac)
        return self._granted(name, at_hand, token, seen.mac, began)

    def _keeps_its_own(self, vendor: VendorConfig) -> bool:
        """Whether the vendor's credentials are its own upstream, and not the proxy's."""
        return self.config.upstreams[vendor.upstream].client_id is None

"""The tokens of all vendors: one source per vendor, audience, exact scope set, resources and secret.

A bounded number of them is at hand. One that is let go costs nothing: its token is in the shared cache, and the
engine's slot outlives it a while. Closing it would close the cache, which all share.
"""

from __future__ import annotations

from functools import partial
from typing import cast

from ..caches.protocol import TokenCache
from ..oauth2.client_authentication.protocol import ClientAuthentication
from ..oauth2.grants import ClientCredentials
from ..oauth2.secrets import Secret
from ..oauth2.transport import Transport
from ..runtime.clock import SYSTEM_CLOCK, Clock
from ..source.token_source import TokenSource
from .configuration.config import ProxyConfig, VendorConfig
from .allowances import Allowance
from .ledger import VendorLedger
from .lru import Lru
from .upstream_durations import UpstreamDurations
from .upstream_transport import Upstream
from .vendor_sources import AtHand, ForVendor, Key, Wanted

__all__ = ["Tokens"]


class Tokens:
    """Finds and builds the sources.

    Args:
        config: the checked configuration.
        ledger: whose budgets count.
        durations: of the token requests.
        transport: how token endpoints are reached.
        clock: the time.
    """

    def __init__(
        self,
        config: ProxyConfig,
        ledger: VendorLedger,
        durations: UpstreamDurations,
        transport: Transport,
        clock: Clock,
    ) -> None:
        self._config, self._ledger, self._clock = config, ledger, clock
        limits = config.min_validity, config.lifetime_cap, config.max_upstream_calls
        self._upstreams = {
            name: Upstream(transport, clock, partial(durations.observe, name), *limits) for name in config.upstreams
        }
        self._keys = tuple(cast("Secret", key) for key in config.encryption_keys)
        self._sources: Lru[Key, AtHand] = Lru(config.max_entries)

    def __len__(self) -> int:
        return len(self._sources)

    def at_hand(self, name: str, vendor: VendorConfig, wanted: Wanted, secret: Secret | None, mac: bytes) -> AtHand:
        """The source of a vendor that is known; ``secret`` and ``mac`` where they are its own upstream."""
        key = Key(name, mac if secret is not None else b"", wanted)
        found = self._sources.get(key)
        return found or self._sources.add(key, AtHand(self.source(name, vendor, wanted, secret)))

    def source(
        self, name: str, vendor: VendorConfig, wanted: Wanted, secret: Secret | None, guesses: Allowance | None = None
    ) -> TokenSource:
        """A source, e.g. to try a secret with that nobody knows yet, as ``guesses`` allow.

        Raises:
            ConfigurationError: no client could have such a secret.
        """
        upstream = self._config.upstreams[vendor.upstream]
        authentication = cast("ClientAuthentication", upstream.client_authentication)
        if upstream.client_id is None:
            client_id = name
        else:
            client_id, secret = upstream.client_id, cast("Secret | None", upstream.client_secret)
            authentication = ForVendor(authentication, name)
        return TokenSource(
            upstream.token_endpoint,
            client_id,
            None if secret is None else secret.reveal(),
            audience=wanted.audience,
            scope=wanted.scopes or None,
            resource=wanted.resources or None,
            extra_parameters=dict(wanted.extra) or None,
            client_authentication=authentication,
            grant=ClientCredentials("json" if upstream.encoding == "json" else "form"),
            cache=cast("TokenCache", self._config.cache),
            encryption_keys=[key.reveal_bytes() for key in self._keys] or None,
            transport=self._upstreams[vendor.upstream].transport_for(name, self._ledger, guesses),
            clock=None if self._clock is SYSTEM_CLOCK else self._clock,
            alias=name,
        )

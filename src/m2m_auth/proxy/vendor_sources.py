"""The token sources of all vendors: one for each vendor, audience, exact scope set, resources and secret."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple, cast

from .. import TokenSource
from ..caches.protocol import TokenCache
from ..oauth2.client_authentication.protocol import ClientAuthentication, RequestCredentials
from ..oauth2.grants import ClientCredentials
from ..oauth2.secrets import Secret
from ..oauth2.transport import Transport
from ..runtime.bounded_map import BoundedMap
from ..runtime.clock import SYSTEM_CLOCK, Clock
from ..serving import Answer
from .allow_lists import AllowedRequest
from .allowances import Allowance
from .configuration.config import ProxyConfig, VendorConfig
from .ledger import VendorLedger
from .upstream_durations import UpstreamDurations
from .upstream_transport import Upstream

__all__ = ["VendorSource", "VendorSources"]


class VendorSource:
    """A token source of one vendor, and the proxy's latest answer with its token."""

    __slots__ = ("answer", "enrolled_until", "last_fingerprint", "source")

    def __init__(self, source: TokenSource) -> None:
        self.source = source
        self.enrolled_until = 0.0
        """The vendor's verifier is enrolled until this Unix time, the end of a token."""
        self.answer: tuple[str, int, str | None, Answer] | None = None
        """The latest answer, after its token's fingerprint, seconds left and debug header. Good for the same second."""
        self.last_fingerprint = ""
        """The fingerprint of the latest token that was counted as a miss, so that one mint is one miss."""


class _SourceKey(NamedTuple):
    vendor: str
    mac: bytes
    """The MAC of the secret if the vendor keeps its own credentials, so that a wrong secret finds no token."""
    request: AllowedRequest


class _AuthenticationForVendor:
    """The proxy's own client authentication, with a cache key for each vendor: vendors never share a token."""

    def __init__(self, inner: ClientAuthentication, vendor: str) -> None:
        self._inner = inner
        self.method = f"{inner.method} for {vendor!r}"

    def credential(self, client_secret: Secret | None) -> bytes:
        """The credential of the inner authentication."""
        return self._inner.credential(client_secret)

    def authenticate(
        self, client_id: str, client_secret: Secret | None, token_endpoint: str, now: float
    ) -> RequestCredentials:
        """The request credentials of the inner authentication."""
        return self._inner.authenticate(client_id, client_secret, token_endpoint, now)


class VendorSources:
    """Builds the sources and keeps the ones used latest.

    Evicting a source loses nothing: its token stays in the shared cache. An evicted source is not closed, because that
    would close the cache that all sources share.

    Args:
        config: the checked configuration.
        ledger: the ledger whose budgets count.
        durations: the histograms of token requests.
        transport: reaches the token endpoints.
        clock: the clocks.
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
        self._sources: BoundedMap[_SourceKey, VendorSource] = BoundedMap(config.max_entries)

    def __len__(self) -> int:
        return len(self._sources)

    def kept(
        self, name: str, vendor: VendorConfig, request: AllowedRequest, secret: Secret | None, mac: bytes
    ) -> VendorSource:
        """The kept source of a vendor whose secret is right; built if it is not kept.

        ``secret`` and its ``mac`` are those of a vendor that keeps its own credentials; otherwise ``secret`` is None.
        """
        key = _SourceKey(name, mac if secret is not None else b"", request)
        return self._sources.get_or_add(key, lambda: VendorSource(self.build(name, vendor, request, secret)))

    def build(
        self,
        name: str,
        vendor: VendorConfig,
        request: AllowedRequest,
        secret: Secret | None,
        attempts: Allowance | None = None,
    ) -> TokenSource:
        """A source that is not kept, to try a secret that is not known yet, as ``attempts`` allow.

        Raises:
            ConfigurationError: no client could have such a secret.
        """
        upstream = self._config.upstreams[vendor.upstream]
        authentication = cast("ClientAuthentication", upstream.client_authentication)
        if upstream.client_id is None:
            client_id = name
        else:
            client_id, secret = upstream.client_id, cast("Secret | None", upstream.client_secret)
            authentication = _AuthenticationForVendor(authentication, name)
        return TokenSource(
            upstream.token_endpoint,
            client_id,
            None if secret is None else secret.reveal(),
            audience=request.audience,
            scope=request.scopes or None,
            resource=request.resources or None,
            extra_parameters=dict(request.extra) or None,
            client_authentication=authentication,
            grant=ClientCredentials("json" if upstream.encoding == "json" else "form"),
            cache=cast("TokenCache", self._config.cache),
            encryption_keys=[key.reveal_bytes() for key in self._keys] or None,
            transport=self._upstreams[vendor.upstream].transport_for(name, self._ledger, attempts),
            clock=None if self._clock is SYSTEM_CLOCK else self._clock,
            alias=name,
        )

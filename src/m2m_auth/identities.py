"""From a secret to an identity: the cache keys, the seal, the fingerprints' key and the process's slot."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Sequence

from .caches import TokenCache, from_client, from_url
from .clock import SYSTEM_CLOCK, Clock
from .errors import ConfigurationError
from .failure import Failure, Kind
from .guarded import guards_for
from .kit import Identity
from .lifecycle import RenewalPolicy
from .options import SecretSource, TokenRequest
from .seal import Seal, require_cryptography
from .shared import NOTHING_SHARED, CacheNames, SharedState
from .slot import Slot, same, slot_for
from .token import Secret, checked_secret

__all__ = ["Identities", "checked_cache"]


class Identities:
    """Makes the identity of each generation of one client's credential.

    Args:
        request: what the client asks for.
        secret: the secret, a callable that fetches it, or None for methods without one.
        keys: the user's own encryption keys; none: the credential's.
        cache: the shared cache, or None.
        policy: a part of the process's key: sources with other policies keep other schedules.
        clock: the user's clock, or None for the system's; a part of that key, too.
    """

    __slots__ = ("_keys", "_own_clock", "_policy", "_request", "_secret", "cache")

    def __init__(
        self,
        request: TokenRequest,
        secret: Secret | SecretSource | None,
        keys: Sequence[Secret],
        cache: TokenCache | None,
        policy: RenewalPolicy,
        clock: Clock | None,
    ) -> None:
        self._request, self._secret, self._keys = request, secret, tuple(keys)
        self.cache, self._policy, self._own_clock = cache, policy, clock

    def __repr__(self) -> str:
        return "<Identities>"

    def first(self) -> Identity | None:
        """The identity that is known without I/O; None where the secret must be fetched."""
        return None if callable(self._secret) else self.of(self._secret)

    def of(self, secret: Secret | None) -> Identity:
        """The identity of this secret; no I/O. Raises ConfigurationError where the method needs another one."""
        request = self._request
        credential = request.authentication.credential(secret)
        generation = hmac.new(credential, b"m2m-auth credential generation", hashlib.sha256).digest()
        mark_key = hmac.new(credential, b"m2m-auth token fingerprint", hashlib.sha256).digest()
        digest = request.digest(generation)
        slot = slot_for((digest, same(self.cache), self._policy, same(self._own_clock)), Slot)
        return Identity(secret, mark_key, slot, self._shared(digest, credential))

    def _shared(self, digest: bytes, credential: bytes) -> SharedState:
        guards = guards_for(self.cache, self._own_clock)
        if not guards:
            return NOTHING_SHARED
        seal = Seal(self._keys or (Secret(credential),)) if any(guard.capabilities.shared for guard in guards) else None
        return SharedState(guards, seal, CacheNames(digest), (self._own_clock or SYSTEM_CLOCK).wall)

    @property
    def can_fetch(self) -> bool:
        """True if the secret comes from a callable, which may know a newer one."""
        return callable(self._secret)

    def fetch(self) -> Secret | Failure:
        """Asks the callable. Its exceptions are described by type: a message might hold the secret."""
        problem = ""
        try:
            if callable(self._secret):
                return checked_secret("what the client_secret callable returned", self._secret())
        except ConfigurationError as error:
            problem = str(error)
        except Exception as error:
            problem = f"the client_secret callable raised {type(error).__name__}"
        return Failure(Kind.UNAVAILABLE, "TokenUnavailable", f"No client secret: {problem}", "secret_unavailable")


def checked_cache(cache: object) -> TokenCache | None:
    """The cache behind ``cache=``: a URL, a TokenCache or a native client. Raises ConfigurationError for all else."""
    if cache is None:
        return None
    opened = cache if isinstance(cache, TokenCache) else _opened(cache)
    if opened is None:
        raise ConfigurationError(
            f"cache={type(cache).__name__} is neither a URL such as 'disk:', nor a client that is known (redis, "
            "valkey, pymemcache, a boto3 table, cachelib, diskcache), nor an object with the TokenCache protocol"
        )
    if opened.capabilities.shared:
        require_cryptography()
    return opened


_open_caches: OrderedDict[object, tuple[object, TokenCache | None]] = OrderedDict()
_MANY = 256


def _opened(given: object) -> TokenCache | None:
    """One cache per URL or native client, and process, so that equal sources share it; the latest 256 are kept."""
    key = given if isinstance(given, str) else same(given)
    found = _open_caches.get(key)
    if found is None:
        opened = from_url(given) if isinstance(given, str) else from_client(given)
        found = _open_caches.setdefault(key, (given, opened))
        while len(_open_caches) > _MANY:
            _open_caches.popitem(last=False)
    else:
        with contextlib.suppress(KeyError):  # another thread has evicted it
            _open_caches.move_to_end(key)
    return found[1]

"""From a secret to a credential: its cache keys, its seal, the key of its fingerprints, and its token state."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence

from ..caches.protocol import TokenCache
from ..errors import ConfigurationError
from ..lifecycle.failure import Failure, FailureKind
from ..lifecycle.policy import RenewalPolicy
from ..oauth2.answer_rules import AnswerRules
from ..oauth2.secrets import Secret, SecretSource, checked_secret
from ..oauth2.token_request import TokenRequest
from ..runtime.clock import SYSTEM_CLOCK, Clock
from ..runtime.identity_key import identity_key
from ..shared_cache.circuit_breaker import circuit_breakers_for
from ..shared_cache.keys import CacheKeys
from ..shared_cache.sealing import Seal
from ..shared_cache.shared_store import NOTHING_SHARED, SharedStore
from .registry import endpoint_wait_for, token_state_for
from .renewal_context import Credential

__all__ = ["CredentialSource"]


class CredentialSource:
    """Makes the credential of each generation of one client's credential.

    Args:
        request: what the client asks for.
        secret: the secret, a callable that fetches it, or None for methods without one.
        keys: the user's own encryption keys; none: the credential's.
        cache: the shared cache, or None.
        policy: sources with different policies have different schedules, and so different token states.
        answers: sources that read answers differently get different tokens, and so have different token states, too.
        clock: the user's clock, or None for the system's; sources with different clocks have different token states.
    """

    __slots__ = ("_answers", "_keys", "_own_clock", "_policy", "_request", "_secret", "cache")

    def __init__(
        self,
        request: TokenRequest,
        secret: Secret | SecretSource | None,
        keys: Sequence[Secret],
        cache: TokenCache | None,
        policy: RenewalPolicy,
        answers: AnswerRules,
        clock: Clock | None,
    ) -> None:
        self._request, self._secret, self._keys = request, secret, tuple(keys)
        self.cache, self._policy, self._own_clock = cache, policy, clock
        self._answers = answers.state_key

    def __repr__(self) -> str:
        return "<CredentialSource>"

    def first(self) -> Credential | None:
        """The credential that is known without I/O; None where the secret must be fetched."""
        return None if callable(self._secret) else self.of(self._secret)

    def of(self, secret: Secret | None) -> Credential:
        """The credential of this secret; no I/O. Raises ConfigurationError if it does not suit the method."""
        request = self._request
        credential = request.authentication.credential(secret)
        generation = hmac.new(credential, b"m2m-auth credential generation", hashlib.sha256).digest()
        fingerprint_key = hmac.new(credential, b"m2m-auth token fingerprint", hashlib.sha256).digest()
        digest = request.digest(generation)
        client = _client_digest(request, generation)
        cache, clock = identity_key(self.cache), identity_key(self._own_clock)
        rules = (self._policy, self._answers)
        state = token_state_for((digest, cache, rules, clock))
        wait = endpoint_wait_for((client, cache, clock))
        return Credential(secret, fingerprint_key, state, self._store(digest, client, credential), wait)

    def _store(self, digest: bytes, client: bytes, credential: bytes) -> SharedStore:
        breakers = circuit_breakers_for(self.cache, self._own_clock)
        if not breakers:
            return NOTHING_SHARED
        seal = (
            Seal(self._keys or (Secret(credential),))
            if any(breaker.capabilities.shared for breaker in breakers)
            else None
        )
        return SharedStore(breakers, seal, CacheKeys(digest, client), (self._own_clock or SYSTEM_CLOCK).wall)

    @property
    def can_fetch(self) -> bool:
        """True if the secret comes from a callable, which may return a newer one."""
        return callable(self._secret)

    def fetch(self) -> Secret | Failure:
        """Calls the callable. An exception is described by its type: its message might hold the secret."""
        problem = ""
        try:
            if callable(self._secret):
                return checked_secret("what the client_secret callable returned", self._secret())
        except ConfigurationError as error:
            problem = str(error)
        except Exception as error:
            problem = f"the client_secret callable raised {type(error).__name__}"
        return Failure(
            FailureKind.UNAVAILABLE, "TokenUnavailable", f"No client secret: {problem}", "secret_unavailable"
        )


def _client_digest(request: TokenRequest, generation: bytes) -> bytes:
    """The client's credential at its token endpoint: the same for all audiences, another one for a new secret."""
    fields = (b"m2m-auth client", request.token_endpoint.encode(), request.client_id.encode(), generation)
    return hashlib.sha256(b"".join(len(field).to_bytes(4, "big") + field for field in fields)).digest()

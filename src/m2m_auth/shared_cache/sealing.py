"""Sealed cache values: AES-256-GCM under a key derived from the client's credential.

A sealed value is ``version, key id (4 bytes), nonce (12 bytes), ciphertext and tag``; the cache key is
its associated data, so a value that was swapped, truncated or sealed with another key does not open.
cryptography is imported when the first value is sealed or opened: only users of a shared cache pay for it.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..errors import ConfigurationError, missing_extra
from ..oauth2.secrets import Secret, concealed, encodable
from ..runtime.fork_safety import delaying_forks

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

__all__ = ["Seal"]

_VERSION = b"\x01"
_NONCE = 12
_HEADER = 1 + 4 + _NONCE


class Seal:
    """Seals with the first key and opens with any, so that keys can be rotated.

    Args:
        keys: the input keying material: the client's credential, or the user's ``encryption_keys``.
    """

    def __init__(self, keys: Sequence[Secret]) -> None:
        self._keys = tuple(keys)
        self._ciphers: list[tuple[bytes, AESGCM]] | None = None
        self._invalid: type[Exception] = Exception
        """What cryptography raises for a value that is not authentic."""

    def seal(self, key: str, value: bytes) -> bytes:
        """``value`` sealed for the cache key ``key``."""
        nonce = os.urandom(_NONCE)
        with delaying_forks():  # OpenSSL's locks would stay taken in a forked child
            key_id, cipher = self._derived()[0]
            return _VERSION + key_id + nonce + cipher.encrypt(nonce, value, key.encode())

    def open(self, key: str, sealed: bytes) -> bytes | None:
        """The value behind ``sealed``; None if key, cache key or version are others, or it is truncated."""
        if len(sealed) <= _HEADER or sealed[:1] != _VERSION:
            return None
        key_id, nonce = sealed[1:5], sealed[5:_HEADER]
        with delaying_forks():
            for known, cipher in self._derived():
                if known == key_id:
                    try:
                        return cipher.decrypt(nonce, sealed[_HEADER:], key.encode())
                    except self._invalid:
                        continue
        return None

    def _derived(self) -> list[tuple[bytes, AESGCM]]:
        if self._ciphers is None:
            from cryptography.exceptions import InvalidTag
            from cryptography.hazmat.primitives import hashes
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM
            from cryptography.hazmat.primitives.kdf.hkdf import HKDF

            ciphers: list[tuple[bytes, AESGCM]] = []
            for secret in self._keys:
                hkdf = HKDF(hashes.SHA256(), length=32, salt=b"m2m-auth", info=b"m2m-auth seal v1: AES-256-GCM")
                derived = hkdf.derive(secret.reveal_bytes())
                ciphers.append((hashlib.sha256(b"key id" + derived).digest()[:4], AESGCM(derived)))
            self._ciphers, self._invalid = ciphers, InvalidTag
        return self._ciphers


def checked_keys(encryption_keys: object) -> tuple[Secret, ...]:
    """The user's own keys. Raises ConfigurationError for an empty list, short keys, or a bare string."""
    hidden = concealed(encryption_keys)
    problem = _problem(hidden)
    if problem:
        raise ConfigurationError(f"encryption_keys {problem}")
    return () if hidden is None else tuple(Secret(key) for key in hidden.reveal())


def _problem(hidden: Any) -> str:
    """What is wrong with the keys, in words; a function of its own, so that no frame of the traceback holds them."""
    given = hidden.reveal() if isinstance(hidden, Secret) else hidden
    if given is None:
        return ""
    if isinstance(given, (str, bytes)) or not isinstance(given, Sequence):
        return "must be a list: the first seals, all open. Fix: [key]"
    keys: list[Any] = list(given)  # pyright: ignore[reportUnknownArgumentType]
    if not all(isinstance(key, bytes) or (isinstance(key, str) and encodable(key)) for key in keys):
        return "has a key that is neither text nor bytes. Fix: secrets.token_urlsafe(32)"
    if not keys:
        return "is empty. Fix: leave it out, or name at least one key"
    if any(len(Secret(key).reveal_bytes()) < 16 for key in keys):
        return "has a key that is shorter than 16 bytes. Fix: secrets.token_urlsafe(32)"
    return ""


def require_cryptography() -> None:
    """Raises ConfigurationError, before any I/O, where a shared cache is configured without cryptography."""
    import importlib.util

    if importlib.util.find_spec("cryptography") is None:
        error = ImportError(name="cryptography")
        raise ConfigurationError(missing_extra("a shared cache (its values are sealed)", error, "disk"))

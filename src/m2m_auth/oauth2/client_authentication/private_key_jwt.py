"""``private_key_jwt``: an assertion that is signed with the client's private key (RFC 7523 §2.2)."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any, NoReturn

from ...errors import ConfigurationError, missing_extra
from ..secrets import Secret, concealed
from .protocol import ASSERTION_TYPE, RequestCredentials

__all__ = ["PrivateKeyJWT"]


class PrivateKeyJWT:
    """``private_key_jwt``: a signed assertion instead of a client secret (RFC 7523 §2.2). It needs the ``jwt`` extra.

    Args:
        key: the private key in PEM, as text or bytes, or the path of a file that holds it.
        algorithm: the JWS algorithm, e.g. ``RS256``, ``PS256``, ``ES256``, ``EdDSA``.
        key_id: the ``kid`` header, if the server wants one.
        audience: the assertion's ``aud``; the token endpoint's URL by default.
        lifetime: seconds that an assertion is good for, 3600 at most; each is used once.

    Raises:
        ConfigurationError: the key cannot be read or is not one for this algorithm, or PyJWT is missing.
    """

    def __init__(
        self,
        key: str | bytes | Path,
        algorithm: str = "RS256",
        key_id: str | None = None,
        audience: str | None = None,
        lifetime: float = 60,
    ) -> None:
        key = concealed(key)
        if not isinstance(algorithm, str) or algorithm.lower() == "none" or algorithm.upper().startswith("HS"):
            raise ConfigurationError(
                f"PrivateKeyJWT: algorithm={algorithm!r} is not one with a private key, e.g. 'RS256'"
            )
        if not isinstance(lifetime, (int, float)) or not 0 < lifetime <= 3600:
            raise ConfigurationError(f"PrivateKeyJWT: lifetime={lifetime!r} must be between 0 and 3600 seconds")
        self._key = _checked_pem(key)
        self._signing_key = _signing_key(self._key, algorithm)
        self.algorithm, self.key_id, self.audience, self.lifetime = algorithm, key_id, audience, lifetime
        self.method = f"private_key_jwt:{algorithm}:{audience or ''}"

    def __repr__(self) -> str:
        return f"<PrivateKeyJWT {self.algorithm} key_id={self.key_id!r}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a PrivateKeyJWT is not pickled: the key would leave the process in the clear")

    def credential(self, client_secret: Secret | None) -> bytes:  # noqa: ARG002
        """Return a digest of the private key."""
        return hashlib.sha256(self._key.reveal_bytes()).digest()

    def authenticate(
        self,
        client_id: str,
        client_secret: Secret | None,  # noqa: ARG002
        token_endpoint: str,
        now: float,
    ) -> RequestCredentials:
        """Return a new ``client_assertion`` with a random ``jti``, and its type."""
        issued = int(now)
        claims = {
            "iss": client_id,
            "sub": client_id,
            "aud": self.audience or token_endpoint,
            "iat": issued,
            "nbf": issued,
            "exp": issued + max(1, int(self.lifetime)),
            "jti": os.urandom(16).hex(),
        }
        return RequestCredentials(
            {},
            (
                ("client_id", client_id),
                ("client_assertion_type", ASSERTION_TYPE),
                ("client_assertion", self._sign(claims)),
            ),
        )

    def _sign(self, claims: dict[str, Any]) -> str:
        import jwt

        headers = {"kid": self.key_id} if self.key_id else None
        return jwt.encode(claims, self._signing_key, algorithm=self.algorithm, headers=headers)


def _checked_pem(key: Any) -> Secret:
    pem, problem = _read(key)
    if problem:
        raise ConfigurationError(f"PrivateKeyJWT: {problem}")
    return pem


def _read(key: Any) -> tuple[Secret, str]:
    """The PEM text of a key or of the file that it names, and what is wrong. Raises nothing: this frame holds it."""
    given = key.reveal() if isinstance(key, Secret) else key
    pem, problem = b"", ""
    if isinstance(given, str) and "-----BEGIN" in given:
        pem = given.encode(errors="replace")
    else:
        try:
            pem = Path(given).read_bytes()
        except (OSError, ValueError, TypeError) as error:
            problem = f"key is neither PEM text nor a file that can be read ({type(error).__name__})"
    if not problem and b"PRIVATE KEY-----" not in pem:
        problem = "key holds no '-----BEGIN … PRIVATE KEY-----'. Is it the public key?"
    return Secret(pem), problem


def _signing_key(key: Secret, algorithm: str) -> Any:
    """PyJWT's own object for the key: a wrong key raises when it is configured, not at the first mint."""
    try:
        import jwt
    except ImportError as error:
        raise ConfigurationError(missing_extra("private_key_jwt", error, "jwt")) from None
    try:
        signer: Any = jwt.get_algorithm_by_name(algorithm)
    except NotImplementedError:
        raise ConfigurationError(
            f"PrivateKeyJWT: algorithm={algorithm!r} is not known to PyJWT. "
            "Fix: a JWS algorithm such as 'RS256' or 'ES256', and pip install 'm2m-auth[jwt]'"
        ) from None
    problem = ""
    try:
        return signer.prepare_key(key.reveal_bytes())
    except (jwt.PyJWTError, ValueError, TypeError) as error:
        problem = type(error).__name__
    raise ConfigurationError(f"PrivateKeyJWT: the key is not an unencrypted private key for {algorithm} ({problem})")

"""How the client proves who it is at the token endpoint (RFC 6749 §2.3, RFC 7523), one method at a time.

A method is any object with the :class:`ClientAuthentication` protocol; ``client_authentication=`` takes
one, or the name that RFC 7591's registry gives it.
"""

from __future__ import annotations

import base64
import hashlib
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, NamedTuple, NoReturn, Protocol, runtime_checkable
from urllib.parse import quote

from .errors import ConfigurationError, missing_extra, nearest
from .token import Secret

__all__ = ["ClientAuthentication", "ClientSecretBasic", "ClientSecretPost", "Credentials", "PrivateKeyJWT", "by_name"]


ASSERTION_TYPE = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
"""What ``client_assertion_type`` says for a JWT (RFC 7523 §2.2)."""


class Credentials(NamedTuple):
    """What a method adds to the token request. Its repr shows none of it."""

    headers: Mapping[str, str]
    parameters: tuple[tuple[str, str], ...]

    def __repr__(self) -> str:
        return "<Credentials>"


@runtime_checkable
class ClientAuthentication(Protocol):
    """A client authentication method. Write your own: the engine only uses these three."""

    @property
    def method(self) -> str:
        """What tells this method, with its options, from others; part of the cache key. Never a secret."""
        ...

    def credential(self, client_secret: Secret | None) -> bytes:
        """The client's secret material: cache values are sealed with a key derived from it.

        Raises ConfigurationError if the method lacks something, e.g. a client_secret.
        """
        ...

    def authenticate(
        self, client_id: str, client_secret: Secret | None, token_endpoint: str, now: float
    ) -> Credentials:
        """Headers and parameters for one token request at Unix time ``now``."""
        ...


def _needed(client_secret: Secret | None, method: str) -> Secret:
    if client_secret is None:
        raise ConfigurationError(
            f"client_secret is missing, and client_authentication={method!r} needs it. "
            "Fix: pass client_secret=, a string or a callable that returns it"
        )
    return client_secret


class ClientSecretBasic:
    """``client_secret_basic``: HTTP Basic (RFC 6749 §2.3.1).

    Args:
        encoding: ``percent`` (the RFC's form encoding, a space as ``%20``), or ``raw`` for servers that decode
            nothing; the two differ only for secrets or ids with special characters.
    """

    def __init__(self, encoding: Literal["percent", "raw"] = "percent") -> None:
        if encoding not in ("percent", "raw"):
            raise ConfigurationError(f"ClientSecretBasic: encoding={encoding!r} must be 'percent' or 'raw'")
        self.encoding = encoding
        self.method = "client_secret_basic" if encoding == "percent" else "client_secret_basic:raw"

    def credential(self, client_secret: Secret | None) -> bytes:
        """The client secret's bytes."""
        return _needed(client_secret, "client_secret_basic").reveal_bytes()

    def authenticate(
        self,
        client_id: str,
        client_secret: Secret | None,
        token_endpoint: str,  # noqa: ARG002
        now: float,  # noqa: ARG002
    ) -> Credentials:
        """An ``Authorization: Basic`` header."""
        user, password = client_id, _needed(client_secret, "client_secret_basic").reveal()
        if self.encoding == "percent":
            user, password = quote(user, safe=""), quote(password, safe="")
        pair = base64.b64encode(f"{user}:{password}".encode()).decode()
        return Credentials({"Authorization": f"Basic {pair}"}, ())


class ClientSecretPost:
    """``client_secret_post``: id and secret in the body (RFC 6749 §2.3.1), for servers that take no Basic."""

    method = "client_secret_post"

    def credential(self, client_secret: Secret | None) -> bytes:
        """The client secret's bytes."""
        return _needed(client_secret, self.method).reveal_bytes()

    def authenticate(
        self,
        client_id: str,
        client_secret: Secret | None,
        token_endpoint: str,  # noqa: ARG002
        now: float,  # noqa: ARG002
    ) -> Credentials:
        """``client_id`` and ``client_secret`` parameters."""
        secret = _needed(client_secret, self.method)
        return Credentials({}, (("client_id", client_id), ("client_secret", secret.reveal())))


class PrivateKeyJWT:
    """``private_key_jwt``: a signed assertion instead of a secret (RFC 7523 §2.2). Needs the ``jwt`` extra.

    Args:
        key: the private key in PEM, as text or bytes, or the path of a file that holds it.
        algorithm: the JWS algorithm, e.g. ``RS256``, ``PS256``, ``ES256``, ``EdDSA``.
        key_id: the ``kid`` header, if the server wants one.
        audience: the assertion's ``aud``; the token endpoint's URL by default.
        lifetime: seconds that an assertion is good for; each is used once.

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
        if not isinstance(algorithm, str) or algorithm.lower() == "none" or algorithm.upper().startswith("HS"):
            raise ConfigurationError(
                f"PrivateKeyJWT: algorithm={algorithm!r} is not one with a private key, e.g. 'RS256'"
            )
        if not isinstance(lifetime, (int, float)) or not 0 < lifetime <= 3600:
            raise ConfigurationError(f"PrivateKeyJWT: lifetime={lifetime!r} must be between 0 and 3600 seconds")
        self._key = Secret(_pem(key))
        self._signing_key = _signing_key(self._key, algorithm)
        self.algorithm, self.key_id, self.audience, self.lifetime = algorithm, key_id, audience, lifetime
        self.method = f"private_key_jwt:{algorithm}:{audience or ''}"

    def __repr__(self) -> str:
        return f"<PrivateKeyJWT {self.algorithm} key_id={self.key_id!r}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a PrivateKeyJWT is not pickled: the key would leave the process in the clear")

    def credential(self, client_secret: Secret | None) -> bytes:  # noqa: ARG002
        """A digest of the private key."""
        return hashlib.sha256(self._key.reveal_bytes()).digest()

    def authenticate(
        self,
        client_id: str,
        client_secret: Secret | None,  # noqa: ARG002
        token_endpoint: str,
        now: float,
    ) -> Credentials:
        """``client_assertion_type`` and a fresh ``client_assertion`` with a random ``jti``."""
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
        return Credentials(
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


def _signing_key(key: Secret, algorithm: str) -> Any:
    """PyJWT's own object for the key: a wrong key is found out when it is configured, not at the first mint."""
    try:
        import jwt
    except ImportError as error:
        raise ConfigurationError(missing_extra("private_key_jwt", error, "jwt")) from None
    try:
        signer: Any = jwt.get_algorithm_by_name(algorithm)
    except NotImplementedError:
        raise ConfigurationError(
            f"PrivateKeyJWT: algorithm={algorithm!r} is not one that PyJWT knows here. "
            "Fix: a JWS algorithm such as 'RS256' or 'ES256', and pip install 'm2m-auth[jwt]'"
        ) from None
    problem = ""
    try:
        return signer.prepare_key(key.reveal_bytes())
    except (jwt.PyJWTError, ValueError, TypeError) as error:
        problem = type(error).__name__
    raise ConfigurationError(f"PrivateKeyJWT: the key is not an unencrypted private key for {algorithm} ({problem})")


def _pem(key: str | bytes | Path) -> bytes:
    if isinstance(key, bytes):
        pem = key
    elif isinstance(key, str) and "-----BEGIN" in key:
        pem = key.encode(errors="replace")
    else:
        pem, problem = b"", ""
        try:
            pem = Path(key).read_bytes()
        except (OSError, ValueError, TypeError) as error:
            problem = type(error).__name__
        if problem:  # outside of the except clause: the file name there may be the key
            raise ConfigurationError(f"PrivateKeyJWT: key is neither PEM text nor a file that can be read ({problem})")
    if b"PRIVATE KEY-----" not in pem:
        raise ConfigurationError("PrivateKeyJWT: key holds no '-----BEGIN … PRIVATE KEY-----'. Is it the public key?")
    return pem


_BY_NAME: dict[str, ClientAuthentication] = {
    "client_secret_basic": ClientSecretBasic(),
    "client_secret_post": ClientSecretPost(),
}


def by_name(method: object) -> ClientAuthentication:
    """The method with this name in RFC 7591's registry, or the object itself.

    Raises:
        ConfigurationError: no such method, or one that needs an object (a key).
    """
    if isinstance(method, str):
        if method in _BY_NAME:
            return _BY_NAME[method]
        if method == "private_key_jwt":
            raise ConfigurationError(
                "client_authentication='private_key_jwt' needs the key. Fix: client_authentication=PrivateKeyJWT(key), "
                "from m2m_auth.client_authentication"
            )
        raise ConfigurationError(
            f"client_authentication={method!r} is not known{nearest(method, _BY_NAME)}. "
            f"Known: {', '.join(_BY_NAME)}, or an object such as PrivateKeyJWT(key)"
        )
    if isinstance(method, type) or not isinstance(method, ClientAuthentication):
        raise ConfigurationError(
            f"client_authentication={type(method).__name__} has no method, credential() and authenticate(). "
            "Fix: a name such as 'client_secret_post', or an object with the ClientAuthentication protocol"
        )
    return method

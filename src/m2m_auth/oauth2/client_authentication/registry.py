"""The methods by the names that RFC 7591's registry gives them."""

from __future__ import annotations

from ...errors import ConfigurationError, nearest
from .client_secret_basic import ClientSecretBasic
from .client_secret_post import ClientSecretPost
from .protocol import ClientAuthentication

__all__ = ["by_name"]

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
                "from m2m_auth"
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

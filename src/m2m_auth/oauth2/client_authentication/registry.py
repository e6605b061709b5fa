"""The methods by the names that RFC 7591's registry gives them. A new method is a file beside this one, and a row here.

``docs/design.md`` has the recipe.
"""

from __future__ import annotations

from ...errors import ConfigurationError, nearest
from .client_secret_basic import ClientSecretBasic
from .client_secret_post import ClientSecretPost
from .protocol import ClientAuthentication

__all__ = ["METHODS", "by_name"]

METHODS: dict[str, ClientAuthentication | str] = {
    "client_secret_basic": ClientSecretBasic(),
    "client_secret_post": ClientSecretPost(),
    "private_key_jwt": "PrivateKeyJWT(key)",
}
"""The method itself; of a method that needs arguments, how a user writes it."""


def by_name(method: object) -> ClientAuthentication:
    """Return the method with this name in RFC 7591's registry, or the object itself.

    Raises:
        ConfigurationError: the name is unknown, the method needs arguments, or the object is no method.
    """
    if isinstance(method, str):
        found = METHODS.get(method)
        if isinstance(found, str):
            raise ConfigurationError(
                f"client_authentication={method!r} needs arguments. Fix: client_authentication={found}, from m2m_auth"
            )
        if found is not None:
            return found
        names = ", ".join(row if isinstance(row, str) else name for name, row in METHODS.items())
        raise ConfigurationError(
            f"client_authentication={method!r} is not known{nearest(method, METHODS)}. "
            f"Known: {names}, or an object of your own"
        )
    if isinstance(method, type) or not isinstance(method, ClientAuthentication):
        raise ConfigurationError(
            f"client_authentication={type(method).__name__} has no method, credential() and authenticate(). "
            "Fix: a name such as 'client_secret_post', or an object with the ClientAuthentication protocol"
        )
    return method

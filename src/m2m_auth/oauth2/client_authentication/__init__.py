"""How the client proves who it is at the token endpoint (RFC 6749 §2.3, RFC 7523): one file a method.

A method is any object with the :class:`ClientAuthentication` protocol. ``client_authentication=`` takes one, or the
name that RFC 7591's registry gives it: a row of ``registry.py``.
"""

from .client_secret_basic import ClientSecretBasic
from .client_secret_post import ClientSecretPost
from .private_key_jwt import PrivateKeyJWT
from .protocol import ClientAuthentication, RequestCredentials
from .registry import by_name

__all__ = [
    "ClientAuthentication",
    "ClientSecretBasic",
    "ClientSecretPost",
    "PrivateKeyJWT",
    "RequestCredentials",
    "by_name",
]

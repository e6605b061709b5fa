"""What a token request asks with (RFC 6749 §1.3): one file a grant.

A grant is any object with the :class:`Grant` protocol, and ``grant=`` takes one. The client authentication is in
:mod:`~m2m_auth.oauth2.client_authentication`.
"""

from .client_credentials import ClientCredentials
from .protocol import Grant, first_refresh_token
from .refresh_token import RefreshToken

__all__ = ["ClientCredentials", "Grant", "RefreshToken", "first_refresh_token"]

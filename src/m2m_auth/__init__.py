"""m2m-auth: one OAuth 2.0 access token per lifetime for a whole fleet of services.

from m2m_auth.requests import M2MAuth     # or m2m_auth.httpx, m2m_auth.httpx2
session.auth = M2MAuth("https://tenant.example/oauth/token", client_id="…", client_secret="…")
"""

from .budget import MintBudget
from .errors import (
    CacheUnavailable,
    ConfigurationError,
    InsecureTransport,
    M2MAuthError,
    MalformedTokenResponse,
    MintBudgetExhausted,
    OriginNotAllowed,
    TokenEndpointUnavailable,
    TokenRequestRejected,
    TokenUnavailable,
)
from .lifecycle import RenewalPolicy
from .source import TokenSource
from .status import SourceStatus
from .token import AccessToken

__version__ = "0.1.0"

__all__ = [
    "AccessToken",
    "CacheUnavailable",
    "ConfigurationError",
    "InsecureTransport",
    "M2MAuthError",
    "MalformedTokenResponse",
    "MintBudget",
    "MintBudgetExhausted",
    "OriginNotAllowed",
    "RenewalPolicy",
    "SourceStatus",
    "TokenEndpointUnavailable",
    "TokenRequestRejected",
    "TokenSource",
    "TokenUnavailable",
    "__version__",
]

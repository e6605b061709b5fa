"""m2m-auth: one OAuth 2.0 access token per lifetime for a whole fleet of services.

from m2m_auth.requests import M2MAuth     # or m2m_auth.httpx, m2m_auth.httpx2
session.auth = M2MAuth("https://tenant.example/oauth/token", client_id="…", client_secret="…")
"""

from typing import TYPE_CHECKING, Any

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
from .token import AccessToken

if TYPE_CHECKING:
    from .budget import MintBudget
    from .status import SourceStatus

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


def __getattr__(name: str) -> Any:
    """The two names whose modules few processes need: imported when first used."""
    if name == "MintBudget":
        from .budget import MintBudget

        return MintBudget
    if name == "SourceStatus":
        from .status import SourceStatus

        return SourceStatus
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

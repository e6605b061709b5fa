"""m2m-auth: one OAuth 2.0 access token per lifetime for a whole fleet of services.

from m2m_auth.requests import M2MAuth     # or m2m_auth.httpx, m2m_auth.httpx2
session.auth = M2MAuth("https://tenant.example/oauth/token", client_id="…", client_secret="…")

Each name of this page is imported when it is first used (PEP 562).
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from .runtime.version import __version__

if TYPE_CHECKING:
    from .caches.protocol import Capabilities, TokenCache
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
    from .events import Event
    from .http.calls import Call, watch_calls
    from .lifecycle.mint_budget import MintBudget
    from .lifecycle.policy import RenewalPolicy
    from .oauth2.answer_rules import AnswerRules
    from .oauth2.client_authentication import (
        ClientAuthentication,
        ClientSecretBasic,
        ClientSecretPost,
        PrivateKeyJWT,
        RequestCredentials,
    )
    from .oauth2.grants import ClientCredentials, Grant, RefreshToken
    from .oauth2.secrets import Secret
    from .oauth2.tokens import AccessToken
    from .oauth2.transport import HttpRequest, HttpResponse, Transport, TransportError
    from .runtime.clock import Clock
    from .source.status import SourceStatus
    from .source.token_source import TokenSource
    from .source.watcher import TokenWatcher

_HOMES = {
    "errors": (
        "CacheUnavailable",
        "ConfigurationError",
        "InsecureTransport",
        "M2MAuthError",
        "MalformedTokenResponse",
        "MintBudgetExhausted",
        "OriginNotAllowed",
        "TokenEndpointUnavailable",
        "TokenRequestRejected",
        "TokenUnavailable",
    ),
    "events": ("Event",),
    "caches.protocol": ("Capabilities", "TokenCache"),
    "http.calls": ("Call", "watch_calls"),
    "lifecycle.mint_budget": ("MintBudget",),
    "lifecycle.policy": ("RenewalPolicy",),
    "oauth2.answer_rules": ("AnswerRules",),
    "oauth2.client_authentication": (
        "ClientAuthentication",
        "ClientSecretBasic",
        "ClientSecretPost",
        "PrivateKeyJWT",
        "RequestCredentials",
    ),
    "oauth2.grants": ("ClientCredentials", "Grant", "RefreshToken"),
    "oauth2.secrets": ("Secret",),
    "oauth2.tokens": ("AccessToken",),
    "oauth2.transport": ("HttpRequest", "HttpResponse", "Transport", "TransportError"),
    "runtime.clock": ("Clock",),
    "source.status": ("SourceStatus",),
    "source.token_source": ("TokenSource",),
    "source.watcher": ("TokenWatcher",),
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = [
    "AccessToken",
    "AnswerRules",
    "CacheUnavailable",
    "Call",
    "Capabilities",
    "ClientAuthentication",
    "ClientCredentials",
    "ClientSecretBasic",
    "ClientSecretPost",
    "Clock",
    "ConfigurationError",
    "Event",
    "Grant",
    "HttpRequest",
    "HttpResponse",
    "InsecureTransport",
    "M2MAuthError",
    "MalformedTokenResponse",
    "MintBudget",
    "MintBudgetExhausted",
    "OriginNotAllowed",
    "PrivateKeyJWT",
    "RefreshToken",
    "RenewalPolicy",
    "RequestCredentials",
    "Secret",
    "SourceStatus",
    "TokenCache",
    "TokenEndpointUnavailable",
    "TokenRequestRejected",
    "TokenSource",
    "TokenUnavailable",
    "TokenWatcher",
    "Transport",
    "TransportError",
    "__version__",
    "watch_calls",
]


def __getattr__(name: str) -> object:
    home = _HOME_OF.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name == "TokenSource":
        importlib.import_module(".http.transports", __name__)  # a source of its own sends its token request through it
    value = globals()[name] = getattr(importlib.import_module(f".{home}", __name__), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

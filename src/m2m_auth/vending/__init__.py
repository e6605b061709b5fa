"""Vending: short-lived tokens with few rights, for callers that cannot keep a secret, such as browser pages.

>>> vendor = TokenVendor(   # doctest: +SKIP
...     lambda narrowed: narrowed.source(ENDPOINT, "shop", SECRET, cache="redis://cache"),
...     caller=lambda request: session.get("user_id"),   # None: the caller is unknown and gets no token
...     scopes=["orders:subscribe"],
... )
>>> vendor.check()   # refuses to start if the server does not narrow   # doctest: +SKIP
>>> app.register_blueprint(blueprint(vendor, "tokens", "/token"))   # doctest: +SKIP

Nothing is served until you mount it. See ``docs/vending.md``.
"""

from .callers import Caller, by_address, by_bearer_token
from .narrowing import Narrowed, TokenExchange
from .token_vendor import TokenVendor

__all__ = ["Caller", "Narrowed", "TokenExchange", "TokenVendor", "by_address", "by_bearer_token"]

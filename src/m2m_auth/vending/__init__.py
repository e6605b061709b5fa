"""Vending: short-lived tokens that may do little, for callers that cannot keep a secret, such as browser pages.

>>> vendor = TokenVendor(   # doctest: +SKIP
...     lambda narrowed: narrowed.source(ENDPOINT, "shop", SECRET, cache="redis://cache"),
...     caller=lambda request: session.get("user_id"),   # who asks; None: nobody known
...     scopes=["orders:subscribe"],
... )
>>> vendor.check()   # refuses to start where the server does not narrow   # doctest: +SKIP
>>> app.register_blueprint(blueprint(vendor, "tokens", "/token"))   # doctest: +SKIP

Nothing is served until you mount it. See BEHAVIOUR §7 for its rules.
"""

from .callers import Caller, by_address, by_bearer_token
from .narrowing import Narrowed, TokenExchange
from .token_vendor import TokenVendor

__all__ = ["Caller", "Narrowed", "TokenExchange", "TokenVendor", "by_address", "by_bearer_token"]

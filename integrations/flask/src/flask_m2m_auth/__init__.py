"""m2m-auth for Flask: service tokens configured from ``app.config``, one mint per token lifetime for all workers.

m2m = M2M()
m2m.init_app(app)
session.auth = m2m["billing"].requests_auth()
"""

from typing import TYPE_CHECKING, Any

from .client import Client
from .extension import M2M
from .signals import renewal_failed, token_minted

if TYPE_CHECKING:
    from .page import status_page
    from .receiving import require_m2m

__version__ = "0.1.0"

__all__ = ["M2M", "Client", "__version__", "renewal_failed", "require_m2m", "status_page", "token_minted"]


def __getattr__(name: str) -> Any:
    """Names that few apps need are imported at their first use."""
    if name == "require_m2m":
        from .receiving import require_m2m

        return require_m2m
    if name == "status_page":
        from .page import status_page

        return status_page
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

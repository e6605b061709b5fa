"""Shared token caches: the protocol, :func:`from_url` and :func:`from_client`.

A cache holds opaque, already sealed bytes; it never sees a token in the clear. Each client library is
imported only when its cache is opened.
"""

from ..runtime.fork_safety import delaying_forks
from .opening import from_client, from_url
from .protocol import Capabilities, TokenCache

__all__ = ["Capabilities", "TokenCache", "delaying_forks", "from_client", "from_url"]

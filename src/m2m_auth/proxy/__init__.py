"""The token proxy: between other people's clients and the authorization server.

A careless client cannot burn the quota that all share.

``m2m-auth proxy --config proxy.toml`` runs it, or ``gunicorn 'm2m_auth.proxy:app()'`` with any number of workers and
hosts on one shared cache. Vendors change the URL and nothing else. See ``docs/proxy.md``.
"""

from ._app import app
from ._config import ProxyConfig, UpstreamConfig, VendorConfig
from ._service import TokenProxy
from ._toml import load
from ._vendors_file import add_vendor, remove_vendor
from .ledger import Counts, VendorReport

__all__ = [
    "Counts",
    "ProxyConfig",
    "TokenProxy",
    "UpstreamConfig",
    "VendorConfig",
    "VendorReport",
    "add_vendor",
    "app",
    "load",
    "remove_vendor",
]

"""The token proxy: between other people's clients and the authorization server.

A careless client cannot burn the quota that all share.

``m2m-auth proxy --config proxy.toml`` runs it, or ``gunicorn 'm2m_auth.proxy:app()'`` with any number of workers and
hosts on one shared cache. Vendors change the URL and nothing else. See ``docs/proxy.md``.
"""

from .application import app
from .configuration.config import ProxyConfig, UpstreamConfig, VendorConfig
from .configuration.config_file import load
from .ledger import Counts, VendorReport
from .token_proxy import TokenProxy
from .configuration.vendors_file import add_vendor, remove_vendor

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

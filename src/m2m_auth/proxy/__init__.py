"""The token proxy: a token endpoint of your own, between other people's clients and the authorization server.

All clients share one quota at the authorization server. The proxy keeps a careless client from using it up: it mints
one token per vendor, audience and lifetime, and each vendor has its own budget.

``m2m-auth proxy --config proxy.toml`` runs it, or ``gunicorn 'm2m_auth.proxy:app()'`` with any number of workers and
hosts on one shared cache. Vendors change the URL and nothing else. See ``docs/proxy.md``.
"""

from .application import app
from .configuration.config import ProxyConfig, UpstreamConfig, VendorConfig
from .configuration.config_file import load
from .configuration.issued_secrets import add_vendor, remove_vendor
from .ledger import Counts, VendorReport
from .token_proxy import TokenProxy

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

"""m2m-auth for Django: ``from django_m2m_auth import m2m``, then ``session.auth = m2m["billing"].requests_auth()``."""

from .clients import Client, Clients, m2m
from .signals import renewal_failed, token_minted

__version__ = "0.1.0"

__all__ = ["Client", "Clients", "__version__", "m2m", "renewal_failed", "token_minted"]

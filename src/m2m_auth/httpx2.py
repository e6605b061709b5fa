"""The plugin for httpx2: ``httpx2.Client(auth=M2MAuth(…))``, and the same for ``httpx2.AsyncClient``."""

from __future__ import annotations

from . import _httpx_flow, _httpx_transport
from .endpoint import Transport
from .errors import missing_extra

try:
    import httpx2
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(missing_extra("m2m_auth.httpx2", error, "httpx2"), name=error.name) from None

__all__ = ["M2MAuth"]


class M2MAuth(_httpx_flow.HttpxFlow, httpx2.Auth):
    """The flow's documentation, word for word."""

    __doc__ = _httpx_flow.HttpxFlow.__doc__
    library = httpx2


def transport_over(client: httpx2.Client | None) -> Transport:
    """A transport over the user's client, or over private ones."""
    return _httpx_transport.transport_over(httpx2, client)

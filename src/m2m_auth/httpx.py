"""The plugin for httpx: ``httpx.Client(auth=M2MAuth(…))``, and the same for ``httpx.AsyncClient``."""

from __future__ import annotations

from .errors import missing_extra
from .http import httpx_flow, httpx_transport
from .oauth2.transport import Transport

try:
    import httpx
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(missing_extra("m2m_auth.httpx", error, "httpx"), name=error.name) from None

__all__ = ["M2MAuth"]


class M2MAuth(httpx_flow.HttpxFlow, httpx.Auth):
    """The flow's documentation, word for word."""

    __doc__ = httpx_flow.HttpxFlow.__doc__
    library = httpx


def transport_over(client: httpx.Client | None) -> Transport:
    """A transport over the user's client, or over private ones."""
    return httpx_transport.transport_over(httpx, client)

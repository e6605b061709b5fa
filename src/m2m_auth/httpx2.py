"""The plugin for httpx2: ``httpx2.Client(auth=M2MAuth(…))``, and the same for ``httpx2.AsyncClient``."""

from __future__ import annotations

from .errors import missing_extra
from .http import httpx_flow, httpx_transport
from .oauth2.transport import Transport

try:
    import httpx2
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(missing_extra("m2m_auth.httpx2", error, "httpx2"), name=error.name) from None

__all__ = ["M2MAuth"]


class M2MAuth(httpx_flow.HttpxFlow, httpx2.Auth):
    """The flow's documentation, word for word."""

    __doc__ = httpx_flow.HttpxFlow.__doc__
    library = httpx2


def transport_over(client: httpx2.Client | None) -> Transport:
    """A transport over the user's client, or over private ones."""
    return httpx_transport.transport_over(httpx2, client)

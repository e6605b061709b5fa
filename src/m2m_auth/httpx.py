"""The front door for httpx: ``httpx.Client(auth=M2MAuth(…))``, and the same for ``httpx.AsyncClient``."""

from __future__ import annotations

from typing import ClassVar

from .errors import missing_extra

try:
    import httpx
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(missing_extra("m2m_auth.httpx", error, "httpx"), name=error.name) from None

from .http.httpx_library import HttpxFrontDoor, HttpxLibrary

__all__ = ["M2MAuth"]


class M2MAuth(HttpxFrontDoor, httpx.Auth):
    """Attaches a bearer token to every request of a client, and once replaces a token that the API refused."""

    _library: ClassVar[HttpxLibrary] = HttpxLibrary(httpx)

"""The front door for httpx2: ``httpx2.Client(auth=M2MAuth(…))``, and the same for ``httpx2.AsyncClient``."""

from __future__ import annotations

from typing import ClassVar

from .errors import missing_extra

try:
    import httpx2
except ModuleNotFoundError as error:
    raise ModuleNotFoundError(missing_extra("m2m_auth.httpx2", error, "httpx2"), name=error.name) from None

from .http.httpx_library import HttpxFrontDoor, HttpxLibrary

__all__ = ["M2MAuth"]


class M2MAuth(HttpxFrontDoor, httpx2.Auth):
    """Attaches a bearer token to every request of a client, and once replaces a token that the API refused."""

    _library: ClassVar[HttpxLibrary] = HttpxLibrary(httpx2)

"""The code that the platform runs for each event: one call of the management API, with a token that all runs share."""

from __future__ import annotations

import os
from typing import Any, Protocol

from auth0.management import ManagementClient

from m2m_auth import TokenSource
from m2m_auth.caches.bounded import BoundedCache

DOMAIN = os.environ["DOMAIN"]  # tenant.example


class Records(Protocol):
    """The store that the platform gives to each run: 100 records of 4 kB."""

    def read(self, key: str) -> str | None:
        """The record's text."""
        ...

    def write(self, key: str, text: str, *, expires_in: int) -> bool:
        """Store it; False if that failed."""
        ...

    def remove(self, key: str) -> None:
        """Delete it."""
        ...


class Shelf:
    """The same store with the methods of ``BoundedCache``. A failed write must raise, so that it is logged."""

    def __init__(self, records: Records) -> None:
        self._records = records

    def get(self, key: str) -> str | None:
        """The live value, or None."""
        return self._records.read(key)

    def set(self, key: str, value: str, ttl: int) -> None:
        """Stores it for ``ttl`` seconds."""
        if not self._records.write(key, value, expires_in=ttl):
            raise OSError("the platform did not store the record")

    def delete(self, key: str) -> None:
        """Deletes it."""
        self._records.remove(key)


def run(event: dict[str, Any], records: Records) -> dict[str, Any]:
    """Answers an event with the user's address."""
    source = TokenSource(
        f"https://{DOMAIN}/oauth/token",
        os.environ["CLIENT_ID"],
        os.environ["CLIENT_SECRET"],
        audience=f"https://{DOMAIN}/api/v2/",
        client_authentication="client_secret_post",
        # 20 of the 100 records at most: the rest is yours. Text, because this store takes nothing else.
        cache=BoundedCache(Shelf(records), max_value=4096, max_total=20 * 4096, max_entries=20, text=True),
    )
    management = ManagementClient(domain=DOMAIN, token=source)  # a TokenSource is a Callable[[], str]
    user = management.users.get(event["user_id"])
    return {"email": user.email}

"""A project's module that fetches secrets, for CLIENT_SECRET as an import path."""

from __future__ import annotations

NOT_A_CALLABLE = "secret"


def fetch() -> str:
    """The secret."""
    return "secret"

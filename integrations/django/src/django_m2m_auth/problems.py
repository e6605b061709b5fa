"""What is wrong with the settings: found in one place, told by system checks and by ImproperlyConfigured."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["Problem", "Problems"]


class Problem(NamedTuple):
    """One thing that is wrong, or that may surprise."""

    id: str
    """``m2m_auth.E…`` for an error, ``m2m_auth.W…`` for a warning."""
    where: str
    """The setting, as it is written in Python."""
    message: str
    """What is wrong with it; never a secret."""
    hint: str = ""
    """What to do."""
    client: str = ""
    """The alias of the only client that it concerns, or ``""``."""

    @property
    def is_error(self) -> bool:
        """True if the clients concerned cannot be used."""
        return self.id.startswith("m2m_auth.E")

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" + (f". Fix: {self.hint}" if self.hint else "")


class Problems(list[Problem]):
    """Those found so far."""

    def found(self, id: str, where: str, message: str, hint: str = "", client: str = "") -> None:  # noqa: A002
        """Notes one; ``id`` without its prefix."""
        self.append(Problem(f"m2m_auth.{id}", where, message, hint, client))

    def refused(self, id: str, where: str, error: Exception, client: str = "") -> None:  # noqa: A002
        """Notes what the library says of a value."""
        message, _, hint = str(error).partition(". Fix: ")
        self.found(id, where, message, hint, client)

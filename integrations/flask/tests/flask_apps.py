"""The shape of the fixture ``make_app``."""

from __future__ import annotations

from typing import Any, Protocol

from flask import Flask


class MakeApp(Protocol):
    """An app whose client ``billing`` is known to ``server``; ``client`` replaces some of its keys."""

    def __call__(self, client: dict[str, Any] | None = None, **config: Any) -> Flask:
        """The app; ``config`` updates its configuration before it is initialised."""
        ...

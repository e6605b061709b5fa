"""For tests of services that use m2m-auth: a fake authorization server, a fake clock, the contract of caches.

Each name is imported at its first use, so that only :class:`CacheContract` needs pytest. The pytest fixtures
``m2m_authorization_server``, ``m2m_clock`` and ``m2m_forget_tokens`` need no import. See ``docs/testing.md``.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .cache_contract import CacheContract
    from .fake_clock import FakeClock
    from .fake_server.fake_authorization_server import FakeAuthorizationServer
    from .fake_server.injected_failures import FailureMode
    from .fake_server.protected_api import ApiCall
    from .fake_server.token_requests import RecordedRequest
    from .faulty_cache import FaultyCache

__all__ = [
    "ApiCall",
    "CacheContract",
    "FailureMode",
    "FakeAuthorizationServer",
    "FakeClock",
    "FaultyCache",
    "RecordedRequest",
    "forget_tokens",
]

_HOMES = {
    "ApiCall": "fake_server.protected_api",
    "CacheContract": "cache_contract",
    "FailureMode": "fake_server.injected_failures",
    "FakeAuthorizationServer": "fake_server.fake_authorization_server",
    "FakeClock": "fake_clock",
    "FaultyCache": "faulty_cache",
    "RecordedRequest": "fake_server.token_requests",
}


def forget_tokens() -> None:
    """Makes this process forget every token, failure and count, as if it had just started.

    Token sources with equal parameters share one token for the life of the process, also across tests. Call this
    between tests. It reaches the sources that exist, such as one of a module or of a framework's settings, and memory
    caches. A shared cache keeps its entries, but for the folder that the pytest plugin made for ``disk:``.
    """
    from ..caches.memory import clear_memory_caches
    from ..source.registry import forget_held_tokens
    from .disk_folder import empty_disk_folder

    forget_held_tokens(patience=1.0)
    clear_memory_caches()
    empty_disk_folder()


def __getattr__(name: str) -> object:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = globals()[name] = getattr(importlib.import_module(f".{home}", __name__), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})

"""What is wrong with the caches, in words: each one is tried, and its lease raced for."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

from ...caches.opening import from_url
from ...caches.protocol import TokenCache
from ...errors import ConfigurationError
from ...presentation.wording import cache_name
from ...runtime.worker_thread import on_worker_thread
from .examination import Examination, Finding
from .race import OpenCache

__all__ = ["Finding", "OpenCache", "doctor"]


def doctor(
    caches: Mapping[str, TokenCache | str], *, open_cache: Mapping[str, OpenCache] | None = None
) -> list[Finding]:
    """Tries each cache, by its alias: some seconds each, and nothing but keys of its own is touched.

    The lease is raced for by two processes where another process can open the cache: it is given as a URL, or
    ``open_cache`` has a callable for its alias that can be sent there (a module's function, or functools.partial of
    one). Else two threads race.

    Args:
        caches: URLs or caches.
        open_cache: how another process opens the cache of this alias.
    """
    findings: list[Finding] = []
    for alias, given in caches.items():
        opener = (open_cache or {}).get(alias) or (partial(from_url, given) if isinstance(given, str) else None)
        try:
            cache = from_url(given) if isinstance(given, str) else given
        except ConfigurationError as error:
            findings.append(Finding(alias=alias, ok=False, what=str(error), fix="correct the cache's URL"))
            continue
        tiers: tuple[TokenCache, ...] = getattr(cache, "tiers", (cache,))
        for number, tier in enumerate(tiers):
            name = alias if len(tiers) == 1 else f"{alias} (tier {number + 1} of {len(tiers)}: {cache_name(tier)})"
            open_tier = opener if len(tiers) == 1 or opener is None else partial(_open_tier, opener, number)
            findings += on_worker_thread(Examination(name, tier, open_tier).findings)
        if isinstance(given, str):
            cache.close()
    return findings


def _open_tier(opener: OpenCache, number: int) -> TokenCache:
    tiers: tuple[TokenCache, ...] = getattr(opener(), "tiers", ())
    return tiers[number]

"""Examines caches: opens each one, and each tier of a tiered one, and returns what was found in words."""

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

__all__ = ["doctor"]


def doctor(
    caches: Mapping[str, TokenCache | str], *, open_cache: Mapping[str, OpenCache] | None = None
) -> list[Finding]:
    """Examine each cache. This takes some seconds per cache, and touches only keys of its own.

    Two processes race for the cache's lease if another process can open the cache. That is so for a URL, and for an
    alias in ``open_cache``. Otherwise two threads race.

    Args:
        caches: URLs or caches, by alias.
        open_cache: callables that open a cache in another process, by alias. They must be picklable: functions of a
            module, or functools.partial objects of such functions.
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

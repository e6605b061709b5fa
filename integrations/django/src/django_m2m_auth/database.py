"""The one thing that Django's database cache cannot be asked for: forgetting a row only if it has lapsed.

Its ``add`` overwrites a lapsed row without looking twice, and its ``get`` deletes one whoever has renewed it in the
meantime, so two processes that come for a lapsed lease at the same moment may both win. One DELETE with a condition,
before either, leaves it to INSERT and the primary key who is first.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.core.cache import caches
from django.db import connections, router
from django.utils import timezone

__all__ = ["EARLY", "forget_lapsed"]

EARLY = 2
"""Seconds before its end that a row counts as lapsed, so that it does not lapse between the DELETE and what follows."""


def forget_lapsed(cache: Any, key: str, alias: str) -> None:
    """Deletes the row of this key if it has lapsed; atomic, one statement.

    Args:
        cache: the instance of ``DatabaseCache``.
        key: the key, as it is given to the cache.
        alias: which of CACHES it is.
    """
    connection: Any = connections[router.db_for_write(cache.cache_model_class)]
    quote = connection.ops.quote_name
    end = (timezone.now() + timedelta(seconds=EARLY)).replace(microsecond=0)  # the table has whole seconds
    table, name, expires = map(quote, (caches.settings[alias]["LOCATION"], "cache_key", "expires"))
    sql = f"DELETE FROM {table} WHERE {name} = %s AND {expires} < %s"  # noqa: S608 - names of the project's own
    with connection.cursor() as cursor:
        cursor.execute(sql, [cache.make_key(key), connection.ops.adapt_datetimefield_value(end)])

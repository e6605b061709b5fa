"""Problems with settings. Each message names the setting as the user wrote it, not a keyword argument."""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Callable, Iterable

from ..values import Value

__all__ = ["Problem", "Spelling", "nearest", "nested", "prefixed", "problem_of"]

Spelling = Callable[..., str]
"""How messages spell a setting: a function from its keys to text, such as :func:`nested` and :func:`prefixed` return.

``spelling("CLIENTS", "billing", "SCOPE")`` may be ``M2M_AUTH["CLIENTS"]["billing"]["SCOPE"]``.
"""


def nested(name: str) -> Spelling:
    """The spelling of one dictionary with this name: ``M2M_AUTH["CLIENTS"]["billing"]``."""

    def spelt(*keys: object) -> str:
        return name + _subscripts(keys)

    return spelt


def prefixed(prefix: str) -> Spelling:
    """The spelling of several settings with this prefix: ``M2M_AUTH_CLIENTS["billing"]``."""

    def spelt(first: object, *keys: object) -> str:
        return f"{prefix}{first}" + _subscripts(keys)

    return spelt


def _subscripts(keys: Iterable[object]) -> str:
    return "".join(f"[{_quoted(key)}]" for key in keys)


def _quoted(key: object) -> str:
    """A key in double quotes. One with control characters is escaped: it must not spoil a log line."""
    return json.dumps(key, ensure_ascii=not key.isprintable()) if isinstance(key, str) else repr(key)


class Problem(Value):
    """One mistake in the settings, or something in them that may surprise. It never shows a secret."""

    kind: str
    """A stable word for programs:

    ``shape`` (not a mapping), ``unknown_key``, ``missing``, ``endpoint``, ``secret``, ``option`` (another option of the
    client), ``record`` (POLICY, BUDGET or ANSWERS), ``unknown_cache``, ``cache``, ``useless_cache``,
    ``encryption_keys``; ``maybe_a_path`` is a warning.
    """
    setting: str
    """The setting, as the user spells it."""
    message: str
    """What is wrong with it."""
    fix: str = ""
    """What to do, or ``""``."""
    client: str = ""
    """The alias of the only client that it concerns, or ``""`` where it concerns all of them."""
    is_error: bool = True
    """False for a warning: the client works."""

    def __str__(self) -> str:
        return f"{self.setting}: {self.message}" + (f". Fix: {self.fix}" if self.fix else "")


def problem_of(
    kind: str, setting: str, option: str, error: Exception, *, names: Iterable[str] = (), client: str = ""
) -> Problem:
    """What an option's check says, in the words of the settings.

    ``scope='a,b' has a comma. Fix: …`` becomes the setting's name, ``'a,b' has a comma`` and the fix; further keywords
    in it become keys (``client_secret=`` becomes ``CLIENT_SECRET``).

    Args:
        kind: the problem's kind.
        setting: the setting, spelt.
        option: the keyword that the check names first.
        error: what the check raised.
        names: the keywords and fields that have a key of the same name in capitals.
        client: the client's alias.
    """
    text = re.sub(rf"^{option}\b[=:]?\s*", "", str(error))
    item = re.match(r"""\[['"]([^'"\]]*)['"]\]\s*""", text)
    if item:  # proxies['https'] is no …
        setting, text = f"{setting}[{_quoted(item[1])}]", text[item.end() :]
    field = re.match(r"\.(\w+)=?", text)
    if field:  # policy.lease=5 s must …
        setting, text = f"{setting}[{_quoted(field[1].upper())}]", text[field.end() :].lstrip()
    text = re.sub(r"\b(?:policy|budget|answers)\.(\w+)", lambda found: found[1].upper(), text)
    for name in names:
        text = re.sub(rf"\b{name}=(?=[\s,.)]|$)", name.upper(), text)
        text = re.sub(rf"\b{name}\b" if "_" in name else rf"\b{name}(?==)", name.upper(), text)
    message, _, fix = text.partition(". Fix: ")
    return Problem(kind=kind, setting=setting, message=message, fix=fix, client=client)


def nearest(name: object, known: Iterable[str]) -> str:
    """`` (did you mean 'x'?)``, or nothing where no known name is near. Upper and lower case count as the same."""
    by_lower = {each.lower(): each for each in known}
    close = difflib.get_close_matches(str(name).lower(), by_lower, n=1, cutoff=0.6)
    return f" (did you mean {by_lower[close[0]]!r}?)" if close else ""

"""Whether a response refuses the token: by the default rule, or by the user's ``is_rejection=``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from ..errors import ConfigurationError
from ..oauth2.challenges import RejectionRule, bearer_rejection

__all__ = ["RejectionCheck"]


class RejectionCheck:
    """Judges responses by status and headers, and by the body where the user's predicate has a parameter for it.

    An exception of the predicate reaches the caller of the API: a rule that does not work must not go unnoticed.

    Args:
        predicate: ``is_rejection=``; None: every 401 but those whose challenge says that another token would not help.

    Raises:
        ConfigurationError: the predicate cannot be called with two or three arguments, or it is asynchronous.
    """

    __slots__ = ("_predicate", "only_401", "reads_body")

    def __init__(self, predicate: RejectionRule | None) -> None:
        self.only_401 = predicate is None
        """True if no other status can refuse a token."""
        self.reads_body = predicate is not None and _wants_body(predicate)
        """True if the predicate's third parameter is the body."""
        self._predicate: Any = predicate or bearer_rejection

    def refuses(self, status: int, headers: Mapping[str, str], body: bytes) -> bool:
        """True if the response refuses the token that it was sent; any true value of the user's counts.

        Raises:
            ConfigurationError: the value is a coroutine, which is always true. A lambda hides an asynchronous function.
        """
        found = self._predicate(status, headers, body) if self.reads_body else self._predicate(status, headers)
        if hasattr(found, "__await__"):
            if hasattr(found, "close"):
                found.close()
            raise ConfigurationError(f"is_rejection returned a {type(found).__name__}, and nothing awaits it. {_FIX}")
        return bool(found)


_FIX = "Fix: a function of (status, headers), or of (status, headers, body)"


def _wants_body(predicate: object) -> bool:
    """True if the third parameter is required, or named ``body``; others with a default, and ``*args``, get two."""
    import inspect  # costs as much as a front door's import, and few need it

    if isinstance(predicate, type) or not callable(predicate):
        kind = f"the class {predicate.__name__}" if isinstance(predicate, type) else type(predicate).__name__
        raise ConfigurationError(f"is_rejection={kind} is not a function. {_FIX}")
    called = predicate if hasattr(predicate, "__code__") else cast("Any", predicate).__call__
    if inspect.iscoroutinefunction(predicate) or inspect.iscoroutinefunction(called):
        raise ConfigurationError(f"is_rejection is asynchronous, and nothing awaits it. {_FIX}")
    try:
        signature = inspect.signature(predicate)
    except (TypeError, ValueError):
        return False  # a callable of an extension module, which does not say
    parameters = [each for each in signature.parameters.values() if each.kind is not each.KEYWORD_ONLY]
    third = parameters[2] if len(parameters) > 2 else None
    if _takes(signature, 3) and (not _takes(signature, 2) or (third is not None and third.name == "body")):
        return True
    if not _takes(signature, 2):
        raise ConfigurationError(f"is_rejection{signature} cannot be called with (status, headers). {_FIX}")
    return False


def _takes(signature: Any, arguments: int) -> bool:
    try:
        signature.bind(*[None] * arguments)
    except TypeError:
        return False
    return True

"""A verifier from a framework's settings: the one reader of Django's and Flask's dictionaries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from ..errors import ConfigurationError, nearest
from .introspection import IntrospectionVerifier
from .issuer_requests import KeyedLocks
from .jwt_verifier import JWTVerifier
from .verified_token import TokenVerifier

__all__ = ["LazyVerifier", "verifier_from"]


def verifier_from(settings: object, where: str = "RECEIVING") -> TokenVerifier:
    """The verifier that the settings describe. No I/O.

    Args:
        settings: the options of JWTVerifier in capitals, such as ``ISSUER`` and ``AUDIENCE`` (None accepts any
            audience); or ``{"INTROSPECTION": {…}}`` with those of IntrospectionVerifier; or a verifier.
        where: the name of the setting in messages.

    Raises:
        ConfigurationError: what is wrong; for an unknown key with the nearest name.
    """
    if not isinstance(settings, type) and isinstance(settings, TokenVerifier):
        return settings
    if not isinstance(settings, Mapping) or not settings:
        raise ConfigurationError(
            f"{where} is not set, so no token can be verified. Fix: "
            f'{where} = {{"ISSUER": "https://tenant.example", "AUDIENCE": "https://api.example.com"}}'
        )
    given = cast("Mapping[str, Any]", settings)
    if "INTROSPECTION" not in given:
        return _built(JWTVerifier, given, where)
    others = [name for name in given if name != "INTROSPECTION"]
    if others:
        raise ConfigurationError(f"{where} has INTROSPECTION and {others[0]!r}. Fix: move it into INTROSPECTION")
    inner, where = given["INTROSPECTION"], f'{where}["INTROSPECTION"]'
    if not isinstance(inner, Mapping):
        raise ConfigurationError(f"{where} must be a dict, not {type(inner).__name__}")
    return _built(IntrospectionVerifier, cast("Mapping[str, Any]", inner), where)


def _built(make: Callable[..., TokenVerifier], given: Mapping[str, Any], where: str) -> TokenVerifier:
    """Calls ``make`` with the settings. The keys are its own parameters, in capitals."""
    import inspect

    options = {name.upper(): option for name, option in inspect.signature(make).parameters.items()}
    for name in given:
        if name not in options:
            known = ", ".join(options)
            near = nearest(str(name), [*options, "INTROSPECTION"])
            raise ConfigurationError(f"{where} has {name!r}, which is not known{near}. Known: {known}")
    for name, option in options.items():
        if option.default is option.empty and name not in given:
            purpose = " (None, on purpose, accepts tokens for any audience)" if name == "AUDIENCE" else ""
            raise ConfigurationError(f"{where} lacks {name!r}. Fix: set it{purpose}")
    problem = ""
    try:
        return make(**{name.lower(): value for name, value in given.items()})
    except ConfigurationError as error:
        problem = str(error)
    raise ConfigurationError(f"{where}: {problem}")  # outside of the except clause, because the settings hold a secret


class LazyVerifier:
    """A verifier that is built at its first use, once for all threads, and again after the settings change."""

    def __init__(self) -> None:
        self._locks = KeyedLocks()
        self._built: tuple[object, TokenVerifier] | None = None

    def of(self, settings: object, where: str) -> TokenVerifier:
        """The verifier that :func:`verifier_from` builds. ``settings`` are compared by identity."""
        built = self._built
        if built is None or built[0] is not settings:
            with self._locks.hold("build"):
                built = self._built
                if built is None or built[0] is not settings:
                    built = self._built = settings, verifier_from(settings, where)
        return built[1]

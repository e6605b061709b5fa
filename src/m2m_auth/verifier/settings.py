"""A verifier from a framework's settings: what Django's and Flask's dictionaries may say, in one place."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, cast

from ..errors import ConfigurationError, nearest
from .introspection import IntrospectionVerifier
from .issuer_requests import Turns
from .jwt_verifier import JWTVerifier
from .verified_token import TokenVerifier

__all__ = ["LazyVerifier", "verifier_from"]


def verifier_from(settings: object, where: str = "RECEIVING") -> TokenVerifier:
    """The verifier that ``settings`` describe; no I/O.

    Args:
        settings: JWTVerifier's options in capitals, ``ISSUER`` and ``AUDIENCE`` among them (None on purpose takes
            any audience); or ``{"INTROSPECTION": {…}}`` with IntrospectionVerifier's; or a verifier.
        where: how messages call the settings.

    Raises:
        ConfigurationError: what is wrong, with the nearest name of an unknown key.
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
    """``make`` called with the settings: its own parameters, in capitals, are what may be set."""
    import inspect

    options = {name.upper(): option for name, option in inspect.signature(make).parameters.items()}
    for name in given:
        if name not in options:
            known = ", ".join(options)
            near = nearest(str(name), [*options, "INTROSPECTION"])
            raise ConfigurationError(f"{where} has {name!r}, which is not known{near}. Known: {known}")
    for name, option in options.items():
        if option.default is option.empty and name not in given:
            purpose = " (None, on purpose, takes tokens for any audience)" if name == "AUDIENCE" else ""
            raise ConfigurationError(f"{where} lacks {name!r}. Fix: set it{purpose}")
    problem = ""
    try:
        return make(**{name.lower(): value for name, value in given.items()})
    except ConfigurationError as error:
        problem = str(error)
    raise ConfigurationError(f"{where}: {problem}")  # outside of the except clause: the settings hold a secret


class LazyVerifier:
    """A verifier, built when it is first needed, once for all threads, and again when the settings are others."""

    def __init__(self) -> None:
        self._turns = Turns()
        self._built: tuple[object, TokenVerifier] | None = None

    def of(self, settings: object, where: str) -> TokenVerifier:
        """The verifier of these settings, as :func:`verifier_from` builds it; ``settings`` are compared by identity."""
        built = self._built
        if built is None or built[0] is not settings:
            with self._turns.take("build"):
                built = self._built
                if built is None or built[0] is not settings:
                    built = self._built = settings, verifier_from(settings, where)
        return built[1]

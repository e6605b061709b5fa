"""What is particular about the answers of one token endpoint: where the token is, what its type and lifetime mean."""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Iterable, Mapping
from types import FunctionType
from typing import Any, Literal, cast

from ..errors import ConfigurationError, nearest
from ..values import Value, replace

__all__ = ["BOUND_TYPES", "DEFAULT_ANSWERS", "UNIT_SECONDS", "AnswerRules", "type_name"]

UNIT_SECONDS = {"s": 1.0, "ms": 0.001, "min": 60.0}
"""The seconds of each ``lifetime_unit``."""
BOUND_TYPES = ("dpop", "mac", "pop")
"""Types of tokens that are bound to a key: an API accepts them with a proof only (RFC 9449)."""


def type_name(token_type: str) -> str:
    """A ``token_type`` as it is compared: without case (RFC 6749 §5.1), white space, ``-`` and ``_``."""
    return "".join(token_type.split()).replace("-", "").replace("_", "").lower()


class AnswerRules(Value):
    """How the answers of a token endpoint differ from RFC 6749 §5.1, where the library cannot see it by itself.

    Most servers need none of this. Read without it: every 2xx, forms as well as JSON, ``BearerToken`` and an absent
    ``token_type``, scopes as a list or separated by commas, ``expires_in`` as text, ``expires_at`` and ``expires_on``.

    >>> AnswerRules(token_field="token").token_field     # a Docker registry
    'token'
    >>> AnswerRules(lifetime_unit="ms").lifetime_unit    # Adobe IMS: expires_in is 86399999
    'ms'

    Raises:
        ConfigurationError: a field makes no sense; the message names it and the fix.
    """

    token_types: Iterable[str] = ("bearer", "bearertoken", "application access token")
    """The values of ``token_type`` that mean a Bearer token, in any case; an absent, null or empty one does too. Apigee
    sends ``BearerToken``, eBay ``Application Access Token``."""
    token_field: str = "access_token"  # noqa: S105 - RFC 6749's name, no password
    """The field that has the token, e.g. ``token``. Dots lead into an object: ``data.access_token``; the fields beside
    the token then count before those at the top."""
    scope_separator: str | None = None
    """What separates the scopes in an answer, e.g. ``;``. None: white space and commas, or a JSON list."""
    lifetime_unit: Literal["s", "ms", "min"] = "s"
    """The unit of ``expires_in``: ``s``, ``ms`` or ``min``."""
    never_expires: float | str | None = None
    """The value of ``expires_in`` that means no end, e.g. ``0`` or ``-1``; ``policy.max_lifetime`` caps it."""
    credential_errors: Iterable[str] = ()
    """Further error codes of this server that mean that it refused the client's credentials."""
    adapt: Callable[[dict[str, Any]], Mapping[str, Any]] | None = None
    """Called with the fields of each answer that is a JSON object or a form; it returns RFC 6749's fields, for nested
    or renamed ones. It gets a copy, runs on the flight's thread, and must not be slow. Pass a function that is defined
    once: sources whose functions differ do not share a token in the process."""

    def check(self) -> None:
        """Raises a ConfigurationError that names the field and the fix."""
        fields = self.__dict__
        fields["token_types"] = _texts("token_types", self.token_types, "('bearer', 'jwt')")
        fields["credential_errors"] = _texts("credential_errors", self.credential_errors, "('bad_key',)")
        if not self.token_types:
            raise ConfigurationError("answers.token_types is empty, so no token could be used. Fix: ('bearer',)")
        bound = next((each for each in self.token_types if type_name(each) in BOUND_TYPES), None)
        if bound is not None:
            raise ConfigurationError(
                f"answers.token_types has {bound!r}: an API accepts such a token with a proof of its key only, and "
                "as a Bearer token it would be exposed. Fix: leave it out"
            )
        if not isinstance(self.token_field, str) or not all(self.token_field.split(".")):
            raise ConfigurationError(
                f"answers.token_field={self.token_field!r} must be the name of a field. Fix: 'token', or a path such "
                "as 'data.access_token'"
            )
        separator = self.scope_separator
        if separator is not None and not (isinstance(separator, str) and separator):
            raise ConfigurationError(
                f"answers.scope_separator={separator!r} must be a text. Fix: ';', or leave it out for spaces and commas"
            )
        if self.lifetime_unit not in tuple(UNIT_SECONDS):
            near = nearest(str(self.lifetime_unit), UNIT_SECONDS)
            raise ConfigurationError(
                f"answers.lifetime_unit={self.lifetime_unit!r} must be 's', 'ms' or 'min'{near}. Fix: one of these, or "
                "answers.adapt"
            )
        self._check_never_expires()
        self._check_adapt()

    def _check_never_expires(self) -> None:
        value = self.never_expires
        number = isinstance(value, (int, float)) and not isinstance(value, bool) and not math.isnan(value)
        if not (value is None or number or (isinstance(value, str) and value)):
            raise ConfigurationError(
                f"answers.never_expires={value!r} must be the expires_in that means no end. Fix: a number such as 0 or "
                "-1, a text, or None"
            )

    def _check_adapt(self) -> None:
        adapt = self.adapt
        if adapt is None:
            return
        if not callable(adapt):
            raise ConfigurationError(
                f"answers.adapt must be a function, not {type(adapt).__name__}. Fix: one that takes the answer's "
                "fields as a dict and returns RFC 6749's"
            )
        from inspect import iscoroutinefunction, signature

        if iscoroutinefunction(adapt):
            raise ConfigurationError("answers.adapt is an async function. Fix: def, not async def: it needs no I/O")
        try:
            parameters = signature(adapt)
        except (TypeError, ValueError):
            return  # a callable of an extension module, which does not say
        try:
            parameters.bind({})
        except TypeError:
            raise ConfigurationError(
                f"answers.adapt has the parameters {str(parameters).partition(' -> ')[0]}, and gets one argument, the "
                "answer's fields. Fix: a function of one dict"
            ) from None

    @property
    def state_key(self) -> Hashable:
        """Equal for rules that read answers alike: sources with equal ones share a token in the process.

        A lambda is a new object whenever its line runs, in a view for every request. Two without a closure are the same
        if their code is.
        """
        adapt: object = self.adapt
        if not isinstance(adapt, FunctionType) or adapt.__closure__ or adapt.__defaults__ or adapt.__kwdefaults__:
            return self
        return replace(self, adapt=None), adapt.__code__, adapt.__module__


def _texts(name: str, given: Any, example: str) -> tuple[str, ...]:
    """A field of several texts as a tuple; settings in JSON have lists."""
    if isinstance(given, str):
        raise ConfigurationError(f"answers.{name}={given!r} must be a list of texts. Fix: ({given!r},)")
    if not isinstance(given, Iterable) or isinstance(given, (bytes, Mapping)):
        kind = type(cast("object", given)).__name__
        raise ConfigurationError(f"answers.{name} must be a list of texts, not {kind}. Fix: {example}")
    texts: list[str] = []
    for each in cast("Iterable[object]", given):
        if not isinstance(each, str) or not each.strip():
            raise ConfigurationError(f"answers.{name} has {each!r}, which is no text. Fix: {example}")
        texts.append(each)
    return tuple(texts)


DEFAULT_ANSWERS = AnswerRules()
"""How answers are read where ``answers=`` says nothing."""

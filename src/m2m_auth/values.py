"""The base of the values that people read and compare: options, events, statuses, reports.

A value has named fields, all given by keyword. It does not change, and two values are equal if their fields are.
The standard library's dataclasses offer the same. They are not used because they make a front door's import take
twice as long: they import ``inspect``, and compile code for every class (``make bench ARGS=imports`` measures it).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

if TYPE_CHECKING:
    from typing_extensions import dataclass_transform
else:

    def dataclass_transform(**_: object) -> Any:
        """Type checkers only: what a subclass declares are its fields."""
        return lambda cls: cls


__all__ = ["Value", "as_dict", "field_names", "replace"]

_Value = TypeVar("_Value", bound="Value")


class _Signature:
    """The signature of a value's class, for ``help()``, notebooks and ``inspect``: it shows the fields."""

    def __get__(self, value: object, cls: type[Value]) -> Any:
        from inspect import Parameter, Signature

        annotations: dict[str, Any] = getattr(cls, "_annotations", {})
        kind, empty = Parameter.KEYWORD_ONLY, Parameter.empty
        return Signature(
            [
                Parameter(name, kind, default=getattr(cls, name, empty), annotation=annotation)
                for name, annotation in annotations.items()
            ]
        )


@dataclass_transform(kw_only_default=True, frozen_default=True)
class Value:
    """A frozen, keyword-only record. A subclass declares its fields with annotations; a value there is the default.

    ``check()`` is called at the end of the constructor; it raises what is wrong with the fields. ``hidden_fields``
    names the fields that ``repr`` leaves out.

    Raises:
        TypeError: a field is missing, has no name, or does not exist; the message names the nearest one.
    """

    if not TYPE_CHECKING:  # type checkers derive both from the declarations
        _names = ()
        _annotations = {}
        hidden_fields = frozenset()
        __signature__ = _Signature()

        def __init_subclass__(cls, **options: Any) -> None:
            super().__init_subclass__(**options)
            own = {name: kind for name, kind in cls.__annotations__.items() if "ClassVar" not in str(kind)}
            cls._annotations = {**cls._annotations, **own}
            cls._names = tuple(cls._annotations)

        def __init__(self, *unnamed: Any, **fields: Any) -> None:
            cls = type(self)
            if unnamed:
                raise TypeError(f"{cls.__name__} takes its fields by name. Fix: {cls.__name__}({cls._names[0]}=…)")
            values = self.__dict__
            for name in cls._names:
                if name in fields:
                    values[name] = fields.pop(name)
                elif hasattr(cls, name):
                    values[name] = getattr(cls, name)
                else:
                    raise TypeError(f"{cls.__name__}: the field {name!r} is missing")
            if fields:
                raise TypeError(_unknown(cls, next(iter(fields))))
            self.check()

    def check(self) -> None:
        """Raises what is wrong with the fields; by default nothing is."""

    def __repr__(self) -> str:
        hidden: frozenset[str] = getattr(self, "hidden_fields", frozenset())
        shown = ", ".join(f"{name}={value!r}" for name, value in as_dict(self).items() if name not in hidden)
        return f"{type(self).__name__}({shown})"

    def __eq__(self, other: object) -> bool:
        if type(other) is not type(self):
            return NotImplemented  # unittest.mock.ANY and the like then compare
        return other.__dict__ == self.__dict__

    def __hash__(self) -> int:
        return hash((type(self), *self.__dict__.values()))

    def __setattr__(self, name: str, value: Any) -> NoReturn:
        raise AttributeError(
            f"a {type(self).__name__} cannot be changed: {name}. Fix: build another, or copy.replace() of Python 3.13"
        )

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError(f"a {type(self).__name__} cannot be changed: {name}")

    def __replace__(self: _Value, **changes: Any) -> _Value:
        """For ``copy.replace()`` of Python 3.13."""
        return replace(self, **changes)


def replace(value: _Value, **changes: Any) -> _Value:
    """The same value with some fields changed, checked anew."""
    return type(value)(**{**value.__dict__, **changes})


def as_dict(value: Value) -> dict[str, Any]:
    """The fields by name, in the order of their declaration; the values as they are."""
    return dict(value.__dict__)


def field_names(cls: type[Value]) -> tuple[str, ...]:
    """The names of a class's fields, in the order of their declaration."""
    names: tuple[str, ...] = getattr(cls, "_names", ())
    return names


def _unknown(cls: type[Value], name: str) -> str:
    from .errors import nearest

    known = field_names(cls)
    return f"{cls.__name__} has no field {name!r}{nearest(name, known)}. Known: {', '.join(known)}"

"""The base of options, events and reports: keyword-only, frozen, equal by their fields, and plain about mistakes."""

from __future__ import annotations

import copy
import inspect
import pickle
import sys
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, ClassVar
from unittest.mock import ANY

import pytest
from hypothesis import given
from hypothesis import strategies as st

from m2m_auth import RenewalPolicy
from m2m_auth.values import Value, as_dict, replace


class Point(Value):
    """Two fields, one of them with a default, and what is no field."""

    ORIGIN: ClassVar[str] = "0"
    hidden_fields = frozenset({"secret"})

    x: int
    y: float = 0.0
    secret: str = "s3cr3t"
    labels: Mapping[str, str] = MappingProxyType({})


class Pixel(Point):
    """A field more."""

    colour: str


class Even(Value):
    """A value that checks itself."""

    number: int

    def check(self) -> None:
        """Raises for an odd number."""
        if self.number % 2:
            raise ValueError(f"{self.number} is odd")


@given(x=st.integers(), y=st.floats(allow_nan=False))
def test_fields_make_a_value(x: int, y: float) -> None:
    """Equal fields make equal values, a changed field another one; a copy and a pickle are equal to the original."""
    value = Even(number=2 * x)
    assert value == Even(number=2 * x) != Even(number=2 * x + 2)
    assert hash(value) == hash(Even(number=2 * x))
    point = Point(x=x, y=y)
    assert replace(point, x=x + 1) == Point(x=x + 1, y=y) != point
    assert copy.deepcopy(value) == pickle.loads(pickle.dumps(value)) == value
    assert as_dict(point) == {"x": x, "y": y, "secret": "s3cr3t", "labels": {}}


def test_values_of_two_classes_differ() -> None:
    """A subclass has its base's fields and its own, and is never equal to the base."""
    pixel = Pixel(x=1, colour="red")
    assert (pixel.x, pixel.y, pixel.colour) == (1, 0.0, "red")
    assert Point(x=1) != pixel != replace(pixel, colour="blue")


def test_a_value_does_not_change() -> None:
    """Neither by assignment nor by deletion."""
    point = Point(x=1)
    with pytest.raises(AttributeError, match=r"a Point cannot be changed: x"):
        point.x = 2  # type: ignore[misc]
    with pytest.raises(AttributeError, match=r"a Point cannot be changed: x"):
        del point.x
    assert point == Point(x=1)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "Point: the field 'x' is missing"),
        (
            {"x": 1, "lables": {}},
            r"Point has no field 'lables' \(did you mean 'labels'\?\). Known: x, y, secret, labels",
        ),
        ({"x": 1, "ORIGIN": "1"}, "Point has no field 'ORIGIN'"),
    ],
)
def test_mistakes_are_named(fields: dict[str, Any], words: str) -> None:
    """A missing field, a misspelt one, and a class variable, which is no field."""
    with pytest.raises(TypeError, match=words):
        Point(**fields)
    with pytest.raises(TypeError, match=r"Point takes its fields by name. Fix: Point\(x=…\)"):
        Point(1)  # type: ignore[misc]


def test_the_signature_shows_the_fields() -> None:
    """``help()`` and notebooks show every field with its default, in the order of declaration."""
    assert str(inspect.signature(Even)) == "(*, number: 'int')"
    assert list(inspect.signature(Pixel).parameters) == ["x", "y", "secret", "labels", "colour"]
    assert "window: 'float' = 0.25" in str(inspect.signature(RenewalPolicy))


def test_a_value_lets_the_other_side_compare() -> None:
    """A test may compare an event with ``mock.ANY``; nothing else equals a value."""
    assert Point(x=1) == ANY
    assert [Point(x=1)] == [ANY]
    assert Point(x=1) != (1, 0.0, "s3cr3t", {})


def test_a_policy_names_its_nearest_field() -> None:
    """What a user reads after a typo."""
    with pytest.raises(TypeError, match=r"RenewalPolicy has no field 'max_wate' \(did you mean 'max_wait'\?\)"):
        RenewalPolicy(max_wate=5)  # type: ignore[call-arg]


def test_check_sees_every_way_to_make_a_value() -> None:
    """The constructor and ``replace``."""
    with pytest.raises(ValueError, match="3 is odd"):
        Even(number=3)
    with pytest.raises(ValueError, match="5 is odd"):
        replace(Even(number=2), number=5)


def test_hidden_fields_are_not_in_the_repr() -> None:
    """All others are."""
    assert repr(Point(x=1)) == "Point(x=1, y=0.0, labels=mappingproxy({}))"


@pytest.mark.skipif(sys.version_info < (3, 13), reason="copy.replace() is new in Python 3.13")
def test_copy_replace() -> None:
    """The standard library's way to change a field of a frozen value."""
    assert copy.replace(Point(x=1), x=2) == Point(x=2)  # type: ignore[attr-defined]

"""System checks of RECEIVING: they report at the start what a view would raise at its first call."""

from __future__ import annotations

from typing import Any

import pytest
from django.conf import settings
from django.core.checks import run_checks
from django.test import override_settings
from django_m2m_auth import m2m

MIDDLEWARE = "django_m2m_auth.receiving.M2MBearerMiddleware"
GOOD = {"ISSUER": "https://tenant.example", "AUDIENCE": "https://api.example"}


def found(**changed: Any) -> list[tuple[str | None, str, str | None]]:
    """What the checks say."""
    with override_settings(**changed):
        return [(each.id, each.msg, each.hint) for each in run_checks(tags=["m2m_auth"])]


def receiving(given: object) -> list[tuple[str | None, str, str | None]]:
    """What the checks say about these settings."""
    return found(M2M_AUTH={**settings.M2M_AUTH, "RECEIVING": given})


@pytest.mark.parametrize(
    ("given", "words", "hint"),
    [
        ({"ISSUER": "https://tenant.example"}, "lacks 'AUDIENCE'", "on purpose"),
        ({**GOOD, "ISSUR": "x"}, "did you mean 'ISSUER'?", None),
        ({**GOOD, "ISSUER": "http://tenant.example"}, "plain http", "https"),
        ({"INTROSPECTION": 3}, "must be a dict", None),
    ],
)
def test_a_mistake_is_an_error_of_the_checks(given: object, words: str, hint: str | None) -> None:
    """One error with the verifier's own message and the fix; clients work all the same."""
    ((kind, message, fix),) = receiving(given)
    assert kind == "m2m_auth.E012"
    assert words in message
    assert 'M2M_AUTH["RECEIVING"]' in message
    assert fix is None if hint is None else hint in str(fix)
    with override_settings(M2M_AUTH={**settings.M2M_AUTH, "RECEIVING": given}):
        assert m2m["billing"].source.status().state == "none"


def test_good_settings_have_no_message() -> None:
    """Good settings, and a project that receives nothing."""
    assert receiving(GOOD) == []
    assert receiving({}) == []
    assert found() == []


def test_the_middleware_without_settings_is_an_error() -> None:
    """It would refuse every request. A setting that is not a dict is one error, by the client side's check."""
    ((kind, message, _),) = found(MIDDLEWARE=[*settings.MIDDLEWARE, MIDDLEWARE])
    assert (kind, "is not set" in message) == ("m2m_auth.E012", True)
    assert [kind for kind, _, _ in found(M2M_AUTH=[], MIDDLEWARE=[MIDDLEWARE])] == ["m2m_auth.E001"]

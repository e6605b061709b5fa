"""System checks of the receiving side's settings: what its views would say at their first call, when it starts."""

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
    """What they say of these settings."""
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
def test_what_is_wrong_is_told_at_the_start(given: object, words: str, hint: str | None) -> None:
    """One error, in the verifier's own words, with the fix; clients are not kept from working by it."""
    ((kind, message, fix),) = receiving(given)
    assert kind == "m2m_auth.E012"
    assert words in message
    assert 'M2M_AUTH["RECEIVING"]' in message
    assert fix is None if hint is None else hint in str(fix)
    with override_settings(M2M_AUTH={**settings.M2M_AUTH, "RECEIVING": given}):
        assert m2m["billing"].source.status().state == "none"


def test_what_is_right_is_not_told() -> None:
    """Good settings, and a project that receives nothing."""
    assert receiving(GOOD) == []
    assert receiving({}) == []
    assert found() == []


def test_the_middleware_without_settings_is_told() -> None:
    """It would refuse every request; a setting that is no dict at all is told once, by the client side's check."""
    ((kind, message, _),) = found(MIDDLEWARE=[*settings.MIDDLEWARE, MIDDLEWARE])
    assert (kind, "is not set" in message) == ("m2m_auth.E012", True)
    assert [kind for kind, _, _ in found(M2M_AUTH=[], MIDDLEWARE=[MIDDLEWARE])] == ["m2m_auth.E001"]

"""What users say about a server's answers: each field, its checks, and whose token it is."""

from __future__ import annotations

import copy
import json
from collections import UserDict
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from token_answers import NOW, answer

from m2m_auth import AnswerRules, ConfigurationError
from m2m_auth.oauth2.token_response import TokenErrorResponse, TokenResponse, UnusableTokenResponse


def read(body: object, status: int = 200, **rules: Any) -> TokenResponse | TokenErrorResponse | UnusableTokenResponse:
    """The answer, read by these rules."""
    return answer(status, body, answers=AnswerRules(**rules))


def token(body: object, **rules: Any) -> TokenResponse:
    """The token in the answer, read by these rules."""
    found = read(body, **rules)
    assert isinstance(found, TokenResponse), found
    return found


# each field


@pytest.mark.parametrize("token_type", ["JWT", "jwt", " Jwt", "Bearer", "token", None, ""])
def test_token_types(token_type: str | None) -> None:
    """Those of the list, in any case; one that is absent always means Bearer."""
    body = {"access_token": "x", "token_type": token_type, "expires_in": 60}
    assert token(body, token_types=["jwt", "Token", "bearer"]).token_type == "Bearer"


def test_a_list_of_types_replaces_the_default() -> None:
    """What is not in it is refused."""
    found = read({"access_token": "x", "token_type": "Bearer"}, token_types=("jwt",))
    assert isinstance(found, UnusableTokenResponse)
    assert found.minted


def test_a_docker_registry() -> None:
    """It names the token ``token``, and older ones have no access_token (distribution's token specification)."""
    body = {"token": "t0k3n", "expires_in": 60, "issued_at": "2023-11-14T22:13:20Z"}
    assert token(body, token_field="token") == TokenResponse("t0k3n", "Bearer", None, 60.0)
    assert token({**body, "access_token": "other"}, token_field="token").access_token == "t0k3n"


def test_a_path_leads_to_the_token() -> None:
    """The fields beside the token count before those at the top; a field whose name has dots comes first."""
    body = {"data": {"auth": {"token": "t0k3n", "expires_in": 60}}, "expires_in": 5, "scope": "a b"}
    assert token(body, token_field="data.auth.token") == TokenResponse("t0k3n", "Bearer", "a b", 60.0)
    assert token({**body, "data.auth.token": "first"}, token_field="data.auth.token").access_token == "first"


@pytest.mark.parametrize("data", [None, {}, [], "t0k3n", {"auth": "t0k3n"}, {"auth": [{"token": "x"}]}])
def test_a_path_that_leads_nowhere(data: object) -> None:
    """The answer has no token."""
    found = read({"data": data}, token_field="data.auth.token")
    length = len(json.dumps({"data": data}))
    assert found == UnusableTokenResponse(
        f"it is not a JSON object with a data.auth.token ({length} bytes, application/json)"
    )


@pytest.mark.parametrize(
    ("scope", "separator", "found"),
    [
        *[("a;b; c", ";", "a b c"), ("a+b", "+", "a b"), ("a,b c", ";", "a,b c")],
        *[("a|b", None, "a|b"), ("a, b", ", ", "a b")],
    ],
)
def test_a_scope_separator(scope: str, separator: str | None, found: str) -> None:
    """It replaces the comma; white space separates always."""
    assert token({"access_token": "x", "scope": scope}, scope_separator=separator).scope == found


@pytest.mark.parametrize(
    ("unit", "expires_in", "lifetime"),
    [
        *[("s", 3600, 3600.0), ("ms", 3_600_000, 3600.0), ("ms", "86399999", 86399.999)],
        *[("min", 60, 3600.0), ("ms", 500, 0.5)],
    ],
)
def test_a_lifetime_unit(unit: str, expires_in: object, lifetime: float) -> None:
    """Adobe IMS sends milliseconds."""
    found = token({"access_token": "x", "expires_in": expires_in}, lifetime_unit=unit)
    assert found.lifetime == pytest.approx(lifetime)


def test_the_end_of_a_token_has_no_unit() -> None:
    """``lifetime_unit`` is of ``expires_in``; an end says its own."""
    end = int(NOW) + 600
    assert token({"access_token": "x", "expires_at": end}, lifetime_unit="ms").lifetime == 599.75


@pytest.mark.parametrize(
    ("never", "said", "lifetime"),
    [
        *[(0, 0, 86400.0), (0, "0", 86400.0), (0, 0.0, 86400.0), (-1, -1, 86400.0), ("never", "never", 86400.0)],
        *[
            ("0", "0", 86400.0),
            ("0", 0, 86400.0),
            (0, "0.0", 86400.0),
            (-1, 0, 300.0),
            (0, 60, 60.0),
            (0, None, 300.0),
            (0, "", 300.0),
        ],
    ],
)
def test_a_value_that_means_no_end(never: Any, said: object, lifetime: float) -> None:
    """It is capped by ``policy.max_lifetime``, and nothing is assumed."""
    found = token({"access_token": "x", "expires_in": said}, never_expires=never)
    assert found.lifetime == lifetime
    assert (found.lifetime_assumed == "") is (lifetime != 300.0)


def flat(fields: dict[str, Any]) -> Mapping[str, Any]:
    """Reads a nested answer in camel case and milliseconds."""
    data = fields.pop("data")
    return UserDict({"access_token": data["accessToken"], "expires_in": data["expiresIn"] / 1000})


def test_adapt_reads_what_no_field_can_say() -> None:
    """Nested, camel case and milliseconds at once; any mapping will do."""
    body = {"data": {"accessToken": "t0k3n", "expiresIn": 60_000}}
    assert token(body, adapt=flat) == TokenResponse("t0k3n", "Bearer", None, 60.0)


def test_adapt_reads_forms() -> None:
    """It gets the form's fields."""
    rules = AnswerRules(adapt=lambda form: {"access_token": form["oauth_token"], "expires_in": form["lives"]})
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    found = answer(200, b"oauth_token=t0k3n&lives=60", headers, answers=rules)
    assert found == TokenResponse("t0k3n", "Bearer", None, 60.0)


def raising(error: BaseException) -> Callable[[dict[str, Any]], Mapping[str, Any]]:
    """A function that raises."""

    def adapt(fields: dict[str, Any]) -> Mapping[str, Any]:
        raise error

    return adapt


@pytest.mark.parametrize(
    ("adapt", "why"),
    [
        (raising(KeyError("s3cr3t")), "answers.adapt raised KeyError"),
        (raising(RecursionError()), "answers.adapt raised RecursionError"),
        (raising(SystemExit(1)), "answers.adapt raised SystemExit"),
        (lambda fields: {}, "answers.adapt returned no access_token for an answer that seems to have one"),
        (lambda fields: {"token": 5}, "answers.adapt returned no access_token for an answer that seems to have one"),
        (lambda fields: None, "answers.adapt returned NoneType, which is no mapping"),
        (lambda fields: [("access_token", "s3cr3t")], "answers.adapt returned list, which is no mapping"),
    ],
)
def test_an_adapt_that_fails_is_named(adapt: Any, why: str) -> None:
    """By its type: the message may hold the token, which is spent. An unchanged ``access_token`` is not used."""
    found = read({"access_token": "s3cr3t"}, adapt=adapt)
    assert isinstance(found, UnusableTokenResponse)
    assert (found.why, found.minted) == (why, True)
    assert "s3cr3t" not in repr(found)
    assert found.fix.startswith("Fix: return a dict with access_token")


@pytest.mark.parametrize(
    "adapt", [raising(KeyError("data")), lambda fields: None, lambda fields: {"access_token": None}]
)
@pytest.mark.parametrize("status", [200, 400, 503])
def test_an_adapt_that_knows_good_answers_only_hides_no_refusal(adapt: Any, status: int) -> None:
    """``lambda answer: answer["data"]`` raises KeyError for a refusal, whose own words matter."""
    found = read({"error": "invalid_client", "error_description": "Not you."}, status, adapt=adapt)
    assert isinstance(found, TokenErrorResponse)
    assert (found.error, found.error_description) == ("invalid_client", "Not you.")


def test_adapt_may_name_the_error() -> None:
    """A vendor's code becomes OAuth's."""
    found = read({"code": 601}, adapt=lambda fields: {"error": "invalid_client"})
    assert isinstance(found, TokenErrorResponse)
    assert found.error == "invalid_client"


def test_adapt_is_not_called_for_a_page() -> None:
    """There is no object that it could get."""
    found = answer(200, b"<html>", answers=AnswerRules(adapt=raising(AssertionError())))
    assert isinstance(found, UnusableTokenResponse)
    assert found.why.startswith("it is not a JSON object")


@settings(max_examples=200, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9) | st.just("t0k3n"),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(["access_token", "expires_in", "token", "scope", "a"]), inner, max_size=4)
        ),
        max_leaves=9,
    ),
    st.sampled_from([{}, {"token_field": "a.token"}, {"lifetime_unit": "ms"}, {"never_expires": 0}]),
    st.integers(100, 599),
)
def test_whatever_adapt_returns(returned: Any, rules: dict[str, Any], status: int) -> None:
    """Nothing is raised, and no token lives longer than the cap."""
    found = read({"x": 1}, status, adapt=lambda fields: returned, **rules)
    if isinstance(found, TokenResponse):
        assert 0 < found.lifetime <= 86400
        assert 200 <= status < 300


# the checks


class Adapting:
    """An object with a method that reads answers."""

    def adapt(self, fields: dict[str, Any]) -> dict[str, Any]:
        """Reads one."""
        return fields


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"token_types": "bearer"}, "answers.token_types='bearer' must be a list of texts. Fix: ('bearer',)"),
        ({"token_types": ()}, "answers.token_types is empty, so no token could be used. Fix: ('bearer',)"),
        ({"token_types": 5}, "answers.token_types must be a list of texts, not int. Fix: ('bearer', 'jwt')"),
        ({"token_types": ["bearer", 5]}, "answers.token_types has 5, which is no text. Fix: ('bearer', 'jwt')"),
        ({"token_types": [" "]}, "answers.token_types has ' ', which is no text. Fix: ('bearer', 'jwt')"),
        ({"token_types": ["bearer", "DPoP"]}, "answers.token_types has 'DPoP': an API accepts such a token with a"),
        ({"token_types": ["MAC"]}, "answers.token_types has 'MAC': an API accepts"),
        ({"credential_errors": "no_key"}, "answers.credential_errors='no_key' must be a list of texts. Fix: "),
        ({"credential_errors": {"a": 1}}, "answers.credential_errors must be a list of texts, not dict."),
        ({"token_field": ""}, "answers.token_field='' must be the name of a field. Fix: 'token', or a path such as"),
        ({"token_field": "data..x"}, "answers.token_field='data..x' must be the name of a field. Fix: "),
        ({"token_field": None}, "answers.token_field=None must be the name of a field"),
        ({"scope_separator": ""}, "answers.scope_separator='' must be a text. Fix: ';', or leave it out"),
        ({"scope_separator": 5}, "answers.scope_separator=5 must be a text. Fix: ';'"),
        (
            {"lifetime_unit": "m"},
            "answers.lifetime_unit='m' must be 's', 'ms' or 'min' (did you mean 'ms'?). Fix: one of these, or",
        ),
        ({"lifetime_unit": None}, "answers.lifetime_unit=None must be 's', 'ms' or 'min'"),
        ({"lifetime_unit": []}, "answers.lifetime_unit=[] must be 's', 'ms' or 'min'"),
        (
            {"never_expires": True},
            "answers.never_expires=True must be the expires_in that means no end. Fix: a number such as 0 or -1",
        ),
        ({"never_expires": ""}, "answers.never_expires='' must be the expires_in"),
        ({"never_expires": float("nan")}, "answers.never_expires=nan must be the expires_in"),
        ({"never_expires": [0]}, "answers.never_expires=[0] must be the expires_in"),
        (
            {"adapt": "flat"},
            "answers.adapt must be a function, not str. Fix: one that takes the answer's fields as a dict",
        ),
        (
            {"adapt": lambda *, more: more},
            "answers.adapt has the parameters (*, more), and gets one argument, the answer's fields. Fix: a",
        ),
        (
            {"adapt": lambda a, b: {}},
            "answers.adapt has the parameters (a, b), and gets one argument, the answer's fields. Fix: ",
        ),
    ],
)
def test_a_field_that_makes_no_sense(fields: dict[str, Any], message: str) -> None:
    """The message names it and the fix."""
    with pytest.raises(ConfigurationError) as raised:
        AnswerRules(**fields)
    assert str(raised.value).startswith(message)
    assert ". Fix: " in str(raised.value)


@pytest.mark.parametrize("adapt", [dict, Adapting().adapt, lambda fields, *, more=1: fields, lambda *fields: fields[0]])
def test_each_callable_of_one_argument_is_taken(adapt: Any) -> None:
    """A class, a method, a function with defaults or with any number of parameters."""
    assert AnswerRules(adapt=adapt).adapt == adapt


def test_an_async_adapt_is_refused() -> None:
    """Its coroutine would be no mapping, at the first mint."""

    async def adapt(fields: dict[str, Any]) -> dict[str, Any]:
        """Reads an answer in vain."""
        return fields

    with pytest.raises(ConfigurationError, match=r"answers.adapt is an async function. Fix: def, not async def"):
        AnswerRules(adapt=adapt)  # type: ignore[arg-type] # pyright: ignore[reportArgumentType]


def test_a_name_that_does_not_exist() -> None:
    """The message names the nearest one."""
    with pytest.raises(TypeError, match=r"AnswerRules has no field 'tokenfield' \(did you mean 'token_field'\?\)"):
        AnswerRules(tokenfield="token")


def test_rules_are_values() -> None:
    """Equal by their fields, hashable, copied; the lists of a settings file become tuples."""
    rules = AnswerRules(token_types=["bearer", "jwt"], credential_errors=["no_key"])
    assert rules == AnswerRules(token_types=("bearer", "jwt"), credential_errors=("no_key",)) == copy.deepcopy(rules)
    assert len({rules, copy.copy(rules), AnswerRules()}) == 2
    with pytest.raises(AttributeError, match="cannot be changed"):
        rules.token_field = "x"  # type: ignore[misc] # pyright: ignore[reportAttributeAccessIssue]


# whose token it is


def of_a_view() -> AnswerRules:
    """What a view that builds its rules for each request has."""
    return AnswerRules(adapt=lambda fields: fields["data"])


def closing_over(name: str) -> AnswerRules:
    """Rules whose function depends on an argument."""
    return AnswerRules(adapt=lambda fields: fields[name])


def test_a_lambda_of_the_same_line_reads_alike() -> None:
    """A view that builds it anew for each request shares one token, as with every other option."""
    assert of_a_view() != of_a_view()
    assert of_a_view().state_key == of_a_view().state_key
    assert AnswerRules().state_key == AnswerRules(lifetime_unit="s").state_key
    assert AnswerRules(adapt=flat).state_key == AnswerRules(adapt=flat).state_key


def test_functions_that_may_differ_do_not_share() -> None:
    """Closures, defaults, methods of other objects, other code, and other fields."""
    keys = [
        *[of_a_view().state_key, AnswerRules(adapt=lambda fields: fields["other"]).state_key, AnswerRules().state_key],
        *[closing_over("a").state_key, closing_over("b").state_key, AnswerRules(adapt=dict).state_key],
        *[AnswerRules(adapt=each.adapt).state_key for each in (Adapting(), Adapting())],
        *[AnswerRules(adapt=partial(dict, a=1)).state_key, AnswerRules(adapt=flat, lifetime_unit="ms").state_key],
        *[AnswerRules(adapt=lambda fields, name=name: fields[name]).state_key for name in "ab"],
    ]
    assert len(set(keys)) == len(keys)


def test_the_examples_of_the_docstring() -> None:
    """``help(AnswerRules)`` prints what it says."""
    import doctest

    import m2m_auth.oauth2.answer_rules

    found = doctest.testmod(m2m_auth.oauth2.answer_rules)
    assert (found.failed, found.attempted) == (0, 2)

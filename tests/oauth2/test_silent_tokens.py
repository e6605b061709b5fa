"""Secret and AccessToken: silent wherever Python would print them, immutable, compared by value."""

from __future__ import annotations

import copy
import pickle
import traceback
from typing import Any

import pytest

from m2m_auth import AccessToken, ConfigurationError
from m2m_auth.oauth2.secrets import Secret, checked_secret
from m2m_auth.oauth2.tokens import token_fingerprint

CANARY = "canary-5ecret"


def token(value: str = CANARY, mark: str = "0123456789abcdef") -> AccessToken:
    """A token with this value."""
    return AccessToken(value, scope="a b", issued_at=100.0, expires_at=160.0, fingerprint=mark)


def shown(thing: object) -> list[str]:
    """The thing, in every way in which Python makes text of it."""
    texts = [repr(thing), str(thing), f"{thing}", f"{thing!r}", "%s" % (thing,), "%r" % (thing,), "{}".format(thing)]  # noqa: UP031, UP032
    texts += [repr([thing]), repr({"k": thing}), str((thing,)), ascii(thing), repr({thing})]
    try:
        secret_local = thing  # noqa: F841 - an error reporter prints the locals
        raise ValueError(thing)
    except ValueError as error:
        report = traceback.TracebackException.from_exception(error, capture_locals=True)
        texts.append("".join(report.format()))
    return texts


@pytest.mark.parametrize("thing", [Secret(CANARY), Secret(CANARY.encode()), token()], ids=["text", "bytes", "token"])
def test_nothing_is_shown(thing: object) -> None:
    """repr, str, format, f-string, %, containers, tracebacks with locals."""
    assert [text for text in shown(thing) if CANARY in text] == []


def test_a_secret_takes_a_format_spec_silently() -> None:
    """f"{secret:>20}" pads the mask."""
    assert f"{Secret(CANARY):>12}" == "   Secret(…)"


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("thing", [Secret(CANARY), token(), token().authorization], ids=["secret", "token", "header"])
def test_nothing_is_pickled(thing: object, protocol: int) -> None:
    """A pickle is plain text on its way to a queue, a cache, a crash report."""
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(thing, protocol)
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps({"k": [thing]}, protocol)


def test_the_authorization_header_is_a_str_with_a_silent_repr() -> None:
    """HTTP libraries take it as it is; a dict of headers in a traceback hides it."""
    header = token().authorization
    assert isinstance(header, str)
    assert header == f"Bearer {CANARY}"
    assert header.encode("latin-1") == b"Bearer canary-5ecret"
    assert CANARY not in repr({"Authorization": header})


def test_a_token_tells_what_it_is() -> None:
    """All of its public facts."""
    one = token()
    assert (one.value, one.token_type, one.scope) == (CANARY, "Bearer", "a b")
    assert (one.issued_at, one.expires_at, one.fingerprint) == (100.0, 160.0, "01234567")
    assert repr(one) == "<AccessToken 01234567 Bearer expires_at=160>"


@pytest.mark.parametrize("name", ["value", "token_type", "scope", "expires_at", "authorization", "fingerprint", "new"])
def test_a_token_cannot_be_changed(name: str) -> None:
    """It is shared by every thread of the process."""
    one = token()
    with pytest.raises(AttributeError):
        setattr(one, name, "x")
    with pytest.raises(AttributeError):
        delattr(one, name)
    assert not hasattr(one, "__dict__")
    assert one.authorization == f"Bearer {CANARY}"


def test_tokens_are_equal_by_value() -> None:
    """When it was minted does not matter: reject() compares what was sent."""
    assert token() == token(mark="ffff")
    assert token() != token("other")
    assert token() != CANARY
    assert len({token(), token(mark="ffff"), token("other")}) == 2


def test_secrets_are_equal_by_value() -> None:
    """Text and its UTF-8 bytes are one secret; a str is none."""
    assert Secret("ä") == Secret("ä".encode())
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret(b"a"), Secret("b")}) == 2
    assert (Secret("ä").reveal(), Secret("ä").reveal_bytes()) == ("ä", "ä".encode())


@pytest.mark.parametrize("thing", [Secret(CANARY), token()], ids=["secret", "token"])
def test_neither_is_copied_by_way_of_a_pickle(thing: Any) -> None:
    """copy uses what pickle uses; a refusal there is loud, and silent about the value."""
    for make in (copy.copy, copy.deepcopy):
        with pytest.raises(TypeError) as caught:
            make(thing)
        assert CANARY not in str(caught.value)


def test_a_fingerprint_is_keyed() -> None:
    """The same token looks different to another client, and the token cannot be guessed from a log."""
    one = token_fingerprint(b"key", CANARY)
    assert one == token_fingerprint(b"key", CANARY) != token_fingerprint(b"key2", CANARY)
    assert one != token_fingerprint(b"key", CANARY + "x")
    assert len(one) == 64
    assert set(one) <= set("0123456789abcdef")


def test_a_checked_secret_is_kept_as_it_is() -> None:
    """Inner white space and colons belong to it; what is wrong with another is said without showing it."""
    assert checked_secret("s", "a b: c") == Secret("a b: c")
    for wrong in (f" {CANARY}", f"{CANARY}\n", f"{CANARY}\ud800", CANARY.encode()):
        with pytest.raises(ConfigurationError) as caught:
            checked_secret("s", wrong)
        assert CANARY not in str(caught.value)

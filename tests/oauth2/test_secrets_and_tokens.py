"""Secret and AccessToken: hidden wherever Python would print them, immutable, compared by value."""

from __future__ import annotations

import copy
import pickle
import traceback
from collections.abc import Callable
from typing import Any

import pytest
from canaries import shown_by_error

from m2m_auth import AccessToken, ConfigurationError
from m2m_auth.oauth2.client_authentication.private_key_jwt import PrivateKeyJWT
from m2m_auth.oauth2.grants import RefreshToken
from m2m_auth.oauth2.secrets import Secret, checked_secret, checked_secret_source, concealed
from m2m_auth.oauth2.tokens import token_fingerprint

CANARY = "canary-5ecret"
NOT_UTF8 = (
    "s has characters that are not UTF-8 (a lone surrogate: bytes from the environment?). "
    "Fix: read it with the encoding that it was written in"
)


def token(value: str = CANARY, fingerprint: str = "0123456789abcdef") -> AccessToken:
    """A token with this value."""
    return AccessToken(value, scope="a b", issued_at=100.0, expires_at=160.0, fingerprint=fingerprint)


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
@pytest.mark.parametrize("thing", [Secret(CANARY), token()], ids=["secret", "token"])
def test_nothing_is_pickled(thing: object, protocol: int) -> None:
    """A pickle would carry the secret in the clear to a queue, a cache or a crash report."""
    with pytest.raises(
        TypeError, match=r"^(a Secret|an AccessToken) is not pickled: it would leave the process in the clear$"
    ):
        pickle.dumps(thing, protocol)
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps({"k": [thing]}, protocol)


def test_the_authorization_header_is_a_str_with_a_silent_repr() -> None:
    """HTTP libraries take it as it is; a dict of headers in a traceback hides it."""
    header = token().authorization
    assert isinstance(header, str)
    assert header == f"Bearer {CANARY}"
    assert header.encode("latin-1") == b"Bearer canary-5ecret"
    assert repr({"Authorization": header}) == "{'Authorization': 'Bearer [redacted]'}"


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_a_copy_of_the_header_is_redacted(protocol: int) -> None:
    """A response that carried the token pickles and copies as any other; the token stays behind."""
    for header in (token().authorization, token().authorization.encode()):
        pickled = pickle.dumps({"k": header}, protocol)
        copies = [pickle.loads(pickled)["k"], copy.deepcopy([header])[0], copy.copy(header)]
        redacted = "Bearer [redacted]" if isinstance(header, str) else b"Bearer [redacted]"
        assert copies == [redacted] * 3
        assert {type(each) for each in copies} == {type(redacted)}
        assert CANARY.encode() not in pickled
        assert CANARY not in repr(header) + str([header])


def test_a_token_deep_copies_to_itself() -> None:
    """It does not change, so an object that holds one can be copied within the process."""
    one = token()
    assert copy.deepcopy({"token": one})["token"] is copy.copy(one) is one


def test_the_attributes_of_a_token() -> None:
    """Every public attribute."""
    one = token()
    assert (one.value, one.token_type, one.scope) == (CANARY, "Bearer", "a b")
    assert (one.issued_at, one.expires_at, one.fingerprint) == (100.0, 160.0, "01234567")
    assert repr(one) == "<AccessToken 01234567 Bearer expires_at=160>"


@pytest.mark.parametrize("name", ["value", "token_type", "scope", "expires_at", "authorization", "fingerprint", "new"])
def test_a_token_cannot_be_changed(name: str) -> None:
    """Every thread of the process holds the same object."""
    one = token()
    with pytest.raises(AttributeError, match=f"^an AccessToken cannot be changed: {name}$"):
        setattr(one, name, "x")
    with pytest.raises(AttributeError, match=f"^an AccessToken cannot be changed: {name}$"):
        delattr(one, name)
    assert not hasattr(one, "__dict__")
    assert one.authorization == f"Bearer {CANARY}"


def test_tokens_are_equal_by_value() -> None:
    """When it was minted does not matter: reject() compares what was sent."""
    assert token() == token(fingerprint="ffff")
    assert token() != token("other")
    assert token() != CANARY
    assert len({token(), token(fingerprint="ffff"), token("other")}) == 2
    assert hash(token()) == hash(Secret(CANARY)) != hash(token("other"))


def test_secrets_are_equal_by_value() -> None:
    """Text and its UTF-8 bytes are one secret; a str is none."""
    assert Secret("ä") == Secret("ä".encode())
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret(b"a"), Secret("b")}) == 2
    assert hash(Secret("a")) != hash(Secret("b"))
    assert (Secret("ä").reveal(), Secret("ä").reveal_bytes()) == ("ä", "ä".encode())


@pytest.mark.parametrize("thing", [Secret(CANARY)], ids=["secret"])
def test_a_secret_is_not_copied_by_way_of_a_pickle(thing: Any) -> None:
    """copy uses what pickle uses; it raises, and the error does not show the value."""
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
    """White space and colons inside belong to it, and a checked secret stays the object that it is."""
    secret = checked_secret("s", "a b: c")
    assert secret == Secret("a b: c")
    assert checked_secret("s", secret) is secret


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (f" {CANARY}", "s begins or ends with white space (a line break from a file?). Fix: s.strip()"),
        (f"{CANARY}\n", "s begins or ends with white space (a line break from a file?). Fix: s.strip()"),
        (f"{CANARY}\ud800", NOT_UTF8),
        (f"\udfff{CANARY}", NOT_UTF8),
        (CANARY.encode(), "s must be a string or a callable that returns one, not bytes"),
        ([CANARY], "s must be a string or a callable that returns one, not list"),
        (None, "s must be a string or a callable that returns one, not NoneType"),
        ("", "s is blank. Fix: set it; an unset environment variable is the usual cause"),
        (" \t", "s is blank. Fix: set it; an unset environment variable is the usual cause"),
    ],
)
@pytest.mark.parametrize("concealed_first", [False, True])
def test_a_wrong_secret_is_explained(given: Any, words: str, concealed_first: bool) -> None:
    """The message says what is wrong, concealed or not, and does not show it."""
    with pytest.raises(ConfigurationError) as caught:
        checked_secret("s", concealed(given) if concealed_first else given)
    assert str(caught.value) == words
    assert CANARY not in str(caught.value)


@pytest.mark.parametrize("character", ["\ud7ff", "\ue000", "\U0010ffff", "\x7f", "\u00e9"])
def test_every_character_with_a_utf8_form_may_be_in_a_secret(character: str) -> None:
    """Only the code points between the two edges of the surrogates have none."""
    assert checked_secret("s", f"a{character}b").reveal_bytes() == f"a{character}b".encode()


def fetch() -> str:
    """A callable that fetches a secret."""
    return CANARY


class AsyncSource:
    """A callable object of an asynchronous secret manager."""

    async def __call__(self) -> str:
        """The secret."""
        return CANARY


async def afetch() -> str:
    """A secret, asynchronously."""
    return CANARY


@pytest.mark.parametrize("given", [afetch, AsyncSource(), AsyncSource().__call__])
def test_an_async_source_of_secrets_is_refused(given: object) -> None:
    """It would return a coroutine that is not awaited, and each call would fail."""
    with pytest.raises(ConfigurationError, match=r"^client_secret is an async function. Fix: def, not async def"):
        checked_secret_source(given)


def test_a_source_of_secrets_stays_a_callable() -> None:
    """None and callables are for later; everything else is checked at once, under the option's name."""
    assert checked_secret_source(None) is None
    assert checked_secret_source(fetch) is fetch
    assert checked_secret_source(CANARY) == Secret(CANARY)
    with pytest.raises(ConfigurationError, match=r"^client_secret is blank"):
        checked_secret_source("")


def test_concealed_wraps_once() -> None:
    """None, callables and secrets stay as they are; anything else comes back as it was passed."""
    secret, keys = Secret(CANARY), [CANARY, 7]
    assert (concealed(None), concealed(fetch), concealed(secret)) == (None, fetch, secret)
    assert concealed(fetch) is fetch
    assert concealed(secret) is secret
    assert concealed(keys).reveal() is keys
    assert concealed(CANARY) == secret
    assert CANARY not in repr(concealed(keys))


def test_secrets_that_are_not_text_are_equal_as_objects() -> None:
    """There is nothing to compare in constant time; text never equals them."""
    one, other = [CANARY], [CANARY]
    assert Secret(one) == Secret(one)
    assert hash(Secret(one)) == hash(Secret(one))
    assert Secret(one) != Secret(other)
    assert Secret(CANARY) != Secret(other)


def test_bytes_that_are_not_utf8_become_text_that_the_check_refuses() -> None:
    """A binary secret from a file is an error with words, not an exception that carries it along."""
    assert Secret(b"a\xff").reveal() == "a\udcff"
    assert Secret(b"a\xff").reveal_bytes() == b"a\xff"
    assert Secret("\ud800") == Secret("\ud800") != Secret("\ud801")
    with pytest.raises(ConfigurationError, match="s has characters that are not UTF-8"):
        checked_secret("s", Secret(b"a\xff").reveal())


MISTAKES: dict[str, Callable[[], object]] = {
    "secret": lambda: checked_secret("s", f"{CANARY} "),
    "secret as bytes": lambda: checked_secret("s", CANARY.encode()),
    "secret of a source": lambda: checked_secret_source(f"{CANARY}\ud800"),
    "white space": lambda: RefreshToken(f"{CANARY} "),
    "encoding": lambda: RefreshToken(CANARY, "xml"),  # type: ignore[arg-type]
    "no PEM": lambda: PrivateKeyJWT(CANARY),
    "public key": lambda: PrivateKeyJWT(f"-----BEGIN PUBLIC KEY-----\n{CANARY}"),
    "bytes": lambda: PrivateKeyJWT(CANARY.encode()),
    "no key in it": lambda: PrivateKeyJWT(f"-----BEGIN PRIVATE KEY-----\n{CANARY}\n-----END PRIVATE KEY-----"),
    "algorithm": lambda: PrivateKeyJWT(CANARY, "HS256"),
    "unknown algorithm": lambda: PrivateKeyJWT(f"-----BEGIN PRIVATE KEY-----\n{CANARY}", "RS257"),
    "lifetime": lambda: PrivateKeyJWT(CANARY, lifetime=0),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_the_traceback_of_a_mistake_holds_no_secret(mistake: str) -> None:
    """Error reporters print the locals of every frame: ours show only that there is a secret."""
    with pytest.raises(ConfigurationError) as caught:
        MISTAKES[mistake]()
    assert [text for text in shown_by_error(caught.value, __file__) if CANARY in text] == []

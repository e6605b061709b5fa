"""The reader of client settings: its contract without a framework, and what only programs see of it."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, ClassVar

import pytest
from canaries import chain, frames, shown_by_frame
from settings_contract import GOOD, MISTAKES, SettingsContract, cache, client

from m2m_auth import ConfigurationError, TokenSource
from m2m_auth.caches import TokenCache
from m2m_auth.settings import (
    CLIENT_KEYS,
    FrameworkCache,
    Problem,
    nearest,
    nested,
    prefixed,
    read_settings,
    refuse_unknown_client,
)


@pytest.mark.loopback
class TestNested(SettingsContract):
    """One dictionary, as Django has it; import paths and caches at once."""

    spelling: ClassVar = {name: f'M2M_AUTH["{name}"]' for name in ("CLIENTS", "CLIENT", "CACHES", "ENCRYPTION_KEYS")}

    @contextmanager
    def billing(self, settings: dict[str, Any]) -> Iterator[TokenSource]:
        """The source, as a framework with one dictionary gets it."""
        yield read_settings(settings, nested("M2M_AUTH"), eager=True).source("billing")


@pytest.mark.loopback
class TestPrefixed(SettingsContract):
    """Several settings with a prefix, as Flask has them; import paths and caches at first use."""

    spelling: ClassVar = {name: f"M2M_AUTH_{name}" for name in ("CLIENTS", "CLIENT", "CACHES", "ENCRYPTION_KEYS")}

    @contextmanager
    def billing(self, settings: dict[str, Any]) -> Iterator[TokenSource]:
        """The source, as a framework with several settings gets it."""
        yield read_settings(settings, prefixed("M2M_AUTH_")).source("billing")


@pytest.mark.parametrize("name", MISTAKES)
def test_no_frame_shows_a_secret(name: str) -> None:
    """An error reporter that prints the locals of every frame of the reader prints no secret."""
    settings, _ = MISTAKES[name]
    found = read_settings(settings, nested("M2M_AUTH"))
    with pytest.raises(ConfigurationError) as raised:
        found.source("billing")
    shown = [text for frame in frames(raised.value, __file__) for text in shown_by_frame(frame)]
    assert shown
    assert [text for text in shown if "s3cret" in text] == []
    assert len(list(chain(raised.value))) == 1


def test_objects_show_aliases_only() -> None:
    """The repr of settings, clients and caches has no secret and no URL."""
    found = read_settings(cache("redis://:s3cret@host"), nested("M2M_AUTH"))
    shown = repr((found, found.clients, found.caches, found.problems))
    assert "billing" in shown
    assert "s3cret" not in shown


def test_the_kind_of_a_problem() -> None:
    """Programs distinguish problems by their kind; this test has an example of each kind."""
    kinds = {
        "shape": {"CLIENTS": []},
        "unknown_key": client(SCOPES="a"),
        "missing": client(CLIENT_ID=None),
        "endpoint": client(TOKEN_ENDPOINT="http://tenant.example"),
        "secret": client(CLIENT_SECRET=" "),
        "option": client(SCOPE="a,b"),
        "record": client(POLICY=5),
        "unknown_cache": client(CACHE="x"),
        "cache": cache(None),
        "encryption_keys": {**client(), "ENCRYPTION_KEYS": []},
        "maybe_a_path": client(CLIENT_SECRET="nowhere.secrets.billing"),
    }
    for kind, settings in kinds.items():
        (problem,) = read_settings(settings, nested("M2M_AUTH"), eager=True).problems
        assert (problem.kind, problem.is_error) == (kind, kind != "maybe_a_path")


def test_a_mistake_concerns_its_client_alone() -> None:
    """A client's mistake leaves the others usable; a mistake of a cache or a key concerns all of them."""
    found = read_settings({"CLIENTS": {"good": GOOD, "bad": {}}}, nested("M2M_AUTH"))
    assert found.source("good").status().state == "none"
    assert {problem.client for problem in found.problems} == {"bad"}
    with pytest.raises(ConfigurationError, match="TOKEN_ENDPOINT"):
        found.client("bad")
    with pytest.raises(ConfigurationError, match="TOKEN_ENDPOINT"):
        found.refuse_errors()
    found.refuse_errors("good")
    found = read_settings({**client(), "ENCRYPTION_KEYS": []}, nested("M2M_AUTH"))
    with pytest.raises(ConfigurationError, match="ENCRYPTION_KEYS"):
        found.source("billing")


def test_a_warning_refuses_nothing() -> None:
    """A secret that looks like a path works, and is reported."""
    found = read_settings(client(CLIENT_SECRET="nowhere.secrets.billing"), nested("M2M_AUTH"))
    assert found.source("billing").status().state == "none"
    assert "used as the secret itself" in found.problems[0].message


def test_settings_that_are_not_a_dict() -> None:
    """The message names the setting as a whole."""
    (problem,) = read_settings([], nested("M2M_AUTH")).problems
    assert str(problem).startswith("M2M_AUTH: must be a dict, not list. Fix: ")


def test_a_cache_is_opened_once_and_shared() -> None:
    """Two clients of one cache get the same object; another process gets an opener that can be sent to it."""
    settings = {**cache("disk:", own={"BACKEND": "m2m_auth.caches.memory.MemoryTokenCache"}, kept=object())}
    found = read_settings(settings, nested("M2M_AUTH"))
    assert found.caches["own"].open() is found.caches["own"].open()
    openers = found.openers()
    assert sorted(openers) == ["default", "own"]
    for opener in openers.values():
        assert isinstance(pickle.loads(pickle.dumps(opener))(), TokenCache)


def test_a_frameworks_own_form_of_a_cache() -> None:
    """Its key is known, its value is checked when the settings are read, and it is opened at first use."""
    asked: list[str] = []

    def read(name: str) -> Any:
        asked.append(name)
        if name == "wrong":
            raise ConfigurationError("there is no such cache. Fix: 'right'")
        return lambda: asked.append("opened")

    form = FrameworkCache(key="OWN", example="{'OWN': 'right'}", read=read)
    found = read_settings(cache({"OWN": "right"}, other={"OWN": "wrong"}), nested("M2M_AUTH"), forms=[form])
    assert asked == ["right", "wrong"]
    assert [str(problem) for problem in found.problems] == [
        'M2M_AUTH["CACHES"]["other"]: there is no such cache. Fix: \'right\''
    ]
    with pytest.raises(ConfigurationError, match="there is None instead of a cache"):
        found.caches["default"].open()
    (problem,) = read_settings(cache({"OWN": 1, "OPTIONS": {}}), nested("M2M_AUTH"), forms=[form]).problems
    assert "has OPTIONS, which belong to the settings of OWN. Fix: " in str(problem)
    assert "{'OWN': 'right'}" in str(problem)


def test_an_unknown_client_is_named_with_the_nearest() -> None:
    """Whatever its case; a name with control characters cannot spoil a log line."""
    for spelling, name in ((nested("M2M_AUTH"), 'M2M_AUTH["CLIENTS"]'), (prefixed("M2M_AUTH_"), "M2M_AUTH_CLIENTS")):
        with pytest.raises(ConfigurationError) as raised:
            refuse_unknown_client("BILING", ["billing", "stock"], spelling)
        known = "(did you mean 'billing'?). Known: 'billing', 'stock'"
        assert str(raised.value) == f"{name}: there is no client 'BILING' {known}"
    for hostile in ("\x1b[2J\r\n", "", 7, None, ["billing"]):
        with pytest.raises(ConfigurationError, match="Known: 'billing'") as raised:
            refuse_unknown_client(hostile, ["billing"], nested("M2M_AUTH"))
        assert str(raised.value).isprintable()


def test_spelling_escapes_control_characters() -> None:
    """A key from the settings is printed in double quotes, and printably."""
    assert nested("M2M_AUTH")("CLIENTS", 'a"b') == 'M2M_AUTH["CLIENTS"]["a\\"b"]'
    assert nested("M2M_AUTH")("CLIENTS", "é\x1b").isprintable()
    assert nested("M2M_AUTH")(7) == "M2M_AUTH[7]"
    assert nearest("nothing alike", ["billing"]) == ""


def test_the_table_names_options_that_exist() -> None:
    """Each key of a client is an option of TokenSource or of M2MAuth."""
    import inspect

    from m2m_auth.requests import M2MAuth

    options = {*inspect.signature(TokenSource).parameters, *inspect.signature(M2MAuth.from_source).parameters}
    assert [key.name for key in CLIENT_KEYS if key.option not in options] == []
    assert str(Problem(kind="shape", setting="X", message="is wrong")) == "X: is wrong"


def test_the_example_of_the_docstring() -> None:
    """The example of ``help(m2m_auth.settings)`` prints what it says."""
    import doctest

    import m2m_auth.settings

    found = doctest.testmod(m2m_auth.settings)
    assert (found.failed, found.attempted) == (0, 2)

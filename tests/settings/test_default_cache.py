"""The cache that no setting names: a user without a folder for it gets tokens, and one warning with its cost."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest
from other_users import NO_ENTRY, Users, a_place, as_root

from m2m_auth.caches.disk import DiskTokenCache
from m2m_auth.caches.memory import MemoryTokenCache
from m2m_auth.errors import ConfigurationError
from m2m_auth.settings import DEFAULT_CACHES, Settings, nested, read_settings

CLIENT = {"TOKEN_ENDPOINT": "https://tenant.example/token", "CLIENT_ID": "client", "CLIENT_SECRET": "secret"}


def settings(name: str, *, eager: bool = False, **more: object) -> Settings:
    """The settings of one client."""
    return read_settings({"CLIENTS": {"billing": CLIENT}, **more}, nested(name), eager=eager)


@pytest.fixture
def no_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """HOME is a folder that does not exist, as /nonexistent."""
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "nonexistent"))
    return tmp_path / "nonexistent"


def test_one_warning_however_often_the_settings_are_read(no_home: Path, caplog: pytest.LogCaptureFixture) -> None:
    """It says which setting, why, what it costs and what to set. No home is made."""
    for _ in range(3):
        for more in ({}, {"CACHES": None}):
            found = settings("ONE_WARNING", eager=True, **more)
            assert found.problems == ()
            assert isinstance(found.open_caches()["default"], MemoryTokenCache)
            assert found.source("billing").status().state == "none"
    (record,) = caplog.records
    assert record.levelno == logging.WARNING
    for part in (
        'ONE_WARNING["CACHES"]["default"] is not set',
        f"the home folder {no_home}: No such file or directory",
        "one mint per process and lifetime",
        "Fix: set ONE_WARNING",
        "disk:/path/of/your/own",
        "redis://",
    ):
        assert part in record.getMessage()
    assert not no_home.exists()


@pytest.mark.usefixtures("no_home")
def test_no_warning_before_a_client_uses_it(caplog: pytest.LogCaptureFixture) -> None:
    """A program whose clients all name another cache is not bothered."""
    found = read_settings({"CLIENTS": {"billing": {**CLIENT, "CACHE": None}}}, nested("NOT_USED"), eager=True)
    found.source("billing")
    assert (found.problems, caplog.records) == ((), [])


def test_a_chosen_cache_is_refused(no_home: Path, caplog: pytest.LogCaptureFixture) -> None:
    """``disk:`` in the settings is a choice: the problem names the setting and a fix."""
    chosen: list[object] = ["disk:", {"BACKEND": "m2m_auth.caches.disk.DiskTokenCache"}]
    for given in chosen:
        (problem,) = settings("CHOSEN", eager=True, CACHES={"default": given}).problems
        assert (problem.kind, problem.setting) == ("cache", 'CHOSEN["CACHES"]["default"]')
        assert str(no_home) in problem.message
        assert "disk:/path/of/your/own" in problem.fix
    with pytest.raises(ConfigurationError, match="the home folder"):
        settings("CHOSEN", CACHES={"default": "disk:"}).source("billing")
    assert caplog.records == []


def test_with_a_home_it_is_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default is what it was: ``m2m-auth`` in the user's cache folder, one cache for all that read the settings."""
    assert DEFAULT_CACHES == {"default": "disk:"}
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    one, two = (DiskTokenCache(), settings("DISK").open_caches()["default"])
    assert isinstance(two, DiskTokenCache)
    assert one.folder == two.folder == tmp_path / "m2m-auth"


@pytest.mark.processes
@as_root
@pytest.mark.parametrize(
    "environment",
    [{}, {"HOME": "/"}, {"HOME": "/nonexistent"}, {"HOME": "/root"}, {"XDG_CACHE_HOME": "/proc"}],
    ids=["no home", "home /", "/nonexistent", "another user's", "read-only"],
)
def test_real_users_without_a_folder(environment: dict[str, str]) -> None:
    """OpenShift's arbitrary user and others: calls get their token, each process mints one, and one warning says so."""
    code = """
warned = []
class Warned(logging.Handler):
    def emit(self, record):
        warned.append(record.getMessage())
logging.getLogger("m2m_auth").addHandler(Warned())
with FakeAuthorizationServer() as server:
    client = {"TOKEN_ENDPOINT": server.token_endpoint, "CLIENT_ID": "client", "CLIENT_SECRET": "secret"}
    for _ in range(3):
        source = read_settings({"CLIENTS": {"billing": client}}, prefixed("M2M_AUTH_"), eager=True).source("billing")
        assert source.token() == source.token()
    print(server.mints, len(warned), 'M2M_AUTH_CACHES["default"]' in warned[0])
"""
    with Users() as users:
        assert users.run_as(NO_ENTRY, code, gid=0, environment=environment) == "1 1 True"


@pytest.mark.processes
@as_root
def test_a_read_only_root_file_system() -> None:
    """readOnlyRootFilesystem with a home in it: the default goes to memory, a chosen folder is refused."""
    code = """
logging.disable()
client = {"TOKEN_ENDPOINT": "https://tenant.example/token", "CLIENT_ID": "client", "CLIENT_SECRET": "secret"}
for given in ({}, {"CACHES": {"default": "disk:"}}):
    found = read_settings({"CLIENTS": {"billing": client}, **given}, nested("M2M_AUTH"))
    print(refusal(found.open_caches))
"""
    with a_place() as home, Users(tmpfs=(f"ro,mode=755,uid={NO_ENTRY}", home)) as users:
        default, chosen = users.run_as(NO_ENTRY, code, environment={"HOME": str(home)}).splitlines()
        assert "MemoryTokenCache" in default
        assert f"{home} is on a read-only file system. Fix: " in chosen

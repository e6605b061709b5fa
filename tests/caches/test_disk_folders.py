"""Which folder the disk cache uses: the named one, or a private one inside where others may write."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from disk_steps import DATABASE, source_on

from m2m_auth.caches import from_url
from m2m_auth.caches.disk import DiskTokenCache
from m2m_auth.errors import CacheUnavailable, ConfigurationError
from m2m_auth.testing import FakeAuthorizationServer

PRIVATE = f"m2m-auth-{os.geteuid()}"


def mode(path: Path) -> int:
    """The permission bits."""
    return stat.S_IMODE(path.lstat().st_mode)


def of_mode(folder: Path, bits: int) -> Path:
    """A new folder with this mode, whatever the umask."""
    folder.mkdir()
    folder.chmod(bits)
    return folder


def used(cache: DiskTokenCache) -> None:
    """Stores, reads and closes."""
    cache.set("key", b"value", 60)
    assert cache.get("key") == b"value"
    cache.close()


@pytest.mark.parametrize("bits", [0o700, 0o755, 0o750, 0o751, 0o711, 0o2755, 0o2750])
def test_a_folder_that_others_may_read_is_used_as_it_is(tmp_path: Path, bits: int) -> None:
    """Its mode stays, and its files are 0600."""
    folder = of_mode(tmp_path / "cache", bits)
    used(DiskTokenCache(folder))
    assert mode(folder) == bits
    assert {path.name: mode(path) for path in folder.iterdir()} == {DATABASE: 0o600, f"{DATABASE}-journal": 0o600}


@pytest.mark.parametrize("bits", [0o770, 0o775, 0o777, 0o1777, 0o2770, 0o2777, 0o730])
def test_where_others_may_write_a_private_folder_is_made(tmp_path: Path, bits: int) -> None:
    """The named folder's mode stays; all files are in ``m2m-auth-<user id>`` inside, which is this user's alone."""
    folder = of_mode(tmp_path / "cache", bits)
    used(DiskTokenCache(folder))
    used(DiskTokenCache(folder))
    assert mode(folder) == bits
    assert [path.name for path in folder.iterdir()] == [PRIVATE]
    assert mode(folder / PRIVATE) & 0o777 == 0o700
    assert {mode(path) for path in (folder / PRIVATE).iterdir()} == {0o600}


@pytest.mark.parametrize("exists", [True, False], ids=["existing", "to be made"])
@pytest.mark.parametrize("bits", [0o770, 0o775, 0o777, 0o1777, 0o2770])
def test_a_private_folder_in_a_folder_that_others_may_write_to(tmp_path: Path, bits: int, exists: bool) -> None:
    """Where the user has named it, no further one is made inside: ``~/.cache/m2m-auth`` with umask 002."""
    parent = of_mode(tmp_path / "parent", bits)
    if exists:
        (parent / "cache").mkdir(mode=0o700)
    used(DiskTokenCache(parent / "cache"))
    assert mode(parent / "cache") & 0o777 == 0o700
    assert (parent / "cache" / DATABASE).is_file()


@pytest.mark.loopback
def test_the_folder_is_chosen_anew_when_its_mode_changes(tmp_path: Path) -> None:
    """Opened to others while it is in use, the next operation uses the private folder, and back when it is closed."""
    folder = of_mode(tmp_path / "cache", 0o700)
    cache = DiskTokenCache(folder)
    cache.set("key", b"before", 60)
    folder.chmod(0o777)
    assert cache.get("key") is None
    cache.set("key", b"inside", 60)
    assert DiskTokenCache(folder).get("key") == b"inside"
    folder.chmod(0o700)
    assert cache.get("key") == b"before"
    cache.close()
    folder.chmod(0o777)
    with FakeAuthorizationServer() as server:
        token = source_on(folder, server).token()
        assert source_on(folder, server).token() == token


@pytest.mark.parametrize("plant", ["folder", "symlink", "file"])
def test_a_name_that_is_taken_is_refused(tmp_path: Path, plant: str) -> None:
    """A link or a file in the private folder's place is refused, also with shared_parent=allow."""
    folder, elsewhere = of_mode(tmp_path / "cache", 0o777), of_mode(tmp_path / "elsewhere", 0o700)
    private = folder / PRIVATE
    if plant == "symlink":
        private.symlink_to(elsewhere)
    elif plant == "file":
        private.touch()
    elif os.geteuid() != 0:
        pytest.skip("only root can give a folder away")
    else:
        private.mkdir(mode=0o700)
        os.chown(private, 12345, -1)
    for shared_parent in (False, True):
        with pytest.raises(ConfigurationError, match=rf"cache folder {private} .*Fix: ") as caught:
            DiskTokenCache(folder, shared_parent=shared_parent)
        assert "chmod" not in str(caught.value)
    assert list(elsewhere.iterdir()) == []


def test_a_private_folder_that_was_opened_is_closed_again(tmp_path: Path) -> None:
    """Kubernetes opens every folder and file of a volume to the fsGroup when it mounts it (kubernetes#76158).

    The cache goes on with its entries. A journal that others could have planted is not played back.
    """
    volume = of_mode(tmp_path / "volume", 0o2770)
    used(DiskTokenCache(volume))
    private = volume / PRIVATE
    (private / f"{DATABASE}-journal").write_bytes(b"planted" * 1000)
    for path in private.iterdir():
        path.chmod(0o660)
    private.chmod(0o2770)
    cache = DiskTokenCache(volume)
    assert cache.get("key") == b"value"
    assert mode(private) & 0o777 == 0o700
    assert mode(private / DATABASE) == 0o600
    cache.set("key", b"more", 60)
    cache.close()
    assert b"planted" not in (private / f"{DATABASE}-journal").read_bytes()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
def test_a_planted_database_of_another_user_is_not_opened(tmp_path: Path) -> None:
    """It could be read by its owner, and its schema could be anything."""
    folder = of_mode(tmp_path / "cache", 0o755)
    (folder / DATABASE).touch()
    os.chown(folder / DATABASE, 12345, -1)
    with pytest.raises(CacheUnavailable, match=r"cache\.db belongs to user 12345, not to 0\. Fix: delete it"):
        DiskTokenCache(folder).get("key")


@pytest.mark.parametrize("umask", [0o000, 0o002, 0o027, 0o077, 0o777])
def test_any_umask(tmp_path: Path, umask: int) -> None:
    """Folders are 0700 and files 0600, also where the umask takes the user's own rights."""
    before = os.umask(umask)
    try:
        used(DiskTokenCache(tmp_path / "above" / "cache"))
    finally:
        os.umask(before)
    assert (mode(tmp_path / "above"), mode(tmp_path / "above" / "cache")) == (0o700, 0o700)
    assert {mode(path) for path in (tmp_path / "above" / "cache").iterdir()} == {0o600}


def test_a_relative_folder_stays_where_it_was_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A daemon changes its working directory."""
    monkeypatch.chdir(tmp_path)
    cache = from_url("disk:tokens")
    monkeypatch.chdir("/")
    cache.set("key", b"value", 60)
    assert (tmp_path / "tokens" / DATABASE).is_file()
    cache.close()


@pytest.mark.parametrize("name", ["with space", "per%20cent", "h#sh", "ünï", os.fsdecode(b"not utf-8 \xff")])
def test_any_name(tmp_path: Path, name: str) -> None:
    """A path in a URL is taken as it is; only a question mark ends it."""
    cache = from_url(f"disk:{tmp_path / name}")
    cache.set("key", b"value", 60)
    assert cache.get("key") == b"value"
    assert (tmp_path / name / DATABASE).is_file()
    cache.close()


def test_options_of_the_url(tmp_path: Path) -> None:
    """shared_parent and timeout, for a named folder and the user's own."""
    for url in (
        "?shared_parent=allow",
        "?shared_parent=refuse",
        "?timeout=0.5",
        "?timeout=0.5&shared_parent=allow",
        "?",
    ):
        cache = from_url(f"disk:{tmp_path}{url}")
        cache.set("key", b"value", 60)
        cache.close()


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("shared_parents=allow", r"unknown option 'shared_parents' \(did you mean 'shared_parent'\?\)"),
        ("Shared_Parent=allow", r"unknown option 'Shared_Parent' \(did you mean 'shared_parent'\?\)"),
        ("timeot=1", r"unknown option 'timeot' \(did you mean 'timeout'\?\)\. Known: shared_parent, timeout"),
        ("ttl", r"unknown option 'ttl'"),
        ("shared_parent=yes", r"^cache='disk:.*': shared_parent='yes' is unknown\. Fix: \?shared_parent=allow"),
        ("shared_parent", r"shared_parent='' is unknown"),
        ("timeout=soon", r"timeout is not a number\. Fix: \?timeout=0\.5"),
        ("timeout=0", r"timeout=0\.0 must be a number of seconds above 0"),
        ("timeout=inf", r"timeout=inf must be"),
        ("timeout=nan", r"timeout=nan must be"),
    ],
)
@pytest.mark.parametrize("path", ["", "/somewhere"])
def test_a_wrong_option_of_the_url(path: str, query: str, words: str) -> None:
    """A ConfigurationError, with the nearest option."""
    with pytest.raises(ConfigurationError, match=words):
        from_url(f"disk:{path}?{query}")


@pytest.mark.parametrize("given", ["yes", "", None, 2, "Allow"])
def test_a_wrong_shared_parent(tmp_path: Path, given: Any) -> None:
    """Only ``"allow"`` and True allow; a slip is no permission."""
    with pytest.raises(ConfigurationError, match=r"shared_parent=.* is unknown\. Fix: shared_parent='allow'"):
        DiskTokenCache(tmp_path, shared_parent=given)


OPEN: list[tuple[str, Callable[[Path], DiskTokenCache]]] = [
    ("True", lambda folder: DiskTokenCache(folder, shared_parent=True)),
    ("allow", lambda folder: DiskTokenCache(folder, shared_parent="allow")),
    ("URL", lambda folder: DiskTokenCache.from_url(f"disk:{folder}?shared_parent=allow")),
]


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder away")
@pytest.mark.parametrize("opened", [each[1] for each in OPEN], ids=[each[0] for each in OPEN])
@pytest.mark.parametrize("inside", [False, True], ids=["itself", "inside"])
def test_an_ordinary_users_folder_that_is_open_to_all(
    tmp_path: Path, opened: Callable[[Path], DiskTokenCache], inside: bool
) -> None:
    """It is neither root's, nor this user's, nor a group's: refused, with a message that says how to allow it."""
    parent = of_mode(tmp_path / "parent", 0o777)
    os.chown(parent, 12345, -1)
    folder = parent / "cache" if inside else parent
    with pytest.raises(ConfigurationError) as caught:
        DiskTokenCache(folder)
    for part in (str(parent), "mode 0777", "user 12345", "disk:/path/of/your/own", "?shared_parent=allow"):
        assert part in str(caught.value)
    used(opened(folder))
    assert len(list(parent.rglob(DATABASE))) == 1
    parent.chmod(0o1777)
    used(DiskTokenCache(folder))

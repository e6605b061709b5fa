"""What the disk cache writes is private to one user, and what is not this user's is refused."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from disk_steps import DATABASE

from m2m_auth import TokenSource
from m2m_auth.caches.disk import DiskTokenCache
from m2m_auth.errors import CacheUnavailable, ConfigurationError, TokenRequestRejected
from m2m_auth.testing import FakeAuthorizationServer


@pytest.fixture
def no_umask() -> Iterator[None]:
    """umask 000: a mode that is private is not due to the umask."""
    before = os.umask(0)
    yield
    os.umask(before)


def mode(path: Path) -> int:
    """The permission bits."""
    return stat.S_IMODE(path.lstat().st_mode)


@pytest.mark.usefixtures("no_umask")
def test_folder_and_files_are_private_under_umask_000(tmp_path: Path) -> None:
    """Folders are 0700, also missing parents, and every file is 0600, also during a transaction."""
    folder = tmp_path / "above" / "cache"
    cache = DiskTokenCache(folder)
    cache.set("key", b"value", 60)
    during: list[int] = []
    with closing(cache._folder.open("key")) as raw, raw.transact():
        raw.set("key", b"other", 60)
        during.extend(mode(path) for path in folder.iterdir())
    assert (mode(folder), mode(folder.parent)) == (0o700, 0o700)
    assert {mode(path) for path in folder.iterdir()} == {0o600}
    assert during == [0o600, 0o600]
    cache.close()


def test_an_open_database_file_is_closed_to_others(tmp_path: Path) -> None:
    """Opening makes a database private again that another program made readable."""
    folder = tmp_path / "cache"
    cache = DiskTokenCache(folder)
    cache.set("key", b"value", 60)
    cache.close()
    (folder / DATABASE).chmod(0o666)
    assert cache.get("key") == b"value"
    assert mode(folder / DATABASE) == 0o600
    cache.close()


def test_a_symlink_is_refused(tmp_path: Path) -> None:
    """A symlink is refused, also to a private folder: others may choose its target."""
    (tmp_path / "real").mkdir(mode=0o700)
    (tmp_path / "link").symlink_to(tmp_path / "real")
    with pytest.raises(ConfigurationError, match=r"link is a symlink.*Fix: "):
        DiskTokenCache(tmp_path / "link")


def test_a_file_is_refused(tmp_path: Path) -> None:
    """A file in place of the folder is refused."""
    (tmp_path / "cache").touch(0o700)
    with pytest.raises(ConfigurationError, match=r"cache is not a folder\. Fix: "):
        DiskTokenCache(tmp_path / "cache")


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a folder away")
def test_a_foreign_owner_is_refused(tmp_path: Path) -> None:
    """Another user's folder is refused, also by root; the message names both users and the mode."""
    folder = tmp_path / "cache"
    folder.mkdir(mode=0o700)
    os.chown(folder, 12345, -1)
    with pytest.raises(ConfigurationError, match=r"belongs to user 12345 \(mode 0700\), not to 0\. Fix: "):
        DiskTokenCache(folder)


def test_a_symlink_in_place_of_the_database_is_not_followed(tmp_path: Path) -> None:
    """A planted link does not make the cache write to another file."""
    folder, victim = tmp_path / "cache", tmp_path / "victim"
    folder.mkdir(mode=0o700)
    victim.touch()
    (folder / DATABASE).symlink_to(victim)
    with pytest.raises(CacheUnavailable, match=r"cache\.db is a symlink\. Fix: "):
        DiskTokenCache(folder).set("key", b"value", 60)
    assert victim.read_bytes() == b""


@pytest.mark.loopback
def test_tokens_and_secrets_are_sealed_on_disk(tmp_path: Path) -> None:
    """No file contains the token, the secret, the client id or the audience as plain text."""
    folder = tmp_path / "cache"
    with FakeAuthorizationServer(clients={"the-client-id": "the-client-secret"}) as server:
        with TokenSource(
            server.token_endpoint,
            "the-client-id",
            "the-client-secret",
            audience="https://the.audience",
            cache=f"disk:{folder}",
        ) as source:
            token = source.token().value
            source.renew()
        server.fail("invalid_client")
        with (
            TokenSource(server.token_endpoint, "the-client-id", "wrong-secret", cache=f"disk:{folder}") as other,
            pytest.raises(TokenRequestRejected, match="invalid_client"),
        ):
            other.token()
    written = b"".join(path.read_bytes() for path in folder.rglob("*"))
    assert len(written) > 0
    for word in (token, source.token().value, "the-client-secret", "wrong-secret", "the-client-id", "the.audience"):
        assert word.encode() not in written
    assert b"invalid_client" not in written
    source.close()

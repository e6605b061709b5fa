"""The disk cache of real users, with the groups, modes and file systems of containers and shared machines."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from other_users import NO_ENTRY, USER, Users, a_place, as_root

from m2m_auth.testing import FakeAuthorizationServer

pytestmark = [pytest.mark.processes, as_root]

OTHER = 23456
SET = "DiskTokenCache(arguments[0]).set('key', b'value', 60)\n"
GET = "print(DiskTokenCache(arguments[0]).get('key'))\n"
OPEN = "print(refusal(from_url, 'disk:' + arguments[0]))\n"


@pytest.fixture(scope="module")
def users() -> Iterator[Users]:
    """Runs code as other users."""
    with Users() as users:
        yield users


@pytest.mark.parametrize(
    ("mode", "owner", "group", "gid", "groups"),
    [
        (0o777, 0, 0, USER, ()),
        (0o2770, 0, 2000, USER, (2000,)),
        (0o2775, 0, 2000, USER, (2000,)),
        (0o770, OTHER, 2000, USER, (2000,)),
        (0o775, 1001, 0, 0, ()),
        (0o775, USER, 2000, USER, (2000,)),
        (0o1777, 0, 0, USER, ()),
        (0o755, USER, USER, USER, ()),
        (0o750, USER, USER, USER, ()),
    ],
    ids=[
        "emptyDir",
        "fsGroup",
        "fsGroup, readable",
        "deploy's",
        "OpenShift's image",
        "umask 002",
        "/tmp",
        "0755",
        "0750",
    ],
)
def test_two_processes_share_one_mint(
    users: Users, mode: int, owner: int, group: int, gid: int, groups: tuple[int, ...]
) -> None:
    """kubernetes#76158: an emptyDir has mode 0777 and is root's; its user is not root and cannot change that.

    The volume itself may be named, or a folder in it that does not exist yet.
    """
    code = """
for number, folder in enumerate(("", "/tokens")):
    cache = "disk:" + arguments[0] + folder
    with TokenSource(arguments[1], "client", "secret", audience=str(number), cache=cache) as source:
        print(source.token().fingerprint)
"""
    with a_place(mode, owner, group) as volume, FakeAuthorizationServer() as server:
        one, two = (users.run_as(USER, code, volume, server.token_endpoint, gid=gid, groups=groups) for _ in range(2))
        assert one == two
        assert server.mints == 2
        assert volume.stat().st_mode & 0o7777 == mode
        files = [path.stat() for path in volume.rglob("cache.db")]
        assert [(file.st_uid, file.st_mode & 0o777) for file in files] == [(USER, 0o600)] * 2


def test_two_users_of_one_volume_cannot_read_each_other(users: Users) -> None:
    """Each has its own private folder. Neither may look into the other's."""
    with a_place(0o777) as volume:
        users.run_as(USER, SET, volume)
        assert users.run_as(OTHER, GET, volume) == "None"
        users.run_as(OTHER, SET, volume)
        assert sorted(path.name for path in volume.iterdir()) == [f"m2m-auth-{USER}", f"m2m-auth-{OTHER}"]
        look = "try: print(os.listdir(arguments[0]))\nexcept OSError as error: print(error.strerror)\n"
        assert users.run_as(OTHER, look, volume / f"m2m-auth-{USER}") == "Permission denied"


def test_another_user_cannot_read_the_files_of_a_readable_folder(users: Users) -> None:
    """The folder is 0755, the files are 0600, also while another process looks on."""
    with a_place(0o755, USER, USER) as volume:
        users.run_as(USER, SET, volume)
        look = """
for name in sorted(os.listdir(arguments[0])):
    try: print(name, len(open(arguments[0] + "/" + name, "rb").read()))
    except OSError as error: print(name, error.strerror)
"""
        assert set(users.run_as(OTHER, look, volume).splitlines()) == {
            "cache.db Permission denied",
            "cache.db-journal Permission denied",
        }
        assert f"belongs to user {USER} (mode 0755), not to {OTHER}" in users.run_as(OTHER, OPEN, volume)


@pytest.mark.parametrize(
    "plant",
    [
        "os.mkdir(place, 0o777); os.chmod(place, 0o777)",
        "os.symlink(arguments[1], place)",
        "open(place, 'w').close(); os.chmod(place, 0o666)",
    ],
    ids=["folder", "symlink", "file"],
)
def test_what_another_user_has_planted_is_refused(users: Users, plant: str) -> None:
    """The fix is one that this user can carry out, and nothing in the planted place or behind it has changed."""
    with a_place(0o777) as volume:
        own = volume.parent / "own"
        own.mkdir()
        shutil.chown(own, USER, USER)
        users.run_as(OTHER, f"place = arguments[0] + '/m2m-auth-{USER}'\n{plant}\n", volume, own)
        for url in (volume, f"{volume}?shared_parent=allow"):
            said = users.run_as(USER, OPEN, url)
            assert said.startswith(f"ConfigurationError: cache folder {volume}/m2m-auth-{USER}"), said
            assert "Fix: " in said
        assert list(own.iterdir()) == []


def test_a_folder_that_is_moved_away_costs_entries_only(users: Users) -> None:
    """In an emptyDir others can rename the private folder, and put one of theirs there. It is not used."""
    attack = f"""
private = arguments[0] + "/m2m-auth-{USER}"
os.rename(private, arguments[0] + "/taken")
os.mkdir(private, 0o777); os.chmod(private, 0o777)
import sqlite3
sqlite3.connect(private + "/cache.db").close()
"""
    with a_place(0o777) as volume:
        users.run_as(USER, SET, volume)
        users.run_as(OTHER, attack, volume)
        assert f"belongs to user {OTHER} (mode 0777), not to {USER}" in users.run_as(USER, OPEN, volume)
        users.run_as(OTHER, f"import shutil; shutil.rmtree(arguments[0] + '/m2m-auth-{USER}')", volume)
        assert users.run_as(USER, GET, volume) == "None"
        users.run_as(USER, SET, volume)
        assert users.run_as(USER, GET, volume) == "b'value'"


def test_a_race_for_the_folders_name_reaches_no_other_file(users: Users) -> None:
    """Another user swaps the private folder for a link to the folder of an application's diskcache, again and again.

    The application's database, its write-ahead log and its modes stay as they are.
    """
    victim = """
users_cache = diskcache.Cache(arguments[1])
users_cache.set("app", "value")
files = {name: mode(arguments[1] + "/" + name) for name in os.listdir(arguments[1])}
cache = DiskTokenCache(arguments[0])
until, done, refused = time.monotonic() + 2, 0, 0
while time.monotonic() < until or (not (done and refused) and time.monotonic() < until + 20):  # a busy machine
    try:
        cache.set("key", b"value", 60)
        cache.close()
        done += 1
    except CacheUnavailable:
        refused += 1
assert done and refused, (done, refused)
assert list(users_cache) == ["app"] and users_cache.check() == []
assert files == {name: mode(arguments[1] + "/" + name) for name in os.listdir(arguments[1])}
print("untouched")
"""
    attack = f"""
private, away = arguments[0] + "/m2m-auth-{USER}", arguments[0] + "/away"
while not os.path.exists(arguments[0] + "/stop"):
    try:
        os.rename(private, away)
        os.symlink(arguments[1], private)
        time.sleep(0.0002)
        os.unlink(private)
        os.rename(away, private)
    except OSError:
        for undo in (lambda: os.unlink(private), lambda: os.rename(away, private)):
            try: undo()
            except OSError: pass
"""
    with a_place(0o777) as volume, Users() as attackers:
        application = volume.parent / "application"
        application.mkdir()
        shutil.chown(application, USER, USER)
        attacker = threading.Thread(target=attackers.run_as, args=(OTHER, attack, volume, application))
        attackers.run_as(OTHER, "")  # its imports take a second
        attacker.start()
        try:
            assert users.run_as(USER, victim, volume, application) == "untouched"
        finally:
            (volume / "stop").touch()
            attacker.join()


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ({}, f"HOME is not set to a path, and user {NO_ENTRY} is not in the user database"),
        ({"HOME": ""}, "HOME is not set to a path"),
        ({"HOME": "relative"}, "HOME is not set to a path"),
        ({"HOME": "/"}, "cannot write to / (mode 0755, owner 0)"),
        ({"HOME": "/nonexistent"}, "the home folder /nonexistent: No such file or directory"),
        ({"HOME": "/root"}, f"user {NO_ENTRY} cannot reach it: Permission denied"),
        ({"HOME": "/dev/null"}, "Not a directory"),
    ],
    ids=["none", "empty", "relative", "/", "/nonexistent", "another user's", "no folder"],
)
def test_a_user_without_a_home(users: Users, environment: dict[str, str], words: str) -> None:
    """``disk:`` is refused with a fix; neither ``~`` nor a home is made. A named folder works, /tmp too."""
    code = """
print(refusal(from_url, "disk:"))
with tempfile.TemporaryDirectory() as before:
    os.chdir(before)
    refusal(from_url, "disk:")
    refusal(from_url, "disk:~/x")
    print(os.listdir(before))
    os.chdir("/")
cache = from_url("disk:" + arguments[0])
cache.set("key", b"value", 60)
print(cache.get("key"))
"""
    with a_place(0o1777) as tmp:
        said, made, value = users.run_as(NO_ENTRY, code, tmp, gid=0, environment=environment).splitlines()
        assert said.startswith("ConfigurationError: cache")
        assert words in said
        assert "disk:/path/of/your/own" in said
        assert "chmod" not in said
        assert (made, value) == ("[]", "b'value'")
    assert not Path("/nonexistent").exists()


@pytest.mark.parametrize("path", ["~/tokens", "~"])
def test_a_tilde_without_a_home(users: Users, path: str) -> None:
    """It is no folder with the name ``~``."""
    said = users.run_as(NO_ENTRY, OPEN, path)
    assert said.startswith(f"ConfigurationError: cache='disk:{path}': there is no home folder: HOME is not set")
    assert "there is no user 'noone'" in users.run_as(NO_ENTRY, OPEN, "~noone/tokens")


def test_root_with_another_users_home(users: Users) -> None:
    """``sudo -E``: root's files in the user's cache folder would lock the user out of it."""
    with a_place(0o755, USER, USER) as home:
        said = users.run_as(0, OPEN, "", environment={"HOME": str(home)})
        assert f"belongs to user {USER}, and this process is root's. Fix: sudo -H" in said
        assert list(home.iterdir()) == []
        users.run_as(USER, "from_url('disk:').set('key', b'', 60)", environment={"HOME": str(home)})
        code = "from_url('disk:?shared_parent=allow').set('key', b'', 60)"
        users.run_as(0, code, environment={"HOME": str(home)})
        assert (home / ".cache" / "m2m-auth" / "m2m-auth-0" / "cache.db").stat().st_uid == 0


def test_the_home_of_openshifts_images(users: Users) -> None:
    """It is user 1001's and open to group 0, to which the container's own user belongs."""
    with a_place(0o775, 1001, 0) as home:
        code = "from_url('disk:').set('key', b'value', 60); print(from_url('disk:').get('key'))"
        assert users.run_as(NO_ENTRY, code, gid=0, environment={"HOME": str(home)}) == "b'value'"
        assert (home / ".cache" / "m2m-auth" / "cache.db").is_file()


def test_a_users_cache_folder_with_umask_002(users: Users) -> None:
    """``~/.cache`` is 0775. ``~/.cache/m2m-auth`` is the private folder inside, as before."""
    with a_place(0o755, USER, USER) as home:
        code = """
os.mkdir(os.environ["HOME"] + "/.cache")
from_url("disk:").set("key", b"value", 60)
print(from_url("disk:").get("key"), mode(os.environ["HOME"] + "/.cache"), mode(os.environ["HOME"] + "/.cache/m2m-auth"))
"""
        said = users.run_as(USER, code, umask=0o002, environment={"HOME": str(home)})
        assert said == "b'value' 0o775 0o700"


def test_a_umask_that_takes_the_users_own_rights(users: Users) -> None:
    """Root can use folders and files without rights; another user cannot."""
    with a_place(0o777) as volume:
        for below in ("", "/made/here"):
            place = f"{volume}{below}"
            assert users.run_as(USER, f"{SET}{GET}", place, umask=0o777) == "b'value'"


def test_a_folder_without_rights(users: Users) -> None:
    """Each message says who cannot do what where, and has a fix without root's rights."""
    for mode, owner, group in ((0o755, 0, 0), (0o700, 0, 0), (0o2770, 0, 2000), (0o750, OTHER, OTHER)):
        with a_place(mode, owner, group) as volume:
            for below in ("", "/tokens", "/deep/er"):
                said = users.run_as(USER, OPEN, f"{volume}{below}")
                assert said.startswith(f"ConfigurationError: cache folder {volume}"), said
                assert str(USER) in said
                assert "Fix: name a folder of your own, as in disk:/path/of/your/own" in said
                assert "chmod" not in said


def test_a_read_only_file_system() -> None:
    """readOnlyRootFilesystem: known when the cache is made, for a folder that exists and one that does not."""
    with a_place() as volume, Users(tmpfs=(f"ro,mode=755,uid={USER}", volume)) as users:
        for below in ("", "/a/b"):
            said = users.run_as(USER, OPEN, f"{volume}{below}")
            assert said.startswith(f"ConfigurationError: cache folder {volume}{below}: {volume} is on a read-only file")
            assert "file system. Fix: name a folder of your own" in said


def test_a_file_system_that_is_read_only_by_now() -> None:
    """A private folder that was made before is refused, too."""
    code = "subprocess.run(['mount', '-o', 'remount,ro', arguments[0]], check=True)"
    with a_place() as volume, Users(tmpfs=("mode=1777", volume)) as users:
        users.run_as(USER, SET, volume)
        users.run_as(0, code, volume)
        assert "is on a read-only file system. Fix: " in users.run_as(USER, OPEN, volume)


def test_a_file_system_that_becomes_read_only() -> None:
    """Each call still gets its token, and the process mints once."""
    code = """
logging.disable()
with FakeAuthorizationServer() as server:
    cache = DiskTokenCache(arguments[0])
    source = TokenSource(server.token_endpoint, "client", "secret", cache=cache)
    subprocess.run(["mount", "-o", "remount,ro", arguments[0]], check=True)
    print(source.token() == source.token(), server.mints, refusal(cache.get, "key"))
"""
    with a_place() as volume, Users(tmpfs=("mode=755", volume)) as users:
        said = users.run_as(0, code, volume)
        assert said.startswith(
            f"True 1 CacheUnavailable: cache folder {volume}: {volume} is on a read-only file system"
        )


def test_a_full_file_system() -> None:
    """A volume without a free block: no call fails, and the cache works when there is room again."""
    code = """
import errno
logging.disable()
filler = arguments[0] + "/filler"
def mint(server, folder, audience):
    cache = "disk:" + arguments[0] + folder
    with TokenSource(server.token_endpoint, "client", "secret", audience=audience, cache=cache) as source:
        assert source.token() == source.token()
with FakeAuthorizationServer() as server:
    mint(server, "/a", "first")
    try:
        with open(filler, "wb", buffering=0) as file:
            while True:
                file.write(bytes(512))
    except OSError as error:
        assert error.errno == errno.ENOSPC
    mint(server, "/a", "second")
    mint(server, "/b", "third")
    os.unlink(filler)
    print(server.mints)
cache = DiskTokenCache(arguments[0] + "/a")
cache.set("key", b"value", 60)
print(cache.get("key"))
"""
    with a_place() as volume, Users(tmpfs=("size=256k,mode=777", volume)) as users:
        assert users.run_as(USER, code, volume) == "3\nb'value'"

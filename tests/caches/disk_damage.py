"""Damage to a cache folder by other programs."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from disk_steps import DATABASE, execute


def vanish(folder: Path) -> None:
    """The folder is deleted."""
    shutil.rmtree(folder)


def become_file(folder: Path) -> None:
    """A file takes the folder's place."""
    shutil.rmtree(folder)
    folder.write_text("a file")


def become_symlink(folder: Path) -> None:
    """A symlink takes the folder's place."""
    folder.rename(folder.with_name("moved"))
    folder.symlink_to("moved")


def lose_database(folder: Path) -> None:
    """The database file is deleted."""
    (folder / DATABASE).unlink()


def database_a_folder(folder: Path) -> None:
    """A folder takes the database's place."""
    (folder / DATABASE).unlink()
    (folder / DATABASE).mkdir()


def journal_a_folder(folder: Path) -> None:
    """A folder takes the journal's place, so that no transaction can be written: a read-only folder, also for root."""
    for path in folder.glob(DATABASE + "-*"):
        path.unlink()
    (folder / (DATABASE + "-journal")).mkdir()


def read_only(folder: Path) -> None:
    """Folder and file become read-only (root may still write)."""
    (folder / DATABASE).chmod(0o400)
    folder.chmod(0o500)


def noise(folder: Path) -> None:
    """Every file is random bytes, also the ones that SQLite opens if they exist."""
    for name in {*os.listdir(folder), *(DATABASE + suffix for suffix in ("-wal", "-shm", "-journal"))}:
        (folder / name).write_bytes(os.urandom(50_000))


def noise_behind_the_header(folder: Path) -> None:
    """The file has the header of a database, and nothing else of one."""
    with (folder / DATABASE).open("r+b") as file:
        file.seek(100)
        file.write(os.urandom((folder / DATABASE).stat().st_size - 100))


def cut_short(folder: Path) -> None:
    """Every file is cut to a part of a page."""
    for path in folder.iterdir():
        os.truncate(path, 1000)


def emptied(folder: Path) -> None:
    """Every file is emptied; with a memory-mapped file this would be a SIGBUS."""
    for path in folder.iterdir():
        os.truncate(path, 0)


def no_table(folder: Path) -> None:
    """The table is gone."""
    execute(folder, "DROP TABLE Cache")


FAULTS = [
    vanish,
    become_file,
    become_symlink,
    lose_database,
    database_a_folder,
    journal_a_folder,
    read_only,
    noise,
    noise_behind_the_header,
    cut_short,
    emptied,
    no_table,
]
LASTING = {become_file, become_symlink, database_a_folder, journal_a_folder, read_only}
"""A person must repair the folder after these; after the others it works again by itself."""

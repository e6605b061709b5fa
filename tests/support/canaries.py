"""Finds canary secrets in all that an error reporter, a debugger, a log or a repr can show."""

from __future__ import annotations

import base64
import logging
import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any
from urllib.parse import quote

from m2m_auth.oauth2.secrets import Secret

SECRET = "canary/client+secret=0123456789"
TOKEN = "canary.access.token.0123456789abcdef"


def forms(secret: str) -> list[str]:
    """The secret in plain text and in its encodings on the wire."""
    quoted = quote(secret, safe="")
    basic = [base64.b64encode(f"client:{value}".encode()).decode() for value in (secret, quoted)]
    return [secret, quoted, quote(secret), *basic]


class Needles:
    """The texts that must not show. ``add`` those that exist only at run time, such as an assertion."""

    def __init__(self, *secrets: str) -> None:
        self._needles = [form for secret in secrets for form in forms(secret)]

    def add(self, secret: str) -> None:
        """Another secret."""
        self._needles.append(secret)

    def found_in(self, text: str) -> bool:
        """True if a secret, or its first or last 24 characters, is in the text."""
        return any(needle[:24] in text or needle[-24:] in text for needle in self._needles)


def texts(value: object) -> Iterator[str]:
    """One value in each way in which Python makes text of it. A plain string is shown by its repr only."""
    ways = (repr,) if type(value) is str else (repr, str, format, "%s".__mod__, "{!r:>4}".format)
    for way in ways:
        try:
            yield way(value)
        except (AttributeError, TypeError):  # a half-built object, a tuple for %
            yield f"<{type(value).__name__} that cannot be shown>"


def attributes(value: object) -> Iterator[tuple[str, object]]:
    """An object's attributes, in its dict and in its slots."""
    yield from vars(value).items() if hasattr(value, "__dict__") else ()
    for cls in type(value).__mro__:
        slots: Any = cls.__dict__.get("__slots__", ())
        for name in (slots,) if isinstance(slots, str) else slots:
            if hasattr(value, name):
                yield name, getattr(value, name)


def shown_by(value: object) -> Iterator[str]:
    """The value and its attributes, one level deep, without the attributes that a Secret hides."""
    yield from texts(value)
    if isinstance(value, (type, Secret)) or type(value).__module__ == "builtins":
        return
    for name, attribute in attributes(value):
        if not isinstance(attribute, Secret):
            yield f"{name}={attribute!r}"


def chain(error: BaseException) -> Iterator[BaseException]:
    """The error with all its causes and contexts, also those that Python does not print."""
    seen: list[BaseException | None] = [None]
    queue: list[BaseException | None] = [error]
    while queue:
        current = queue.pop()
        if current in seen or current is None:
            continue
        seen.append(current)
        queue += [current.__cause__, current.__context__]
        yield current


def frames(error: BaseException, outside: str) -> Iterator[FrameType]:
    """The frames of its tracebacks, without those of the test in the file ``outside``."""
    for link in chain(error):
        for frame, _ in traceback.walk_tb(link.__traceback__):
            if frame.f_code.co_filename not in (outside, __file__):
                yield frame


def shown_by_frame(frame: FrameType, deep: bool = True) -> Iterator[str]:
    """Each local of a frame, and one level into it."""
    for name, value in frame.f_locals.items():
        for text in shown_by(value) if deep else texts(value):
            yield f"{frame.f_code.co_filename}:{frame.f_lineno} {name}: {text}"


def shown_by_error(error: BaseException, outside: str) -> Iterator[str]:
    """All that an error reporter can print of the error."""
    for link in chain(error):
        yield from texts(link)
        yield repr(link.args)
        yield repr(getattr(link, "__notes__", ()))
        for name, value in vars(link).items():
            yield from (f"{name}: {text}" for text in shown_by(value))
    yield "".join(traceback.TracebackException.from_exception(error, capture_locals=False).format())
    for frame in frames(error, outside):
        yield from shown_by_frame(frame)


class Recorder(logging.Handler):
    """Keeps all log records, warnings and events as text."""

    def __init__(self) -> None:
        super().__init__(1)
        self.shown: list[str] = []
        self.loggers: set[str] = set()

    def emit(self, record: logging.LogRecord) -> None:
        """One log record, with its arguments and its traceback."""
        self.loggers.add(record.name.partition(".")[0])
        self.shown += [record.getMessage(), *(f"{name}={value!r}" for name, value in vars(record).items())]
        if record.exc_info and record.exc_info[1] is not None:
            self.shown += shown_by_error(record.exc_info[1], __file__)

    def on_event(self, event: object) -> None:
        """Keep one event. Pass this method as ``on_event=``."""
        self.shown += shown_by(event)


@contextmanager
def recorded() -> Iterator[Recorder]:
    """Records every log record of any logger at any level, and every warning."""
    recorder, root = Recorder(), logging.getLogger()
    level, m2m = root.level, logging.getLogger("m2m_auth")
    with warnings.catch_warnings(record=True) as warned:
        warnings.simplefilter("always")
        root.addHandler(recorder)
        root.setLevel(1)
        m2m_level = m2m.level
        m2m.setLevel(1)
        try:
            yield recorder
        finally:
            root.setLevel(level)
            m2m.setLevel(m2m_level)
            root.removeHandler(recorder)
            recorder.shown += [str(warning.message) for warning in warned]


def stacks() -> Iterator[FrameType]:
    """The frames of this package that run now in any thread, without the fake server."""
    for frame in sys._current_frames().values():
        current: FrameType | None = frame
        while current is not None:
            name = current.f_globals.get("__name__", "")
            if name.startswith("m2m_auth") and not name.startswith("m2m_auth.testing"):
                yield current
            current = current.f_back

"""Finds canary secrets in whatever an error reporter, a debugger, a log or a repr could show."""

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
    """The secret as it is, and as it goes over the wire."""
    quoted = quote(secret, safe="")
    basic = [base64.b64encode(f"client:{value}".encode()).decode() for value in (secret, quoted)]
    return [secret, quoted, quote(secret), *basic]


class Needles:
    """What must not show; add to it what turns up only at run time, such as an assertion."""

    def __init__(self, *secrets: str) -> None:
        self._needles = [form for secret in secrets for form in forms(secret)]

    def add(self, secret: str) -> None:
        """Another secret."""
        self._needles.append(secret)

    def found_in(self, text: str) -> bool:
        """True if a secret, or a good part of it, is in the text."""
        return any(needle[:24] in text or needle[-24:] in text for needle in self._needles)


def texts(value: object) -> Iterator[str]:
    """One value in every way in which Python makes text of it; a plain string only as the repr it is shown by."""
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
    """The value, and each of its attributes, one level deep; the attributes of a Secret are what it hides."""
    yield from texts(value)
    if isinstance(value, (type, Secret)) or type(value).__module__ == "builtins":
        return
    for name, attribute in attributes(value):
        if not isinstance(attribute, Secret):
            yield f"{name}={attribute!r}"


def chain(error: BaseException) -> Iterator[BaseException]:
    """The error with all its causes and contexts, those that Python would not print included."""
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
    """The frames of its tracebacks, but those of the test in the file ``outside``."""
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
    """All that an error reporter could print of it."""
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
    """Keeps what is logged, warned of and told, whoever says it."""

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

    def told(self, event: object) -> None:
        """One event: pass it as ``on_event=``."""
        self.shown += shown_by(event)


@contextmanager
def recorded() -> Iterator[Recorder]:
    """Everything that is logged, at any level and by anybody, and every warning."""
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
    """The frames of this package, without its fake server, that are running now in any thread."""
    for frame in sys._current_frames().values():
        current: FrameType | None = frame
        while current is not None:
            name = current.f_globals.get("__name__", "")
            if name.startswith("m2m_auth") and not name.startswith("m2m_auth.testing"):
                yield current
            current = current.f_back

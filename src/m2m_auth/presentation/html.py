"""HTML and SVG as elements, for the status page and the proxy operator's page.

A text is escaped when it enters an element, as a child or as an attribute, so a page cannot forget it:

    >>> element("p", "2 < 3", class_="note")
    '<p class="note">2 &lt; 3</p>'

Only :class:`Html` enters an element unescaped, and only the functions of this file make it. A ``+``, a ``join`` or an
f-string turns it into a plain ``str``, which is escaped again: such a mistake shows on the page and opens no hole.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from html import escape
from typing import TypeAlias

__all__ = ["Attribute", "Child", "Html", "document", "element", "fragment", "style_sheet"]


class Html(str):
    """Finished HTML. ``Html(text)`` escapes the text.

    Templates of Django and Jinja insert it as it is, because of ``__html__``.
    """

    __slots__ = ()

    def __new__(cls, text: str = "") -> Html:
        """Return ``text`` escaped, or the same object if it is finished HTML already."""
        return text if isinstance(text, Html) else _finished(_escaped(text))

    def __html__(self) -> str:
        """Return the HTML itself, as template engines ask for it."""
        return self


Child: TypeAlias = "str | Iterable[Child] | None"
"""What an element may contain: text, which is escaped; Html; nothing; or several of them."""
Attribute: TypeAlias = "str | float | bool | None"
"""The value of an attribute. None and False leave the attribute out; True writes its name alone."""

_NAME = re.compile("[A-Za-z][A-Za-z0-9-]*")
_VOID = frozenset({"input", "meta"})
"""Elements without content and without an end tag."""
_RAW = frozenset({"script", "style"})
"""Elements whose content a browser does not unescape."""


def element(tag: str, /, *children: Child, **attributes: Attribute) -> Html:
    """Return an element of HTML or SVG.

    Args:
        tag: its name.
        children: its content.
        attributes: their names with ``_`` for ``-``. A ``_`` at the end, as in ``class_``, is dropped.

    Raises:
        ValueError: a name is invalid, or the element cannot have this content.
    """
    if tag in _RAW or (tag in _VOID and children):
        raise ValueError(f"element({tag!r}) cannot have content here. Fix: style_sheet() for a style")
    start = "".join([_name(tag), *(_attribute(name, value) for name, value in attributes.items())])
    return _finished(f"<{start}>" if tag in _VOID else f"<{start}>{fragment(*children)}</{tag}>")


def fragment(*children: Child) -> Html:
    """Return the children one after the other, each text among them escaped."""
    return _finished("".join(_content(child) for child in children))


def style_sheet(css: str, *, nonce: str = "") -> Html:
    """Return a style element.

    Args:
        css: the style sheet.
        nonce: for a Content-Security-Policy; empty if there is none.

    Raises:
        ValueError: the style sheet has a ``<``, which could end the element.
    """
    if "<" in css:
        raise ValueError("a style sheet cannot contain '<'")
    return _finished(f"<style{_attribute('nonce', nonce or None)}>{css}</style>")


def document(title: str, *body: Child, style: str, nonce: str = "") -> Html:
    """Return a whole page in English.

    Args:
        title: the window's title.
        body: the content.
        style: the style sheet.
        nonce: for a Content-Security-Policy; empty if there is none.
    """
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="robots", content="noindex"),
        element("title", title),
        style_sheet(style, nonce=nonce),
    )
    return _finished(f"<!doctype html>\n{element('html', head, element('body', *body), lang='en')}\n")


def _finished(html: str) -> Html:
    return str.__new__(Html, html)


def _escaped(text: str) -> str:
    return escape(str.__str__(text))  # a subclass of str may have a replace() of its own, which escape() would call


def _content(child: Child) -> str:
    if child is None:
        return ""
    return Html(child) if isinstance(child, str) else "".join(_content(each) for each in child)


def _attribute(name: str, value: Attribute) -> str:
    if value is None or value is False:
        return ""
    name = _attribute_name(name)
    if value is True:
        return f" {name}"
    text = value if isinstance(value, str) else f"{value:.2f}".rstrip("0").rstrip(".")
    return f' {name}="{_escaped(text)}"'


@lru_cache(maxsize=256)
def _attribute_name(keyword: str) -> str:
    return _name(keyword.removesuffix("_").replace("_", "-"))


@lru_cache(maxsize=256)
def _name(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not the name of an element or an attribute")
    return name

"""Reads HTML as a browser does: its elements, attributes and texts. It fails if an element is not closed."""

from __future__ import annotations

from html.parser import HTMLParser

_VOID = {"input", "meta"}


class PageReader(HTMLParser):
    """What a browser sees of ``html``.

    Args:
        html: a page or a piece of one.
    """

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        """Each element with its attributes, in the order of the page."""
        self.rows: list[list[str]] = []
        """The texts of each table row, by cell, with ``|`` after each piece of text. Titles of charts are left out."""
        self._open: list[str] = []
        self._texts: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == [], "every element is closed"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Notes an element."""
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in _VOID:
            self._open.append(tag)
        if tag == "tr":
            self.rows.append([])
        elif tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag: str) -> None:
        """Checks that the innermost element ends."""
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Notes a text."""
        if "style" not in self._open:
            self._texts.append(data)
        if {"td", "th"} & {*self._open} and "title" not in self._open:
            self.rows[-1][-1] += data + "|"

    def handle_comment(self, data: str) -> None:
        """Fails: the pages have no comments."""
        raise AssertionError(data)

    handle_pi = unknown_decl = handle_comment

    @property
    def text(self) -> str:
        """All texts, on one line."""
        return " ".join(" ".join(self._texts).split())

    @property
    def shape(self) -> list[tuple[str, list[str]]]:
        """The elements and the names of their attributes, without any text or value."""
        return [(tag, list(attributes)) for tag, attributes in self.elements]

    def named(self, tag: str) -> list[dict[str, str]]:
        """The attributes of each element with this name."""
        return [attributes for name, attributes in self.elements if name == tag]


def check_shapes_stay_in_their_frames(page: PageReader) -> int:
    """Fails if a rectangle leaves its drawing or has a negative size. Returns the number of rectangles."""
    frame, count = (0.0, 0.0), 0
    for tag, each in page.elements:
        if tag == "svg":
            _, _, *frame_size = map(float, each["viewbox"].split())
            frame = (frame_size[0], frame_size[1])
        elif tag == "rect":
            count += 1
            x, y, width, height = (float(each[name]) for name in ("x", "y", "width", "height"))
            assert min(x, y, width, height) >= 0
            assert x + width <= frame[0] + 0.02
            assert y + height <= frame[1] + 0.02
    return count

"""The HTML layer: every text is escaped when it enters an element, and a parser reads it back as it was."""

from __future__ import annotations

import pytest
from html_reader import PageReader
from hypothesis import given, settings
from hypothesis import strategies as st

from m2m_auth.presentation.html import Html, document, element, fragment, style_sheet

MARKUP = st.sampled_from(
    ["<script>alert(1)</script>", '"><img src=x>', "' onclick='x", "</p></style>", "&lt;", "&amp", "<!--", "]]>"]
)
TEXT = st.lists(MARKUP | st.text(max_size=8), max_size=4).map("".join)


class Page(PageReader):
    """Keeps the texts as they are, with their white space."""

    def raw_text(self) -> str:
        """All texts, one after the other."""
        return "".join(self._texts)


@settings(deadline=None)
@given(TEXT, TEXT)
def test_every_text_comes_back_and_makes_no_element(text: str, value: str) -> None:
    """Text and attribute values of every kind are read back as they went in; no element or attribute is added."""
    page = Page(element("p", text, element("b", [text, None], title=value), class_=value))
    assert page.raw_text() == text * 2
    assert page.elements == [("p", {"class": value}), ("b", {"title": value})]


@settings(deadline=None)
@given(TEXT)
def test_finished_html_that_is_handled_as_text_is_escaped_again(text: str) -> None:
    """What ``+``, ``join``, ``format`` and a slice make of an element is text, so it opens no element."""
    made = element("b", text)
    for spoilt in (made + text, "".join([made, text]), f"{made}", made[:4], made.replace("b", "i"), made.strip()):
        assert PageReader(element("p", spoilt)).shape == [("p", [])]


def test_html_escapes_a_text_once() -> None:
    """``Html(text)`` is the escaped text; finished HTML goes in as it is."""
    assert Html("<b>") == "&lt;b&gt;"
    assert Html(Html("<b>")) == "&lt;b&gt;"
    assert fragment("<", element("b", "&"), None, ["x", [element("i")]]) == "&lt;<b>&amp;</b>x<i></i>"


def test_templates_take_it_as_it_is() -> None:
    """Jinja's escape, which asks for ``__html__`` as Django's does, leaves finished HTML alone."""
    markupsafe = pytest.importorskip("markupsafe")
    assert markupsafe.escape(element("b", "<")) == "<b>&lt;</b>"


class Claims(str):
    """A text from elsewhere that claims to be safe, in both of the ways that template engines know."""

    __slots__ = ()

    def __html__(self) -> str:
        return self

    def replace(self, old: str, new: str, /, count: int = -1) -> Claims:  # type: ignore[override]
        """Return itself: nothing is replaced."""
        return self


def test_only_html_of_this_layer_is_trusted() -> None:
    """A str of another class is escaped as any text, whatever methods it overrides."""
    assert element("p", Claims("<b>"), class_=Claims('"<')) == '<p class="&quot;&lt;">&lt;b&gt;</p>'


def test_attributes() -> None:
    """True is a bare name, None and False are left out, numbers are short, and names get their dashes."""
    made = element("input", required=True, disabled=False, value=None, data_label="x", for_="y", width=1.0, x=2 / 3)
    assert made == '<input required data-label="x" for="y" width="1" x="0.67">'


@pytest.mark.parametrize("name", ["", "p onclick", "p>", "1", "é", "data--\n", "x\ny"])
def test_names_cannot_be_markup(name: str) -> None:
    """The name of an element or attribute is a name, or a ValueError."""
    with pytest.raises(ValueError, match="is not the name of"):
        element(name)
    with pytest.raises(ValueError, match="is not the name of"):
        element("p", **{name: "x"})


def test_elements_that_do_not_escape_have_no_content() -> None:
    """A browser unescapes nothing in style and script: no text gets in there, nor into an element without an end."""
    for tag in ("script", "style"):
        with pytest.raises(ValueError, match="cannot have content"):
            element(tag)
    with pytest.raises(ValueError, match="cannot have content"):
        element("input", "text")
    with pytest.raises(ValueError, match="cannot contain '<'"):
        style_sheet("</style><script>")


@settings(deadline=None)
@given(TEXT, TEXT)
def test_a_document(title: str, nonce: str) -> None:
    """A whole page has its title, its style with the nonce, and its body."""
    page = Page(document(title, element("p", "x"), style="p{}", nonce=nonce))
    assert [tag for tag, _ in page.elements] == ["html", "head", "meta", "meta", "meta", "title", "style", "body", "p"]
    assert page.named("style") == [{"nonce": nonce} if nonce else {}]
    assert page.raw_text().strip() == f"{title}x".strip()

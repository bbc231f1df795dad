"""Pages as a client without JavaScript receives them."""

from collections.abc import Mapping
from html.parser import HTMLParser

from exporter.service import Service
from support import fetch

# Elements without an end tag.
VOID = {"meta", "link", "br", "img", "hr", "input"}


class Page(HTMLParser):
    """A parsed page; every element must be closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, Mapping[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def all(self, tag: str) -> list[Mapping[str, str | None]]:
        """Return the attributes of all elements with a tag."""
        return [attrs for name, attrs in self.elements if name == tag]

    @property
    def text(self) -> str:
        """The text with single spaces."""
        return " ".join("".join(self.words).split())


class VisibleText(HTMLParser):
    """The text of a page that a reader sees or hears, without names, values, and what is marked as English."""

    SPOKEN = ("alt", "aria-label", "data-copied", "data-label", "data-local", "data-sort", "data-utc", "title")

    def __init__(self, text: str) -> None:
        super().__init__()
        self.hidden: list[str] = []
        self.texts: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if self.hidden or tag in {"bdi", "code", "script", "style"} or dict(attrs).get("lang") == "en":
            if tag not in VOID:
                self.hidden.append(tag)
        else:
            self.texts += [value for name, value in attrs if name in self.SPOKEN and value]

    def handle_endtag(self, tag: str) -> None:
        if self.hidden and tag == self.hidden[-1]:
            self.hidden.pop()

    def handle_data(self, data: str) -> None:
        if not self.hidden:
            self.texts.append(data)


async def page(service: Service, path: str) -> Page:
    """Fetch and parse a page."""
    status, text, headers = await fetch(f"{service.urls[0]}{path}")
    assert status == 200
    assert headers["Content-Type"] == "text/html; charset=utf-8"
    return Page(text)

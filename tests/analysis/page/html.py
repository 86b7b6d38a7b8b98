"""Pages taken apart: a tree of elements, and tables as texts."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser

HOSTILE = "</text></style><script>alert(1)</script><img src=x onerror=alert(1)>\"'&{{ 7 * 7 }}"
VOID = {"meta", "link", "img", "br", "hr", "input"}


@dataclass
class Element:
    """An element of a page, with its contents."""

    tag: str
    attributes: dict[str, str]
    contents: "list[Element | str]" = field(default_factory=list)

    @property
    def children(self) -> "list[Element]":
        return [child for child in self.contents if isinstance(child, Element)]

    def walk(self) -> "Iterator[Element]":
        yield self
        for child in self.children:
            yield from child.walk()

    def find(self, tag: str, **attributes: str) -> "list[Element]":
        return [
            element
            for element in self.walk()
            if element.tag == tag and attributes.items() <= element.attributes.items()
        ]

    @property
    def text(self) -> str:
        parts = (
            part.text if isinstance(part, Element) else part for part in self.contents
        )
        return " ".join("".join(parts).split())


class Parser(HTMLParser):
    """Builds the tree, and fails where an element is not closed."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.root = Element("", {})
        self.path = [self.root]
        self.feed(page)
        assert self.path == [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self.path[-1].contents.append(element)
        if tag not in VOID:
            self.path.append(element)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.path.pop().tag == tag

    def handle_data(self, data: str) -> None:
        self.path[-1].contents.append(data)


def read_table(page: Element, name: str) -> list[list[str]]:
    table = page.find("table", id=name)[0]
    return [[cell.text for cell in row.children] for row in table.find("tr")]

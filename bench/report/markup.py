"""HTML and SVG by elements: whatever is not markup already is escaped, so nothing that a peer said becomes part of the page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

_NUMBER: Final = '<td class="number"'


class Markup(str):
    """Text that is markup already."""

    __slots__ = ()


Content = object
"""Markup as it is; None as nothing; lists and tuples element by element; anything else as escaped text."""


def element(name: str, *content: Content, **attributes: object) -> Markup:
    """Return one element.

    Attributes: a trailing underscore is dropped (`class_`), others become hyphens; None and False leave one out.
    """
    opening = [name]
    for key, value in attributes.items():
        if value is None or value is False:
            continue
        key = key.rstrip("_").replace("_", "-")
        opening.append(key if value is True else f'{key}="{escape(str(value))}"')
    return Markup(f"<{' '.join(opening)}>{text(*content)}</{name}>")


def text(*content: Content) -> Markup:
    """Return content as markup."""
    return Markup("".join(_pieces(content)))


def _pieces(content: Iterable[Content]) -> Iterable[str]:
    for one in content:
        if isinstance(one, Markup):
            yield one
        elif isinstance(one, list | tuple):
            yield from _pieces(one)
        elif one is not None:
            yield escape(str(one), quote=False)


def table(head: Sequence[Content], rows: Iterable[Iterable[Content]], **attributes: object) -> Markup:
    """Return a table; a row's cells are content, or `td` elements ready made. A column of numbers has its heading above them."""
    cells = [[cell(one) for one in row] for row in rows]
    numeric = [bool(column) and all(one.startswith(_NUMBER) for one in column) for column in zip(*cells, strict=True)]
    numeric += [False] * (len(head) - len(numeric))
    headings = [
        element("th", one, scope="col", class_="number" if aligned else None) for one, aligned in zip(head, numeric, strict=True)
    ]
    body = element("tbody", [element("tr", row) for row in cells])
    return element("div", element("table", element("thead", element("tr", headings)), body, **attributes), class_="scroll")


def cell(content: Content) -> Markup:
    """Return a table cell, unless it is one already."""
    if isinstance(content, Markup) and content.startswith("<td"):
        return content
    return element("td", content)


def number(content: Content) -> Markup:
    """Return a cell whose content is aligned like a number."""
    return element("td", content, class_="number")


def section(title: str, *content: Content, id_: str) -> Markup:
    """Return a section with its heading."""
    return element("section", element("h2", title), *content, id=id_)

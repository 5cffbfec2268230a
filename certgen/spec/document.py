"""Floor 1: YAML text to a plain tree, with a span for each place in it.

Every scalar stays the text that was written (`NO` is Norway, `12:30:00` is text); only plain tags exist.
"""

from __future__ import annotations

import codecs
from collections.abc import Mapping
from typing import Final

from certgen.diagnostics import CertgenError, Diagnostic, Route, Span, position
from certgen.spec.composer import LINE_BREAK, Composer, Node, concise, file_error, make_span

MAXIMUM_BYTES: Final = 8 * 1024 * 1024
_OF_END_ENTITIES: Final = frozenset({"validity", "renew_before", "issuer"})
"""The defaults that a CA does not inherit."""

_SECTIONS_OF_END_ENTITIES: Final = ("servers", "clients", "peers")
_SECTIONS: Final = ("cas", *_SECTIONS_OF_END_ENTITIES)

Plain = str | list["Plain"] | dict[str, "Plain"] | None


class Document:
    """A spec's text as a plain tree, and the way from a route in it to a span."""

    def __init__(self, file: str, text: str, root: Node, *, has_anchors: bool = False) -> None:
        self.file = file
        self.text = text
        self._lines = LINE_BREAK.split(text)
        self._root = root
        self._has_anchors = has_anchors

    @property
    def plain(self) -> Plain:
        """The tree as dictionaries, lists, texts and None."""
        return _plain(self._root)

    def has(self, route: Route) -> bool:
        """Whether the spec says anything at this place."""
        return self._nearest(route)[1] == len(route)

    def stands_as(self, places: Mapping[str, int]) -> bool:
        """Whether these are all end entities, each by itself.

        Args:
            places: the lines on which they begin, counted from 0, by their addresses.
        """
        sections = {name: self._root.keys_of(name) for name in _SECTIONS_OF_END_ENTITIES}
        found = {f"{name}/{key}": node.line for name, keys in sections.items() for key, node in keys.items()}
        return found == dict(places) and not self._has_anchors

    def entry_places(self) -> dict[str, tuple[int, int]]:
        """Give the line and the column at which each entry begins, both counted from 1, by its address."""
        root = self._root
        keys = {f"{section}/{name}": node for section in _SECTIONS for name, node in root.keys_of(section).items()}
        if "ca" in root.keys:
            keys.setdefault("cas/ca", root.keys["ca"])
        return {address: (node.line + 1, node.column + 1) for address, node in keys.items()}

    def locate(self, diagnostic: Diagnostic) -> Diagnostic:
        """Turn a diagnostic's route into a span: of the place, or of the nearest place above it that was written.

        What an entry inherits is shown where it stands, under `defaults`; `cas/ca` may be written as `ca`.
        """
        if diagnostic.route is None or diagnostic.span is not None:
            return diagnostic
        route = self._as_written(diagnostic.route)
        node, depth = self._nearest(route)
        at_key = diagnostic.at_key if depth == len(route) else isinstance(node.value, dict | None)
        if at_key and depth:
            parent = self._nearest(route[: depth - 1])[0]
            node = parent.keys.get(str(route[depth - 1]), node)
        return Diagnostic(
            diagnostic.severity,
            diagnostic.code,
            concise(diagnostic.message),
            help=concise(diagnostic.help) if diagnostic.help else diagnostic.help,
            span=self._span(node),
            route=diagnostic.route,
        )

    def _as_written(self, route: Route) -> Route:
        if route[:2] == ("cas", "ca") and not self.has(route[:2]):
            route = ("ca", *route[2:])
        entry = 1 if route[:1] == ("ca",) else 2
        if len(route) <= entry or self.has(route[: entry + 1]):
            return route
        is_inherited = route[0] not in {"ca", "cas"} or route[entry] not in _OF_END_ENTITIES
        if is_inherited and self.has(("defaults", route[entry])):
            return ("defaults", *route[entry:])
        return route

    def _nearest(self, route: Route) -> tuple[Node, int]:
        node = self._root
        for depth, step in enumerate(route):
            match node.value, step:
                case dict() as mapping, str() if step in mapping:
                    node = mapping[step]
                case list() as items, int() if step < len(items):
                    node = items[step]
                case list() as items, str() if named := [item for item in items if item.value == step]:
                    # A list of names may stand for a mapping with nothing to say about each.
                    node = named[0]
                case _:
                    return node, depth
        return node, len(route)

    def _span(self, node: Node) -> Span:
        return make_span(self.file, self._lines, node.line, node.column, (node.end_line, node.end_column))


def compose(content: bytes, file: str) -> Document:
    """Read a spec's bytes.

    Args:
        content: the file's content, UTF-8, with or without a byte order mark.
        file: its name in diagnostics.

    Raises:
        CertgenError: not one YAML document with a mapping at its top, or one that is too large or too deep.
    """
    text = decode(content, file)
    composer = Composer(file, text)
    root = composer.compose()
    if composer.problems:
        raise CertgenError(sorted(composer.problems, key=position))
    return Document(file, text, root, has_anchors=composer.has_anchors)


def decode(content: bytes, file: str) -> str:
    """Give the text of a spec.

    Raises:
        CertgenError: it is too large, or not UTF-8.
    """
    if len(content) > MAXIMUM_BYTES:
        raise CertgenError(
            [file_error("too-large", f"the file has {len(content)} bytes, the limit is {MAXIMUM_BYTES}", file)]
        )
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise CertgenError([file_error("not-utf-8", "the file is UTF-16, a spec is UTF-8", file)])
    content = content.removeprefix(codecs.BOM_UTF8)
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as reason:
        line = content.count(b"\n", 0, reason.start) + 1
        message = f"byte 0x{content[reason.start]:02x} in line {line} is not UTF-8"
        raise CertgenError([file_error("not-utf-8", message, file)]) from None


def _plain(node: Node) -> Plain:
    match node.value:
        case dict() as mapping:
            return {key: _plain(value) for key, value in mapping.items()}
        case list() as items:
            return [_plain(item) for item in items]
        case value:
            return value

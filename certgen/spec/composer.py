"""Floor 1: YAML's parse events to nodes that know their places.

PyYAML's own composer overflows the C stack on deep input, resolves `NO` to false, and lets a key stand twice.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import yaml

from certgen.diagnostics import CertgenError, Diagnostic, Severity, Span

MAXIMUM_DEPTH: Final = 64
MAXIMUM_ALIASED_NODES: Final = 100_000
LONGEST_SENTENCE: Final = 600
"""Characters; a sentence is longer only where it quotes what nobody would read."""
LINE_BREAK: Final = re.compile("\r\n|[\n\r\x85\u2028\u2029]")

_FORBIDDEN = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_NULLS = frozenset({"", "~", "null", "Null", "NULL"})


@dataclass(slots=True)
class Node:
    """One value with its place: line and column count from 0, as the parser's do."""

    line: int
    column: int
    end_line: int
    end_column: int
    value: str | list[Node] | dict[str, Node] | None
    keys: dict[str, Node] = field(default_factory=dict)
    """For a mapping, the node of each key."""
    size: int = 1
    """Nodes in it, itself included, aliases expanded."""
    height: int = 1

    def keys_of(self, name: str) -> dict[str, Node]:
        """Give the keys of the mapping that stands under a name; none where none does."""
        found = self.value.get(name) if isinstance(self.value, dict) else None
        return found.keys if found is not None else {}


def make_span(file: str, lines: list[str], line: int, column: int, end: tuple[int, int] | None = None) -> Span:
    """Make a span from a parser's place, counted from 0; one that ends on a later line ends with its first."""
    text = lines[line] if line < len(lines) else ""
    stop = end[1] if end and end[0] == line else len(text.rstrip())
    return Span(file, line + 1, column + 1, max(1, stop - column), text)


def concise(sentence: str) -> str:
    """Cut the middle out of a sentence that quotes too much of a spec."""
    half = LONGEST_SENTENCE // 2
    return sentence if len(sentence) <= LONGEST_SENTENCE else f"{sentence[:half]} ... {sentence[-half:]}"


def file_error(code: str, message: str, file: str, help_: str | None = None) -> Diagnostic:
    """Make an error about a whole file."""
    return Diagnostic(Severity.ERROR, code, message, help=help_, where=file)


@dataclass(slots=True)
class _Frame:
    """A collection that is still open, and for a mapping the key that waits for its value."""

    node: Node
    anchor: str | None
    key: Node | None = None


class Composer:
    """Builds nodes from parse events with a stack of its own, so that depth costs heap and not the C stack."""

    def __init__(self, file: str, text: str) -> None:
        self._file = file
        self._text = text
        self._lines = LINE_BREAK.split(text)
        self._stack: list[_Frame] = []
        self._anchors: dict[str, Node | None] = {}
        """Finished nodes by anchor; None while the anchored collection is open."""
        self._aliased = 0
        self.problems: list[Diagnostic] = []

    @property
    def has_anchors(self) -> bool:
        """Whether any place of the text stands for another."""
        return bool(self._anchors)

    def compose(self) -> Node:
        """Compose the one document of the text; problems that do not end it are kept in `problems`."""
        root: Node | None = None
        for event in self._events():
            if isinstance(event, yaml.DocumentStartEvent) and root is not None:
                message, help_ = "a spec is one YAML document, here begins a second", "make a file of each"
                raise CertgenError([self._problem("several-documents", message, event, help_)])
            if isinstance(event, yaml.NodeEvent | yaml.CollectionEndEvent):
                finished = self._take(event)
                if finished is not None and not self._stack:
                    root = finished
                elif finished is not None:
                    self._add(self._stack[-1], finished)
        return self._checked_root(root)

    def _take(self, event: yaml.Event) -> Node | None:
        """Take one event; give the node that it finishes."""
        match event:
            case yaml.AliasEvent():
                return self._alias(event)
            case yaml.ScalarEvent():
                self._refuse_tag(event)
                is_null = not event.style and event.value in _NULLS
                node = _node_at(event, None if is_null else event.value)
                if event.anchor is not None:
                    self._anchors[event.anchor] = node
                return node
            case yaml.CollectionStartEvent():
                self._refuse_tag(event)
                self._open(event, _node_at(event, {} if isinstance(event, yaml.MappingStartEvent) else []))
                return None
            case _:
                return self._close(event)

    def _open(self, event: yaml.CollectionStartEvent, node: Node) -> None:
        if len(self._stack) >= MAXIMUM_DEPTH:
            message = f"more than {MAXIMUM_DEPTH} levels of nesting"
            raise CertgenError([self._problem("too-deep", message, event)])
        if event.anchor is not None:
            self._anchors[event.anchor] = None
        self._stack.append(_Frame(node, event.anchor))

    def _close(self, event: yaml.Event) -> Node:
        frame = self._stack.pop()
        end = _node_at(event, None)
        frame.node.end_line, frame.node.end_column = end.end_line, end.end_column
        if frame.anchor is not None:
            self._anchors[frame.anchor] = frame.node
        return frame.node

    def _alias(self, event: yaml.AliasEvent) -> Node:
        name = str(event.anchor)
        node = self._anchors.get(name)
        if node is None:
            message = f"the alias `*{name}` " + (
                "contains itself" if name in self._anchors else "has no anchor above it"
            )
            raise CertgenError([self._problem("bad-alias", message, event)])
        self._aliased += node.size
        if self._aliased > MAXIMUM_ALIASED_NODES:
            message = f"the aliases of this file stand for more than {MAXIMUM_ALIASED_NODES} values"
            raise CertgenError([self._problem("too-many-aliases", message, event)])
        if len(self._stack) + node.height > MAXIMUM_DEPTH:
            raise CertgenError([self._problem("too-deep", f"more than {MAXIMUM_DEPTH} levels of nesting", event)])
        place = _node_at(event, node.value)
        place.keys, place.size, place.height = node.keys, node.size, node.height
        return place

    def _add(self, frame: _Frame, node: Node) -> None:
        """Put a finished node into the collection around it."""
        parent = frame.node
        parent.size += node.size
        parent.height = max(parent.height, node.height + 1)
        if isinstance(parent.value, list):
            parent.value.append(node)
        elif frame.key is None:
            frame.key = node
        else:
            self._add_pair(parent, frame.key, node)
            frame.key = None

    def _add_pair(self, parent: Node, key: Node, value: Node) -> None:
        mapping = parent.value
        if not isinstance(mapping, dict):
            raise TypeError("a pair belongs to a mapping")
        if not isinstance(key.value, str | None):
            self.problems.append(self._problem_at("bad-key", "a key is a text, not a collection", key))
            return
        text = key.value if key.value is not None else "null"
        if text in mapping:
            first = parent.keys[text].line + 1
            message = f"`{text}` stands twice in this mapping"
            self.problems.append(self._problem_at("duplicate-key", message, key, f"it stands first in line {first}"))
            return
        mapping[text] = value
        parent.keys[text] = key

    def _refuse_tag(self, event: yaml.ScalarEvent | yaml.CollectionStartEvent) -> None:
        if event.tag not in {None, "!"}:
            message = f"the tag `{event.tag}` is not part of the language"
            self.problems.append(self._problem("yaml-tag", message, event, "remove it"))

    def _checked_root(self, root: Node | None) -> Node:
        if root is None or root.value is None:
            message, help_ = "the file holds no spec", "`certgen init` writes one to start from"
            raise CertgenError([file_error("empty-spec", message, self._file, help_)])
        if not isinstance(root.value, dict):
            kind = "a list" if isinstance(root.value, list) else "a text"
            message, help_ = f"a spec is a mapping, this is {kind}", "it begins with `version: 1`"
            raise CertgenError([self._problem_at("not-a-mapping", message, root, help_)])
        return root

    def _events(self) -> Iterator[yaml.Event]:
        loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
        try:
            yield from yaml.parse(self._text, Loader=loader)
        except yaml.MarkedYAMLError as reason:
            raise self._syntax_error(reason) from None
        except yaml.reader.ReaderError:
            raise self._reader_error() from None

    def _syntax_error(self, reason: yaml.MarkedYAMLError) -> CertgenError:
        mark = reason.problem_mark or reason.context_mark
        problem = reason.problem or "not YAML"
        if mark is None:
            return CertgenError([file_error("yaml-syntax", problem, self._file)])
        span = make_span(self._file, self._lines, mark.line, mark.column, (mark.line, mark.column + 1))
        help_ = None
        indent = span.text[: len(span.text) - len(span.text.lstrip())]
        if "\t" in indent or span.text[mark.column : mark.column + 1] == "\t":
            problem, help_ = "a tab, which YAML does not allow here", "indent with spaces"
        elif "mapping values are not allowed" in problem:
            help_ = "is the line indented right, and a text with `: ` in it quoted?"
        return CertgenError([Diagnostic(Severity.ERROR, "yaml-syntax", f"not YAML: {problem}", help=help_, span=span)])

    def _reader_error(self) -> CertgenError:
        found = _FORBIDDEN.search(self._text)
        before = LINE_BREAK.split(self._text[: found.start() if found else 0])
        line, column = len(before) - 1, len(before[-1])
        span = make_span(self._file, self._lines, line, column, (line, column + 1))
        message = "a control character, which YAML does not allow"
        return CertgenError([Diagnostic(Severity.ERROR, "yaml-syntax", message, span=span)])

    def _problem(self, code: str, message: str, event: yaml.Event, help_: str | None = None) -> Diagnostic:
        return self._problem_at(code, message, _node_at(event, None), help_)

    def _problem_at(self, code: str, message: str, node: Node, help_: str | None = None) -> Diagnostic:
        span = make_span(self._file, self._lines, node.line, node.column, (node.end_line, node.end_column))
        return Diagnostic(Severity.ERROR, code, concise(message), help=help_, span=span)


def _node_at(event: yaml.Event, value: str | list[Node] | dict[str, Node] | None) -> Node:
    start, end = event.start_mark, event.end_mark
    if start is None or end is None:
        raise TypeError("the parser marks every event")
    return Node(start.line, start.column, end.line, end.column, value)

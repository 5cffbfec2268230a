"""An inspection as aligned lines, a fact a line."""

from __future__ import annotations

from certgen.inspection import Inspection, Value
from certgen.report.paint import Painter, Style, plain, printable, wrapped

_BYTES = frozenset({"public_key", "signature_value"})


def render_inspection(
    source: str,
    items: tuple[Inspection, ...],
    paint: Painter = plain,
    width: int | None = None,
    *,
    is_verbose: bool = False,
) -> str:
    """Write what was found in one file.

    Args:
        source: the file or address.
        items: what was found in it.
        paint: gives the colours.
        width: the terminal's width in characters; None for no terminal.
        is_verbose: whether the bytes of keys and signatures are shown, which nobody reads.
    """
    blocks = [
        _render(
            source if len(items) == 1 else f"{source} ({n} of {len(items)})", item, paint, width, is_verbose=is_verbose
        )
        for n, item in enumerate(items, 1)
    ]
    return "\n".join(blocks)


def _render(source: str, item: Inspection, paint: Painter, width: int | None, *, is_verbose: bool) -> str:
    lines = [paint(f"{printable(source)}: {item.kind}", Style.STRONG)]
    facts = [(name, value) for name, value in item.facts if is_verbose or name not in _BYTES]
    column = max(len(name) for name, _ in facts) + 1
    for name, value in facts:
        label = name.replace("_", " ")
        texts = _texts(value)
        for number, text in enumerate(texts):
            lead = f"  {label if number == 0 else '':<{column}} "
            lines.append(wrapped(f"{lead}{printable(text)}", width, " " * len(lead)))
    return "\n".join(lines) + "\n"


def _texts(value: Value) -> list[str]:
    match value:
        case bool():
            return ["yes" if value else "no"]
        case list():
            texts = [item if isinstance(item, str) else f"{item['serial_number']} on {item['date']}" for item in value]
            return texts or ["none"]
        case _:
            return [str(value)]

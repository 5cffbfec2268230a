"""An inspection as aligned lines, a fact a line."""

from __future__ import annotations

from certgen.inspection import Inspection, Value
from certgen.report.paint import Painter, Style, plain, printable


def render_inspection(source: str, items: tuple[Inspection, ...], paint: Painter = plain) -> str:
    """Write what was found in one file.

    Args:
        source: the file or address.
        items: what was found in it.
        paint: gives the colours.
    """
    blocks = [
        _render(source if len(items) == 1 else f"{source} ({n} of {len(items)})", item, paint)
        for n, item in enumerate(items, 1)
    ]
    return "\n".join(blocks)


def _render(source: str, item: Inspection, paint: Painter) -> str:
    lines = [paint(f"{printable(source)}: {item.kind}", Style.STRONG)]
    column = max(len(name) for name, _ in item.facts) + 1
    for name, value in item.facts:
        label = name.replace("_", " ")
        texts = _texts(value)
        lines.append(f"  {label:<{column}} {printable(texts[0])}")
        lines += [f"  {'':<{column}} {printable(text)}" for text in texts[1:]]
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

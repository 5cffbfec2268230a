"""The page of a consumer, the README.md of its folder: its prose is written, the table of its options is made."""

import re
from enum import StrEnum
from pathlib import Path
from typing import Final

import yaml

from certgen.consumers.options import described_options
from certgen.consumers.registry import options_model

CONSUMERS: Final = Path(__file__).parent.parent / "certgen" / "consumers"
SECTIONS: Final = ("Options", "Files", "Reload", "A refusal")
"""What every page has."""

_OPTIONS: Final = re.compile(r"(?<=^## Options\n\n).*?(?=\n## )", re.MULTILINE | re.DOTALL)
_EXAMPLE: Final = re.compile(r"(?<=^```yaml\n).*?(?=^```$)", re.MULTILINE | re.DOTALL)


class Refused(StrEnum):
    """Who is turned away, as a page calls them."""

    NO_CERTIFICATE = "a client without a certificate"
    OTHER_AUTHORITY = "a client of another CA"
    NOT_A_CLIENT = "a server's certificate, used as a client's"
    NOT_ALLOWED = "a client outside `allow`"
    WRONG_NAME = "a server of another name"


def page_file(consumer: str) -> Path:
    """Give the file of a consumer's page."""
    return CONSUMERS / consumer / "README.md"


def completed(consumer: str, page: str) -> str:
    """Give a page with the table of options as it has to be, and with the golden spec as its example."""
    rows = (f"| `{name}` | {_cell(meaning)} | `{_cell(written(one))}` |" for name, meaning, one in _options(consumer))
    table = "\n".join(["| option | meaning | example |", "|---|---|---|", *rows, ""])
    example = (CONSUMERS / consumer / "golden/spec.yaml").read_text(encoding="utf-8")
    return _EXAMPLE.sub(lambda _: example, _OPTIONS.sub(lambda _: table, page, count=1), count=1)


def words_of_the_log(consumer: str) -> dict[Refused, str]:
    """Read what a page says that the program's log has for each refusal; `nothing` is no words."""
    page = page_file(consumer).read_text(encoding="utf-8")
    rows = re.findall(r"^\| (a .*?) \| (?:`(.*)`|nothing) \|$", page, re.MULTILINE)
    return {Refused(who): words.replace("\\|", "|") for who, words in rows}


def written(value: object) -> str:
    """Write a value as a spec may have it, on one line."""
    text = yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=1000)
    return text.removesuffix("...\n").strip()


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _options(consumer: str) -> list[tuple[str, str, object]]:
    return list(described_options(options_model(consumer)))

"""The spec that `certgen init` writes."""

from pathlib import Path

from certgen.pipeline import load_spec
from certgen.starter import STARTER


def test_it_compiles_as_it_stands_and_warns_of_nothing(tmp_path: Path) -> None:
    path = tmp_path / "pki.yaml"
    path.write_text(STARTER)
    loaded = load_spec(path)
    assert [str(entry.address) for entry in loaded.bundle.entries] == ["cas/ca", "servers/api", "clients/checkout"]
    assert loaded.warnings == ()


def test_what_it_teaches_in_comments_is_valid_too(tmp_path: Path) -> None:
    path = tmp_path / "pki.yaml"
    text = STARTER.replace("# sans:", "sans:").replace("# name_constraints:", "name_constraints:")
    path.write_text(text.replace("# peers:", "peers:").replace("#   etcd-0:", "  etcd-0:"))
    assert len(load_spec(path).bundle.entries) == 4


def test_no_line_is_wider_than_a_terminal_of_a_hundred_columns() -> None:
    assert [line for line in STARTER.splitlines() if len(line) > 100] == []

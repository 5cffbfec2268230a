"""The names of what stands behind one link: which are generations, which is the next, where the links lead."""

from pathlib import Path

import pytest

from certgen.publication import LINK_NAME, is_generation, is_hidden, link_to, next_generation


@pytest.mark.parametrize("name", ["..1", "..9", "..10", "..999999999"])
def test_a_generation_has_a_number(name: str) -> None:
    assert is_generation(name)
    assert is_hidden(name)


@pytest.mark.parametrize(
    "name",
    [
        "..",
        "..0",
        "..01",
        "..1/",
        "../1",
        ".1",
        "1",
        "..1a",
        "..-1",
        "..1234567890",
        "..\u0661",
        LINK_NAME,
        "..1\n",
        "",
    ],
)
def test_nothing_else_is_one(name: str) -> None:
    assert not is_generation(name)


@pytest.mark.parametrize(
    ("names", "following"),
    [
        ((), "..1"),
        (("cert.pem", LINK_NAME, "..old"), "..1"),
        (("..1",), "..2"),
        (("..9", "..10", "..2"), "..11"),
        (("..999999999", "..1"), "..2"),
        (("..1000000000", "..3"), "..4"),
    ],
)
def test_a_new_generation_is_later_than_all_that_there_are_as_long_as_numbers_last(
    names: tuple[str, ...], following: str
) -> None:
    assert next_generation(names) == following
    assert is_generation(following)


@pytest.mark.parametrize("name", ["cert.pem", "envoy/trust.yaml", "a/b/c"])
def test_a_link_leads_to_the_file_of_its_name_in_the_generation_in_force(name: str, tmp_path: Path) -> None:
    (tmp_path / "..7" / name).parent.mkdir(parents=True)
    (tmp_path / "..7" / name).write_text(name)
    (tmp_path / LINK_NAME).symlink_to("..7")
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / name).symlink_to(link_to(name))
    assert (tmp_path / name).read_text() == name
    assert not Path(link_to(name)).is_absolute()

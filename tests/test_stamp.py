"""A stamp as bytes: what is written is read again, and what is torn is none."""

from hypothesis import given
from hypothesis import strategies as st

from certgen.stamp import Stamp, parse_stamp, render_stamp

LINE = st.text(st.characters(exclude_characters="\n\r", exclude_categories=["Cs"])) | st.just("caf\udce9")
NAME = st.text(st.characters(exclude_characters="\n\t", exclude_categories=["Cs"]), min_size=1)


def stamps(line: st.SearchStrategy[str]) -> st.SearchStrategy[Stamp]:
    lines = st.lists(line, max_size=3)
    return st.builds(
        Stamp,
        judge=line,
        spec=line,
        options=line,
        judged=st.integers(),
        due=st.integers(),
        inputs=st.dictionaries(line, st.text("0123456789abcdef"), max_size=3),
        trees=lines,
        package=lines,
        folders=lines,
        files=lines,
        facts=st.binary(max_size=80),
        outline=lines,
        said=st.dictionaries(NAME, st.text(st.characters(exclude_categories=["Cs"]), max_size=40), max_size=4),
    )


def values(stamp: Stamp | None) -> dict[str, object]:
    assert stamp is not None
    return {name: getattr(stamp, name) for name in Stamp.__slots__}


@given(stamps(LINE))
def test_what_is_written_is_read_again(stamp: Stamp) -> None:
    content = render_stamp(stamp)
    assert content is not None
    assert values(parse_stamp(content)) == values(stamp)


@given(stamps(LINE), st.data())
def test_what_is_torn_is_none(stamp: Stamp, data: st.DataObject) -> None:
    content = render_stamp(stamp) or b""
    cut = data.draw(st.integers(0, len(content) - 1))
    assert parse_stamp(content[:cut]) is None
    assert parse_stamp(content + b"x") is None


@given(st.binary(max_size=200) | st.builds(lambda text: text.encode(), st.text("0123456789 \n", max_size=60)))
def test_what_is_no_stamp_is_none(content: bytes) -> None:
    assert parse_stamp(content) is None


def test_a_name_with_a_line_break_has_no_stamp() -> None:
    empty = {
        "judged": 0,
        "due": 0,
        "inputs": {},
        "trees": [],
        "package": [],
        "folders": [],
        "facts": b"",
        "said": {},
        "outline": [],
    }
    stamp = Stamp(judge="j", spec="s", options="o", files=["a\nb"], **empty)  # type: ignore[arg-type]  # values of many kinds
    assert render_stamp(stamp) is None
    stamp.files = ["a"]
    assert render_stamp(stamp) is not None

"""Floor 0: the stamp: what a run judged and found as it should be, so that the next one need not look again.

A cache of this machine's, never the truth: whatever in it is not as it was costs time, and nothing else. This module
imports nothing, so that a run with nothing to do starts at the price of the interpreter.
"""

_HEAD = "certgen stamp 1"
_LISTS = 7


class Stamp:
    """What one tree was judged by.

    Args:
        judge: the version, the interpreter and the user that judged.
        spec: the spec's path, as it was named.
        options: the options of the run that bear on the judgement.
        judged, due: when it was judged, and from when on it is not worth anything; seconds since 1970.
        inputs: the digest of each file that was read, by its path, as it was named.
        trees: the names of all trees beside this one, itself included.
        package: certgen's own folders, relative to the package.
        folders, files: what was looked at in the tree, relative to it.
        facts: the facts of package, folders and files, in this order.
        said: what the run has to say, by command, stream and look.
        outline: where the entries stand in the spec, for a run in which few of many changed.
    """

    __slots__ = (
        "due", "facts", "files", "folders", "inputs", "judge", "judged", "options", "outline", "package", "said",
        "spec", "trees",
    )  # fmt: skip

    def __init__(  # noqa: PLR0913 - a dataclass would import what this module saves
        self,
        *,
        judge: str,
        spec: str,
        options: str,
        judged: int,
        due: int,
        inputs: dict[str, str],
        trees: list[str],
        package: list[str],
        folders: list[str],
        files: list[str],
        facts: bytes,
        said: dict[str, str],
        outline: list[str],
    ) -> None:
        self.judge = judge
        self.spec = spec
        self.options = options
        self.judged = judged
        self.due = due
        self.inputs = inputs
        self.trees = trees
        self.package = package
        self.folders = folders
        self.files = files
        self.facts = facts
        self.said = said
        self.outline = outline


def render_stamp(stamp: Stamp) -> bytes | None:
    """Write a stamp as bytes; None where a name in it has a line break, with which it cannot be written."""
    values = [stamp.judge, stamp.spec, stamp.options, str(stamp.judged), str(stamp.due)]
    inputs = [f"{digest}\t{path}" for path, digest in stamp.inputs.items()]
    said = [f"{key}\t{_escaped(text)}" for key, text in stamp.said.items()]
    lists = [inputs, stamp.trees, stamp.package, stamp.folders, stamp.files, said, stamp.outline]
    lines = [_HEAD, *values, " ".join(str(len(items)) for items in lists), *(line for items in lists for line in items)]
    if any("\n" in line for line in lines):
        return None
    text = "\n".join(lines).encode("utf-8", "surrogateescape")
    return b"%d %d\n%b\n%b" % (len(text), len(stamp.facts), text, stamp.facts)


def parse_stamp(content: bytes) -> Stamp | None:
    """Read a stamp; None where it is none, or is torn."""
    sizes, _, rest = content.partition(b"\n")
    try:
        length, of_facts = map(int, sizes.split(b" "))
        lines = rest[:length].decode("utf-8", "surrogateescape").split("\n")
        if len(rest) != length + 1 + of_facts or lines[0] != _HEAD:
            return None
        judge, spec, options, judged, due, counts = lines[1:7]
        found, place = [], 7
        for count in map(int, counts.split(" ")):
            found.append(lines[place : place + count])
            place += count
        if place != len(lines) or len(found) != _LISTS:
            return None
        inputs, trees, package, folders, files, said, outline = found
        return Stamp(
            judge=judge,
            spec=spec,
            options=options,
            judged=int(judged),
            due=int(due),
            inputs={path: digest for digest, path in map(_split, inputs)},
            trees=trees,
            package=package,
            folders=folders,
            files=files,
            facts=rest[length + 1 :],
            said={key: _unescaped(text) for key, text in map(_split, said)},
            outline=outline,
        )
    except ValueError:
        return None


def _split(line: str) -> tuple[str, str]:
    first, tab, second = line.partition("\t")
    if not tab:
        raise ValueError(line)
    return first, second


def _escaped(text: str) -> str:
    return text.replace("\\", "\\b").replace("\n", "\\n")


def _unescaped(text: str) -> str:
    return text.replace("\\n", "\n").replace("\\b", "\\")

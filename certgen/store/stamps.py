"""Stamps on the disk: read, compared with what stands there, and written. It imports next to nothing, as `stamp` does.

A stamp is believed as git believes its index: by what the file system says of each file. Whoever makes one elsewhere
would have to foretell inodes, and the nanoseconds at which files change.
"""

import os
import sys
import time
from struct import iter_unpack, pack

from certgen import __version__
from certgen.stamp import Stamp, parse_stamp, render_stamp

try:
    # hashlib would load all of OpenSSL.
    from _blake2 import blake2b
except ImportError:
    from hashlib import blake2b

SETTLED, COARSELY_SETTLED = 10_000_000, 2_000_000_000
"""Nanoseconds: what changed later than this before a look may change once more without a trace: the slowest tick of
Linux. The second is for file systems that note no more than tenths of a second, or whole ones."""

_ROOT = "."
_MACHINE_FOLDER = ".certgen"
_STAMP_NOTE = ".certgen/stamp"
_KEYS_NOTE = ".certgen/keys"
_NEW_STAMP_NOTE = ".certgen/stamp.new"
_TREE_FILES = ["manifest.json", ".gitignore", ".gitattributes"]
_SETTLED_NOTES = {"lock", "keys", "stamp"}
_LONGEST_STAMP = 256 * 1024 * 1024
_LONGEST_INPUT = 16 * 1024 * 1024
_FOLDER, _FILE, _KIND = 0o040000, 0o100000, 0o170000
_POSITIVE = 2**63 - 1
_PACKAGE = os.path.dirname(os.path.dirname(__file__))
_CLOSE, _NO_LINK = getattr(os, "O_CLOEXEC", 0), getattr(os, "O_NOFOLLOW", 0)


def judge() -> str:
    """Tell who judges: this version, interpreter and user."""
    user = os.geteuid() if hasattr(os, "geteuid") else 0
    return f"certgen {__version__}, Python {sys.version}, user {user}".replace("\n", " ")


def digest(content: bytes) -> str:
    """Give the digest of a file that was read."""
    return blake2b(content, digest_size=32).hexdigest()


def facts(found: os.stat_result) -> tuple[int, int, int, int, int]:
    """Give what tells a file from what it was: inode, size, times in nanoseconds, kind and mode."""
    return found.st_ino & _POSITIVE, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_mode


def packed(rows: list[tuple[int, int, int, int, int]]) -> bytes:
    """Write facts as bytes."""
    return _packed([number for row in rows for number in row])


def unpacked(content: bytes) -> list[tuple[int, int, int, int, int]]:
    """Read facts that were written as bytes."""
    return list(iter_unpack("<5q", content))


def package_folders() -> dict[str, tuple[int, int, int, int, int]]:
    """Give the facts of the package's own folders, which another installation makes anew, by their paths in it."""
    found = {}
    for folder, _, names in os.walk(_PACKAGE):
        if any(name.endswith(".py") for name in names):
            found[os.path.relpath(folder, _PACKAGE)] = facts(os.lstat(folder))
    return found


def trees_in(output: str) -> list[str]:
    """Give the names of the trees in an output folder, sorted.

    Raises:
        OSError: it cannot be looked into.
    """
    return sorted(name for name in os.listdir(output) if _is_there(f"{output}/{name}/{_TREE_FILES[0]}"))


def read_stamp(root: str) -> Stamp | None:
    """Read the stamp of a tree; None where there is none.

    Raises:
        OSError: it cannot be read.
    """
    if not _is_there(f"{root}/{_STAMP_NOTE}"):
        return None
    return parse_stamp(_read(f"{root}/{_STAMP_NOTE}", _LONGEST_STAMP))


def likely_trees(output: str, spec: str) -> list[str]:
    """Give the names that a spec's tree may have, the likely one first.

    Raises:
        OSError: the output cannot be looked into.
    """
    likely = spec.rpartition("/")[2].removesuffix(".yaml").removesuffix(".yml").removesuffix(".certgen")
    return list(dict.fromkeys((likely, *os.listdir(output))))


def write_stamp(root: str, stamp: Stamp, at_rest: int) -> None:
    """Put a stamp in place, in one step; where that cannot be done there is none, and the next run looks again.

    Args:
        root: the tree's folder.
        stamp: what to write.
        at_rest: for how long nothing had changed when it was looked at, in nanoseconds.
    """
    content = render_stamp(stamp)
    new = f"{root}/{_NEW_STAMP_NOTE}"
    try:
        if content is None or not _is_folder(f"{root}/{_MACHINE_FOLDER}"):
            return
        if _is_there(new):
            os.unlink(new)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_LINK | _CLOSE, 0o600)
        try:
            with open(descriptor, "wb") as file:
                file.write(content)
                file.flush()
                is_settled = at_rest > _unsettled(os.fstat(descriptor).st_mtime_ns)
            if is_settled:
                os.replace(new, f"{root}/{_STAMP_NOTE}")
            else:
                os.unlink(new)
        except OSError:
            os.unlink(new)
    except OSError:
        return


def _unsettled(written: int) -> int:
    """Tell how old a change must be, by this machine's clock, for one after it to be seen.

    Args:
        written: what the file system noted as the time of a write of this moment: its clock may be another's.
    """
    grain = SETTLED if written % 1_000_000 else COARSELY_SETTLED
    return grain + abs(time.time_ns() - written)


def holds(stamp: Stamp, output: str, name: str, digests: dict[str, str]) -> bool:
    """Tell whether everything but the clock is as it was when a tree was judged.

    Args:
        stamp: the tree's.
        output: the folder of all trees.
        name: the tree's name.
        digests: by path, of the inputs that were read before; it takes those that are read now.

    Raises:
        OSError: something is not there any more, or cannot be looked at.
    """
    root = f"{output}/{name}"
    return (
        stamp.judge == judge()
        and stamp.folders[:1] == [_ROOT]
        and stamp.files[:3] == _TREE_FILES
        and _is_folder(output)
        and _is_folder(root)
        and _is_folder(f"{root}/{_MACHINE_FOLDER}")
        and _is_at_rest(os.listdir(f"{root}/{_MACHINE_FOLDER}"), stamp)
        and trees_in(output) == stamp.trees
        and all(_is_input(path, stamp) and _digest_now(path, digests) == known for path, known in stamp.inputs.items())
        and _facts_now(root, stamp) == stamp.facts
    )


def _is_at_rest(notes: list[str], stamp: Stamp) -> bool:
    """Whether no run has left anything unfinished, and none has noted keys that were not noted before."""
    return _SETTLED_NOTES.issuperset(notes) and ("keys" in notes) == (_KEYS_NOTE in stamp.files)


def _facts_now(root: str, stamp: Stamp) -> bytes:
    numbers: list[int] = []
    extend, look = numbers.extend, os.lstat
    for folder, paths in ((_PACKAGE, stamp.package), (root, stamp.folders), (root, stamp.files)):
        for path in paths:
            found = look(f"{folder}/{path}")
            # As `facts` says, without a call for each of a fleet's files.
            extend((found.st_ino & _POSITIVE, found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_mode))
    return _packed(numbers)


def _packed(numbers: list[int]) -> bytes:
    return pack(f"<{len(numbers)}q", *numbers)


def _is_input(path: str, stamp: Stamp) -> bool:
    """Whether a file is read where it stands: the spec may be reached by links, what it names may not."""
    folder = os.path.dirname(stamp.spec)
    return path == stamp.spec or os.path.realpath(path) == os.path.join(
        os.path.realpath(folder), os.path.relpath(path, folder or ".")
    )


def _digest_now(path: str, digests: dict[str, str]) -> str:
    if path not in digests:
        digests[path] = digest(_read(path, _LONGEST_INPUT))
    return digests[path]


def _read(path: str, limit: int) -> bytes:
    """Read a regular file of the user's own, of at most so many bytes.

    Raises:
        OSError: it is none.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | _CLOSE)
    with open(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if found.st_mode & _KIND != _FILE or found.st_size > limit:
            raise OSError(path)
        return file.read(limit)


def _is_there(path: str) -> bool:
    try:
        os.lstat(path)
    except OSError:
        return False
    return True


def _is_folder(path: str) -> bool:
    return os.lstat(path).st_mode & _KIND == _FOLDER

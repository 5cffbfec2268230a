"""Reading: one file at a time, without following a link, and never more than a limit."""

from __future__ import annotations

import errno
import os
import stat
import sys
from contextlib import suppress
from pathlib import Path
from typing import Final

from certgen.diagnostics import CertgenError, error
from certgen.model import NAME
from certgen.publication import LINK_NAME, is_generation, is_hidden, link_to
from certgen.store.stamps import facts
from certgen.tree import (
    ABSENT,
    CERTIFICATE_FILE,
    MANIFEST_FILE,
    PUBLIC_MODE,
    FileContent,
    FileKind,
    FileState,
)

MAXIMUM_FILE: Final = 1024 * 1024
"""Bytes; the largest PEM file that certgen writes is far below."""

_A_LINK: Final = "a symbolic link, which is not followed"
_REMEDY: Final = "mend that and run it again: what was begun is completed"
READ_FLAGS: Final = (
    os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0)
)


def read_file(path: str | Path, limit: int = MAXIMUM_FILE) -> FileState:
    """Read a regular file without following a link; what cannot be read is told as such, never raised.

    Args:
        path: the file.
        limit: the most bytes that are read.
    """
    try:
        descriptor = os.open(path, READ_FLAGS)
    except FileNotFoundError:
        return ABSENT
    except OSError as reason:
        return _unopened(path, reason)
    try:
        found = os.fstat(descriptor)
    except OSError as reason:
        let_go(descriptor)
        return _unopened(path, reason)
    return _read_opened(descriptor, found, limit)


def read_entry_file(folder: Path, name: str) -> FileState:
    """Read a file of an entry's folder, wherever that was copied, and also behind its one link.

    Args:
        folder: the entry's.
        name: of the file, in that.
    """
    with suppress(OSError):
        generation = os.readlink(folder / LINK_NAME)
        is_ours = is_generation(generation) and os.readlink(folder / name) == link_to(name)
        if is_ours and not (folder / generation).is_symlink():
            return read_file(folder / generation / name)
    return read_file(folder / name)


def _read_opened(descriptor: int, found: os.stat_result, limit: int) -> FileState:
    mode = stat.S_IMODE(found.st_mode)
    if not stat.S_ISREG(found.st_mode):
        let_go(descriptor)
        return FileState(FileKind.OTHER, mode, reason="not a regular file")
    try:
        content = _content_of(descriptor, found.st_size, limit + 1)
    except OSError as reason:
        return FileState(FileKind.CLOSED, mode, reason=reason.strerror or "it cannot be read")
    if len(content) > limit:
        return FileState(FileKind.UNREADABLE, mode, reason=f"it has more than {limit} bytes")
    return FileState(FileKind.FILE, mode, content, is_linked=found.st_nlink > 1, facts=facts(found))


def _content_of(descriptor: int, size: int, limit: int) -> bytes:
    """Read what was opened, of which the size may be wrong by now, and close it."""
    try:
        content = os.read(descriptor, min(size + 1, limit))
        while size < len(content) < limit:
            size = len(content)
            content += os.read(descriptor, limit - size)
    except OSError:
        let_go(descriptor)
        raise
    os.close(descriptor)
    return content


def let_go(descriptor: int) -> None:
    """Close what has nothing to say any more: what was written to it is synced, or of no matter."""
    with suppress(OSError):
        os.close(descriptor)


def is_there(path: str | Path) -> bool:
    """Tell whether something stands at a path, be it a link that leads nowhere.

    Raises:
        OSError: that cannot be told, which is another answer than no.
    """
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return False
    return True


def read_beside(folder: Path, name: str) -> FileContent:
    """Read a file that a spec names: below the spec's folder, no link followed; its content is told to nobody else."""
    if Path(name).is_absolute() or ".." in Path(name).parts or "\0" in name:
        return FileContent(None, "is outside the spec's folder")
    try:
        if any((folder / parent).is_symlink() for parent in Path(name).parents):
            return FileContent(None, "is reached through a symbolic link, which is not followed")
    except OSError as reason:
        return FileContent(None, f"cannot be read: {reason.strerror}")
    state = read_file(folder / name)
    match state.kind:
        case FileKind.FILE:
            return FileContent(state.content)
        case FileKind.ABSENT:
            return FileContent(None, "does not exist beside the spec")
        case _:
            return FileContent(None, f"cannot be read: {state.reason}")


def _unopened(path: str | Path, reason: OSError) -> FileState:
    try:
        mode = os.lstat(path).st_mode
    except OSError:
        if reason.errno == errno.ELOOP:
            return FileState(FileKind.OTHER, reason=_A_LINK)
        kind = FileKind.OTHER if isinstance(reason, NotADirectoryError) else FileKind.CLOSED
        return FileState(kind, reason=reason.strerror or "it cannot be opened")
    if stat.S_ISREG(mode):
        return FileState(FileKind.CLOSED, stat.S_IMODE(mode), reason=reason.strerror or "it cannot be opened")
    what = _A_LINK if stat.S_ISLNK(mode) else "not a regular file"
    return FileState(FileKind.OTHER, stat.S_IMODE(mode), reason=what)


def find_trees(output: Path) -> tuple[Path, ...]:
    """Give the folders below the output that carry a manifest, sorted."""
    try:
        manifests = [path for path in output.glob(f"*/{MANIFEST_FILE}") if not path.parent.is_symlink()]
    except OSError:
        return ()
    return tuple(sorted(path.parent for path in manifests))


def create_file(path: Path, content: bytes, mode: int = PUBLIC_MODE) -> None:
    """Write a file that does not exist yet, with the folders above it.

    Raises:
        CertgenError: it exists, or the disk refused.
    """
    with explained(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode)
        except FileExistsError:
            message = f"{path} exists, and it is left as it is"
            raise CertgenError([error("exists", message, help="name another file", where=str(path))]) from None
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)


def discard_file(path: Path) -> None:
    """Remove a file that was written a moment ago for something that then could not be done."""
    with explained(path):
        path.unlink(missing_ok=True)


def find_readable(text: str, output: Path) -> list[tuple[str, bytes]]:
    """Find the files that a person means and read them.

    Args:
        text: a file, a folder of PEM files, `-` for standard input, or an address, which may be qualified.
        output: the folder of all trees, in which addresses are looked up.

    Raises:
        CertgenError: there is none, there are several, or one cannot be read.
    """
    if text == "-" and sys.stdin is not None:
        return [("standard input", _standard_input())]
    try:
        paths = _paths_of(text, output)
    except OSError:
        paths = []
    if not paths:
        message = f"`{text}` is neither a file nor an entry below {output}/"
        help_ = "for example servers/api, or output/shop/servers/api/cert.pem"
        raise CertgenError([error("not-found", message, help=help_, where=text)])
    return [(str(item), _content(item)) for item in paths]


def find_entry_folder(text: str, output: Path) -> Path:
    """Find the folder of an entry.

    Args:
        text: an address, which may be qualified, or the folder itself.
        output: the folder of all trees.

    Raises:
        CertgenError: there is none, or there are several.
    """
    candidates = _certificate_of(text, output)
    if not candidates and _is_file(Path(text) / CERTIFICATE_FILE):
        return Path(text)
    if not candidates:
        message = f"`{text}` is neither an entry below {output}/ nor a folder with {CERTIFICATE_FILE}"
        near = sorted({str(path.parent.relative_to(path.parents[2])) for path in _named_alike(text, output)})
        help_ = (
            f"did you mean `{near[0]}`?"
            if near
            else "for example servers/api; `--help` names the option for that folder"
        )
        raise CertgenError([error("not-found", message, help=help_, where=text)])
    return candidates[0].parent


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False


def _named_alike(name: str, output: Path) -> list[Path]:
    """Give the certificates of entries of that name, in whatever section."""
    return list(output.glob(f"*/*/{name}/{CERTIFICATE_FILE}")) if NAME.fullmatch(name) else []


def _standard_input() -> bytes:
    content = sys.stdin.buffer.read(MAXIMUM_FILE + 1)
    if len(content) > MAXIMUM_FILE:
        message = f"standard input has more than {MAXIMUM_FILE} bytes"
        raise CertgenError([error("unreadable", message, where="standard input")])
    return content


def _paths_of(text: str, output: Path) -> list[Path]:
    path = Path(text)
    if path.is_dir() and text:
        found = (item for item in path.rglob("*.pem") if item.is_file())
        return sorted(item for item in found if not any(map(is_hidden, item.relative_to(path).parts)))
    return [path] if path.is_file() or path.is_fifo() else _certificate_of(text, output)


def _certificate_of(address: str, output: Path) -> list[Path]:
    if not all(NAME.fullmatch(part) for part in address.split("/")) or ".." in address:
        return []
    found = [
        path
        for path in (output / address / CERTIFICATE_FILE, *output.glob(f"*/{address}/{CERTIFICATE_FILE}"))
        if path.is_file()
    ]
    if len(found) > 1:
        names = ", ".join(sorted(str(path.parent.relative_to(output)) for path in found))
        message = f"`{address}` is in several trees"
        raise CertgenError([error("ambiguous-address", message, help=f"one of {names}", where=address)])
    return found


def _content(path: Path) -> bytes:
    state = read_file(Path(os.path.realpath(path)))
    if state.kind is not FileKind.FILE:
        raise CertgenError([error("unreadable", f"{path} cannot be read: {state.reason}", where=str(path))])
    return state.content


class explained:  # noqa: N801 - it is used as a function is, once for each file of a fleet
    """Turn what the disk refuses into a diagnostic.

    Args:
        path: what is written.
        is_exact: whether that is what to name, and not what the disk was asked for on the way.
    """

    __slots__ = ("_is_exact", "_path")

    def __init__(self, path: str | Path, *, is_exact: bool = False) -> None:
        self._path = path
        self._is_exact = is_exact

    def __enter__(self) -> None:
        """Begin to listen."""

    def __exit__(self, kind: object, reason: BaseException | None, trace: object) -> None:
        """Say what the disk said.

        Raises:
            CertgenError: it refused.
        """
        if isinstance(reason, OSError):
            is_named = isinstance(reason.filename, str | Path) and not self._is_exact
            place = str(reason.filename if is_named else self._path)
            message = f"{place} cannot be written: {reason.strerror or type(reason).__name__}"
            raise CertgenError([error("write-failed", message, help=_REMEDY, where=place)]) from reason

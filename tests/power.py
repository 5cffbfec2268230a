"""A disk whose power is cut: an ext4 image as it was on the way, without a sync, and what is then found on it."""

import os
import shutil
import signal
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from cryptography.x509 import load_pem_x509_certificate
from mounts import ext4, make_ext4
from proving import Ran
from scene import Snapshot, take_snapshot
from shop import ADDED, SPEC, Shop, contents, published
from traces import Call, read_trace, tracing

SIZE = "16M"
KILLED = -signal.SIGKILL
CHANGES = (
    "write|pwrite64|ftruncate|fchmod|rename|renameat|renameat2|link|linkat|unlink|unlinkat|mkdir|mkdirat|rmdir|"
    "fsync|fdatasync|syncfs|sync"
)
"""System calls between which the power may go."""
SYNCS = "fsync,fdatasync,syncfs,sync,sync_file_range,msync"


@dataclass(frozen=True)
class Story:
    """A run to be cut short.

    name: of the story.
    text: the spec at the time of the run.
    options: of the run.
    is_first: whether there is no tree before.
    rekeyed: the entries whose key is replaced.
    """

    name: str
    text: str
    options: tuple[str, ...] = ()
    is_first: bool = False
    rekeyed: frozenset[str] = frozenset()


MANY = SPEC + "".join(f"      client-{number}: {{}}\n" for number in range(10))
"""So many files that one sync of the whole file system is cheaper."""
RENEWAL = Story("renewal", SPEC, ("--renew=cas/issuing", "--renew=servers/api"))
STORIES = (
    Story("first compile", MANY, is_first=True),
    RENEWAL,
    Story("added entry", SPEC + f"    {ADDED}"),
    Story("re-key", SPEC, ("--rekey=cas/root", "--rekey=servers/api"), rekeyed=frozenset({"cas/root", "servers/api"})),
)


@dataclass(frozen=True)
class Cut:
    """What was there when the power went.

    ran: the run's end.
    image: the disk as it was.
    pulled: the disk a moment later, when somebody else has synced a file of theirs: names go along, contents do not.
    before: the tree before the run.
    live: the tree as the processes of the machine saw it at that moment.
    """

    ran: Ran
    image: Path
    pulled: Path
    before: Snapshot
    live: Snapshot

    @property
    def is_killed(self) -> bool:
        return self.ran.code == KILLED


class Machine:
    """Runs a story on a disk of its own, as often as is asked."""

    def __init__(self, story: Story, folder: Path) -> None:
        self.story = story
        self._base = folder / "base.img"
        self._image = folder / "disk.img"
        self._cut = folder / "cut.img"
        self._pulled = folder / "pulled.img"
        self._mount = folder / "disk"
        self._log = folder / "trace"
        make_ext4(self._base, SIZE)
        with ext4(self._base, self._mount):
            shop = Shop(self._mount).write()
            if not story.is_first:
                shop.compile()
            shop.write(story.text)

    def run(self, prefix: Sequence[str | Path] = ()) -> Cut:
        """Run the story, and cut the power at its end.

        The backing file of a loop device holds what the file system has submitted, and to read it submits nothing.

        prefix: the command that runs it.
        """
        shutil.copyfile(self._base, self._image)
        with ext4(self._image, self._mount):
            shop = Shop(self._mount)
            before = take_snapshot(shop.tree)
            ran = shop.type("apply", *self.story.options, prefix=prefix)
            shutil.copyfile(self._image, self._cut)
            with (self._mount / "note of somebody else").open("wb") as file:
                file.write(b"note\n")
                file.flush()
                os.fsync(file.fileno())
            shutil.copyfile(self._image, self._pulled)
            return Cut(ran, self._cut, self._pulled, before, take_snapshot(shop.tree))

    def watch(self) -> tuple[Cut, list[Call]]:
        """Run the story to its end; give the calls by which it changed its disk too."""
        cut = self.run(tracing(CHANGES, self._log))
        calls = read_trace(self._log, self._mount)
        return cut, [call for call in calls if any(path.is_relative_to(self._mount) for path in call.paths)]

    def inject(self, *inject: str) -> Cut:
        """Run the story with a kernel that does something else.

        inject: what, as strace spells it.
        """
        return self.run(tracing(CHANGES, self._log, *inject))

    def kill_at(self, call: Call) -> Cut:
        """Run the story until a call is made; the call is not."""
        return self.inject(f"{call.name}:signal=SIGKILL:when={call.number}")

    @contextmanager
    def restarted(self, image: Path) -> Iterator[Shop]:
        """Give the shop as it is when the power comes back.

        image: of a `Cut`.
        """
        with ext4(image, self._mount):
            yield Shop(self._mount)


def torn(cut: Cut, found: Snapshot, story: Story) -> list[str]:
    """Say what is wrong with a tree that was found after a power cut, before anybody mended it."""
    before, live, now = (contents(snapshot) for snapshot in (cut.before, cut.live, found))
    wrong = [
        f"{path} is none of what it ever was" for path in now if now[path] not in (before.get(path), live.get(path))
    ]
    wrong += [f"{path} is gone" for path in before if path in live and path not in now]
    is_committed = ".certgen/journal" in found
    for path, (content, _) in now.items():
        address, _, name = path.rpartition("/")
        if name != "cert.pem":
            continue
        key = now.get(f"{address}/key.pem")
        if key is None:
            wrong.append(f"{path} has no key")
        elif not _is_pair(content, key[0]) and not (is_committed and address in story.rekeyed):
            wrong.append(f"{path} and its key are no pair")
    wrong += [
        f"{path} can be read by others"
        for path, record in found.items()
        if b"PRIVATE KEY-----" in record.content and record.mode & 0o077
    ]
    return wrong


def _is_pair(certificate: bytes, key: bytes) -> bool:
    try:
        public = load_pem_x509_certificate(certificate).public_key()
        private = load_pem_private_key(key, None).public_key()
    except ValueError:
        return False
    of = (Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return public.public_bytes(*of) == private.public_bytes(*of)


def lost_keys(earlier: Snapshot, later: Snapshot, story: Story) -> list[str]:
    """Name the keys that are no longer what they were, those that the story replaces aside."""
    old, new = published(earlier), published(later)
    return [
        path
        for path, record in old.items()
        if path.endswith("key.pem")
        and path.removesuffix("/key.pem") not in story.rekeyed
        and (path not in new or new[path].content != record.content)
    ]

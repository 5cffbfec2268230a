"""Floor 11: walks a plan and carries it out. It decides nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Final

from certgen.diagnostics import CertgenError
from certgen.encoders.pem import encode_certificates
from certgen.journal import Recovery
from certgen.manifest import Manifest, ManifestEntry, digest, render_manifest
from certgen.model import Address, Bundle, Certificate, Entry
from certgen.plan.authorities import known_certificate
from certgen.plan.derived import anchors_of, path_above
from certgen.plan.housekeeping import orphans
from certgen.plan.records import changed_entry, recorded_entry
from certgen.plan.values import Action, Change, KeySource, Plan, Signing, TreeFile
from certgen.publication import LINK_NAME
from certgen.publishing import links_to_generation, put_in_generation
from certgen.signing import Signatures, Signed
from certgen.store.writer import FileWrite, LinkWrite, Writer
from certgen.tree import (
    CERTIFICATE_FILE,
    COMBINED_FILE,
    KEY_FILE,
    KEYS_NOTE,
    MACHINE_FOLDER,
    MANIFEST_FILE,
    PRIVATE_MODE,
    PUBLIC_MODE,
    RENDERED_TREE_FILES,
    SPARE_KEY_FILE,
    TRUST_FILE,
    ManifestState,
    Observed,
    is_combined,
    is_secret,
    key_file,
)
from certgen.vault import IN_CLEAR, Vault, place_of, take_as_it_is, take_judged_key, take_key

if TYPE_CHECKING:
    from certgen.signers.port import KeyRing

BATCH: Final = 256
"""Changes that are written together, with one sync; an interruption loses at most these."""

Progress = Callable[[int, int], None]
"""Takes the changes done and the changes in all."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was done to one tree."""

    plan: Plan
    written: tuple[str, ...]
    """Paths of the files that were written, relative to the tree."""
    removed: tuple[str, ...]
    mended: tuple[str, ...]
    """Paths of the files that got their mode."""
    recovery: Recovery = Recovery.NONE
    """What was made of an interrupted run before."""

    @property
    def is_resumed(self) -> bool:
        """Whether what an interrupted run had committed to was completed."""
        return self.recovery is Recovery.COMPLETED

    @property
    def is_empty(self) -> bool:
        """Whether nothing was done."""
        return not (self.written or self.removed or self.mended or self.is_resumed)


@dataclass(slots=True)
class _Made:
    """What one change makes: files to write and to remove."""

    writes: list[FileWrite] = field(default_factory=list)
    removes: list[str] = field(default_factory=list)
    links: list[LinkWrite] = field(default_factory=list)


def apply(  # noqa: PLR0913, PLR0917 - the plan with its two arguments, and the three doors to the world
    plan: Plan,
    bundle: Bundle,
    observed: Observed,
    writer: Writer,
    keys: KeyRing,
    supplied_keys: Mapping[str, bytes],
    progress: Progress = lambda done, total: None,  # noqa: ARG005 - the observer that looks away
    vault: Vault = IN_CLEAR,
) -> Outcome:
    """Carry out a plan.

    Args:
        plan: what to do, without obstacles and consents.
        bundle: what the plan was made for.
        observed: what the plan was made from.
        writer: writes the tree, with the lock held.
        keys: makes and loads private keys.
        supplied_keys: the contents of the private key files that the spec names, by file.
        progress: told after each change.
        vault: what seals private keys, and those that were unsealed.

    Raises:
        CertgenError: the plan cannot be applied, a key cannot be used, or the disk refused.
    """
    if plan.obstacles or plan.consents:
        raise CertgenError((*plan.obstacles, *plan.consents))
    is_rebuilt = observed.manifest_state is not ManifestState.READ and observed.is_marked
    writer.begin(plan.name, extends=not is_rebuilt)
    return _Run(plan, bundle, observed, writer, keys, supplied_keys, vault).carry_out(progress)


class _Run:
    def __init__(  # noqa: PLR0913, PLR0917 - as `apply`
        self,
        plan: Plan,
        bundle: Bundle,
        observed: Observed,
        writer: Writer,
        keys: KeyRing,
        supplied_keys: Mapping[str, bytes],
        vault: Vault,
    ) -> None:
        self._plan = plan
        self._bundle = bundle
        self._observed = observed
        self._writer = writer
        self._keys = keys
        self._supplied_keys = supplied_keys
        self._vault = vault
        self._certificates: dict[Address, Certificate] = {}
        """Of the CAs, and of all that stays."""
        self._signed: dict[Address, Signed] = {}
        self._signatures = Signatures(plan, bundle, self._certificates, keys, self._read_key, vault.seal)
        self._manifest: dict[Address, ManifestEntry] = {}
        self._seen = self._keys_here()
        self._written: list[str] = []
        self._removed: list[str] = []

    def carry_out(self, progress: Progress) -> Outcome:
        """Do everything in the plan's order; the last batch has the manifest, and what this machine notes."""
        self._take_what_stays()
        changes = self._plan.changes
        batches = _batches(changes) or ([()] if self._seen != self._observed.seen_keys else [])
        done = 0
        for batch in batches:
            made = [self._make(change) for change in batch]
            done += len(batch)
            if done == len(changes):
                made.append(self._close())
            self._put(made, batch)
            progress(done, len(changes))
        for mode in self._plan.modes:
            self._writer.change_mode(f"{mode.address}/{mode.file}", mode.wanted)
        self._writer.finish()
        mended = tuple(f"{mode.address}/{mode.file}" for mode in self._plan.modes)
        return Outcome(self._plan, tuple(self._written), tuple(self._removed), mended)

    def _take_what_stays(self) -> None:
        """Know every certificate and every line of the manifest that the plan does not replace."""
        for address in orphans(self._bundle, self._observed):
            self._manifest[address] = self._observed.manifest.entries[address]
        for entry in self._bundle.entries:
            if entry.supplied is not None:
                self._certificates[entry.address] = entry.supplied.path[0]
                continue
            found = self._observed[entry.address]
            if (certificate := known_certificate(entry, found, self._observed)) is not None:
                self._certificates[entry.address] = certificate
            if (kept := recorded_entry(entry, self._observed)) is not None:
                self._manifest[entry.address] = kept

    def _make(self, change: Change) -> _Made:
        made = _Made()
        match change.address:
            case TreeFile() if change.action is Action.REMOVE:
                made.removes += change.removes
            case TreeFile(name):
                if name in RENDERED_TREE_FILES:
                    made.writes.append(FileWrite(name, RENDERED_TREE_FILES[name](self._bundle), PUBLIC_MODE))
            case address if change.action is Action.REMOVE:
                made.removes += [f"{address}/{name}" for name in change.removes]
                self._manifest.pop(address, None)
            case address:
                self._make_entry(self._bundle[address], change, made)
        return made

    def _make_entry(self, entry: Entry, change: Change, made: _Made) -> None:
        address = entry.address
        if change.signing is not None:
            self._sign(entry, change.signing, made)
        contents: dict[str, Callable[[], bytes]] = {
            CERTIFICATE_FILE: lambda: encode_certificates(self._path(entry)),
            TRUST_FILE: lambda: encode_certificates(self._anchors(entry)),
            **{artifact.name: partial(bytes, artifact.content) for artifact in entry.artifacts},
        }
        if key_file(entry) in change.writes and not made.writes:
            made.writes.append(self._sealed_again(entry))
        for name in change.writes:
            if name in contents:
                made.writes.append(FileWrite(f"{address}/{name}", contents[name](), PUBLIC_MODE))
        made.writes += [self._combined(entry, made)] if COMBINED_FILE in change.writes else []
        made.removes += [f"{address}/{name}" for name in change.removes]
        if change.publishing is not None:
            made.writes += [self._carried(entry, name, made) for name in change.publishing.carried]
        self._record(entry, change, made)
        if change.publishing is not None and change.publishing.is_linked:
            generation = self._writer.tree.new_generation(str(address))
            made.links += links_to_generation(address, generation, made.writes, self._observed[address])
            made.writes = put_in_generation(address, generation, made.writes)

    def _sign(self, entry: Entry, signing: Signing, made: _Made) -> None:
        address, order = entry.address, signing.key
        signed = self._signatures.take(entry)
        self._signed[address] = signed
        if order.source is not KeySource.PUBLIC_KEY:
            self._seen.add(signed.key_id)
        if signed.private_key is not None:
            spare = f"{address}/{SPARE_KEY_FILE}" if order.keep_old_as_spare else None
            old = place_of(address, self._observed[address].key.file, self._observed)
            made.writes.append(FileWrite(f"{address}/{key_file(entry)}", signed.private_key, order.mode, spare, old))

    def _sealed_again(self, entry: Entry) -> FileWrite:
        """Close a private key that is kept as the spec asks for now, or leave it in clear."""
        private_key = take_judged_key(entry.address, self._observed, self._writer.tree, self._vault)
        return FileWrite(f"{entry.address}/{key_file(entry)}", self._vault.seal(private_key), entry.key.mode)

    def _combined(self, entry: Entry, made: _Made) -> FileWrite:
        """Put path and private key into one file: the key that is written with it, or else the one that is there."""
        new = [write for write in made.writes if write.path == f"{entry.address}/{KEY_FILE}"]
        if not new:
            private_key = take_judged_key(entry.address, self._observed, self._writer.tree, self._vault)
            new = [FileWrite(KEY_FILE, private_key.pem, entry.key.mode)]
        path = encode_certificates(self._path(entry))
        return FileWrite(f"{entry.address}/{COMBINED_FILE}", path + new[0].content, entry.key.mode)

    def _carried(self, entry: Entry, name: str, made: _Made) -> FileWrite:
        """Give a file that stays as it is, for the place in which it is published now."""
        path = f"{entry.address}/{name}"
        if not is_secret(name):
            found = self._observed[entry.address].file(name)
            return FileWrite(path, found.content, found.mode)
        if name == COMBINED_FILE and is_combined(entry):
            return self._combined(entry, made)
        private_key = take_as_it_is(entry.address, name, self._observed, self._writer.tree)
        return FileWrite(path, private_key.pem, entry.key.mode)

    def _read_key(self, address: Address) -> tuple[bytes, str]:
        """Give what stands in the file of an entry's private key, and the name of that file."""
        supplied = self._bundle[address].supplied
        if supplied is not None and supplied.private_key_file is not None:
            return self._supplied_keys[supplied.private_key_file], supplied.private_key_file
        private_key, path = take_key(address, self._observed, self._writer.tree, self._vault)
        return private_key.pem, path

    def _path(self, entry: Entry) -> list[bytes]:
        """Give the certification path that an entry shows: its own certificate, then intermediates, no root."""
        above = path_above(entry, self._bundle, self._certificates.get)
        own = self._signed.get(entry.address) or self._certificates[entry.address]
        return [own.der, *(item.der for item in above if item is not None)]

    def _anchors(self, entry: Entry) -> list[bytes]:
        anchors = anchors_of(entry, self._bundle, self._certificates.get)
        return [anchor.der for anchor in anchors if anchor is not None]

    def _record(self, entry: Entry, change: Change, made: _Made) -> None:
        """Bring the entry's line of the manifest up to date: what was written, and what stays."""
        folder = f"{entry.address}/"
        written = {write.path.removeprefix(folder): digest(write.content) for write in made.writes}
        own = self._signed.get(entry.address) or self._certificates[entry.address]
        self._manifest[entry.address] = changed_entry(entry, change, own.key_id, written, self._observed)

    def _put(self, made: Sequence[_Made], batch: Sequence[Change]) -> None:
        """Write together what belongs together, with what the manifest says of it."""
        writes = [write for item in made for write in item.writes]
        removes = [path for item in made for path in item.removes]
        addresses = [change.address for change in batch if isinstance(change.address, Address)]
        links = sorted(
            (link for item in made for link in item.links), key=lambda link: not link.path.endswith(LINK_NAME)
        )
        self._writer.commit(writes, removes, {address: self._manifest.get(address) for address in addresses}, links)
        paths = [*(write.path for write in writes), *(link.path for link in links)]
        self._written += [path for path in paths if not path.startswith(f"{MACHINE_FOLDER}/")]
        self._removed += removes

    def _close(self) -> _Made:
        """Give what every run writes at its end: the manifest, and the keys that this machine has seen."""
        made = _Made()
        unread = self._observed.manifest.unread
        content = render_manifest(Manifest(self._bundle.name, self._manifest, unread))
        if content != self._observed.manifest_content and self._plan.changes:
            made.writes.append(FileWrite(MANIFEST_FILE, content, PUBLIC_MODE))
        if self._seen != self._observed.seen_keys:
            notes = "".join(f"{item}\n" for item in sorted(self._seen))
            made.writes.append(FileWrite(KEYS_NOTE, notes.encode(), PRIVATE_MODE))
        return made

    def _keys_here(self) -> set[str]:
        """Give the ids of the keys that are here, and of those that were and are still certified."""
        entries = self._observed.entries.values()
        present = {entry.key.key_id for entry in entries if entry.key.key_id is not None}
        certified = {entry.certificate.key_id for entry in entries if entry.certificate is not None}
        return present | (self._observed.seen_keys & (certified | self._observed.manifest.unread_keys))


def _batches(changes: Sequence[Change]) -> list[Sequence[Change]]:
    """Give the changes in batches; what keeps keys out of git stands before the first key is even begun."""
    leading = changes[: len(RENDERED_TREE_FILES)]
    first = sum(isinstance(change.address, TreeFile) and change.address.name != MANIFEST_FILE for change in leading)
    starts = range(first, len(changes), BATCH)
    return ([changes[:first]] if first else []) + [changes[start : start + BATCH] for start in starts]

"""Floor 6: bytes from the tree to Observed. Private keys are turned into key ids here and go no further."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import replace

from certgen.certificates import UnreadableError, is_signed_by, parse_certificates, parse_private_key
from certgen.generations import in_generations, settle
from certgen.manifest import (
    DamagedManifestError,
    Manifest,
    ManifestEntry,
    NewerManifestError,
    digest,
    parse_manifest,
)
from certgen.model import Address, Bundle, Certificate, Entry
from certgen.publication import LINK_NAME, Publication, is_hidden
from certgen.rfc5280.objects import algorithm_of, key_id, public_key_der, quiet
from certgen.sealing import passphrase
from certgen.tree import (
    ABSENT,
    ATTRIBUTES_FILE,
    CERTIFICATE_FILE,
    COMBINED_FILE,
    IGNORE_FILE,
    KEY_FILE,
    KUSTOMIZATION_FILE,
    MANIFEST_FILE,
    NOBODY,
    NOTHING,
    PRIVATE_KEY_FILES,
    SEALED_KEY_FILE,
    TRUST_FILE,
    FileKind,
    FileState,
    KeyState,
    ManifestState,
    Observed,
    ObservedEntry,
    ObservedKey,
    Vouched,
    file_names,
    is_secret,
    key_file,
)


def read_manifest(state: FileState, unread: Collection[str] = ()) -> tuple[Manifest, ManifestState]:
    """Read the manifest; an empty one where there is none, or none that can be read.

    Args:
        state: what was found in its place.
        unread: the addresses that nobody asks about.

    Raises:
        NewerManifestError: a later certgen wrote it, and this one would not understand what it owns.
    """
    if state.kind is FileKind.ABSENT:
        return Manifest(), ManifestState.ABSENT
    try:
        return parse_manifest(state.content, unread), ManifestState.READ
    except NewerManifestError:
        raise
    except DamagedManifestError:
        return Manifest(), ManifestState.DAMAGED


def paths_to_read(bundle: Bundle, manifest: Manifest) -> Iterator[str]:
    """Give the paths that a decision looks at: those that the spec asks for, and those that the manifest lists."""
    for address, names in _names_to_read(bundle, manifest).items():
        folder = str(address)
        for name in names:
            yield f"{folder}/{name}"


def _names_to_read(bundle: Bundle, manifest: Manifest) -> dict[Address, dict[str, None]]:
    names: dict[Address, dict[str, None]] = defaultdict(dict)
    for entry in bundle.entries:
        if entry.supplied is None:
            names[entry.address] = dict.fromkeys(file_names(entry))
            if SEALED_KEY_FILE in names[entry.address]:
                # A key that was made before the spec asked for protection is there in clear.
                names[entry.address][KEY_FILE] = None
            if entry.publication is Publication.SYMLINK:
                names[entry.address][LINK_NAME] = None
    for address, listed in manifest.entries.items():
        # What a generation holds is found by looking, and whose it is by its name there.
        names[address].update((name, None) for name in listed.files if name == LINK_NAME or not is_hidden(name))
    return names


def observe(  # noqa: PLR0913 - one argument for each thing that is looked at
    bundle: Bundle,
    files: Mapping[str, FileState],
    seen_keys: Iterable[str] = (),
    protected: Iterable[str] = (),
    folder_fault: str = "",
    *,
    is_interrupted: bool = False,
    vouched: Vouched = NOBODY,
    manifest: tuple[Manifest, ManifestState] | None = None,
) -> Observed:
    """Make sense of what was read.

    Args:
        bundle: what the spec describes.
        files: what was found at the tree's own files, at each of `paths_to_read`, and in the generations of each of
            `linked_folders`.
        seen_keys: ids of the private keys that this machine has held.
        protected: paths that the spec names as files of the user's own.
        folder_fault: why the tree's folder is not one to write into.
        is_interrupted: whether a run has not finished.
        vouched: the entries that are not in the bundle since they are known to be as they should.
        manifest: what `read_manifest` gives, where it was asked before.
    """
    manifest_file = files.get(MANIFEST_FILE, ABSENT)
    read, manifest_state = manifest or read_manifest(manifest_file)
    entries = _observe_entries(bundle, read, files)
    known = _authorities(bundle, entries.values())
    authorities = tuple(item for item in known if _is_soundly_signed(item, known))
    return Observed(
        manifest=read,
        manifest_state=manifest_state,
        manifest_content=manifest_file.content,
        manifest_kind=manifest_file.kind,
        ignore_file=files.get(IGNORE_FILE, ABSENT),
        attributes_file=files.get(ATTRIBUTES_FILE, ABSENT),
        kustomization=files.get(KUSTOMIZATION_FILE, ABSENT),
        entries=_with_signers(entries, known),
        seen_keys=frozenset(seen_keys),
        protected=frozenset(protected),
        folder_fault=folder_fault,
        is_interrupted=is_interrupted,
        vouched=vouched,
        authorities=authorities,
    )


def _observe_entries(
    bundle: Bundle, manifest: Manifest, files: Mapping[str, FileState]
) -> dict[Address, ObservedEntry]:
    entries: dict[Address, ObservedEntry] = {}
    hidden = in_generations(files)
    with quiet():
        for address, names in _names_to_read(bundle, manifest).items():
            folder = str(address)
            found = {name: files.get(f"{folder}/{name}", ABSENT) for name in names}
            entry, recorded = bundle.index.get(address), manifest.entries.get(address)
            if folder in hidden:
                found = settle({**found, **hidden[folder]}, recorded)
            is_there = any(state is not ABSENT for state in found.values())
            entries[address] = _observe_entry(found, entry, recorded) if is_there else NOTHING
    return entries


def _observe_entry(
    files: Mapping[str, FileState], entry: Entry | None, recorded: ManifestEntry | None
) -> ObservedEntry:
    certificates, problem = _certificates(files.get(CERTIFICATE_FILE, ABSENT))
    anchors, _ = _certificates(files.get(TRUST_FILE, ABSENT))
    keys = {name: _without_content(state) for name, state in files.items() if is_secret(name)}
    return ObservedEntry(
        certificate=certificates[0] if certificates else None,
        certificate_problem=problem,
        path=tuple(certificates[1:]),
        key=_observe_key(files, entry, recorded),
        anchors=anchors or None,
        is_combined=_is_combined(files),
        files={**files, **keys},
    )


def _is_combined(files: Mapping[str, FileState]) -> bool:
    """Whether the combined file holds what it is made of; its content goes no further."""
    states = [files.get(name, ABSENT) for name in (COMBINED_FILE, CERTIFICATE_FILE, KEY_FILE)]
    is_there = all(state.kind is FileKind.FILE for state in states)
    return is_there and states[0].content == states[1].content + states[2].content


def _without_content(state: FileState) -> FileState:
    return FileState(
        state.kind,
        state.mode,
        reason=state.reason,
        is_linked=state.is_linked,
        generation=state.generation,
        is_shown=state.is_shown,
    )


def _certificates(state: FileState) -> tuple[tuple[Certificate, ...], str | None]:
    match state.kind:
        case FileKind.ABSENT:
            return (), None
        case FileKind.FILE:
            try:
                return parse_certificates(state.content), None
            except UnreadableError as reason:
                return (), str(reason)
        case _:
            return (), state.reason or state.kind.value


def _observe_key(files: Mapping[str, FileState], entry: Entry | None, recorded: ManifestEntry | None) -> ObservedKey:
    """Look at the private key: at the file that the entry asks for, or else at the other one."""
    wanted = key_file(entry) if entry is not None else KEY_FILE
    there = [name for name in PRIVATE_KEY_FILES if files.get(name, ABSENT).kind is not FileKind.ABSENT]
    name = wanted if wanted in there or not there else there[0]
    state = files.get(name, ABSENT)
    if state.kind is FileKind.FILE and _is_sealed(name, state.content, entry, recorded):
        return _observe_sealed(name, state, recorded)
    return replace(_observe_clear(state), file=name) if name != KEY_FILE else _observe_clear(state)


def _is_sealed(name: str, content: bytes, entry: Entry | None, recorded: ManifestEntry | None) -> bool:
    """Whether a key file is sealed; one that nobody asked to be is a key that cannot be read."""
    if name == SEALED_KEY_FILE:
        return True
    is_asked = entry is not None and entry.key.protection is not None
    return (is_asked or (recorded is not None and recorded.sealed is not None)) and passphrase.is_sealed(content)


def _observe_sealed(name: str, state: FileState, recorded: ManifestEntry | None) -> ObservedKey:
    """Tell what a sealed file holds by what the manifest says of it, if it is the file that the manifest knows."""
    found = digest(state.content)
    known = recorded if recorded is not None and recorded.files.get(name) == found else None
    return ObservedKey(
        KeyState.SEALED,
        known.key_id if known else None,
        mode=state.mode,
        is_linked=state.is_linked,
        file=name,
        digest=found,
        mark=known.sealed if known else None,
    )


def _observe_clear(state: FileState) -> ObservedKey:
    match state.kind:
        case FileKind.ABSENT:
            return ObservedKey()
        case FileKind.FILE:
            try:
                public_key = parse_private_key(state.content).public_key()
            except UnreadableError as reason:
                return ObservedKey(KeyState.UNREADABLE, mode=state.mode, reason=str(reason), is_linked=state.is_linked)
            identity = key_id(public_key_der(public_key))
            return ObservedKey(
                KeyState.PRESENT, identity, algorithm_of(public_key), state.mode, is_linked=state.is_linked
            )
        case _:
            return ObservedKey(KeyState.UNREADABLE, mode=state.mode, reason=state.reason or state.kind.value)


def _authorities(bundle: Bundle, entries: Iterable[ObservedEntry]) -> tuple[Certificate, ...]:
    """Give every CA certificate of the tree and of the spec's own files once, the latest to end first."""
    found: dict[bytes, Certificate] = {}
    for supplied in (entry.supplied for entry in bundle.entries if entry.supplied is not None):
        found.update({c.der: c for c in (*supplied.path, *supplied.roots)})
    for entry in entries:
        certificates = (
            *((entry.certificate,) if entry.certificate else ()),
            *entry.path,
            *(entry.anchors or ()),
        )
        found.update({certificate.der: certificate for certificate in certificates if certificate.is_ca})
    return tuple(sorted(found.values(), key=lambda certificate: (certificate.not_after, certificate.der), reverse=True))


def _is_soundly_signed(certificate: Certificate, others: Iterable[Certificate]) -> bool:
    """Whether one of the CAs that bear the issuer's name signed it; nothing is known where none is there."""
    issuers = [other for other in others if other.subject_der == certificate.issuer_der]
    return not issuers or any(is_signed_by(certificate, issuer) for issuer in issuers)


def _with_signers(
    entries: Mapping[Address, ObservedEntry], authorities: tuple[Certificate, ...]
) -> dict[Address, ObservedEntry]:
    """Find out for each certificate whose key verifies its signature."""
    by_name: dict[bytes, dict[str, Certificate]] = defaultdict(dict)
    for authority in authorities:
        by_name[authority.subject_der].setdefault(authority.key_id, authority)
    return {address: _with_signer(entry, by_name) for address, entry in entries.items()}


def _with_signer(entry: ObservedEntry, by_name: Mapping[bytes, Mapping[str, Certificate]]) -> ObservedEntry:
    certificate = entry.certificate
    if certificate is None:
        return entry
    candidates = by_name.get(certificate.issuer_der, {})
    signer = next((key for key, authority in candidates.items() if is_signed_by(certificate, authority)), None)
    return ObservedEntry(
        entry.certificate,
        entry.certificate_problem,
        entry.path,
        signer,
        entry.key,
        entry.anchors,
        entry.is_combined,
        entry.files,
    )

"""Those whom a test wants refused: as an entry is, but for the one thing by which they are found out."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from certgen.certificates import parse_certificates
from certgen.encoders.pem import encode_certificates
from certgen.issue import issue, new_serial_number
from certgen.loading import LoadedSpec
from certgen.model import Address, Certificate, Entry, Issuance
from certgen.prove.shadow import HOUR, Shadow
from certgen.signers.memory import MemoryKeyRing
from certgen.store.files import is_there
from certgen.store.private import create_private, read_secret
from certgen.store.scratch import scratch
from certgen.tree import CERTIFICATE_FILE, KEY_FILE, TRUST_FILE


class Strangers:
    """Makes the strangers of a compiled bundle, each when it is first asked for.

    Args:
        loaded: the spec.
        tree: the bundle's tree, with its private keys in clear.
        folder: where the folders of strangers are made.
        now: when the tree was compiled, aware, in UTC.
    """

    def __init__(self, loaded: LoadedSpec, tree: Path, folder: Path, now: datetime) -> None:
        self._loaded = loaded
        self._tree = tree
        self._folder = folder
        self._now = now
        self._made: dict[Path, Path] = {}

    def expired(self, address: Address) -> Path:
        """Give a folder with the key and trust of an entry, and a certificate of the same CA that ended an hour ago."""
        folder = self._folder / "expired" / str(address)
        if folder not in self._made:
            own, key = self._tree / str(address), self._tree / str(address) / KEY_FILE
            content = read_secret(key) if is_there(key) else None
            self._made[folder] = self._put(folder, own, self._ended(self._loaded.bundle[address]), content)
        return folder

    def of_other_ca(self, address: Address) -> Path:
        """Give a folder with all that an entry says of itself and its trust, signed by another CA of the same name."""
        folder = self._folder / "other-ca" / str(address)
        if folder not in self._made:
            bundle = self._loaded.bundle
            with scratch() as files:
                made = Shadow(bundle, self._now, files).credentials(bundle[address])
                content = read_secret(made.certificate), read_secret(made.private_key)
            self._made[folder] = self._put(folder, self._tree / str(address), *content)
        return folder

    @staticmethod
    def _put(folder: Path, original: Path, certificate: bytes, private_key: bytes | None) -> Path:
        """Write what an entry's folder has; it trusts whom the original trusts, so that it is the one refused."""
        contents = {
            CERTIFICATE_FILE: certificate,
            KEY_FILE: private_key,
            TRUST_FILE: read_secret(original / TRUST_FILE),
        }
        for name, content in contents.items():
            if content is not None:
                create_private(folder / name, content)
        return folder

    def _ended(self, entry: Entry) -> bytes:
        """Sign an entry's certificate again by the CA that signed it, with dates that are over."""
        own, *above = parse_certificates(read_secret(self._tree / str(entry.address) / CERTIFICATE_FILE))
        issuer, signing_key = self._issuer_of(entry)
        issuance = Issuance(entry.template, self._now - 2 * HOUR, self._now - HOUR)
        key = MemoryKeyRing().load(signing_key, str(entry.issuer))
        der = issue(issuance, own.public_key, issuer, key, new_serial_number())
        return encode_certificates([der, *(one.der for one in above)])

    def _issuer_of(self, entry: Entry) -> tuple[Certificate, bytes]:
        """Give the certificate of the CA above an entry, and what stands in the file of its private key."""
        issuer = self._loaded.bundle.issuers_above(entry.address)[0]
        if issuer.supplied is not None and issuer.supplied.private_key_file is not None:
            return issuer.supplied.path[0], self._loaded.supplied_keys[issuer.supplied.private_key_file]
        folder = self._tree / str(issuer.address)
        (certificate,) = parse_certificates(read_secret(folder / CERTIFICATE_FILE))
        return certificate, read_secret(folder / KEY_FILE)

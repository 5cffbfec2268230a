"""What a CA will be after the run, and where a lost CA certificate is found again."""

from dataclasses import replace

import pytest
from values import (
    APP,
    ISSUING,
    ROOT,
    WEB,
    Disk,
    authority,
    certificate_for,
    disk_of,
    name_of,
    present_key,
    public_key,
    shop,
    supplied_ca,
)

from certgen.model import Certificate
from certgen.plan.authorities import Projection, known_certificate, supplied_projection
from certgen.plan.times import Term
from certgen.tree import ManifestState

CA = authority(ROOT)
CERTIFICATE = certificate_for(CA)


def projection(was: Certificate | None, subject: str = "Shop root") -> Projection:
    return Projection(
        key_id=CERTIFICATE.key_id,
        certificate=was,
        was=was,
        term=Term(CERTIFICATE.not_before, CERTIFICATE.not_after),
        subject=name_of(subject),
        can_sign=True,
    )


class TestTheNameOfAnIssuer:
    child = certificate_for(authority(ISSUING, ROOT), CERTIFICATE)

    def test_it_is_compared_byte_for_byte_with_the_certificate_on_the_disk(self) -> None:
        assert projection(CERTIFICATE).has_name_of(self.child)
        other = replace(CERTIFICATE, subject_der=b"the same name, encoded in another way")
        assert not projection(other).has_name_of(self.child)

    def test_a_new_name_is_compared_by_its_attributes(self) -> None:
        assert not projection(CERTIFICATE, "New Root").has_name_of(self.child)
        renamed = replace(self.child, issuer=name_of("New Root"))
        assert projection(CERTIFICATE, "New Root").has_name_of(renamed)

    def test_without_a_certificate_it_is_compared_by_its_attributes(self) -> None:
        assert projection(None).has_name_of(self.child)
        assert not projection(None, "New Root").has_name_of(self.child)

    def test_its_key_identifier_is_that_of_the_certificate_on_the_disk(self) -> None:
        assert projection(CERTIFICATE).key_identifier == CERTIFICATE.subject_key_identifier
        assert projection(None).key_identifier is None


class TestSuppliedAuthorities:
    def test_it_is_taken_as_it_is(self) -> None:
        entry = supplied_ca()
        assert entry.supplied is not None
        found = supplied_projection(entry)
        assert found.certificate == entry.supplied.path[0]
        assert found.roots == entry.supplied.roots
        assert found.can_sign

    @pytest.mark.parametrize("key", [None, "0" * 64])
    def test_without_its_own_key_it_cannot_sign(self, key: str | None) -> None:
        entry = supplied_ca()
        assert entry.supplied is not None
        entry = replace(entry, supplied=replace(entry.supplied, private_key_id=key))
        assert not supplied_projection(entry).can_sign

    def test_a_ca_of_certgens_own_is_refused(self) -> None:
        with pytest.raises(ValueError, match="cas/root"):
            supplied_projection(CA)


class TestALostCertificate:
    def find(self, disk: Disk) -> Certificate | None:
        observed = disk.observed()
        return known_certificate(disk.bundle[ISSUING], observed[ISSUING], observed)

    def test_the_one_in_its_folder_comes_first(self) -> None:
        disk = disk_of(shop())
        newer = replace(disk.certificates[ISSUING], der=b"newer", not_after=disk.certificates[ROOT].not_after)
        disk.paths[WEB] = (newer,)
        assert self.find(disk) == disk.certificates[ISSUING]

    def test_the_manifest_decides(self) -> None:
        disk = disk_of(shop())
        own = disk.certificates[ISSUING]
        disk.lose(ISSUING)
        assert self.find(disk) == own
        disk.keys[ISSUING] = present_key("stranger")
        assert self.find(disk) == own
        disk.recorded[ISSUING] = "0" * 64
        assert self.find(disk) is None

    def test_without_a_manifest_the_key_file_decides(self) -> None:
        disk = disk_of(shop())
        own, root = disk.certificates[ISSUING], disk.certificates[ROOT]
        other = certificate_for(disk.bundle[ISSUING], root, public_key("stranger"))
        disk.paths[APP] = (replace(other, not_after=root.not_after),)
        disk.lose_certificate(ISSUING)
        disk.manifest_state = ManifestState.ABSENT
        assert self.find(disk) == own
        disk.keys[ISSUING] = present_key("stranger")
        assert self.find(disk) == disk.paths[APP][0]

    def test_without_either_the_subject_decides(self) -> None:
        disk = disk_of(shop())
        own = disk.certificates[ISSUING]
        disk.lose(ISSUING)
        disk.manifest_state = ManifestState.ABSENT
        assert self.find(disk) == own
        disk.paths.clear()
        assert self.find(disk) is None

    def test_an_end_entitys_is_not_looked_for(self) -> None:
        disk = disk_of(shop())
        disk.paths[ISSUING] = (replace(disk.certificates[WEB], is_ca=True),)
        disk.lose_certificate(WEB)
        observed = disk.observed()
        assert known_certificate(disk.bundle[WEB], observed[WEB], observed) is None

    def test_public_keys_of_the_builders_differ(self) -> None:
        assert public_key("a") != public_key("b")

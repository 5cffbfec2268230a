"""A walk over every field of a certificate template: change it, and certificate, plan and evidence change with it.

The fields, and the members of every closed set in them, are enumerated from the code, so that a new one without a case
fails here. Certificates are really signed, written as PEM, and read back by `observe`.
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from datetime import timedelta
from functools import cache

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from values import (
    DAY,
    DAYS,
    ISSUING,
    NOW,
    ROOT,
    SECOND,
    WEB,
    a_file,
    asking,
    authority,
    bundle_of,
    change_at,
    dates,
    digest,
    dns,
    member,
    name_of,
)

from certgen.certificates import parse_certificate
from certgen.encoders.pem import encode_certificates, encode_private_key
from certgen.issue import issue
from certgen.lifetime import Validity
from certgen.manifest import Manifest, ManifestEntry, render_manifest
from certgen.model import Address, Bundle, Certificate, CertificateTemplate, Entry, Issuance, Role
from certgen.observe import observe
from certgen.plan.decide import plan
from certgen.plan.values import Action, KeyFate, Plan, ReasonCode
from certgen.rfc5280.objects import public_key_der
from certgen.rfc5280.vocabulary import (
    SHORT_NAMES,
    DistinguishedName,
    ExtendedKeyUsage,
    GeneralName,
    GeneralNameKind,
    KeyUsage,
    NameAttribute,
    NameConstraints,
)
from certgen.tree import FileState, Observed, attributes_file, file_names, ignore_file

NOT_IN_THE_CERTIFICATE = {"path_length_derived"}
"""Fields that only the decision reads; `TestWhatIsNotInTheCertificate` has them."""

KEYS = {address: ec.generate_private_key(ec.SECP256R1()) for address in (ROOT, ISSUING, WEB)}

SERVER = member(WEB, ROOT)
INTERMEDIATE = replace(asking(authority(ISSUING, ROOT, 500), path_length=None, path_length_derived=False), issuer=ROOT)
A_ROOT = authority(ROOT)


@dataclass(frozen=True)
class Case:
    """One field, one part of it, and two values that differ in nothing else."""

    field: str
    part: str
    before: Entry
    after: Entry
    code: ReasonCode
    what: str | None
    was: str
    wanted: str
    parsed: frozenset[str]
    """The fields of the parsed certificate that differ."""

    def __str__(self) -> str:
        return f"{self.before.address}: {self.field}: {self.part}: {self.was} -> {self.wanted}"

    def turned(self) -> "Case":
        return replace(self, before=self.after, after=self.before, was=self.wanted, wanted=self.was)


NAMES = {
    GeneralNameKind.DNS: ("new.shop.example", "shop.example"),
    GeneralNameKind.IP: ("2001:db8::1", "10.0.0.0/8"),
    GeneralNameKind.URI: ("spiffe://shop.example/new", "shop.example"),
    GeneralNameKind.EMAIL: ("new@shop.example", "shop.example"),
}
"""For each kind a subject alternative name, and the base of a name constraint."""


def extension(  # noqa: PLR0917 - a row of a table
    field: str, part: str, entry: Entry, other: Entry, what: str, was: str, wanted: str, *parsed: str
) -> Case:
    names = frozenset(parsed or (field,))
    return Case(field, part, entry, other, ReasonCode.EXTENSIONS_CHANGED, what, was, wanted, names)


def subjects() -> Iterator[Case]:
    parsed = frozenset({"subject", "subject_der"})
    for attribute in NameAttribute:
        common = (NameAttribute.COMMON_NAME.value, "web")
        first, second = ((attribute.value, value) for value in ("NL", "BE"))
        short = SHORT_NAMES[attribute]
        plain = asking(SERVER, subject=DistinguishedName((common,)))
        one = asking(SERVER, subject=DistinguishedName((first, common)))
        other = asking(SERVER, subject=DistinguishedName((second, common)))
        both = asking(SERVER, subject=DistinguishedName((first, second, common)))
        code = ReasonCode.SUBJECT_CHANGED
        had, has = f"{short}=NL, CN=web", f"{short}=BE, CN=web"
        yield Case("subject", attribute, one, other, code, None, had, has, parsed)
        yield Case("subject", attribute, plain, one, code, None, "CN=web", had, parsed)
        yield Case("subject", attribute, one, both, code, None, had, f"{short}=NL, {has}", parsed)


def sans() -> Iterator[Case]:
    parsed = frozenset({"subject_alt_names"})
    for entry in (SERVER, INTERMEDIATE, A_ROOT):
        had = tuple(map(str, entry.template.subject_alt_names))
        for kind, (value, _) in NAMES.items():
            name = GeneralName(kind, value)
            more = asking(entry, subject_alt_names=(*entry.template.subject_alt_names, name))
            was, wanted = ", ".join(had) or "none", ", ".join(sorted((*had, str(name))))
            yield Case("subject_alt_names", kind, entry, more, ReasonCode.SANS_CHANGED, None, was, wanted, parsed)
    none = asking(SERVER, subject_alt_names=())
    was = "DNS:web.shop.example"
    yield Case("subject_alt_names", "none", SERVER, none, ReasonCode.SANS_CHANGED, None, was, "none", parsed)


def usages() -> Iterator[Case]:
    agreeing = frozenset({KeyUsage.KEY_AGREEMENT})
    for entry in (SERVER, INTERMEDIATE):
        for usage in KeyUsage:
            base = agreeing - {usage} or frozenset({KeyUsage.DIGITAL_SIGNATURE})
            less, more = asking(entry, key_usage=base), asking(entry, key_usage=base | {usage})
            was, wanted = (", ".join(u for u in KeyUsage if u in chosen) for chosen in (base, base | {usage}))
            yield extension("key_usage", usage, less, more, "keyUsage", was, wanted)


def purposes() -> Iterator[Case]:
    for entry in (SERVER, INTERMEDIATE, A_ROOT):
        for purpose in ExtendedKeyUsage:
            base = frozenset(ExtendedKeyUsage) - {purpose}
            less, more = asking(entry, extended_key_usage=base), asking(entry, extended_key_usage=base | {purpose})
            was, wanted = (", ".join(sorted(chosen)) for chosen in (base, base | {purpose}))
            yield extension("extended_key_usage", purpose, less, more, "extKeyUsage", was, wanted)
            none, alone = (
                asking(entry, extended_key_usage=frozenset()),
                asking(entry, extended_key_usage=frozenset({purpose})),
            )
            yield extension("extended_key_usage", purpose, none, alone, "extKeyUsage", "none", purpose.value)


def constraints() -> Iterator[Case]:
    for entry in (SERVER, INTERMEDIATE, A_ROOT):
        for kind, (_, base) in NAMES.items():
            name = GeneralName(kind, base)
            permitted = asking(entry, name_constraints=NameConstraints((name,)))
            excluded = asking(entry, name_constraints=NameConstraints((), (name,)))
            yes, no = f"permitted {name}; excluded none", f"permitted none; excluded {name}"
            what, field = "nameConstraints", "name_constraints"
            yield extension(field, f"permitted {kind}", entry, permitted, what, "none", yes)
            yield extension(field, f"excluded {kind}", entry, excluded, what, "none", no)
            yield extension(field, f"excluded {kind}", permitted, excluded, what, yes, no)


def path_lengths() -> Iterator[Case]:
    for entry in (INTERMEDIATE, A_ROOT):
        for first, second in ((None, 0), (0, 1), (None, 3)):
            one, other = asking(entry, path_length=first), asking(entry, path_length=second)
            was, wanted = ("CA:TRUE" if length is None else f"CA:TRUE, pathlen:{length}" for length in (first, second))
            yield extension("path_length", str(second), one, other, "basicConstraints", was, wanted)


def roles() -> Iterator[Case]:
    ca = asking(SERVER, role=Role.INTERMEDIATE_CA)
    yield extension("role", "CA", SERVER, ca, "basicConstraints", "CA:FALSE", "CA:TRUE", "is_ca")


def urls() -> Iterator[Case]:
    one, two = ("http://a.example",), ("http://a.example", "http://b.example")
    text = "http://a.example, http://b.example"
    points, access = "cRLDistributionPoints", "authorityInfoAccess"
    for entry in (SERVER, INTERMEDIATE, A_ROOT):
        crl = [asking(entry, crl_distribution_points=urls) for urls in (one, two)]
        ocsp = [asking(entry, ocsp=urls) for urls in (one, two)]
        issuers = [asking(entry, ca_issuers=urls) for urls in (one, two)]
        for field, what, changed in (
            ("crl_distribution_points", points, crl),
            ("ocsp", f"{access} OCSP", ocsp),
            ("ca_issuers", f"{access} caIssuers", issuers),
        ):
            yield extension(field, "first", entry, changed[0], what, "none", one[0])
            yield extension(field, "second", changed[0], changed[1], what, one[0], text)


def validities() -> Iterator[Case]:
    begin, end = NOW - 3 * DAY, NOW + 40 * DAY
    ways = {
        "seconds": (Validity(90 * DAYS), Validity(91 * DAYS), "90 days", "91 days", {"not_after"}),
        "not_after": (
            Validity(not_after=end),
            Validity(not_after=end + DAY),
            f"to {end:%Y-%m-%d}",
            f"to {end + DAY:%Y-%m-%d}",
            {"not_after"},
        ),
        "not_before": (
            Validity(not_before=begin, not_after=end),
            Validity(not_before=begin - DAY, not_after=end),
            f"from {begin:%Y-%m-%d}",
            f"from {begin - DAY:%Y-%m-%d}",
            {"not_before"},
        ),
    }
    for part, (first, second, was, wanted, parsed) in ways.items():
        one, other = asking(SERVER, validity=first), asking(SERVER, validity=second)
        code = ReasonCode.VALIDITY_CHANGED
        yield Case("validity", part, one, other, code, None, was, wanted, frozenset(parsed))


ONE_WAY = [
    *roles(),
    *subjects(),
    *validities(),
    *sans(),
    *usages(),
    *purposes(),
    *path_lengths(),
    *constraints(),
    *urls(),
]
CASES = [*ONE_WAY, *(case.turned() for case in ONE_WAY)]
"""Both directions: what the spec asks and is not there, and what is there and the spec does not ask."""


@cache
def signed(entry: Entry, root: Certificate | None) -> Certificate:
    """Really sign an entry's certificate, and read it back; without a root it signs itself."""
    begin, end = dates(entry.template.validity, NOW, root)
    public_key = public_key_der(KEYS[entry.address].public_key())
    der = issue(Issuance(entry.template, begin, end), public_key, root, KEYS[ROOT], 7)
    return parse_certificate(der)


ROOT_CERTIFICATE = signed(A_ROOT, None)


def certificate_of(entry: Entry) -> Certificate:
    return signed(entry, None) if entry.is_root else signed(entry, ROOT_CERTIFICATE)


def bundle_with(entry: Entry) -> Bundle:
    return bundle_of(entry) if entry.is_root else bundle_of(A_ROOT, entry)


def on_disk(entry: Entry) -> Observed:
    """Write the tree of an entry and its root as files, and look at it."""
    spec = bundle_with(entry)
    files: dict[str, FileState] = {
        ".gitignore": a_file(ignore_file(spec)),
        ".gitattributes": a_file(attributes_file(spec)),
    }
    listed: dict[Address, ManifestEntry] = {}
    for item in spec.entries:
        certificate = certificate_of(item)
        contents = {
            "cert.pem": encode_certificates([certificate.der]),
            "ca.pem": encode_certificates([ROOT_CERTIFICATE.der]),
            "key.pem": encode_private_key(KEYS[item.address]),
        }
        names = file_names(item)
        for name in names:
            files[f"{item.address}/{name}"] = a_file(contents[name], 0o600 if name == "key.pem" else 0o644)
        digests = {name: None if name == "key.pem" else digest(contents[name]) for name in names}
        listed[item.address] = ManifestEntry(certificate.key_id, digests)
    files["manifest.json"] = a_file(render_manifest(Manifest(spec.name, listed)))
    return observe(spec, files, {certificate_of(item).key_id for item in spec.entries})


def decided(asked: Entry, found: Entry) -> Plan:
    return plan(bundle_with(asked), on_disk(found), NOW)


def differing(first: Certificate, second: Certificate) -> set[str]:
    return {
        field.name
        for field in fields(Certificate)
        if field.name != "der" and getattr(first, field.name) != getattr(second, field.name)
    }


class TestNothingIsForgotten:
    """A new field, attribute, kind of name or usage without a case fails here."""

    def parts(self, field: str) -> set[str]:
        return {str(case.part) for case in CASES if case.field == field}

    def test_every_field_of_a_template_has_a_case(self) -> None:
        names = {field.name for field in fields(CertificateTemplate)}
        assert {case.field for case in CASES} == names - NOT_IN_THE_CERTIFICATE

    def test_every_attribute_of_a_subject_has_a_case(self) -> None:
        assert self.parts("subject") == set(NameAttribute)

    def test_every_kind_of_name_has_a_case(self) -> None:
        assert self.parts("subject_alt_names") >= set(GeneralNameKind)
        assert self.parts("name_constraints") == {
            f"{field.name} {kind}" for field in fields(NameConstraints) for kind in GeneralNameKind
        }

    def test_every_usage_has_a_case(self) -> None:
        assert self.parts("key_usage") == set(KeyUsage)
        assert self.parts("extended_key_usage") == set(ExtendedKeyUsage)

    def test_every_way_to_say_a_validity_has_a_case(self) -> None:
        assert self.parts("validity") == {field.name for field in fields(Validity)}

    def test_a_case_differs_in_its_field_alone(self) -> None:
        for case in CASES:
            pairs = (
                (getattr(e.template, f.name) for e in (case.before, case.after)) for f in fields(CertificateTemplate)
            )
            names = [f.name for f, (a, b) in zip(fields(CertificateTemplate), pairs, strict=True) if a != b]
            assert names == [case.field]

    def test_every_case_has_another_name(self) -> None:
        assert len(set(map(str, CASES))) == len(CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: str(case).replace("::", ":"))  # pytest's own separator
class TestTheWalk:
    def test_the_certificate_that_is_issued_changes(self, case: Case) -> None:
        before, after = certificate_of(case.before), certificate_of(case.after)
        issuer = {"issuer", "issuer_der"} if case.before.is_root else set()
        changed = differing(before, after) - issuer
        assert case.parsed <= changed
        assert changed <= case.parsed | {"present", "critical"}

    def test_the_certificate_says_what_was_asked(self, case: Case) -> None:
        parsed, template = certificate_of(case.after), case.after.template
        assert parsed.subject == template.subject
        assert parsed.subject_alt_names == template.subject_alt_names
        assert parsed.key_usage == template.key_usage
        assert parsed.extended_key_usage == template.extended_key_usage
        assert (parsed.is_ca, parsed.path_length) == (template.role.is_ca, template.path_length)
        assert parsed.name_constraints == template.name_constraints
        assert parsed.crl_distribution_points == template.crl_distribution_points
        assert (parsed.ocsp, parsed.ca_issuers) == (template.ocsp, template.ca_issuers)

    def test_the_plan_over_the_old_certificate_is_an_update_for_that_reason(self, case: Case) -> None:
        found = decided(case.after, case.before)
        assert not found.obstacles
        change = change_at(found, case.before.address)
        assert (change.action, change.key) == (Action.UPDATE, KeyFate.KEPT)
        wanted = (case.code, case.what)
        others = [(r.code, r.what) for r in change.reasons if (r.code, r.what) != wanted]
        assert wanted in [(reason.code, reason.what) for reason in change.reasons]
        # What is critical follows from two fields; a CA that becomes a server gets its trust file.
        beside = {(ReasonCode.EXTENSIONS_CHANGED, "critical extensions")}
        assert set(others) <= beside | ({(ReasonCode.MISSING, "ca.pem")} if case.field == "role" else set())
        assert [(r.code, r.what) for r in change.reasons].count(wanted) == 1

    def test_the_evidence_shows_old_and_new(self, case: Case) -> None:
        change = change_at(decided(case.after, case.before), case.before.address)
        reason = next(r for r in change.reasons if (r.code, r.what) == (case.code, case.what))
        assert case.was in (reason.was or "")
        assert case.wanted in (reason.wanted or "")

    def test_over_the_new_certificate_it_is_in_sync(self, case: Case) -> None:
        found = decided(case.after, case.after)
        assert found.is_in_sync
        assert not found.obstacles


class TestWhatIsNotInTheCertificate:
    def test_a_derived_path_length_decides_whether_a_larger_one_stays(self) -> None:
        large = asking(INTERMEDIATE, path_length=3)
        small = asking(INTERMEDIATE, path_length=0)
        derived = asking(small, path_length_derived=True)
        assert decided(derived, large).is_in_sync
        assert change_at(decided(small, large), ISSUING).action is Action.UPDATE
        assert differing(certificate_of(small), certificate_of(derived)) == set()

    def test_these_fields_exist(self) -> None:
        assert {field.name for field in fields(CertificateTemplate)} >= NOT_IN_THE_CERTIFICATE


class TestControls:
    def test_the_same_template_signed_twice_differs_in_nothing_that_is_compared(self) -> None:
        one, other = signed(SERVER, ROOT_CERTIFICATE), signed.__wrapped__(SERVER, ROOT_CERTIFICATE)
        assert one.der != other.der
        assert differing(one, other) == set()

    @pytest.mark.parametrize("entry", [SERVER, INTERMEDIATE, A_ROOT], ids=lambda entry: str(entry.address))
    def test_a_template_over_its_own_certificate_is_in_sync(self, entry: Entry) -> None:
        assert decided(entry, entry).is_in_sync

    def test_the_order_of_names_is_no_change(self) -> None:
        names = (dns("b.example"), dns("a.example"))
        one, other = (asking(SERVER, subject_alt_names=some) for some in (names, names[::-1]))
        assert decided(one, other).is_in_sync

    def test_the_case_of_a_dns_name_is_no_change(self) -> None:
        """ "SANs as a normalised set": a DNS name is the same name in any case (RFC 4343)."""
        upper = asking(SERVER, subject_alt_names=(dns("WEB.Shop.example"),))
        lower = asking(SERVER, subject_alt_names=(dns("web.shop.example"),))
        assert decided(lower, upper).is_in_sync
        other = asking(SERVER, subject_alt_names=(dns("WEBB.Shop.example"),))
        assert change_at(decided(lower, other), WEB).action is Action.UPDATE

    def test_an_empty_subject_makes_the_names_critical_and_is_seen_both_ways(self) -> None:
        nameless = asking(SERVER, subject=DistinguishedName())
        for one, other in ((SERVER, nameless), (nameless, SERVER)):
            change = change_at(decided(one, other), WEB)
            reasons = [(reason.code, reason.what) for reason in change.reasons]
            assert reasons == [
                (ReasonCode.SUBJECT_CHANGED, None),
                (ReasonCode.EXTENSIONS_CHANGED, "critical extensions"),
            ]
            assert decided(other, other).is_in_sync

    def test_a_second_of_validity_is_rounding_and_two_are_not(self) -> None:
        longer = asking(SERVER, validity=Validity(90 * DAYS + 1))
        assert decided(longer, SERVER).is_in_sync
        longer = asking(SERVER, validity=Validity(90 * DAYS + 2))
        assert change_at(decided(longer, SERVER), WEB).action is Action.UPDATE
        assert timedelta(seconds=1) == SECOND

    def test_several_fields_changed_are_several_reasons(self) -> None:
        other = asking(SERVER, subject=name_of("new"), ocsp=("http://a.example",), subject_alt_names=())
        codes = [reason.code for reason in change_at(decided(other, SERVER), WEB).reasons]
        assert codes == [ReasonCode.SUBJECT_CHANGED, ReasonCode.SANS_CHANGED, ReasonCode.EXTENSIONS_CHANGED]

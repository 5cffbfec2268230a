"""The foreign verifiers accept a good hierarchy and refuse each wrong one, for what is wrong with it."""

import re
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from foreign import (
    ALGORITHMS,
    PATH_VERIFIERS,
    CannotJudgeError,
    Case,
    Purpose,
    Verifier,
    can_judge,
    exclusion,
    go,
    go_batch,
    go_source_findings,
    pkilint,
    pkilint_batch,
    python_strict,
    supports,
)
from foreign.controls import (
    BAD,
    GOOD,
    PERMITTED,
    SPIFFE_ID,
    WORDS,
    Question,
    askable,
    calling,
    dns,
    ip,
    issue,
    serving,
    uri,
    write_controls,
)
from foreign.hierarchy import (
    CLIENT,
    NOW,
    SERVER,
    Authority,
    Extension,
    Wish,
    certify,
    end_entity_extensions,
    key_usage,
    make_ca,
    new_key,
    write_pem,
)


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tree")
    write_controls(folder)
    return folder


@pytest.mark.parametrize("verifier", PATH_VERIFIERS)
@pytest.mark.parametrize("question", GOOD, ids=str)
def test_a_good_path_is_accepted(tree: Path, verifier: Verifier, question: Question) -> None:
    verdict = question.ask(verifier, tree)
    assert verdict.accepted, verdict.words


@pytest.mark.parametrize(
    ("verifier", "why", "question"),
    [(verifier, *bad) for verifier in PATH_VERIFIERS for bad in BAD if askable(verifier, *bad)],
    ids=str,
)
def test_a_bad_path_is_refused_for_what_is_bad(tree: Path, verifier: Verifier, why: str, question: Question) -> None:
    verdict = question.ask(verifier, tree)
    assert not verdict.accepted
    assert re.search(WORDS[verifier][why], verdict.words), verdict.words


@pytest.mark.parametrize("verifier", [name for name in PATH_VERIFIERS if can_judge(name, "server", "x", NOW)])
def test_a_time_that_is_given_is_the_time_that_counts(tree: Path, verifier: Verifier) -> None:
    a_week_ago = NOW - timedelta(days=7)
    verdict = Question("expired", "server", "api.shop.example", at=a_week_ago).ask(verifier, tree)
    assert verdict.accepted, verdict.words


def test_a_batch_has_the_verdicts_of_its_cases_in_order(tree: Path) -> None:
    bad = [question for _, question in BAD]
    questions = [question for pair in zip(GOOD, bad, strict=False) for question in pair]
    cases = [
        Case(tree / f"{q.file}.pem", tree / f"{q.anchors}.pem", q.purpose, q.name, q.at)
        for q in questions
        if can_judge("go", q.purpose, q.name)
    ]
    verdicts = go_batch(cases)
    singly = [go(case.end_entity_pem, case.anchors, case.purpose, case.name, case.at) for case in cases]
    assert [verdict.accepted for verdict in verdicts] == [verdict.accepted for verdict in singly]
    assert {verdict.accepted for verdict in verdicts} == {True, False}


def test_gofmt_and_go_vet_have_nothing_to_say() -> None:
    assert go_source_findings() == ""


# Key algorithms


@pytest.fixture(scope="module", params=ALGORITHMS)
def algorithm_tree(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[str, Path]:
    """A key algorithm, and a server's path in which every key is of it."""
    algorithm = str(request.param)
    folder = tmp_path_factory.mktemp(algorithm)
    try:
        root = make_ca("Shop Root CA", algorithm, permitted=PERMITTED)
    except ImportError:
        pytest.skip("ML-DSA keys came with cryptography 49")
    issuing = make_ca("Shop Issuing CA", algorithm, root)
    write_pem(folder / "root.pem", root.certificate)
    server = certify(serving(dns("api.shop.example")), new_key(algorithm), issuing)
    write_pem(folder / "server.pem", server, *issuing.path)
    return algorithm, folder


@pytest.mark.parametrize("verifier", PATH_VERIFIERS)
def test_the_table_of_key_algorithms_is_what_the_verifiers_do(
    algorithm_tree: tuple[str, Path], verifier: Verifier
) -> None:
    algorithm, folder = algorithm_tree
    verdict = Question("server", "server", "api.shop.example").ask(verifier, folder)
    assert verdict.accepted == supports(verifier, algorithm), (exclusion(verifier, algorithm), verdict.words)


def test_the_linter_has_nothing_to_say_of_any_key_algorithm(algorithm_tree: tuple[str, Path]) -> None:
    algorithm, folder = algorithm_tree
    assert supports("pkilint", algorithm)
    assert pkilint_batch([folder / "root.pem", folder / "server.pem"]) == [(), ()]


def test_an_unknown_key_algorithm_has_no_answer() -> None:
    with pytest.raises(ValueError, match="rsa-1024"):
        supports("openssl", "rsa-1024")


# What a verifier refuses, or accepts, against RFC 5280: the certificates that certgen makes must live with it


@pytest.fixture(scope="module")
def uri_tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Paths below URI and DNS name constraints, some with common names outside them."""
    folder = tmp_path_factory.mktemp("uri-tree")
    root = make_ca("Shop Root CA", "ecdsa-p256", permitted=[*PERMITTED, uri("shop.example")])
    issuing = make_ca("Shop Issuing CA", "ecdsa-p256", root)
    write_pem(folder / "root.pem", root.certificate)
    no_dns_name = end_entity_extensions([SERVER], [ip("127.0.0.1")])
    wishes = {
        "inside": calling(SPIFFE_ID),
        "outside": calling(uri("spiffe://evil.example/checkout")),
        "plain-cn": Wish("gateway", no_dns_name),
        "dotted-cn": Wish("gateway.evil.example", no_dns_name),
        "dotted-client": Wish("me.evil.example", end_entity_extensions([CLIENT], [])),
    }
    for file, wish in wishes.items():
        issue(folder, file, issuing, wish)
    return folder


@pytest.mark.parametrize(
    ("question", "refused_by"),
    [
        (Question("inside", "client"), ["python_strict"]),
        (Question("plain-cn", "server", "127.0.0.1"), ["gnutls"]),
        (Question("dotted-cn", "server", "127.0.0.1"), ["openssl", "gnutls"]),
        (Question("dotted-client", "client"), ["openssl"]),
    ],
    ids=str,
)
def test_who_refuses_what_rfc_5280_permits(uri_tree: Path, question: Question, refused_by: list[str]) -> None:
    assert [name for name in PATH_VERIFIERS if not question.ask(name, uri_tree).accepted] == refused_by


@pytest.mark.parametrize("verifier", ["openssl", "go", "python_strict"])
def test_a_uri_outside_the_name_constraints_is_refused(uri_tree: Path, verifier: Verifier) -> None:
    verdict = Question("outside", "client").ask(verifier, uri_tree)
    assert not verdict.accepted
    assert re.search(f"{WORDS[verifier]['constraint']}|unsupported name constraint", verdict.words)


def test_openssl_takes_a_common_name_for_a_host_name_where_there_is_no_dns_name(uri_tree: Path) -> None:
    accepted = {
        name for name in PATH_VERIFIERS if Question("plain-cn", "server", "gateway").ask(name, uri_tree).accepted
    }
    assert accepted == {"openssl"}


# The linter


@pytest.mark.parametrize("file", ["root", *dict.fromkeys(question.file for question in GOOD)])
def test_the_linter_has_nothing_to_say_of_a_good_path(tree: Path, file: str) -> None:
    assert pkilint(tree / f"{file}.pem") == ()


@pytest.fixture(scope="module")
def issuing() -> Authority:
    return make_ca("Shop Issuing CA", "ecdsa-p256", make_ca("Shop Root CA", "ecdsa-p256"))


@pytest.mark.parametrize(
    ("name", "code"),
    [
        (dns("*"), "pkix.invalid_domain_name_syntax"),
        (dns("api.*.example"), "pkix.invalid_domain_name_syntax"),
        (dns("a*.shop.example"), "pkix.invalid_domain_name_syntax"),
        (dns("*.shop..example"), "pkix.invalid_domain_name_syntax"),
        (dns("-localhost"), "pkix.invalid_domain_name_syntax"),
        (dns("local host"), "pkix.invalid_domain_name_syntax"),
        (uri("spiffe://Shop.example/checkout"), "pkix.invalid_uri_syntax"),
        (uri("spiffe://shop.example/../checkout"), "pkix.invalid_uri_syntax"),
        (uri("spiffe:///checkout"), "pkix.invalid_uri_syntax"),
        (uri("checkout"), "pkix.invalid_uri_syntax"),
    ],
)
def test_no_more_than_the_false_alarms_is_silenced(
    tmp_path: Path, issuing: Authority, name: x509.GeneralName, code: str
) -> None:
    (finding,) = pkilint(issue(tmp_path, "wrong", issuing, serving(name)))
    assert f" {code} (ERROR) " in finding


def test_a_wildcard_is_no_name_constraint(tmp_path: Path) -> None:
    good = x509.NameConstraints([dns("a.shop.example")], None)
    wrong = x509.UnrecognizedExtension(good.oid, good.public_bytes().replace(b"a.shop", b"*.shop"))
    ca = Extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
    wish = Wish("Root", [ca, key_usage("key_cert_sign"), Extension(wrong, critical=True)])
    (finding,) = pkilint(write_pem(tmp_path / "root.pem", certify(wish, new_key("ecdsa-p256"))))
    assert " pkix.invalid_domain_name_syntax " in finding


def test_the_linter_reads_the_intermediates_too(tmp_path: Path, issuing: Authority) -> None:
    no_basic_constraints = Wish("Wrong CA", [key_usage("key_cert_sign")])
    wrong = certify(no_basic_constraints, new_key("ecdsa-p256"), issuing)
    (server,) = x509.load_pem_x509_certificates(issue(tmp_path, "server", issuing, serving()).read_bytes())[:1]
    findings = pkilint(write_pem(tmp_path / "path.pem", server, wrong))
    assert findings
    assert all(finding.startswith("CN=Wrong CA,") for finding in findings)


# What is no verdict


@pytest.mark.parametrize("verifier", PATH_VERIFIERS)
@pytest.mark.parametrize(("file", "anchors"), [("junk", "root"), ("server", "junk"), ("absent", "root")])
def test_what_cannot_be_read_is_no_refusal(tree: Path, verifier: Verifier, file: str, anchors: str) -> None:
    (tree / "junk.pem").write_text("junk\n", encoding="ascii")
    with pytest.raises(CannotJudgeError):
        Question(file, "server", "api.shop.example", anchors).ask(verifier, tree)


@pytest.mark.parametrize(
    ("verifier", "purpose", "name"),
    [
        ("openssl", "client", "spiffe://shop.example/checkout"),
        ("gnutls", "client", "spiffe://shop.example/checkout"),
        ("go", "client", "checkout@shop.example"),
        ("python_strict", "client", "checkout.shop.example"),
        ("python_strict", "server", None),
        ("go", "server", "*.shop.example"),
    ],
)
def test_a_question_that_a_verifier_cannot_ask_is_no_refusal(
    tree: Path, verifier: Verifier, purpose: Purpose, name: str | None
) -> None:
    assert not can_judge(verifier, purpose, name)
    with pytest.raises(CannotJudgeError, match="no way to judge"):
        PATH_VERIFIERS[verifier](tree / "server.pem", tree / "root.pem", purpose, name)


@pytest.mark.parametrize("verifier", ["openssl", "gnutls"])
def test_a_missing_command_is_no_refusal(tree: Path, verifier: Verifier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tree))
    with pytest.raises(CannotJudgeError, match="not on this machine: install"):
        Question("server", "server", "api.shop.example").ask(verifier, tree)


def test_a_time_without_a_zone_is_a_mistake(tree: Path) -> None:
    with pytest.raises(ValueError, match="time zone"):
        python_strict(tree / "server.pem", tree / "root.pem", "server", "localhost", NOW.replace(tzinfo=None))

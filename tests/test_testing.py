"""A bundle for a test suite: who gets in and who does not, files where they are said to be, mistakes with a place."""

import ipaddress
import ssl
import stat
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from textwrap import dedent

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat, load_pem_private_key
from foreign.hierarchy import make_ca, new_key, write_pem
from proving import key_pem
from sealed import make_person

from certgen.diagnostics import CertgenError
from certgen.pipeline import apply_specs, load_spec
from certgen.report.diagnostics import render_diagnostics
from certgen.testing import CompiledBundle, EndEntity, compile_spec, find_spec
from certgen.tls.causes import Cause
from certgen.tls.handshake import meet

NOW = datetime.now(UTC)
SHOP = {
    "version": 1,
    "cas": {"root": {"common_name": "Shop Root"}, "issuing": {"issuer": "root"}, "partner": None},
    "defaults": {"issuer": "issuing"},
    "servers": {"api": {"sans": ["localhost", "127.0.0.1"]}},
    "clients": {"checkout": {"sans": "spiffe://shop.example/checkout"}, "guest": {"issuer": "partner"}},
    "peers": {"node": {"sans": ["node.shop.example"]}},
}
"""Partners are another root, below which there are clients alone."""


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> CompiledBundle:
    return compile_spec(SHOP, tmp_path_factory.mktemp("shop"), NOW)


def write(folder: Path, text: str) -> Path:
    """Write a spec."""
    path = folder / "shop.yaml"
    path.write_text(dedent(text))
    return path


def certificates(path: Path) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(path.read_bytes())


def spki(key: x509.Certificate | Path) -> bytes:
    """Give the public key of a certificate, or of the private key in a file."""
    found = key if isinstance(key, x509.Certificate) else load_pem_private_key(key.read_bytes(), None)
    return found.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def codes(spec: object, folder: Path) -> list[str]:
    with pytest.raises(CertgenError) as caught:
        compile_spec(spec, folder, NOW)  # type: ignore[arg-type]  # what a fixture of somebody's gives
    return [found.code for found in caught.value.diagnostics]


# Contexts


def test_a_server_and_its_client_meet_and_by_another_name_they_do_not(shop: CompiledBundle) -> None:
    server, client = shop.servers["api"].ssl_context(), shop.clients["checkout"].ssl_context()
    for name in ("localhost", "127.0.0.1"):
        assert meet(server, client, name).is_accepted
    refusal = meet(server, client, "api.shop.example").refusal
    assert refusal is not None
    assert (refusal.side, refusal.cause) == ("client", Cause.WRONG_NAME)


def test_a_peer_meets_all_and_itself(shop: CompiledBundle) -> None:
    node, api, checkout = shop.peers["node"], shop.servers["api"], shop.clients["checkout"]
    assert meet(node.server_context(), checkout.ssl_context(), "node.shop.example").is_accepted
    assert meet(node.server_context(), node.client_context(), "node.shop.example").is_accepted
    assert meet(api.ssl_context(), node.client_context(), "localhost").is_accepted
    assert not meet(api.ssl_context(), node.client_context(), "node.shop.example").is_accepted


def test_the_bundle_of_another_compilation_is_a_stranger(shop: CompiledBundle, tmp_path: Path) -> None:
    other = compile_spec(SHOP, tmp_path, NOW)
    meeting = meet(shop.servers["api"].ssl_context(), other.clients["checkout"].ssl_context(), "localhost")
    assert meeting.refusal is not None
    assert meeting.refusal.cause is Cause.UNKNOWN_AUTHORITY
    assert meet(other.servers["api"].ssl_context(), other.clients["checkout"].ssl_context(), "localhost").is_accepted


def test_contexts_are_as_strict_as_is_promised(shop: CompiledBundle) -> None:
    server, client = shop.servers["api"].ssl_context(), shop.clients["checkout"].ssl_context()
    for context in (server, client):
        assert type(context) is ssl.SSLContext
        assert context.minimum_version is ssl.TLSVersion.TLSv1_2
        assert context.verify_mode is ssl.CERT_REQUIRED
    assert client.check_hostname
    anonymous = shop.clients["checkout"].context_without_certificate()
    assert (anonymous.verify_mode, anonymous.check_hostname) == (ssl.CERT_REQUIRED, True)


def test_an_entry_trusts_what_its_spec_says_and_nothing_else(shop: CompiledBundle) -> None:
    def trusted(context: ssl.SSLContext) -> set[bytes]:
        return set(context.get_ca_certs(binary_form=True))

    root, partner = (shop.cas[name].certificate_file.read_bytes().decode() for name in ("root", "partner"))
    der = {ssl.PEM_cert_to_DER_cert(text) for text in (root, partner)}
    assert trusted(shop.servers["api"].ssl_context()) == der
    assert trusted(shop.clients["checkout"].ssl_context()) == {ssl.PEM_cert_to_DER_cert(root)}
    assert trusted(shop.clients["checkout"].context_without_certificate()) == {ssl.PEM_cert_to_DER_cert(root)}


def test_each_call_gives_a_context_of_its_own(shop: CompiledBundle) -> None:
    first = shop.servers["api"].ssl_context()
    first.set_alpn_protocols(["h2"])
    assert shop.servers["api"].ssl_context() is not first


@pytest.mark.parametrize(
    ("section", "name", "method", "words"),
    [
        ("peers", "node", "ssl_context", "peers/node is server and client: call server_context() or client_context()"),
        ("servers", "api", "client_context", "servers/api is a server: it has no client_context()"),
        ("servers", "api", "context_without_certificate", "servers/api is a server: it has no client_context()"),
        ("clients", "checkout", "server_context", "clients/checkout is a client: it has no server_context()"),
    ],
)
def test_who_asks_for_the_context_of_another_role_is_told(
    shop: CompiledBundle, section: str, name: str, method: str, words: str
) -> None:
    with pytest.raises(TypeError) as caught:
        getattr(getattr(shop, section)[name], method)()
    assert str(caught.value) == words


@pytest.mark.parametrize(
    ("section", "name", "method"),
    [
        ("servers", "api", "server_context"),
        ("clients", "checkout", "client_context"),
        ("peers", "node", "server_context"),
        ("peers", "node", "client_context"),
        ("peers", "node", "context_without_certificate"),
    ],
)
def test_the_full_word_for_a_role_is_good_for_all_who_have_it(
    shop: CompiledBundle, section: str, name: str, method: str
) -> None:
    context = getattr(getattr(shop, section)[name], method)()
    is_server = context.protocol is ssl.PROTOCOL_TLS_SERVER
    assert is_server is (method == "server_context")


# Files


def test_files_are_those_of_the_entry(shop: CompiledBundle) -> None:
    entities = [*shop.servers.values(), *shop.clients.values(), *shop.peers.values()]
    assert [str(one.address) for one in entities] == ["servers/api", "clients/checkout", "clients/guest", "peers/node"]
    for one in entities:
        assert one.folder == shop.folder / str(one.address)
        own = certificates(one.certificate_file)[0]
        assert own.subject.rfc4514_string() == f"CN={one.address.name}"
        assert spki(own) == spki(one.private_key_file)
        assert stat.S_IMODE(one.private_key_file.stat().st_mode) == 0o600
    assert [one.subject.rfc4514_string() for one in certificates(shop.clients["guest"].trust_file)] == ["CN=Shop Root"]


def test_the_file_of_a_ca_verifies_what_it_signed(shop: CompiledBundle) -> None:
    assert list(shop.cas) == ["partner", "root", "issuing"]
    own, issuing = certificates(shop.servers["api"].certificate_file)
    assert certificates(shop.cas["issuing"].certificate_file) == [issuing]
    own.verify_directly_issued_by(issuing)
    (root,) = certificates(shop.cas["root"].certificate_file)
    issuing.verify_directly_issued_by(root)
    (partner,) = certificates(shop.cas["partner"].certificate_file)
    with pytest.raises(ValueError, match="does not match certificate issuer"):
        issuing.verify_directly_issued_by(partner)


def test_snippets_lie_in_the_folder(tmp_path: Path) -> None:
    servers = {"api": {"sans": "localhost", "snippets": ["nginx"]}}
    bundle = compile_spec({"version": 1, "ca": {}, "servers": servers}, tmp_path, NOW)
    assert "ssl_verify_client" in (bundle.servers["api"].folder / "nginx-server.conf").read_text()


def test_a_spec_of_the_project_is_only_read(tmp_path: Path) -> None:
    project, folder = tmp_path / "project", tmp_path / "run"
    project.mkdir()
    folder.mkdir()
    path = write(project, "version: 1\nname: store\nca:\nservers: {api: {sans: localhost}}\n")
    before = path.stat().st_mtime_ns
    bundle = compile_spec(path, folder, NOW)
    assert bundle.folder == folder / "output" / "store"
    assert [*project.iterdir()] == [path]
    assert path.stat().st_mtime_ns == before


def test_a_ca_that_the_user_brings_is_where_it_was(tmp_path: Path) -> None:
    own = make_ca("Own CA", "ecdsa-p256")
    write_pem(tmp_path / "own.pem", own.certificate)
    (tmp_path / "own.key").write_bytes(key_pem(own.key))
    path = write(tmp_path, "version: 1\nca: {certificate: own.pem, private_key: own.key}\nclients: {checkout: }\n")
    bundle = compile_spec(path, tmp_path / "run", NOW)
    assert bundle.cas["ca"].certificate_file == tmp_path / "own.pem"
    certificates(bundle.clients["checkout"].certificate_file)[0].verify_directly_issued_by(own.certificate)


@pytest.mark.parametrize("protection", ["age, recipients: [RECIPIENT]", "passphrase"])
def test_keys_that_a_spec_seals_are_in_clear_for_its_tests(tmp_path: Path, protection: str) -> None:
    recipient = make_person(tmp_path, "me").recipient
    text = f"""\
        version: 1
        keys: {{protection: {protection.replace("RECIPIENT", recipient)}}}
        ca:
        servers: {{api: {{sans: localhost}}}}
        clients: {{checkout: }}
    """
    path = write(tmp_path, text)
    bundle = compile_spec(path, tmp_path / "run", NOW)
    api = bundle.servers["api"]
    assert spki(api.private_key_file) == spki(certificates(api.certificate_file)[0])
    assert meet(api.ssl_context(), bundle.clients["checkout"].ssl_context(), "localhost").is_accepted

    # As the spec stands, nothing is in clear.
    with pytest.raises(CertgenError, match="passphrase") if protection == "passphrase" else nullcontext():
        apply_specs([load_spec(path)], tmp_path / "output", NOW)
    assert not [*(tmp_path / "output").glob("**/key.pem")]


def test_files_that_come_into_sight_behind_a_link_are_files(tmp_path: Path) -> None:
    bundle = compile_spec({**SHOP, "defaults": {"issuer": "issuing", "publish": "symlink"}}, tmp_path, NOW)
    api, checkout = bundle.servers["api"], bundle.clients["checkout"]
    assert api.certificate_file.is_symlink()
    assert meet(api.ssl_context(), checkout.ssl_context(), "localhost").is_accepted
    assert not meet(api.ssl_context(), checkout.expired().ssl_context(), "localhost").is_accepted


def test_a_private_key_that_is_elsewhere_is_told(tmp_path: Path) -> None:
    public = new_key("ecdsa-p256").public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)
    (tmp_path / "api.pub").write_bytes(public)
    path = write(tmp_path, "version: 1\nca:\nservers: {api: {sans: localhost, public_key: api.pub}}\n")
    api = compile_spec(path, tmp_path / "run", NOW).servers["api"]
    with pytest.raises(CertgenError) as caught:
        api.ssl_context()
    (found,) = caught.value.diagnostics
    assert (found.code, found.message) == ("file-missing", f"{api.private_key_file} is not there")
    assert found.help == "the spec gives its `public_key` alone"
    assert len(certificates(api.certificate_file)) == 1


def test_files_that_somebody_spoiled_are_told_by_both_ends(tmp_path: Path) -> None:
    bundle = compile_spec(SHOP, tmp_path, NOW)
    node = bundle.peers["node"]
    node.private_key_file.write_bytes(bundle.servers["api"].private_key_file.read_bytes())
    for make in (node.server_context, node.client_context):
        with pytest.raises(CertgenError, match=r"^unreadable: peers/node: its private key is not that of its certif"):
            make()


# A spec in Python


def contents(entity: EndEntity) -> tuple[str, object, timedelta]:
    own = certificates(entity.certificate_file)[0]
    names = own.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return own.subject.rfc4514_string(), names, own.not_valid_after_utc - own.not_valid_before_utc


def test_a_mapping_says_what_the_same_spec_in_yaml_says(tmp_path: Path) -> None:
    text = """\
        version: 1
        defaults: {subject: {country: NO, organization: [Butikk AS, "12:30"]}}
        ca:
        servers:
          api: {sans: [localhost, "::1"], validity: 1d}
    """
    spec = {
        "version": 1,
        "defaults": {"subject": {"country": "NO", "organization": ["Butikk AS", "12:30"]}},
        "ca": None,
        "servers": {"api": {"sans": ["localhost", "::1"], "validity": "1d"}},
    }
    (tmp_path / "yaml").mkdir()
    written = compile_spec(write(tmp_path, text), tmp_path / "yaml", NOW).servers["api"]
    given = compile_spec(spec, tmp_path / "python", NOW).servers["api"]
    assert contents(given) == contents(written)
    assert contents(given)[0] == "CN=api,O=12:30,O=Butikk AS,C=NO"


def test_pythons_own_values_count_as_their_texts(tmp_path: Path) -> None:
    end = NOW.replace(microsecond=0) + timedelta(days=9)
    names = ("localhost", ipaddress.ip_address("127.0.0.1"))
    entry = {"sans": names, "not_after": end, "deploy_dir": Path("/srv/tls")}
    bundle = compile_spec({"version": 1, "ca": {}, "servers": {"api": entry, "web": entry}}, tmp_path, NOW)
    own = certificates(bundle.servers["web"].certificate_file)[0]
    found = own.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [*found] == [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    assert own.not_valid_after_utc == end


def test_mistakes_in_a_mapping_are_shown_all_at_once_where_they_stand(tmp_path: Path) -> None:
    spec = {"version": 1, "ca": {}, "servers": {"api": {"sams": "größe"}, "web": {"sans": "a b"}}}
    with pytest.raises(CertgenError) as caught:
        compile_spec(spec, tmp_path, NOW)
    place = tmp_path / "certgen.yaml"
    assert render_diagnostics(caught.value.diagnostics) == dedent(f"""\
        error[unknown-field]: unknown field `sams`
          {place}:5:5
          |
        5 |     sams: größe
          |     ^^^^ did you mean `sans`?

        error[bad-san]: `a b`: not a DNS name: its labels are letters, digits and inner hyphens
          {place}:7:11
          |
        7 |     sans: a b
          |           ^^^

    """)
    assert not (tmp_path / "output").exists()


@pytest.mark.parametrize(("spec", "name"), [(None, "NoneType"), (["version"], "list"), ("version: 1", "str")])
def test_what_is_no_spec_at_all_is_told(tmp_path: Path, spec: object, name: str) -> None:
    with pytest.raises(CertgenError) as caught:
        compile_spec(spec, tmp_path, NOW)  # type: ignore[arg-type]  # as above
    (found,) = caught.value.diagnostics
    assert (found.code, found.message) == ("not-a-spec", f"the spec is of type {name}")
    assert found.help == "give a path, or a mapping"


@pytest.mark.parametrize(
    ("spec", "expected"),
    [({}, ["missing-version"]), ({"version": 2}, ["unknown-version"]), ({"version": 1}, ["no-ca"])],
)
def test_a_mapping_that_says_too_little_is_refused(
    tmp_path: Path, spec: Mapping[str, object], expected: list[str]
) -> None:
    assert codes(spec, tmp_path) == expected


def test_what_a_plan_has_against_a_spec_is_told(tmp_path: Path) -> None:
    own = make_ca("Own CA", "ecdsa-p256")
    write_pem(tmp_path / "own.pem", own.certificate)
    path = write(tmp_path, "version: 1\nca: {certificate: own.pem}\nclients: {checkout: }\n")
    assert codes(path, tmp_path / "run") == ["signer-missing"]


def test_a_file_that_is_not_there_is_told(tmp_path: Path) -> None:
    assert codes(tmp_path / "shop.yaml", tmp_path / "run") == ["no-such-spec"]


# Which spec is a project's


def test_the_spec_of_a_project_is_its_own_or_the_only_one(tmp_path: Path) -> None:
    (tmp_path / "specs").mkdir()
    only = tmp_path / "specs" / "shop.yml"
    only.touch()
    assert find_spec(tmp_path) == only
    (tmp_path / "certgen.yaml").touch()
    assert find_spec(tmp_path) == tmp_path / "certgen.yaml"


def test_none_and_several_are_told(tmp_path: Path) -> None:
    with pytest.raises(CertgenError) as caught:
        find_spec(tmp_path)
    (found,) = caught.value.diagnostics
    words = f"there is neither {tmp_path}/certgen.yaml nor a spec in {tmp_path}/specs/"
    assert (found.code, found.message) == ("no-specs", words)
    (tmp_path / "specs").mkdir()
    for name in ("shop.yaml", "bank.yaml"):
        (tmp_path / "specs" / name).touch()
    with pytest.raises(CertgenError) as caught:
        find_spec(tmp_path)
    (found,) = caught.value.diagnostics
    words = f"there are 2 specs in {tmp_path}/specs/, and one is to be compiled"
    assert (found.code, found.message) == ("several-specs", words)
    assert found.help == "say which where pytest is configured, for example `certgen_spec = specs/bank.yaml`"


def test_an_entity_is_known_by_its_address_and_folder(shop: CompiledBundle) -> None:
    api = shop.servers["api"]
    assert api == replace(api)
    assert api != replace(api, folder=api.folder.parent)
    assert "Strangers" not in repr(api)

"""Those who must be kept out; and a door that is left open on purpose, each time another one, must be found."""

import ssl
from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from proving import NOW, SHOP, Other, Place, compiled, demand_proven, in_short

from certgen.prove import challenges as module
from certgen.prove import encounters, parties
from certgen.prove.challenges import Challenges
from certgen.prove.parties import gather_authorities, gather_parties, gather_roots
from certgen.prove.shadow import Shadow
from certgen.prove.values import Challenge, Judgement, Stranger
from certgen.store.scratch import scratch
from certgen.store.tree import Tree
from certgen.tls.causes import Cause, Refusal, Side
from certgen.tls.contexts import Credentials, client_context, server_context
from certgen.tls.handshake import Meeting

AT_A_SERVER = set(Stranger) - {Stranger.FALSE_SERVER}


@pytest.fixture(scope="session")
def untouched(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return compiled(tmp_path_factory.mktemp("challenges") / "shop", SHOP)


@pytest.fixture
def place(untouched: Place, tmp_path: Path) -> Place:
    return untouched.copied(tmp_path / "shop")


def tried(place: Place) -> dict[str, dict[Stranger, Challenge]]:
    """Try all strangers; give what became of them by the entry that they challenge."""
    bundle, tree = place.bundle, Tree(place.tree)
    with scratch() as files:
        challenges = Challenges(
            bundle,
            gather_parties(bundle, tree),
            gather_roots(bundle, gather_authorities(bundle, tree)),
            Shadow(bundle, NOW, files),
        )
        done = [attempt() for attempt in challenges.attempts()]
    found: dict[str, dict[Stranger, Challenge]] = {}
    for one in done:
        assert one.stranger not in found.setdefault(str(one.address), {})
        found[str(one.address)][one.stranger] = one
    return found


def kinds(place: Place) -> dict[str, set[Stranger]]:
    return {address: set(found) for address, found in tried(place).items()}


# Who is tried at whom


def test_all_strangers_come_to_every_server_and_a_false_server_to_every_client(untouched: Place) -> None:
    assert kinds(untouched) == {
        "servers/api": AT_A_SERVER,
        "servers/web": AT_A_SERVER,
        "clients/checkout": {Stranger.FALSE_SERVER},
        "clients/reporting": {Stranger.FALSE_SERVER},
    }


def test_each_is_refused_for_its_own_reason_under_both_versions_by_the_side_that_must(untouched: Place) -> None:
    for found in tried(untouched).values():
        for stranger, challenge in found.items():
            side = Side.CLIENT if stranger in {Stranger.WRONG_NAME, Stranger.FALSE_SERVER} else Side.SERVER
            assert [trial.version for trial in challenge.trials] == ["TLS 1.2", "TLS 1.3"]
            for trial in challenge.trials:
                assert trial.refusal is not None
                assert (trial.refusal.side, trial.refusal.cause) == (side, stranger.cause)
            assert challenge.judgement is Judgement.AS_EXPECTED


@pytest.mark.parametrize(
    ("members", "expected"),
    [
        ("peers: {a: {sans: a.test}, b: {sans: b.test}}", {"peers/a": set(Stranger), "peers/b": set(Stranger)}),
        ("peers: {a: {sans: a.test}}", {"peers/a": {Stranger.NOBODY}}),
        ("servers: {a: {sans: a.test}}", {"servers/a": {Stranger.NOBODY}}),
        ("clients: {a: }", {}),
        (
            "servers: {a: {sans: a.test}}\nclients: {b: {extended_key_usage: [serverAuth]}}",
            {"servers/a": {Stranger.NOBODY}},
        ),
        (
            "servers: {a: {sans: a.test, extended_key_usage: [clientAuth]}}\nclients: {b: }",
            {"servers/a": {Stranger.NOBODY}},
        ),
    ],
    ids=["two peers", "one peer", "one server", "one client", "a client that is none", "a server that is none"],
)
def test_a_stranger_is_modelled_after_somebody_who_gets_in(
    tmp_path: Path, members: str, expected: dict[str, set[Stranger]]
) -> None:
    assert kinds(compiled(tmp_path / "shop", f"version: 1\nca: {{}}\n{members}\n")) == expected


def test_somebody_whose_key_is_here_is_taken_for_a_model_before_one_whose_key_is_not(place: Place) -> None:
    (place.tree / "clients/checkout/key.pem").unlink()
    found = tried(place)
    assert {one.judgement for one in found["servers/api"].values()} == {Judgement.AS_EXPECTED}
    assert found["clients/checkout"][Stranger.FALSE_SERVER].obstacle == "its private key is not on this machine"
    (place.tree / "clients/reporting/key.pem").unlink()
    found = tried(place)
    assert found["servers/api"].pop(Stranger.WRONG_NAME).judgement is Judgement.UNKNOWN
    assert {one.judgement for one in found["servers/api"].values()} == {Judgement.AS_EXPECTED}


def test_nobody_comes_to_a_server_whose_key_is_not_here(place: Place) -> None:
    (place.tree / "servers/api/key.pem").unlink()
    found = tried(place)
    assert {one.obstacle for one in found["servers/api"].values()} == {"its private key is not on this machine"}
    assert {one.judgement for one in found["servers/web"].values()} == {Judgement.AS_EXPECTED}


# Doors that are left open: what prove must find if it tries what it says that it tries


Context = Callable[..., ssl.SSLContext]


def undemanding(make: Context, *arguments: Any, **options: Any) -> ssl.SSLContext:  # noqa: ANN401 - as the real one
    """A server that asks nobody for a certificate."""
    context = make(*arguments, **options)
    context.verify_mode = ssl.CERT_NONE
    return context


def optional(make: Context, *arguments: Any, **options: Any) -> ssl.SSLContext:  # noqa: ANN401 - as the real one
    """A server that asks for a certificate, and takes nothing for an answer."""
    context = make(*arguments, **options)
    context.verify_mode = ssl.CERT_OPTIONAL
    return context


def nameless(make: Context, *arguments: Any, **options: Any) -> ssl.SSLContext:  # noqa: ANN401 - as the real one
    """A client that looks at no name."""
    context = make(*arguments, **options)
    context.check_hostname = False
    return context


def careless(make: Context, *arguments: Any, **options: Any) -> ssl.SSLContext:  # noqa: ANN401 - as the real one
    """A client that believes every server."""
    context = make(*arguments, **options)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context


def timeless(make: Context, *arguments: Any, **options: Any) -> ssl.SSLContext:  # noqa: ANN401 - as the real one
    """One that looks at no date."""
    return make(*arguments, **{**options, "ignores_time": True})


def lax(make: Context, *arguments: Any, **options: Any) -> ssl.SSLContext:  # noqa: ANN401 - as the real one
    """One that is not strict."""
    context = make(*arguments, **options)
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    return context


def open_door(patch: pytest.MonkeyPatch, end: str, door: Callable[..., ssl.SSLContext]) -> None:
    """Have every context of one end made so."""
    real: Context = server_context if end == "server_context" else client_context
    for place in (module, encounters, parties):
        if hasattr(place, end):
            patch.setattr(place, end, partial(door, real))


def let_in(place: Place) -> Counter[Stranger]:
    """Give the strangers who were let in, each with the number of its handshakes, and who were let in alone."""
    challenges = [one for found in tried(place).values() for one in found.values()]
    accepted: Counter[Stranger] = Counter()
    for one in challenges:
        accepted[one.stranger] += sum(trial.refusal is None for trial in one.trials)
    assert all((one.judgement is Judgement.AS_EXPECTED) == (one.stranger not in +accepted) for one in challenges)
    return +accepted


def test_with_every_door_closed_nobody_is_let_in(untouched: Place) -> None:
    assert let_in(untouched) == {}
    demand_proven(untouched.prove())


@pytest.mark.parametrize(
    ("end", "door", "strangers"),
    [
        (
            "server_context",
            undemanding,
            {Stranger.NOBODY, Stranger.OTHER_AUTHORITY, Stranger.SERVER_AS_CLIENT, Stranger.EXPIRED},
        ),
        ("server_context", optional, {Stranger.NOBODY}),
        ("server_context", timeless, {Stranger.EXPIRED}),
        ("client_context", nameless, {Stranger.WRONG_NAME}),
        ("client_context", careless, {Stranger.WRONG_NAME, Stranger.FALSE_SERVER}),
    ],
    ids=["no certificate asked for", "certificate optional", "dates ignored", "names ignored", "servers not verified"],
)
def test_a_door_that_is_left_open_lets_in_those_whom_it_should_keep_out(
    untouched: Place, monkeypatch: pytest.MonkeyPatch, end: str, door: Context, strangers: set[Stranger]
) -> None:
    open_door(monkeypatch, end, door)
    assert let_in(untouched) == dict.fromkeys(strangers, 4)  # two servers or clients, two versions
    proof = untouched.prove()
    assert proof.judgement is Judgement.UNEXPECTED
    assert {finding.code for finding in proof.findings} == {"let-in"}
    descriptions = {stranger.description for stranger in strangers}
    assert {finding.message.partition(" accepts ")[2] for finding in proof.findings} == descriptions


def test_a_server_that_looks_at_no_purpose_lets_in_a_servers_certificate(
    untouched: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = Shadow.credentials

    def for_all(shadow: Shadow, entry: Any, purposes: object = None, *, is_expired: bool = False) -> Credentials:  # noqa: ANN401, ARG001
        return real(shadow, entry, None, is_expired=is_expired)

    monkeypatch.setattr(Shadow, "credentials", for_all)
    assert let_in(untouched) == {Stranger.SERVER_AS_CLIENT: 4}


def test_a_server_that_trusts_the_shadow_lets_in_the_other_ca(place: Place) -> None:
    bundle, tree = place.bundle, Tree(place.tree)
    with scratch() as files:
        shadow = Shadow(bundle, NOW, files)
        client = next(one for one in bundle.entries if str(one.address) == "clients/checkout")
        (place.tree / "servers/api/ca.pem").write_bytes(shadow.anchors([client]))
        challenges = Challenges(
            bundle, gather_parties(bundle, tree), gather_roots(bundle, gather_authorities(bundle, tree)), shadow
        )
        done = [attempt() for attempt in challenges.attempts()]
    wrong = [(str(one.address), one.stranger) for one in done if one.judgement is Judgement.UNEXPECTED]
    assert wrong == [("servers/api", Stranger.OTHER_AUTHORITY)]


def test_who_is_kept_out_for_another_reason_is_not_taken_for_kept_out(
    untouched: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unknowing(self: Challenges, party: Any, client: object, version: Any) -> ssl.SSLContext:  # noqa: ANN401, ARG001
        return server_context(party.own(), party.anchors, version)

    monkeypatch.setattr(Challenges, "_among_shadows", unknowing)
    proof = untouched.prove()
    assert in_short(proof.findings) == [
        "refused-otherwise servers/api",
        "refused-otherwise servers/api",
        "refused-otherwise servers/web",
        "refused-otherwise servers/web",
    ]
    assert "for another reason: the server refuses because no root that it trusts" in proof.findings[0].message


def test_a_handshake_that_always_succeeds_or_always_fails_proves_nothing(
    untouched: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    for meeting in (Meeting(None), Meeting(Refusal(Side.SERVER, Cause.OTHER, "no"))):
        for place in (module, encounters):
            monkeypatch.setattr(place, "meet", lambda *_arguments, meeting=meeting: meeting)
        proof = untouched.prove()
        assert proof.judgement is Judgement.UNEXPECTED
        assert {one.judgement for one in proof.challenges} == {Judgement.UNEXPECTED}


def test_only_strictness_finds_what_only_a_strict_verifier_refuses(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    for address, issuer in (("servers/api", "cas/issuing"), ("clients/checkout", "cas/client-root")):
        place.sign_again(address, Other(issuer, extensions={x509.AuthorityKeyIdentifier: None}))
    proof = place.prove()
    assert {finding.code for finding in proof.findings} == {"kept-out"}
    assert {finding.where for finding in proof.findings} == {"servers/api/cert.pem", "clients/checkout/cert.pem"}
    assert all("Missing Authority Key Identifier" in finding.message for finding in proof.findings)
    for end in ("server_context", "client_context"):
        open_door(monkeypatch, end, lax)
    assert {finding.code for finding in place.prove().findings} == {"wrong-contents"}

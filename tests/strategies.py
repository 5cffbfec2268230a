"""Specs for Hypothesis: valid ones, as the mappings that a YAML file holds."""

from typing import Any

from hypothesis import strategies as st

SpecTree = dict[str, Any]

_NAMES = ("a", "b1", "c-c", "d-d", "e_e", "0")
_KEYS = ("ecdsa-p256", "ecdsa-p384", "ed25519")
_DNS_HOSTS = ("shop.example", "api.shop.example", "*.shop.example", "localhost", "bücher.shop.example")
_OTHER_SANS = ("127.0.0.1", "::1", "10.1.2.3", "urn:shop:1", "spiffe://shop.example/x", "me@shop.example")
_SUBJECTS = (
    {"organization": "Shop BV"},
    {"organization": ["one", "two"], "country": "NL"},
    {"locality": "Den Haag", "state": "Zuid-Holland"},
)
_CONSTRAINTS = (
    {"permitted": ["shop.example", "localhost", "email:shop.example"]},
    {"excluded": ["evil.example", "192.0.2.0/24"]},
    {"permitted": ["0.0.0.0/0", "::/0"], "excluded": ["secret.evil.example"]},
)


def _common(maximum_days: int, minimum_days: int) -> dict[str, st.SearchStrategy[Any]]:
    """The optional fields of every entry; validities are in days."""
    return {
        "key": st.sampled_from(_KEYS),
        "subject": st.sampled_from(_SUBJECTS),
        "validity": st.integers(minimum_days, maximum_days).map("{}d".format),
        "renew_before": st.sampled_from(["1h", "10%", "50%"]),
    }


def _sans(minimum: int) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from([*_DNS_HOSTS, *_OTHER_SANS]), min_size=minimum, max_size=3, unique=True)


def _entries(fields: dict[str, st.SearchStrategy[Any]], required: dict[str, st.SearchStrategy[Any]]) -> Any:  # noqa: ANN401
    entry = st.fixed_dictionaries(required, optional=fields)
    return st.dictionaries(st.sampled_from(_NAMES), entry, max_size=2)


@st.composite
def authorities(draw: st.DrawFn) -> SpecTree:
    """One to three CAs, of which each but the first may be below an earlier one; shorter-lived the deeper."""
    found: SpecTree = {}
    depth: dict[str, int] = {}
    for name in draw(st.permutations(["root", "mid", "low"]))[: draw(st.integers(1, 3))]:
        above = draw(st.sampled_from([None, *found]))
        depth[name] = depth[above] + 1 if above else 0
        entry: SpecTree = {"common_name": f"{name} CA", "validity": f"{4000 - 500 * depth[name]}d"}
        if above:
            entry["issuer"] = above
        elif draw(st.booleans()):
            entry["name_constraints"] = draw(st.sampled_from(_CONSTRAINTS))
        entry["key"] = draw(st.sampled_from(_KEYS))
        found[name] = entry
    return found


def _publishing() -> st.SearchStrategy[SpecTree]:
    return st.fixed_dictionaries({}, optional={"publish": st.sampled_from(["files", "symlink"])})


@st.composite
def specs(draw: st.DrawFn) -> SpecTree:
    """A spec that is valid in every part."""
    cas = draw(authorities())
    issuer = {"issuer": st.sampled_from(sorted(cas))}
    fields = _common(maximum_days=700, minimum_days=1) | {"publish": st.sampled_from(["files", "symlink"])}
    return {
        "version": 1,
        "defaults": {
            "subject": draw(st.sampled_from(_SUBJECTS)),
            "key": draw(st.sampled_from(_KEYS)),
            **draw(_publishing()),
        },
        "cas": cas,
        "servers": draw(_entries(fields, {**issuer, "sans": _sans(1)})),
        "clients": draw(_entries({**fields, "sans": _sans(0)}, issuer)),
        "peers": draw(_entries(fields, {**issuer, "sans": _sans(1)})),
    }


@st.composite
def permuted(draw: st.DrawFn, value: SpecTree) -> SpecTree:
    """The same mappings, all the way down, each in another order."""
    keys = draw(st.permutations(sorted(value)))
    return {key: draw(permuted(value[key])) if isinstance(value[key], dict) else value[key] for key in keys}

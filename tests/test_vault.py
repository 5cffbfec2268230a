"""A private key that is about to stand in another file is the one that was judged, or the run ends."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from shop import Shop

from certgen.diagnostics import CertgenError
from certgen.model import Address, Section
from certgen.pipeline import load_spec, observe_tree
from certgen.sealing.port import PrivateKey
from certgen.store.tree import Tree
from certgen.tree import Observed
from certgen.vault import IN_CLEAR, Vault, identity_of, take_judged_key, take_key

API = Address(Section.SERVERS, "api")


@pytest.fixture
def shop(tmp_path: Path) -> Shop:
    (tmp_path / "shop").mkdir()
    return Shop(tmp_path / "shop").write().compile()


def seen(shop: Shop) -> tuple[Observed, Tree]:
    tree = Tree(shop.tree)
    return observe_tree(load_spec(shop.spec).bundle, tree), tree


def test_the_key_that_was_found_is_given_with_its_path(shop: Shop) -> None:
    observed, tree = seen(shop)
    private_key, path = take_key(API, observed, tree, IN_CLEAR)
    assert (private_key.pem, path) == ((shop.tree / path).read_bytes(), "servers/api/key.pem")
    assert take_judged_key(API, observed, tree, IN_CLEAR) == private_key
    assert identity_of(private_key) == observed[API].key.key_id


def test_one_that_was_opened_is_not_read(shop: Shop) -> None:
    observed, tree = seen(shop)
    opened = PrivateKey((shop.tree / "servers/api/key.pem").read_bytes())
    (shop.tree / "servers/api/key.pem").unlink()
    assert take_judged_key(API, observed, tree, Vault(unsealed={API: opened})) == opened


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (lambda file: file.unlink(), "unreadable"),
        (lambda file: (file.unlink(), file.mkdir()), "unreadable"),
        (lambda file: file.write_bytes(b""), "key-mismatch"),
        (lambda file: file.write_bytes(file.read_bytes()[:-40]), "key-mismatch"),
        (lambda file: file.write_bytes((file.parents[2] / "cas/root/key.pem").read_bytes()), "key-mismatch"),
    ],
    ids=["gone", "a folder", "empty", "torn", "another"],
)
def test_one_that_is_no_longer_what_it_was_is_never_taken(
    shop: Shop, spoil: Callable[[Path], object], code: str
) -> None:
    observed, tree = seen(shop)
    spoil(shop.tree / "servers/api/key.pem")
    with pytest.raises(CertgenError) as raised:
        take_judged_key(API, observed, Tree(shop.tree), IN_CLEAR)
    (problem,) = raised.value.diagnostics
    assert (problem.code, problem.where) == (code, "servers/api/key.pem")
    assert tree.root == shop.tree

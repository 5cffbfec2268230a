"""What counts as unchanged: another text of the same spec, another user, machine, place and time of the same tree."""

import json
import os
import random
import stat
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
import yaml
from programs import require
from samples import one_in
from scene import take_snapshot
from shop import Shop, contents, copied, second_run

SPEC = """\
    version: 1
    defaults:
      subject: {organization: Käse & Söhne, country: NL}
      issuer: issuing
    cas:
      root:
        common_name: Shop Root
        validity: 10y
        name_constraints: {permitted: [shop.example, localhost, 127.0.0.0/8, "URI:shop.example"]}
      issuing: {issuer: root, common_name: Käse Issuing}
    servers:
      api:
        sans: [api.shop.example, localhost, 127.0.0.1, käse.shop.example]
        snippets: {nginx: {allow: [clients/checkout, clients/reporting]}, envoy: {}}
        key: {algorithm: ecdsa-p256, mode: "0640"}
    clients:
      checkout: {sans: "spiffe://shop.example/checkout", snippets: [go]}
      reporting:
"""
GIT = {"GIT_CONFIG_GLOBAL": os.devnull, "GIT_CONFIG_NOSYSTEM": "1"}


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """A compiled shop, for tests to copy."""
    return Shop(tmp_path_factory.mktemp("compiled")).write(SPEC).compile()


@pytest.fixture
def shop(compiled: Shop, tmp_path: Path) -> Shop:
    return copied(compiled, tmp_path / "here")


# What counts as unchanged: the spec


def shuffled(value: Any, order: random.Random) -> Any:  # noqa: ANN401 - what YAML holds
    """Give a plain tree with every map and every list in another order; the lists of the spec above are all sets."""
    match value:
        case dict():
            return {key: shuffled(value[key], order) for key in order.sample(list(value), len(value))}
        case list():
            return order.sample(value, len(value))
        case _:
            return value


def rewritten(number: int) -> str:
    """Give the spec with its maps and its sets of names in another order, in another of YAML's styles."""
    tree = shuffled(yaml.safe_load(dedent(SPEC)), random.Random(number))  # noqa: S311 - an order, not a secret
    styles: Sequence[Callable[[], str]] = (
        lambda: json.dumps(tree, indent=number),
        lambda: json.dumps(tree, ensure_ascii=False),
        lambda: yaml.safe_dump(tree, sort_keys=False, allow_unicode=True, explicit_start=True, indent=6, width=10**6),
        lambda: yaml.safe_dump(tree, sort_keys=False, default_flow_style=True, width=40),
        lambda: "# note\n\n" + yaml.safe_dump(tree, sort_keys=True, indent=number + 2).replace("\n", "  # note\r\n"),
    )
    return styles[number % len(styles)]()


@pytest.mark.parametrize("number", one_in(3, range(1, 11)))
def test_ten_hash_seeds_each_with_the_spec_in_another_order_and_style(shop: Shop, number: int) -> None:
    text = rewritten(number)
    assert yaml.safe_load(text) is not None
    assert text != dedent(SPEC)
    shop.spec.write_bytes(text.encode())
    second_run(shop, env={"PYTHONHASHSEED": str(number)}).assert_untouched((number, text))


def test_a_spec_that_says_in_full_what_it_left_to_the_defaults(shop: Shop) -> None:
    text = """\
        version: 1
        name: shop
        cas:
          issuing:
            issuer: root
            common_name: &issuing Käse Issuing
            validity: 43800h
            subject: {organization: &us Käse & Söhne, country: NL}
          root:
            common_name: Shop Root
            validity: 3650d
            key: ecdsa-p256
            subject: {organization: [*us], country: NL}
            name_constraints:
              permitted: [DNS:shop.example, "DNS:localhost", IP:127.0.0.0/8, "URI:shop.example"]
        clients:
          reporting:
            {issuer: issuing, common_name: reporting, validity: 365d, subject: &nl {organization: *us, country: NL}}
          checkout: {issuer: issuing, key: {algorithm: ecdsa-p256, rotation: keep, mode: "0600"}, subject: *nl,
                     sans: ["URI:spiffe://shop.example/checkout"], snippets: {go: {}}, trust: root}
        servers:
          api:
            issuer: issuing
            subject: *nl
            key: {mode: "0640"}
            deploy_dir: /etc/certgen/api
            sans: [DNS:API.shop.example, IP:127.0.0.1, DNS:localhost, xn--kse-qla.shop.example]
            snippets: {envoy: {}, nginx: {allow: [clients/reporting, clients/checkout]}}
            extended_key_usage: [serverAuth]
            renew_before: 33%
    """
    second_run(shop.write(text)).assert_untouched()


def test_a_spec_that_says_something_else_is_no_unchanged_one(shop: Shop) -> None:
    text = dedent(SPEC).replace("localhost, 127.0.0.1,", "localhost, 127.0.0.2,")
    second = second_run(shop.write(text))
    assert second.ran.code == 1, second.ran
    before, after = contents(second.before), contents(second.after)
    changed = {path for path in {*before, *after} if before.get(path) != after.get(path)}
    assert changed == {"servers/api/cert.pem", "manifest.json"}
    with pytest.raises(AssertionError):
        second.assert_untouched()


# What counts as unchanged: who types, where and how


def locale(name: str, folder: Path) -> dict[str, str]:
    """Give the variables for a locale, made here where the system has it not."""
    plain = {"PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": name, "LANG": name}
    if name in {"C", "C.UTF-8"}:
        return plain
    language, charset = name.split(".")
    done = subprocess.run(
        [require("localedef"), "-i", language, "-f", charset, folder / name],
        capture_output=True,
        text=True,
        check=False,
    )
    if not (folder / name).is_dir():
        reason = f"localedef cannot make {name} (apt-get install locales): {done.stderr.strip()}"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)
    return {**plain, "LOCPATH": str(folder)}


@pytest.mark.parametrize("name", ["C", "C.UTF-8", "de_DE.ISO-8859-1"])
def test_a_locale_changes_nothing_whether_it_is_the_second_runs_or_the_first_ones(
    shop: Shop, tmp_path: Path, name: str
) -> None:
    env = locale(name, tmp_path)
    assert_encoding(env, {"C": "ascii", "C.UTF-8": "utf-8"}.get(name, "iso8859-"))
    second_run(shop, env=env).assert_untouched(name)
    there = tmp_path / "there"
    there.mkdir()
    other = Shop(there).write(SPEC)
    ran = other.type("apply", env=env)
    assert ran.code == 0, ran
    second_run(other).assert_untouched(name)
    assert without_signatures(other) == without_signatures(shop)


def assert_encoding(env: dict[str, str], wanted: str) -> None:
    """Demand that a locale is in force: its encoding is that of file names and of what is printed."""
    code = "import sys; print(sys.getfilesystemencoding(), sys.stdout.encoding)"
    done = subprocess.run(
        [sys.executable, "-c", code], env={"PATH": os.environ["PATH"], **env}, capture_output=True, check=True
    )
    assert all(word.startswith(wanted) for word in done.stdout.decode().lower().split()), done


def without_signatures(shop: Shop) -> dict[str, bytes]:
    """Give the files that are the same whenever and with whatever keys they are made."""
    found = take_snapshot(shop.tree)
    return {
        path: record.content
        for path, record in found.items()
        if not path.endswith(".pem") and path != "manifest.json" and not path.startswith(".certgen")
    }


def test_no_umask_changes_anything(shop: Shop) -> None:
    second_run(shop, umask=0o777).assert_untouched()


@pytest.mark.parametrize("umask", [0o000, 0o077])
def test_a_tree_has_the_same_modes_under_every_umask(shop: Shop, tmp_path: Path, umask: int) -> None:
    other = Shop(tmp_path).write(SPEC)
    ran = other.type("apply", umask=umask)
    assert ran.code == 0, ran
    modes = {path: mode for path, (_, mode) in contents(take_snapshot(other.tree)).items()}
    assert modes == {path: mode for path, (_, mode) in contents(take_snapshot(shop.tree)).items()}


def test_another_working_folder_and_another_way_to_name_the_same_files(shop: Shop, tmp_path: Path) -> None:
    link = tmp_path / "shop.yaml"
    link.symlink_to(shop.spec)
    ways: list[tuple[Path, Sequence[str | Path]]] = [
        (Path("/"), (shop.spec, "-o", shop.output)),
        (shop.tree / "servers/api", ("../../../../shop.yaml", "-o", "../../..")),
        (shop.folder, (link, "-o", f"./output/..//{shop.output.name}/")),
    ]
    for cwd, arguments in ways:
        second_run(shop, *arguments, cwd=cwd).assert_untouched((cwd, arguments))


# What counts as unchanged: the tree


def test_a_tree_that_was_moved_and_one_that_was_copied(shop: Shop, tmp_path: Path) -> None:
    (tmp_path / "far/away").mkdir(parents=True)
    moved = Shop(shop.folder.rename(tmp_path / "far/away/here"))
    second_run(moved).assert_untouched()
    elsewhere = moved.output.rename(tmp_path / "elsewhere")
    before = take_snapshot(elsewhere)
    ran = moved.type("apply", "--exit-code", moved.spec, "-o", elsewhere)
    assert (ran.code, take_snapshot(elsewhere)) == (0, before), ran


def test_times_of_files_say_nothing(shop: Shop) -> None:
    seed = 4
    order = random.Random(seed)  # noqa: S311 - times, not secrets
    for path in [*sorted(shop.tree.rglob("*")), shop.spec]:
        os.utime(path, (order.randrange(2**31), order.randrange(2**33)))
    second_run(shop).assert_untouched(seed)


def git(*arguments: str | Path, umask: int = 0o022) -> None:
    """Run git, as nobody in particular."""
    subprocess.run(
        [require("git"), *arguments], env={**os.environ, **GIT}, check=True, capture_output=True, umask=umask
    )


def cloned(shop: Shop, folder: Path, *, keys: bool = False, umask: int = 0o022) -> Shop:
    """Commit a shop, and clone it.

    keys: whether git is made to take the keys too, which the tree's .gitignore keeps out.
    umask: of the clone.
    """
    git("init", "-q", shop.folder)
    git("-C", shop.folder, "add", "-A")
    if keys:
        git("-C", shop.folder, "add", "-f", *shop.tree.rglob("key.pem"))
    git("-C", shop.folder, "commit", "-q", "-m", "the spec and its tree")
    git("clone", "-q", shop.folder, folder, umask=umask)
    return Shop(folder)


def test_a_fresh_clone_without_its_keys(shop: Shop, tmp_path: Path) -> None:
    clone = cloned(shop, tmp_path / "clone")
    assert not list(clone.tree.rglob("key.pem"))
    second_run(clone).assert_untouched()


def test_a_fresh_clone_with_its_keys_gets_their_modes_and_nothing_is_written(shop: Shop, tmp_path: Path) -> None:
    clone = cloned(shop, tmp_path / "clone", keys=True)
    keys = {str(path.relative_to(clone.tree)): 0o600 for path in clone.tree.rglob("key.pem")}
    assert len(keys) == 5
    assert {stat.S_IMODE((clone.tree / path).stat().st_mode) for path in keys} == {0o644}
    second_run(clone).assert_only_modes({**keys, "servers/api/key.pem": 0o640})
    second_run(clone).assert_untouched()
    assert contents(take_snapshot(clone.tree)) == contents(take_snapshot(shop.tree))


def test_a_fresh_clone_of_a_careful_user(shop: Shop, tmp_path: Path) -> None:
    clone = cloned(shop, tmp_path / "clone", keys=True, umask=0o077)
    assert {stat.S_IMODE(path.stat().st_mode) for path in clone.tree.rglob("key.pem")} == {0o600}
    second_run(clone).assert_only_modes({"servers/api/key.pem": 0o640})
    second_run(clone).assert_untouched()


def test_keys_whose_mode_is_too_wide_get_it_back_and_nothing_is_written(shop: Shop) -> None:
    keys = {"cas/root/key.pem": 0o600, "servers/api/key.pem": 0o640}
    for path in keys:
        (shop.tree / path).chmod(0o666)
    second_run(shop).assert_only_modes(keys)
    second_run(shop).assert_untouched()

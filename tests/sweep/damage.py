"""Ways to spoil a tree, each with the words by which it must be found out: what cannot fail demands nothing."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from .disk import File, Tree


def changed(tree: Tree, path: str, content: bytes | None = None, mode: int | None = None) -> Tree:
    """Give a tree with one file changed, or gone where nothing is said of it.

    path: of the file.
    content, mode: the new ones; where only one is said, the other stays.
    """
    files = dict(tree.files)
    old = files.pop(path, File(b"", 0o600))
    if content is not None or mode is not None:
        files[path] = File(old.content if content is None else content, old.mode if mode is None else mode)
    return Tree(MappingProxyType(files), tree.folders)


API: Final = "servers/api"
DAMAGE: Mapping[str, tuple[Callable[[Tree], Tree], str]] = {
    "a certificate cut short": (
        lambda tree: changed(tree, f"{API}/cert.pem", tree.files[f"{API}/cert.pem"].content[:-30]),
        "servers/api/cert.pem is torn",
    ),
    "a path cut at a certificate": (
        lambda tree: changed(tree, f"{API}/cert.pem", tree.files["cas/issuing/cert.pem"].content),
        "servers/api/cert.pem is torn: 1 certificates",
    ),
    "an empty trust file": (lambda tree: changed(tree, f"{API}/ca.pem", b""), "servers/api/ca.pem is torn"),
    "a key cut short": (
        lambda tree: changed(tree, f"{API}/key.pem", tree.files[f"{API}/key.pem"].content[:-30]),
        "servers/api/key.pem is torn",
    ),
    "half a manifest": (lambda tree: changed(tree, "manifest.json", b'{"version": 1'), "manifest.json is torn"),
    "a snippet of neither run": (
        lambda tree: changed(tree, f"{API}/nginx-server.conf", b"listen"),
        "nginx-server.conf is torn: neither",
    ),
    "no key": (lambda tree: changed(tree, f"{API}/key.pem"), "servers/api has a certificate and no key"),
    "another's key": (
        lambda tree: changed(tree, f"{API}/key.pem", tree.files["servers/web/key.pem"].content),
        "key and certificate of servers/api are apart",
    ),
    "a key for all": (
        lambda tree: changed(tree, f"{API}/key.pem", mode=0o644),
        "servers/api/key.pem holds a private key and has mode 0644",
    ),
    "a staged key for the group": (
        lambda tree: changed(tree, ".certgen/new/1", b"-----BEGIN PRIVATE KEY-----\n", 0o640),
        ".certgen/new/1 holds a private key and has mode 0640",
    ),
    "no .gitignore": (lambda tree: changed(tree, ".gitignore"), "there is a private key and no .gitignore"),
}
"""What may never be in a good tree."""
LEFTOVERS: Mapping[str, tuple[Callable[[Tree], Tree], str]] = {
    "a journal": (
        lambda tree: changed(tree, ".certgen/journal", b"x"),
        ".certgen/journal is left over",
    ),
    "a folder of this machine": (
        lambda tree: Tree(tree.files, tree.folders | {".certgen/new"}),
        ".certgen/new is left over",
    ),
    "no note of keys": (lambda tree: changed(tree, ".certgen/keys"), ".certgen/keys is not there"),
    "a file that nobody knows": (
        lambda tree: changed(tree, f"{API}/key.pem.orig", b"x"),
        "servers/api/key.pem.orig is there and not in the manifest",
    ),
    "an empty folder": (lambda tree: Tree(tree.files, tree.folders | {"peers"}), "peers is an empty folder"),
    "a snippet gone": (
        lambda tree: changed(tree, f"{API}/nginx-server.conf"),
        "servers/api/nginx-server.conf is in the manifest and not there",
    ),
    "another's trust": (
        lambda tree: changed(tree, f"{API}/ca.pem", tree.files["cas/issuing/cert.pem"].content),
        "servers/api/ca.pem is not the root",
    ),
    "a path that leads nowhere": (
        lambda tree: changed(tree, "cas/issuing/cert.pem", tree.files["cas/root/cert.pem"].content),
        "key and certificate of cas/issuing are apart",
    ),
    "a path of certificates that do not sign each other": (
        lambda tree: changed(
            tree,
            f"{API}/cert.pem",
            tree.files["cas/root/cert.pem"].content + tree.files["cas/issuing/cert.pem"].content,
        ),
        "the certification path of servers/api does not hold",
    ),
}
"""What may not be in a finished tree."""

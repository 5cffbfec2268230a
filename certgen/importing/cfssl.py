"""A certificate request of cfssl, in JSON."""

from __future__ import annotations

import json
from pathlib import PurePath
from typing import Any, Final

from certgen.importing.draft import Collected, Draft, Source, unsaid
from certgen.model import Section
from certgen.rfc5280.vocabulary import NameAttribute

_ATTRIBUTES: Final = {
    "C": NameAttribute.COUNTRY,
    "ST": NameAttribute.STATE,
    "L": NameAttribute.LOCALITY,
    "O": NameAttribute.ORGANIZATION,
    "OU": NameAttribute.ORGANIZATIONAL_UNIT,
    "SerialNumber": NameAttribute.SERIAL_NUMBER,
}
_KEYS: Final = {
    ("ecdsa", 256): "ecdsa-p256", ("ecdsa", 384): "ecdsa-p384", ("ecdsa", 521): "ecdsa-p521",
    ("rsa", 2048): "rsa-2048", ("rsa", 3072): "rsa-3072", ("rsa", 4096): "rsa-4096",
}  # fmt: skip
_DEFAULT_KEY: Final = ("ecdsa", 256)
_KINDS: Final[dict[str, type]] = {"CN": str, "hosts": list, "names": list, "key": dict}
"""What each part of a request is; another kind is told, and nothing is made of it."""


def collect(source: Source) -> Collected | None:
    """Make an entry of a request; None of a file that is none. It says for what only by its hosts.

    Args:
        source: a JSON file.
    """
    try:
        data = json.loads(source.content)
        # Half of a surrogate pair is no character, and no file can hold it.
        json.dumps(data, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
    if not isinstance(data, dict) or not ({"CN", "hosts", "names"} & set(data)) or "signing" in data:
        return None
    hosts = [host for host in _listed(data.get("hosts")) if isinstance(host, str) and host]
    section = Section.CAS if data.get("ca") else Section.SERVERS if hosts else Section.CLIENTS
    common_name = data["CN"] if isinstance(data.get("CN"), str) else ""
    wish = common_name or next(iter(hosts), "") or PurePath(source.path).stem
    key = _key(data)
    fields = {
        "common_name": common_name or None,
        "subject": _subject(data),
        "sans": hosts if section is Section.SERVERS else None,
        "key": key if key != _KEYS[_DEFAULT_KEY] else None,
        **_authority(data.get("ca")),
    }
    draft = Draft(section, wish, {name: value for name, value in fields.items() if value not in (None, {}, [])}, wish)
    left = [name for name, kind in _KINDS.items() if not isinstance(data.get(name, kind()), kind | None)]
    left += ["key"] if key is None and "key" not in left else []
    return Collected((draft,), tuple(unsaid(wish, name, source.path) for name in left))


def _subject(data: dict[str, Any]) -> dict[str, str | list[str]]:
    found: dict[str, list[str]] = {}
    for name in _listed(data.get("names")):
        for short, value in name.items() if isinstance(name, dict) else ():
            if short in _ATTRIBUTES and isinstance(value, str) and value:
                found.setdefault(str(_ATTRIBUTES[short]), []).append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


def _key(data: dict[str, Any]) -> str | None:
    key = data.get("key")
    if not isinstance(key, dict):
        return _KEYS[_DEFAULT_KEY]
    algorithm, size = key.get("algo"), key.get("size")
    if algorithm == "ed25519":
        return "ed25519"
    return _KEYS.get((algorithm, size)) if isinstance(algorithm, str) and isinstance(size, int) else None


def _authority(ca: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever JSON holds
    if not isinstance(ca, dict):
        return {}
    length = 0 if ca.get("pathlenzero") else ca.get("pathlen") or None
    return {"validity": ca.get("expiry"), "path_length": length}


def _listed(value: Any) -> list[Any]:  # noqa: ANN401 - whatever JSON holds
    return value if isinstance(value, list) else []

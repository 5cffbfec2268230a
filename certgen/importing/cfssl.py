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


def collect(source: Source) -> Collected | None:
    """Make an entry of a request; None of a file that is none. It says for what only by its hosts.

    Args:
        source: a JSON file.
    """
    try:
        data = json.loads(source.content)
    except (ValueError, RecursionError):
        return None
    if not isinstance(data, dict) or not ({"CN", "hosts", "names"} & set(data)) or "signing" in data:
        return None
    hosts = [str(host) for host in data.get("hosts") or [] if host]
    section = Section.CAS if "ca" in data else Section.SERVERS if hosts else Section.CLIENTS
    common_name = str(data.get("CN") or "")
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
    return Collected((draft,), () if key is not None else (unsaid(wish, "key", source.path),))


def _subject(data: dict[str, Any]) -> dict[str, str | list[str]]:
    found: dict[str, list[str]] = {}
    for name in data.get("names") or []:
        for short, value in name.items() if isinstance(name, dict) else ():
            if short in _ATTRIBUTES and value:
                found.setdefault(str(_ATTRIBUTES[short]), []).append(str(value))
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


def _key(data: dict[str, Any]) -> str | None:
    key = data.get("key")
    asked = (key.get("algo"), key.get("size")) if isinstance(key, dict) else _DEFAULT_KEY
    return "ed25519" if asked[0] == "ed25519" else _KEYS.get((str(asked[0]), int(asked[1] or 0)))


def _authority(ca: Any) -> dict[str, Any]:  # noqa: ANN401 - whatever JSON holds
    if not isinstance(ca, dict):
        return {}
    length = 0 if ca.get("pathlenzero") else ca.get("pathlen") or None
    return {"validity": ca.get("expiry"), "path_length": length}

"""An `instances.yml` of elasticsearch-certutil: the nodes of a cluster, each server and client at once."""

from __future__ import annotations

from typing import Any

from certgen.diagnostics import CertgenError
from certgen.importing.draft import Collected, Draft, Source, remark
from certgen.model import Section
from certgen.spec.document import compose


def collect(source: Source) -> Collected | None:
    """Make a peer of each instance; None of a file that has none.

    Args:
        source: a YAML file.
    """
    try:
        plain: Any = compose(source.content, source.path).plain
    except CertgenError:
        return None
    instances = plain.get("instances") if isinstance(plain, dict) else None
    if not isinstance(instances, list):
        return None
    found = Collected()
    for instance in instances:
        found += _entry(instance, source.path)
    return found


def _entry(instance: Any, path: str) -> Collected:  # noqa: ANN401 - whatever YAML holds
    if not isinstance(instance, dict) or not isinstance(instance.get("name"), str):
        message = f"an instance in {path} has no name"
        return Collected((), (remark("not-imported", message, "write that entry by hand", path),))
    name = instance["name"]
    sans = [text for field in ("dns", "ip") for text in _listed(instance.get(field))]
    if not sans:
        message = f"`{name}` in {path} has neither `dns` nor `ip`; a peer needs a name that others can check"
        return Collected((), (remark("not-imported", message, "add one", path),))
    common_name = next(iter(_listed(instance.get("cn"))), name)
    return Collected((Draft(Section.PEERS, name, {"common_name": common_name, "sans": sans}, subject=name),))


def _listed(value: Any) -> list[str]:  # noqa: ANN401 - whatever YAML holds
    return [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, str) and item]

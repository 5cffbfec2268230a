"""A template of the user's own, for a program that certgen does not know: jinja2, in its sandbox."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from certgen.consumers.callers import allowed_entries, judge_allow
from certgen.consumers.options import Addresses, Field, FileName, Options, Text
from certgen.consumers.port import Deployment, Fault
from certgen.consumers.templates import TemplateError, render_own
from certgen.model import Address, Artifact, Entry
from certgen.rfc5280.vocabulary import GeneralNameKind

LARGEST: Final = 1024 * 1024
"""Bytes of what a template may make."""


class TemplateOptions(Options, json_schema_extra={"examples": [{"file": "shop.conf.j2", "output": "shop.conf"}]}):
    """A jinja2 template of your own, for any other program."""

    file: Text = Field(description="The template: a file beside the spec.", examples=["shop.conf.j2"])
    output: FileName = Field(description="The name of what it makes, in the entry's folder.", examples=["shop.conf"])
    allow: Addresses | None = Field(
        None,
        description="For a server: the clients and peers that the template lets in, by address. "
        "Default: all whom its trust accepts.",
        examples=[["clients/checkout"]],
    )

    @property
    def named_files(self) -> Mapping[str, str]:
        """The template."""
        return {"file": self.file}


OPTIONS: Final = TemplateOptions


def judge(deployment: Deployment, options: TemplateOptions) -> Iterator[Fault]:
    """Find what is wrong in the template, by rendering it."""
    yield from judge_allow(deployment, options.allow)
    if "file" not in deployment.files:
        return
    if b"PRIVATE KEY-----" in deployment.files["file"]:
        message = f"`{options.file}` holds a private key, and what a template makes can be read by everybody"
        yield Fault("bad-template", message, "name a template", ("file",))
        return
    try:
        content = _content(deployment, options)
    except TemplateError as reason:
        yield Fault("bad-template", f"`{options.file}`: {reason}", reason.help, ("file",))
        return
    if len(content) > LARGEST:
        yield Fault("bad-template", f"`{options.file}` makes more than {LARGEST} bytes", None, ("file",))


def allowed(deployment: Deployment, options: TemplateOptions) -> tuple[Address, ...] | None:
    """Give those whom the template is told to let in."""
    return options.allow if deployment.is_server else None


def render(deployment: Deployment, options: TemplateOptions) -> Iterator[Artifact]:
    """Render the template."""
    yield Artifact(options.output, _content(deployment, options))


def _content(deployment: Deployment, options: TemplateOptions) -> bytes:
    return render_own(deployment.files["file"], _variables(deployment, options))


def _variables(deployment: Deployment, options: TemplateOptions) -> dict[str, object]:
    """Give the variables that a template may use; docs/snippets.md describes each."""
    entry = deployment.entry
    callers = allowed_entries(deployment, options.allow) if deployment.is_server else ()
    return {
        **_described(deployment, entry),
        "header": deployment.header,
        "folder": entry.deploy_dir,
        "certificate": deployment.certificate,
        "private_key": deployment.private_key,
        "trust_anchors": deployment.trust_anchors,
        "allow": [_described(deployment, caller) for caller in callers],
    }


def _described(deployment: Deployment, entry: Entry) -> dict[str, object]:
    subject = entry.template.subject
    return {
        "address": str(entry.address),
        "name": entry.address.name,
        "common_name": subject.common_name,
        "subject": [list(pair) for pair in subject.attributes],
        "issuer": [list(pair) for pair in deployment.issuer_subject(entry).attributes],
        "sans": {
            str(kind).lower(): [name.value for name in entry.template.subject_alt_names if name.kind == kind]
            for kind in GeneralNameKind
        },
    }

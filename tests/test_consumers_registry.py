"""The consumers that there are: a folder each, found without a list."""

from __future__ import annotations

from pathlib import Path

import pytest

import certgen.consumers
from certgen.consumers.options import Options
from certgen.consumers.registry import consumer_names, find_consumer, options_model
from certgen.spec.json_schema import json_schema
from certgen.spec.parts import SnippetRequests
from certgen.spec.schema import Spec

WING = Path(certgen.consumers.__path__[0])


def test_every_folder_of_the_wing_is_a_consumer_and_no_module_is() -> None:
    folders = sorted(path.parent.name for path in WING.glob("*/__init__.py"))
    assert list(consumer_names()) == folders
    assert {"nginx", "template"} <= set(folders)
    modules = {path.stem for path in WING.glob("*.py")}
    assert {"callers", "port", "registry"} <= modules
    assert modules.isdisjoint(folders)


@pytest.mark.parametrize("name", consumer_names())
def test_a_consumer_fulfils_the_port(name: str) -> None:
    consumer = find_consumer(name)
    assert all(callable(getattr(consumer, step)) for step in ("judge", "allowed", "render"))


@pytest.mark.parametrize("name", consumer_names())
def test_the_options_of_a_consumer_are_strict_and_described(name: str) -> None:
    model = options_model(name)
    assert issubclass(model, Options)
    assert (model.model_config["extra"], model.model_config["frozen"]) == ("forbid", True)
    assert model.__doc__
    assert not model.__doc__.startswith(Options.__doc__ or "?")
    assert [option for option, field in model.model_fields.items() if not field.description] == []


@pytest.mark.parametrize("name", consumer_names())
def test_a_spec_can_ask_for_a_consumer_and_an_editor_knows_it(name: str) -> None:
    definitions = json_schema()["$defs"]
    assert name in definitions["Snippets"]["properties"]
    assert options_model(name).__name__ in definitions
    assert f'"{name}"' in str(definitions["EndEntity"]["properties"]["snippets"]).replace("'", '"')


def test_there_is_no_consumer_of_another_name() -> None:
    with pytest.raises(ModuleNotFoundError):
        find_consumer("apache")
    with pytest.raises(ModuleNotFoundError):
        options_model("apache")


def test_a_module_of_the_wing_is_no_consumer() -> None:
    assert not hasattr(find_consumer("port"), "OPTIONS")
    assert "port" not in consumer_names()


def test_what_is_asked_for_comes_in_the_order_of_the_names() -> None:
    asked = {"template": {"file": "t", "output": "x"}, "nginx": None}
    spec = {"version": "1", "ca": None, "servers": {"api": {"sans": "a.example", "snippets": asked}}}
    snippets = Spec.model_validate(spec).servers["api"].snippets
    assert isinstance(snippets, SnippetRequests)
    assert [name for name, _ in snippets.asked()] == ["nginx", "template"]

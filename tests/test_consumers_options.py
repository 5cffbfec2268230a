"""What a consumer's options are made of: each kind of value, and the sentence for each text that is none."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticCustomError
from remarks import codes

from certgen.consumers import options
from certgen.consumers.options import Endpoint, Options
from certgen.model import Address, Section


def refusal(read: Callable[[object], object], value: object) -> str:
    """Give code and sentence of a refusal, and its help in parentheses."""
    with pytest.raises(PydanticCustomError) as caught:
        read(value)
    context = caught.value.context
    assert context is not None
    return f"{context['code']}: {context['message']}" + (f" ({context['help']})" if context["help"] else "")


# Where a program listens


@pytest.mark.parametrize(
    ("text", "expected", "shown"),
    [
        ("8443", Endpoint(8443), "8443"),
        ("1", Endpoint(1), "1"),
        ("65535", Endpoint(65535), "65535"),
        ("127.0.0.1:8443", Endpoint(8443, "127.0.0.1", is_address=True), "127.0.0.1:8443"),
        ("0.0.0.0:443", Endpoint(443, "0.0.0.0", is_address=True), "0.0.0.0:443"),  # noqa: S104 - nothing is bound
        ("[::1]:8443", Endpoint(8443, "::1", is_address=True), "[::1]:8443"),
        ("[::]:8443", Endpoint(8443, "::", is_address=True), "[::]:8443"),
        ("[2001:DB8:0:0::1]:1", Endpoint(1, "2001:db8::1", is_address=True), "[2001:db8::1]:1"),
        ("localhost:8443", Endpoint(8443, "localhost"), "localhost:8443"),
        ("API.Shop.Example:8443", Endpoint(8443, "api.shop.example"), "api.shop.example:8443"),
        ("bücher.example:80", Endpoint(80, "xn--bcher-kva.example"), "xn--bcher-kva.example:80"),
        ("xn--bcher-kva.example:80", Endpoint(80, "xn--bcher-kva.example"), "xn--bcher-kva.example:80"),
    ],
)
def test_a_place_to_listen_at_is_read_in_its_canonical_form(text: str, expected: Endpoint, shown: str) -> None:
    found = options.listen(text)
    assert found == expected
    assert str(found) == shown
    assert options.listen(shown) == found


NO_PORTS = [
    "0",
    "65536",
    "99999",
    "100000",
    "-1",
    "+8443",
    "08443",
    "0x1F90",
    "8_443",
    "8443.0",
    "٨٤٤٣",
    "\uff18\uff14\uff14\uff13",
    "8443:8080",
    "127:80",
    "https",
    ":8443",
    "8443:",
    "127.0.0.1:",
    "127.0.0.1:0",
    "127.0.0.1:65536",
    "127.0.0.1:08443",
    "127.0.0.1:https",
    "127.0.0.1: 8443",
    "127.0.0.1 :8443",
    "::1:80",
    "::1",
    "::",
    "2001:db8::1:8443",
    "[::1]",
    "[::1]:",
    "[::1]8443",
    "[::1:8443",
    "::1]:8443",
    "[]:8443",
    "[:]:8443",
    "[1:2:3]:8443",
    "[::g]:8443",
    "[fe80::1%eth0]:8443",
    "fe80::1%eth0:8443",
    "[[::1]]:8443",
    "[127.0.0.1]:8443",
    "127.0.0.1/32:8443",
    "0127.0.0.1:8443",
    "127.1:8443",
    "1.2.3.4.5:8443",
    "256.0.0.1:8443",
    "http://shop.example:80",
    "shop.example:80/path",
    "user@shop.example:80",
    "shop.example.:80",
    ".shop.example:80",
    "shop..example:80",
    "-shop.example:80",
    "sh op.example:80",
    "shop_1.example:80",
    "*:8443",
    "*.shop.example:8443",
    "api.*.example:8443",
    "a" * 64 + ".example:80",
    "unix:/run/shop.sock",
    "127.0.0.1:8443;",
    "127.0.0.1:8443 ssl",
    "$host:80",
    "{{ x }}:80",
    "\u2024shop.example:80 x",
]


@pytest.mark.parametrize("text", NO_PORTS)
@pytest.mark.parametrize("read", [options.listen, options.upstream])
def test_what_is_no_place_is_refused_and_said_again(read: Callable[[object], object], text: str) -> None:
    assert refusal(read, text).startswith(f"bad-endpoint: `{text}`")


@pytest.mark.parametrize("read", [options.listen, options.upstream, options.switch, options.address, options.file_name])
@pytest.mark.parametrize(
    ("value", "code"),
    [
        ("8443 ", "outer-blank"),
        (" 8443", "outer-blank"),
        ("", "empty-value"),
        (" ", "empty-value"),
        ("8443\n", "control-character"),
        ("84\x0043", "control-character"),
        ("127.0.0.1:80\x1b[31m", "control-character"),
        ("shop\u202e.example:80", "control-character"),
        (None, "wrong-type"),
        ([], "wrong-type"),
        ({}, "wrong-type"),
        (["8443"], "wrong-type"),
    ],
)
def test_what_is_no_text_of_one_line_is_refused_everywhere(
    read: Callable[[object], object], value: object, code: str
) -> None:
    assert refusal(read, value).startswith(f"{code}: ")


def test_the_help_shows_what_could_stand_there() -> None:
    assert (
        refusal(options.listen, "http")
        == "bad-endpoint: `http` is not a port to listen at (for example 127.0.0.1:8443)"
    )
    assert refusal(options.upstream, "8443") == (
        "bad-endpoint: `8443` is not a host with a port (write a host and a port, for example 127.0.0.1:8080)"
    )
    assert refusal(options.upstream, "shop.example") == (
        "bad-endpoint: `shop.example` is not a host with a port (write a host and a port, for example 127.0.0.1:8080)"
    )


@pytest.mark.parametrize("text", ["shop.example:8443", "127.0.0.1:1", "[::1]:65535", "bücher.example:80"])
def test_whom_to_connect_to_is_read_as_where_to_listen(text: str) -> None:
    assert options.upstream(text) == options.listen(text)


@pytest.mark.parametrize("text", ["8443", "1", "65535"])
def test_a_port_alone_is_nobody_to_connect_to(text: str) -> None:
    assert options.listen(text).host is None
    assert refusal(options.upstream, text).startswith(f"bad-endpoint: `{text}` is not a host with a port")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:80", True),
        ("127.255.0.1:80", True),
        ("[::1]:80", True),
        ("localhost:80", True),
        ("LOCALHOST:80", True),
        ("80", False),
        ("0.0.0.0:80", False),
        ("[::]:80", False),
        ("10.0.0.1:80", False),
        ("128.0.0.1:80", False),
        ("[::2]:80", False),
        ("localhost.example:80", False),
        ("127.shop.example:80", False),
        ("127.0.0.1.example:80", False),
    ],
)
def test_only_a_loopback_address_keeps_other_machines_away(text: str, expected: bool) -> None:
    assert options.listen(text).is_loopback is expected


# Switches, addresses, names


def test_a_switch_is_one_of_two_words() -> None:
    assert options.switch("true") is True
    assert options.switch("false") is False


@pytest.mark.parametrize("text", ["True", "TRUE", "yes", "no", "on", "off", "1", "0", "y", "null", "~", "truefalse"])
def test_what_only_yaml_takes_for_a_switch_is_refused(text: str) -> None:
    assert (
        refusal(options.switch, text) == f"not-a-switch: `{text}` is neither true nor false (write `true` or `false`)"
    )


@pytest.mark.parametrize("text", ["clients/checkout", "peers/etcd-0", "servers/a.b_c", "cas/root"])
def test_an_address_is_a_section_and_a_name(text: str) -> None:
    found = options.address(text)
    assert str(found) == text
    assert found.section in Section


@pytest.mark.parametrize(
    "text",
    [
        "checkout",
        "clients/",
        "/checkout",
        "clients",
        "client/checkout",
        "Clients/checkout",
        "clients/Checkout",
        "clients//checkout",
        "clients/checkout/",
        "clients/../cas",
        "clients/a..b",
        "clients/check out",
        "clients\\checkout",
        "../clients/checkout",
        "clients/*",
        "clients/" + "x" * 64,
        "spiffe://shop.example/checkout",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    help_ = "write a section and a name, for example clients/checkout"
    assert refusal(options.address, text) == f"bad-address: `{text}` is not an address ({help_})"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("api.shop.example", "api.shop.example"),
        ("API.shop.example", "api.shop.example"),
        ("localhost", "localhost"),
        ("bücher.example", "xn--bcher-kva.example"),
        ("1.shop.example", "1.shop.example"),
    ],
)
def test_a_host_name_is_read_in_its_canonical_form(text: str, expected: str) -> None:
    assert options.host_name(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "127.0.0.1",
        "[::1]",
        "::1",
        "*.shop.example",
        "*",
        "api.shop.example.",
        "a b",
        "a_b.example",
        "shop.example:8443",
    ],
)
def test_what_is_no_host_name_is_refused(text: str) -> None:
    assert refusal(options.host_name, text).startswith(f"bad-endpoint: `{text}`: ")


def test_a_port_on_a_host_name_is_taken_off_by_the_help() -> None:
    assert refusal(options.host_name, "shop.example:8443").endswith("(write `shop.example`)")


@pytest.mark.parametrize("text", ["my.conf", "a", "A1", "_x", "0", "a-b_c.d", "a..b", "x" * 100])
def test_a_file_name_is_taken_as_it_is(text: str) -> None:
    assert options.file_name(text) == text


@pytest.mark.parametrize(
    "text",
    [
        ".",
        "..",
        ".hidden",
        "-x",
        "a/b",
        "/a",
        "../a",
        "a\\b",
        "a b",
        "a:b",
        "a*",
        "é",
        "a.",
        "x" * 101,
        "a$b",
        "~a",
        "a\u200b",
    ],
)
def test_what_could_be_no_file_s_name_somewhere_is_refused(text: str) -> None:
    help_ = "use letters, digits, `.`, `_` and `-`, for example my.conf"
    message = f"bad-output: `{text}` cannot be the name of a file in an entry's folder ({help_})"
    assert refusal(options.file_name, text) == message


# Models


class Chosen(Options):
    """Options of a consumer that there is not."""

    listen: options.Listen | None = None
    allow: options.Addresses | None = None
    standalone: options.Switch = False


def test_options_are_read_strictly_and_do_not_change() -> None:
    found = Chosen.model_validate({"listen": "8443", "allow": "clients/a", "standalone": "true"})
    assert (found.listen, found.standalone) == (Endpoint(8443), True)
    assert found.allow == (Address(Section.CLIENTS, "a"),)
    with pytest.raises(ValidationError, match="frozen"):
        found.standalone = False  # type: ignore[misc]  # that is the test
    with pytest.raises(ValidationError, match="Extra inputs"):
        Chosen.model_validate({"port": "8443"})


def test_options_name_no_files_unless_they_say_so() -> None:
    assert Chosen().named_files == {}


def test_a_list_of_addresses_may_be_one() -> None:
    both = [Chosen.model_validate({"allow": value}).allow for value in ("clients/a", ["clients/a"])]
    assert both[0] == both[1] == (Address(Section.CLIENTS, "a"),)
    assert Chosen.model_validate({"allow": []}).allow == ()
    assert Chosen.model_validate({}).allow is None


@pytest.mark.parametrize(
    "kind", [options.Listen, options.Upstream, options.Addresses, options.Switch, options.FileName]
)
def test_each_type_has_a_schema_for_editors(kind: object) -> None:
    class Holder(BaseModel):
        model_config = {"arbitrary_types_allowed": True}
        value: kind  # type: ignore[valid-type]  # a type, given as a value

    assert Holder.model_json_schema()["properties"]["value"]


# In a spec


SPEC = """\
    version: 1
    ca:
    servers:
      api: {sans: api.shop.example, snippets: {nginx: %s}}
    clients:
      checkout:
    """


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("{listen: 8443}", []),
        ("{listen: 0}", ["bad-endpoint at 0"]),
        ("{listen: 65536}", ["bad-endpoint at 65536"]),
        ("{listen: 08443}", ["bad-endpoint at 08443"]),
        ("{listen: '8443 '}", ["outer-blank at '8443 '"]),
        ("{listen: 8443 }", []),
        ("{listen: '::1:80'}", ["bad-endpoint at '::1:80'"]),
        ("{listen: '[::1]:80'}", []),
        ("{listen: [::1]:80}", ["yaml-syntax at :"]),
        ("{listen: 8443.0}", ["bad-endpoint at 8443.0"]),
        ("{listen: 8_443}", ["bad-endpoint at 8_443"]),
        ("{listen: 8443:8080}", ["bad-endpoint at 8443:8080"]),
        ("{listen: [8443]}", ["wrong-type at [8443]"]),
        ("{listen: ~}", []),
        ("{standalone: True}", ["not-a-switch at True"]),
        ("{allow: [clients/checkout, checkout]}", ["bad-address at checkout"]),
        ("{allow: [[clients/checkout]]}", ["wrong-type at [clients/checkout]"]),
        (
            "{listen: 0, standalone: maybe, allow: x}",
            ["bad-endpoint at 0", "not-a-switch at maybe", "bad-address at x"],
        ),
    ],
)
def test_a_mistake_is_shown_where_it_was_written(tmp_path: Path, written: str, expected: list[str]) -> None:
    assert codes(tmp_path, SPEC % written) == expected

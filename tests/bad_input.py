"""Texts that a spec cannot have, those that are odd and right, and specs with `§` where a diagnostic must point."""

from __future__ import annotations

LABEL = "a" * 63
LONGEST_NAME = ".".join([LABEL, LABEL, LABEL, "a" * 61])


def quoted(text: str) -> str:
    """Write a text so that YAML reads it as it is."""
    return '"' + "".join(c if c.isalnum() and c.isascii() else f"\\U{ord(c):08x}" for c in text) + '"'


def server(field: str) -> str:
    return f"version: 1\nca: {{}}\nservers:\n  api: {{{field}}}\n"


def client(field: str) -> str:
    return f"version: 1\nca: {{}}\nclients:\n  app: {{{field}}}\n"


def authority(field: str) -> str:
    return f"version: 1\nca: {{{field}}}\n"


# Subject alternative names

BAD_DNS = [
    *("a_b.example", "_acme.shop.example", "-a.example", "a-.example", "a..example", ".a.example", "a.example."),
    *("a b.example", "a/b", "a\\b", "a;b", "a,b", "a'b", 'a"b', "a`id`", "$(id)", "a:b", "a.example:443", "DNS:DNS:a"),
    *(f"{LABEL}a.example", f"{LONGEST_NAME}a", f"*.{LONGEST_NAME}", "a" * 100_000, "ü" * 300),
    *("*", "*.", "**.example", "a*.example", "*a.example", "a.*.example", "*.*.example", "xn--*.example"),
    *("10", "2130706433", "0x7f000001", "127.1", "127.0.0.0x1", "1.2.3.256", "1.2.3.4.5", "01.2.3.4", "shop.123"),
    *("DNS:127.0.0.1", "DNS:::1", "127。0。0。1", "\uff11\uff12\uff17.0.0.1", "xn--a.example", "xn--.example"),
    *("xn--abc-.example", "xn---bbk.example", "xn--ls8h.example", "xn--bücher.example"),
    *("a\u2019b.example", "💩.example", "a1\u05d0.example", "a\u200db.example", "\u0301a.example"),
]
BAD_IP = [
    *("IP:shop.example", "IP:1.2.3", "IP:01.2.3.4", "IP:1.2.3.4/32", "10.0.0.0/8", "2001:db8::/32", "::1/128", "[::1]"),
    *("fe80::1%eth0", "IP:fe80::1%25eth0", "1:2:3:4:5:6:7:8:9", "IP:::g", "IP:0x7f000001", "IP:\u0661.2.3.4"),
]
BAD_URI = [
    *("https://", "https:///a", "https://:443/", "https://a:99999/", "https://a:b/", "https://a:1:2/", "URI:https:a"),
    *("https://a b/", "https://bücher.example/", "https://a/<b>", "https://a/%zz", "https://a/%", "https://a/#b#c"),
    *("https://a_b/", "https://*.a/", "https://%61/", "https://1.2.3.256/", "https://[::1", "https://[1.2.3.4]/"),
    *("https://[fe80::1%25eth0]/", "https://a@b@c/", "https://a..b/", "https://a/[b]", "URI:shop.example", "URI:://"),
    *("urn:a", "urn:uuid:", "1ttp://a"),
]
BAD_SPIFFE = [
    *("spiffe://A/b", "spiffe:///a", "spiffe://a:8443/b", "spiffe://u@a/b", "spiffe://a/b?c", "spiffe://a/b#c"),
    *("spiffe://a/", "spiffe://a//b", "spiffe://a/b/", "spiffe://a/./b", "spiffe://a/../b", "spiffe://a/b~c"),
    *("spiffe://a/%62", "spiffe://[::1]/a", "spiffe://é/a", f"spiffe://{'a' * 256}/b", f"spiffe://a/{'b' * 2038}"),
]
BAD_MAIL = [
    *("@shop.example", "a@", "a@b@c", "a b@c", ".a@b", "a.@b", "a..b@c", '"a"@b', "a@[1.2.3.4]", "a@1.2.3.4", "a@*.b"),
    *("a@b_c", "a@b.", "a@b:25", "email:a", "mailto:a@b", "é@shop.example", "用户@shop.example", f"{'a' * 65}@b"),
    f"{'a' * 64}@{'.'.join([LABEL] * 3)}",
]
UNSEEN = ["a\u00adb.example", "a\u200bb.example", "\ufeffa.example", "a\u2060b", "a\U000e0041b", "a@b\u200b.example"]
STEERING = [
    *("a\x1b[31m.example", "a\x00b", "a\x07", "a\nb.example", "a\tb", "a\rb", "a\x7fb", "a\x85b", "a\x9b31m"),
    *("shop\u202eelpmaxe", "\u2066a.example", "a\u200fb", "a\u061cb", "a\u2028b", "a\u206ab"),
    *("é\u202e@shop.example", "https://a/\x1b]0;pwned\x07", "spiffe://a/\u202eb"),
]
SANS = [(text, "bad-san") for text in (*BAD_DNS, *BAD_IP, *BAD_URI, *BAD_SPIFFE, *BAD_MAIL, *UNSEEN)]
SANS += [(text, "control-character") for text in STEERING]
SANS += [("", "empty-value"), (" ", "empty-value"), (" a.example", "outer-blank"), ("a.example\u00a0", "outer-blank")]

# Names of entries, of specs and of files

DEVICES = ("con", "prn", "aux", "nul", "com1", "com9", "com0", "lpt1", "con.x", "nul.tar.gz", "aux.pem", "com1.example")
BAD_NAMES = [
    *DEVICES,
    *("", " ", ".", "..", "../api", "a/b", "/a", "a\\b", "C:a", "~", "-a", "a-", ".a", "a.", "a..b", "_a", "a_", "A"),
    *(
        "a b",
        "a\tb",
        "a\nb",
        "a\x00",
        "a\x1b[31m",
        "a\x9b",
        "\u202eapi",
        "a\u200b",
        "a\ufeff",
        "é",
        "e\u0301",
        "\u212a",
    ),
    *("Con", "a" * 64, "a:b", "a*", "a?", "a|b", "a<b", 'a"b', "a'b", "a$b", "a%2fb", "com¹", "key.pem:x"),
]
BAD_FILES = [
    *("con.yaml", "nul.certgen.yaml", "aux.x.yml", "Shop.yaml", "a b.yaml", "a..b.yaml", ".yaml", "-a.yaml"),
    *("é.yaml", "e\u0301.yaml", "a\nb.yaml", "a\x1b[31m.yaml", "\u202eshop.yaml", "a\x9b.yaml", f"{'a' * 64}.yaml"),
]

# Everything else that a spec says

OTHERS = [
    ("bad-name", "version: 1\nname: §'../etc'\nca: {}\n"),
    ("bad-name", "version: 1\nname: §nul\nca: {}\n"),
    ("bad-name", client("issuer: §'../ca'")),
    ("unknown-issuer", client("issuer: §root")),
    ("unknown-root", client("trust: [§root]")),
    ("control-character", client(r'common_name: §"a\e[31m"')),
    ("control-character", client(r'common_name: §"a\nb"')),
    ("control-character", client(r'common_name: §"\u202Ea"')),
    ("empty-value", client("common_name: §''")),
    ("outer-blank", client("common_name: §' a'")),
    ("wrong-type", client("common_name: §[a]")),
    ("too-long", client(f"common_name: §{'a' * 65}")),
    ("too-long", client(f"common_name: §{'é' * 65}")),
    ("too-long", client(f"subject: {{organization: [a, §{'a' * 65}]}}")),
    ("too-long", client(f"subject: {{postal_code: §{'1' * 41}}}")),
    ("control-character", client(r'subject: {organization: §"a\x9bb"}')),
    ("bad-country", client("subject: {country: §NLD}")),
    ("bad-country", client("subject: {country: §\uff2e\uff2c}")),
    ("bad-country", client("subject: {country: §'1!'}")),
    ("bad-serial-number", client("subject: {serial_number: §'#1'}")),
    ("bad-domain-component", client("subject: {domain_component: §shop.example}")),
    ("bad-domain-component", client("subject: {domain_component: §é}")),
    ("unknown-field", client("subject: {§common_name: a}")),
    ("unknown-field", client(r'§"a\e[31m": b')),
    ("unknown-field", client("§<<: {a: b}")),
    ("duplicate-subject", "version: 1\ncas:\n  a: {common_name: CA}\n  b: {common_name: §\uff23\uff21}\n"),
    ("subject-of-issuer", "version: 1\nca: {common_name: É}\nclients:\n  app: {common_name: §'e\u0301'}\n"),
    ("bad-duration", client("validity: §-1d")),
    ("bad-duration", client("validity: §101y")),
    ("bad-duration", client("validity: §1.5d")),
    ("bad-duration", client("validity: §0s")),
    ("bad-duration", client(f"validity: §{'9' * 30}y")),
    ("bad-duration", client("validity: §\u0661d")),
    ("bad-duration", client("renew_before: §100%")),
    ("bad-time", client("not_after: §2027-02-30T00:00:00Z")),
    ("bad-time", client("not_after: §'9999-12-31T23:59:59-23:59'")),
    ("bad-mode", client("key: {mode: §'0777'}")),
    ("bad-mode", client("key: {mode: §'4600'}")),
    ("bad-mode", client("key: {mode: §'0000'}")),
    ("unknown-value", client("key: §md5")),
    ("weak-key", client("key: §rsa-512")),
    ("any-usage", client("extended_key_usage: §anyExtendedKeyUsage")),
    ("not-a-number", authority("path_length: §-1")),
    ("not-a-number", authority(f"path_length: §{'9' * 10}")),
    ("unknown-version", "version: §2\nca: {}\n"),
    ("bad-constraint", authority("name_constraints: {permitted: [§.shop.example]}")),
    ("bad-constraint", authority("name_constraints: {permitted: [§'*.shop.example']}")),
    ("bad-constraint", authority("name_constraints: {excluded: [§10.0.0.1/8]}")),
    ("bad-constraint", authority("name_constraints: {excluded: [§'URI:https://a/']}")),
    ("bad-constraint", authority("name_constraints: {excluded: [§'IP:fe80::%1/64']}")),
    ("bad-url", client("ocsp: §ftp://a/")),
    ("bad-url", client("ocsp: §'http://'")),
    ("bad-url", client("ocsp: §'http://a_b/'")),
    ("bad-url", client("ocsp: §'http://a/<b>'")),
    ("bad-url", client("crl_distribution_points: [§'http://a:99999/']")),
    ("bad-url", client("ca_issuers: §'http://a/`id`'")),
    ("control-character", client(r'ocsp: §"http://a/\e"')),
    ("bad-folder", client("deploy_dir: §certs")),
    ("bad-folder", client("deploy_dir: §/etc/../root")),
    ("bad-folder", client("deploy_dir: §/etc/./certgen")),
    ("control-character", client(r'deploy_dir: §"/etc/\n"')),
    ("bad-file", client("public_key: §../key.pub")),
    ("bad-file", client("public_key: §/etc/passwd")),
    ("bad-file", client("public_key: §link.pub")),
    ("bad-file", client("public_key: §link/key.pub")),
    ("bad-file", client("public_key: §pipe.pub")),
    ("bad-file", client("public_key: §folder.pub")),
    ("bad-file", client("public_key: §shop.yaml")),
    ("bad-file", client(f"public_key: §{'a' * 300}")),
    ("bad-file", client("trust: [§missing.pem]")),
    ("bad-file", client("trust: [§./../../x.pem]")),
    ("control-character", client(r'trust: [§"a\0.pem"]')),
    ("bad-file", authority("certificate: §missing.pem")),
    ("bad-endpoint", server("sans: a.example, snippets: {nginx: {listen: §'80; include /etc/passwd'}}")),
    ("bad-endpoint", server("sans: a.example, snippets: {nginx: {listen: 8443, upstream: §'a b:80'}}")),
    ("bad-endpoint", server("sans: a.example, snippets: {nginx: {listen: §99999}}")),
    ("bad-address", server("sans: a.example, snippets: {nginx: {allow: [§clients/../x]}}")),
    ("bad-output", client("snippets: {template: {file: a.j2, output: §../a.conf}}")),
    ("control-character", server(r'sans: a.example, snippets: {nginx: {listen: §"80\n"}}')),
    ("yaml-syntax", "version: 1\nca: {common_name: §\x1b[31m}\n"),
    ("yaml-syntax", "version: 1\nca: {common_name: §\x07}\n"),
    ("yaml-tag", "version: 1\nca: §!!python/object:os.system {}\n"),
    ("bad-alias", "version: 1\nca: §*a\n"),
    ("bad-alias", "version: 1\nca: &a {subject: §*a}\n"),
    ("bad-key", "version: 1\n§[a]: b\n"),
    ("duplicate-key", "version: 1\nca: {}\n§ca: {}\n"),
    ("several-documents", "version: 1\nca: {}\n§---\nversion: 1\n"),
    ("path-too-long", "version: 1\ncas:\n  c0: {validity: 90y}\n" + "".join(
        f"  c{number}: {{issuer: {'§' * (number == 101)}c{number - 1}}}\n" for number in range(1, 103))),
    ("issuer-cycle", "version: 1\ncas:\n  a: {issuer: §b}\n  b: {issuer: c}\n  c: {issuer: a}\n"),
]  # fmt: skip

# What is odd, and right

GOOD_SANS = {
    **{name: f"DNS:{name}" for name in (LONGEST_NAME, f"{LABEL}.example", "1.example", "a--b.example", "localhost")},
    **{name: f"DNS:{name}" for name in ("*.shop.example", "a.0xample", "127.0.0.1e", "xn--bcher-kva.example", "con")},
    "API.Shop.Example": "DNS:api.shop.example",
    "DNS:shop.example": "DNS:shop.example",
    "bücher.example": "DNS:xn--bcher-kva.example",
    "bu\u0308cher.example": "DNS:xn--bcher-kva.example",
    "例え。example": "DNS:xn--r8jz45g.example",
    "\u0646\u0627\u0645\u0647\u200c\u0627\u06cc.example": "DNS:xn--mgba3gch31f060k.example",
    "127.0.0.1": "IP Address:127.0.0.1",
    "IP:0.0.0.0": "IP Address:0.0.0.0",
    "::1": "IP Address:0:0:0:0:0:0:0:1",
    "2001:0DB8::0001": "IP Address:2001:DB8:0:0:0:0:0:1",
    "spiffe://shop.example": "URI:spiffe://shop.example",
    "spiffe://a_b.c-d/ns/Prod/...": "URI:spiffe://a_b.c-d/ns/Prod/...",
    "SPIFFE://a/B": "URI:spiffe://a/B",
    f"spiffe://a/{'b' * 2037}": f"URI:spiffe://a/{'b' * 2037}",
    "https://shop.example:8443/a?b=c#d": "URI:https://shop.example:8443/a?b=c#d",
    "https://[2001:db8::1]/%20": "URI:https://[2001:db8::1]/%20",
    "https://user@10.0.0.1/": "URI:https://user@10.0.0.1/",
    "urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6": "URI:urn:uuid:f81d4fae-7dec-11d0-a765-00a0c91e6bf6",
    "URI:tag:shop.example,2026:a": "URI:tag:shop.example,2026:a",
    "Ops+x@Shop.Example": "email:Ops+x@shop.example",
    f"{'a' * 64}@bücher.example": f"email:{'a' * 64}@xn--bcher-kva.example",
    "email:o'hara@shop.example": "email:o'hara@shop.example",
}
GOOD_NAMES = ("0", "a", "a.b_c-d", "a" * 63, "console", "com10", "nul-1", "null", "true", "lpt", "key.pem", "xn--a")
GOOD_OTHERS = [
    client(f"common_name: {'Ж' * 64}"),
    client("common_name: '\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645'"),
    client("common_name: 'Shop 🛒'"),
    client(r"""common_name: 'a"b\c$(id)`id`{{x}}<b>%s;#'"""),
    client("common_name: 'O''Brien & Sons, Inc. = +CN=x'"),
    client("subject: {organization: ['system:masters', dev], postal_code: 1234 AB, domain_component: [example, shop]}"),
    client("subject: {country: NO, serial_number: 'A-1/2'}"),
    client("validity: 1y2w3d4h5m6s, renew_before: 99%"),
    client("validity: 3d, renew_before: 1h"),
    client("not_after: '2049-12-31t23:59:59+01:00'"),
    client("key: {mode: '0400'}"),
    client("deploy_dir: '/srv/it''s \"mine\"/$HOME/..a', snippets: {template: {file: a.j2, output: a.conf}}"),
    client("ocsp: 'HTTP://pki.shop.example:8080/ocsp', ca_issuers: 'ldap://[::1]/cn=a?b?c'"),
    authority("name_constraints: {permitted: [shop.example, 10.0.0.0/8, '::/0', 'URI:.a.b', 'email:x@a.b']}"),
    authority("path_length: 0"),
]

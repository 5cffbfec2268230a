#!/usr/bin/env bash
# Usage: tests/wheel.sh PYTHON
# Builds the wheel with PYTHON, installs it into an environment of its own, and uses it where no source is in reach.
# What the source tree has and the wheel lacks (a template, py.typed) is found here and nowhere else.
set -euo pipefail
export LC_ALL=C
unset PYTHONPATH # it could lead back to the source

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=$(cd "$(dirname "$1")" && pwd)/$(basename "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

fail() {
    echo "wheel: $*" >&2
    exit 1
}

# Runs a command, and shows what it printed only if it fails.
quietly() {
    "$@" >"$work/log" 2>&1 </dev/null || {
        local status=$?
        cat "$work/log" >&2
        fail "exit status $status from: $*"
    }
}

# The files of the package below a folder.
package_files() {
    (cd "$1" && find certgen -type f ! -path '*/__pycache__/*' ! -path '*/golden/*' | sort)
}

quietly "$python" -m build --wheel --outdir "$work/dist" "$root"
quietly "$python" -m venv "$work/venv"
quietly "$work/venv/bin/python" -m pip --disable-pip-version-check install \
    -c "$root/requirements-dev.lock" "$work"/dist/certgen-*.whl

installed=$("$work/venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
diff <(package_files "$root") <(package_files "$installed") >&2 || fail "the wheel and the source differ, as shown"
[ -f "$installed/certgen/py.typed" ] || fail "no py.typed"

mkdir "$work/empty"
cd "$work/empty"
certgen=$work/venv/bin/certgen

quietly "$certgen" init
[ -n "$(find . -type f)" ] || fail "certgen init wrote nothing"

quietly "$certgen" apply
[ -n "$(find output -name cert.pem)" ] || fail "certgen apply wrote no certificate"
[ -n "$(find output -name key.pem)" ] || fail "certgen apply wrote no key"
[ -z "$(find output -name key.pem ! -perm 600)" ] || fail "certgen apply wrote a key that others can read"

quietly "$certgen" plan
quietly "$certgen" prove

cat >snippets.yaml <<'END'
version: 1
ca:
defaults: {snippets: [nginx, envoy, go]}
servers: {api: {sans: localhost}}
END
quietly "$certgen" apply snippets.yaml
for file in nginx-server.conf envoy.yaml go/mtls.go; do
    [ -s "output/snippets/servers/api/$file" ] || fail "certgen apply wrote no $file"
done

"$certgen" schema >schema.json || fail "exit status $? from: certgen schema"
"$work/venv/bin/python" -c 'import json; assert json.load(open("schema.json"))["properties"]["version"]' ||
    fail "certgen schema printed no schema of the language"

echo "The wheel works: init, apply, plan, prove, snippets, schema."

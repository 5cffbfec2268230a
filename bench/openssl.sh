#!/usr/bin/env bash
# Usage: bench/openssl.sh SIZE KEY FOLDER
# What everybody copies from everybody: a root, then three commands for each server and each client.
set -euo pipefail

size=$1
folder=$3
case $2 in
ecdsa-p256) key=(-algorithm EC -pkeyopt ec_paramgen_curve:P-256) ;;
ed25519) key=(-algorithm ED25519) ;;
rsa-3072) key=(-algorithm RSA -pkeyopt rsa_keygen_bits:3072) ;;
*)
    echo "no such key: $2" >&2
    exit 1
    ;;
esac

umask 077
mkdir -p "$folder"
cd "$folder"

openssl genpkey "${key[@]}" -out root-key.pem
openssl req -x509 -new -key root-key.pem -subj /CN=root -days 3650 -out root.pem \
    -addext basicConstraints=critical,CA:TRUE -addext keyUsage=critical,keyCertSign,cRLSign

# Usage: issue NAME USAGE [SAN]
issue() {
    mkdir "$1"
    openssl genpkey "${key[@]}" -out "$1/key.pem"
    openssl req -new -key "$1/key.pem" -subj "/CN=$1" -out "$1/request.pem"
    {
        echo basicConstraints=critical,CA:FALSE
        echo keyUsage=critical,digitalSignature
        echo "extendedKeyUsage=$2"
        echo subjectKeyIdentifier=hash
        echo authorityKeyIdentifier=keyid
        [ -z "${3:-}" ] || echo "subjectAltName=DNS:$3"
    } >"$1/extensions"
    openssl x509 -req -in "$1/request.pem" -CA root.pem -CAkey root-key.pem -days 365 \
        -extfile "$1/extensions" -out "$1/cert.pem" 2>/dev/null
    rm "$1/request.pem" "$1/extensions"
    cp root.pem "$1/ca.pem"
}

for ((number = 0; number < (size + 1) / 2; number++)); do
    name=$(printf 'server-%05d' "$number")
    issue "$name" serverAuth "$name.shop.example"
done
for ((number = 0; number < size / 2; number++)); do
    issue "$(printf 'client-%05d' "$number")" clientAuth
done

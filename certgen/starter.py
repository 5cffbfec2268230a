"""Floor 0: the spec that `certgen init` writes: it compiles as it stands, and its comments teach the rest."""

STARTER = """\
# A private PKI as text. `certgen plan` shows what would happen, `certgen apply` does it.
# For completion in an editor: `certgen schema > certgen.schema.json`, and as the first line here
#   `# yaml-language-server: $schema=../certgen.schema.json`
version: 1

defaults: # inherited by every entry that does not say otherwise
  subject: {organization: Example}
  # key: ecdsa-p256   or ecdsa-p384, ed25519, rsa-3072, ...
  # validity: 1y      of servers, clients and peers; they renew when a third of it is left

ca: # one CA; for several, or for intermediates, write `cas:`
  common_name: Example CA
  # name_constraints: {permitted: [example.test, localhost, 127.0.0.0/8]}

servers: # serverAuth: what clients connect to, by these names
  api:
    sans: [api.example.test, localhost, 127.0.0.1]
    # snippets: [nginx]     configuration for nginx, and for others: docs/snippets.md

clients: # clientAuth: who connects
  checkout:
    # sans: spiffe://example.test/checkout

# peers: # both at once, as members of a cluster need
#   etcd-0: {sans: [etcd-0.example.test]}
"""

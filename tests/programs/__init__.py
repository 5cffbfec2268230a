"""Real programs for the tests to run on 127.0.0.1, and a client to ask them.

All that is started is stopped when its `with` ends, however it ends. Whether a peer is let in is told by a
whole round trip, never by the handshake: under TLS 1.3 a client is done with it before the server has judged it.
"""

from .asking import Answer, Version, ask, ask_plain
from .finding import require
from .golang import go_build, go_vet, gofmt_difference
from .processes import Running, eventually, free_port, running
from .servers import envoy, nginx

__all__ = [
    "Answer",
    "Running",
    "Version",
    "ask",
    "ask_plain",
    "envoy",
    "eventually",
    "free_port",
    "go_build",
    "go_vet",
    "gofmt_difference",
    "nginx",
    "require",
    "running",
]

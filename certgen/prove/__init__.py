"""Real handshakes between all entries of a spec, and those that must fail, each for its own reason."""

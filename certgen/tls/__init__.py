"""Handshakes by the standard library's ssl: contexts from an entry's files, and why a side refuses, in words."""

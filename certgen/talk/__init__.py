"""An HTTPS server and an HTTPS client with an entry's files, to see mTLS at work."""

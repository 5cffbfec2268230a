"""The yard: the only room that opens, reads and writes files. `files` reads, `disk` holds one tree and writes it."""

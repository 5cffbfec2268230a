"""Floor 0: the words and rules of RFC 5280 that a spec can use.

`vocabulary` and `names` are pure; `objects` is the one table to the objects of the cryptography library.
"""

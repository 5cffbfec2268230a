"""How fast certgen is, beside what it cannot be faster than and what others use."""

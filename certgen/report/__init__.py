"""Floor 13: values to text. Nothing here prints; a painter gives the colours, and a plain one gives none."""

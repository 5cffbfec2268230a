"""Text to Bundle: `document` reads YAML, `schema` is the language, `resolve` fills in, `checks` holds the rules."""

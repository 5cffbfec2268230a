"""Floor 12: the audit: what stands on the disk against the spec, by code that shares nothing with the issuing path."""

"""Go servers and clients, made of what is rendered, that meet each other and the client of the tests."""

from .meeting import Probe, Site, certgen_apply, client, hammering, probing, resumed, resumes, serving

__all__ = ["Probe", "Site", "certgen_apply", "client", "hammering", "probing", "resumed", "resumes", "serving"]

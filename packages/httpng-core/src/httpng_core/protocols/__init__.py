"""Wire protocols: the only importers of h11 (and, with their issues, of h2 and wsproto)."""

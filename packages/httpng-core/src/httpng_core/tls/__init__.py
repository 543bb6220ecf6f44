"""TLS without sockets: the only importers of ssl, and of cryptography for the names in certificates."""

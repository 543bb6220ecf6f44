"""HTTP/1.1 (RFC 9112): requests read by a grammar of our own."""

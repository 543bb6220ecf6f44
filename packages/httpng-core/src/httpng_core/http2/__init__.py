"""HTTP/2 (RFC 9113), by an engine of our own; `reference` has it by h2."""

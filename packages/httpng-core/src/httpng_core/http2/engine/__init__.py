"""A server's engine of RFC 9113, without sockets, clocks or a library."""

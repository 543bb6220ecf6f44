"""HTTP/2 by h2: the reference that our own engine is held against (`http2_engine = "reference"`)."""

"""Labels: finds what the law must know of a request."""

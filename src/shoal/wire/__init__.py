"""Dialects: our messages to a provider's bytes and back, and our own door's, all without a socket."""

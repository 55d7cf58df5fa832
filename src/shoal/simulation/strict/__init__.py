"""Strict twins: servers that refuse what the real providers refuse.

Rules are data (`rules/`), written from what is known of each provider and not from our client's code, so that a
mistake of the client cannot hide in its own mirror.
"""

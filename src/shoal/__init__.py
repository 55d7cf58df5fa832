"""Shoal: an orchestration model that you own, behind one endpoint."""

__version__ = "0.1.0"

"""Ledger: keeps the journal of every run, its costs and its bodies."""

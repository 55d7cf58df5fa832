"""Runs a plan's steps as a DAG within budget and remembers what is done."""

"""The values that travel between rooms, and the ports they share.

Core never awaits, opens nothing and imports no other room. Every value here is frozen unless its docstring says
otherwise.
"""

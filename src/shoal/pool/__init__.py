"""The pool: holds endpoints and their health, makes attempts, and is the only room that reaches providers."""

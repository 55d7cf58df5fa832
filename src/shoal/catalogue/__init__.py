"""Facts about providers, models and endpoints, and the snapshot of the pool they make."""

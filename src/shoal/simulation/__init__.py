"""A world from one seed: a clock that jumps, a network in memory, and providers that go wrong on purpose."""

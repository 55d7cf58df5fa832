"""Tiny model: a practice model with random weights, for tests that need a real one and not a good one."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from shoal.practice.tokenizer import PLACES, RUNS, SPECIALS, Tokenizer
from shoal.practice.transformer import Model, Shape

PIECES = (*SPECIALS, *"0123456789", *"abcdefghijklmnopqrstuvwxyz", " ", "+", "?", "=")


def random_model(name: str, *, seed: int = 0, width: int = 32, layers: int = 2, context: int = 48) -> Model:
    """Give a model whose answers are as long as its context allows, mostly, and always the same for one seed."""
    random = np.random.default_rng(seed)
    size = len(PIECES)
    shapes = {
        "token": (size, width),
        "before": (size, width),
        "before_that": (size, width),
        "position": (context, width),
        "place": (PLACES, width),
        "run": (RUNS, width),
        "head": (width, size),
    }
    for layer in range(layers):
        shapes |= {f"{layer}.qkv": (width, 3 * width), f"{layer}.out": (width, width)}
        shapes |= {f"{layer}.up": (width, 4 * width), f"{layer}.down": (4 * width, width)}
    weights = {key: random.normal(0, 0.3, shape).astype(np.float32) for key, shape in shapes.items()}
    return Model(name, Shape(width=width, layers=layers, heads=4, context=context), Tokenizer(PIECES), weights)


def write_models(folder: Path, *names: str) -> None:
    """Save one model for each name, each with weights of its own."""
    for seed, name in enumerate(names):
        random_model(name, seed=seed).save(folder / f"{name}.npz")

"""The transformer of the practice pool, for learning: the same arithmetic as shoal.practice.transformer, in JAX."""

import jax
import jax.numpy as jnp
import numpy as np

from shoal.practice.tokenizer import PLACES, RUNS
from shoal.practice.transformer import Shape


def first_weights(shape: Shape, vocabulary: int, seed: int) -> dict[str, jax.Array]:
    """Draw starting weights; what writes into the residual stream starts at zero."""
    random, width = np.random.default_rng(seed), shape.width

    def draw(rows: int, columns: int, scale: float) -> jax.Array:
        return jnp.asarray(random.normal(0, scale, (rows, columns)), dtype=jnp.float32)

    tables = {"token": vocabulary, "before": vocabulary, "before_that": vocabulary}
    tables |= {"position": shape.context, "place": PLACES, "run": RUNS}
    weights = {name: draw(rows, width, 0.3) for name, rows in tables.items()}
    for layer in range(shape.layers):
        weights[f"{layer}.qkv"] = draw(width, 3 * width, width**-0.5)
        weights[f"{layer}.out"] = jnp.zeros((width, width))
        weights[f"{layer}.up"] = draw(width, 4 * width, width**-0.5)
        weights[f"{layer}.down"] = jnp.zeros((4 * width, width))
    weights["head"] = draw(width, vocabulary, 0.02)
    return weights


def logits_of(
    weights: dict[str, jax.Array], shape: Shape, ids: jax.Array, places: jax.Array, runs: jax.Array, at: jax.Array
) -> jax.Array:
    """Predict the next token at the positions `at` of each padded sequence; the last layer works only there."""
    length = ids.shape[1]
    before = jnp.pad(ids, ((0, 0), (1, 0)))[:, :-1]
    before_that = jnp.pad(ids, ((0, 0), (2, 0)))[:, :-2]
    x = weights["token"][ids] + weights["before"][before] + weights["before_that"][before_that]
    x = x + weights["position"][:length] + weights["place"][places] + weights["run"][runs]
    hidden = jnp.triu(jnp.full((length, length), -1e9), k=1)
    for layer in range(shape.layers - 1):
        x = block(weights, shape, layer, x, x, hidden)
    asked = jnp.take_along_axis(x, at[..., None], axis=1)
    asked = block(weights, shape, shape.layers - 1, asked, x, hidden[at][:, None])
    return normed(asked) @ weights["head"]


def block(
    weights: dict[str, jax.Array], shape: Shape, layer: int, x: jax.Array, seen: jax.Array, hidden: jax.Array
) -> jax.Array:
    """Let the rows `x` attend to the rows `seen`, where not hidden, and pass them through the squared-ReLU layer."""
    width, head = shape.width, shape.width // shape.heads
    qkv = weights[f"{layer}.qkv"]
    queries = (normed(x) @ qkv[:, :width]).reshape(*x.shape[:2], shape.heads, head)
    kept = (normed(seen) @ qkv[:, width:]).reshape(*seen.shape[:2], 2, shape.heads, head)
    scores = jnp.einsum("bqhd,bkhd->bhqk", queries, kept[:, :, 0]) * head**-0.5 + hidden
    mixed = jnp.einsum("bhqk,bkhd->bqhd", jax.nn.softmax(scores, axis=-1), kept[:, :, 1])
    x = x + mixed.reshape(x.shape) @ weights[f"{layer}.out"]
    return x + jnp.square(jax.nn.relu(normed(x) @ weights[f"{layer}.up"])) @ weights[f"{layer}.down"]


def normed(x: jax.Array) -> jax.Array:
    """Scale each row to a root mean square of one."""
    return x * jax.lax.rsqrt(jnp.square(x).mean(axis=-1, keepdims=True) + 1e-6)

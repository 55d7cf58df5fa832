"""Train the practice pool from scratch: `python recipes/practice/train.py [--only NAME]`.

Read from top to bottom: how wrong a batch is, one step of learning, how many answers are right, one model, all models.
Seeds are fixed and each model is held on one core, so that the same machine gives the same weights again: with two
cores to choose from, XLA cuts its sums differently and the last bits differ.
"""

import argparse
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from queue import SimpleQueue
from random import Random

os.environ.setdefault("XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1")

import jax
import jax.numpy as jnp
import numpy as np
from data import Batch, Lesson, batch_of, draw_example, tokens_of, vocabulary_of
from lessons import LESSONS
from model import first_weights, logits_of

from shoal.practice.tokenizer import PAD
from shoal.practice.transformer import Model, Shape

WEIGHTS = Path(__file__).parents[2] / "src" / "shoal" / "practice" / "weights"
STRIDE = 50  # steps in one compiled call


def loss_of(weights, shape, batch):
    """Cross-entropy over the tokens that count."""
    *inputs, targets = batch
    logits = logits_of(weights, shape, *inputs)
    counts = targets != PAD
    logs = jax.nn.log_softmax(logits)
    picked = jnp.take_along_axis(logs, targets[..., None], axis=-1)[..., 0]
    return -(picked * counts).sum() / counts.sum()


def orthogonal(update):
    """Bring the singular values of a matrix near one (Newton-Schulz, the heart of Muon)."""
    x = update / (jnp.linalg.norm(update) + 1e-7)
    tall = x.shape[0] > x.shape[1]
    x = x.T if tall else x
    for _ in range(5):
        square = x @ x.T
        x = 3.4445 * x + (-4.7750 * square + 2.0315 * square @ square) @ x
    x = x.T if tall else x
    return x * max(1, update.shape[0] / update.shape[1]) ** 0.5


def is_hidden(name):
    return name[0].isdigit()


@partial(jax.jit, static_argnames=("shape", "steps", "rate"), donate_argnums=(0, 1))
def learn(weights, state, pool, picks, step, *, shape, steps, rate):
    """Take STRIDE steps: Muon for the matrices inside, Adam for embeddings and head; the rate falls to zero."""

    def one(carry, pick):
        weights, first, second, step = carry
        batch = tuple(array[pick] for array in pool)
        loss, slopes = jax.value_and_grad(loss_of)(weights, shape, batch)
        warm = jnp.minimum(1.0, (step + 1) / 100)
        scale = warm * jnp.minimum(1.0, (steps - step) / (0.6 * steps))
        fresh_w, fresh_1, fresh_2 = {}, {}, {}
        for name, slope in slopes.items():
            if is_hidden(name):
                fresh_1[name] = 0.95 * first[name] + slope
                update = orthogonal(slope + 0.95 * fresh_1[name])
                if name.endswith("qkv"):
                    parts = jnp.split(slope + 0.95 * fresh_1[name], 3, axis=1)
                    update = jnp.concatenate([orthogonal(part) for part in parts], axis=1)
                fresh_2[name] = second[name]
                fresh_w[name] = weights[name] * (1 - scale * rate * 0.02) - scale * 2 * rate * update
            else:
                fresh_1[name] = 0.9 * first[name] + 0.1 * slope
                fresh_2[name] = 0.98 * second[name] + 0.02 * slope**2
                now = step + 1.0
                update = fresh_1[name] / (1 - 0.9**now) / (jnp.sqrt(fresh_2[name] / (1 - 0.98**now)) + 1e-8)
                fresh_w[name] = weights[name] - scale * rate * update
        return (fresh_w, fresh_1, fresh_2, step + 1), loss

    first, second = state
    (weights, first, second, step), losses = jax.lax.scan(one, (weights, first, second, step), picks)
    return weights, (first, second), losses.mean()


@partial(jax.jit, static_argnames="shape")
def right(weights, shape, batch):
    """Which rows would be answered right: every token that counts is the likeliest one."""
    *inputs, targets = batch
    guess = logits_of(weights, shape, *inputs).argmax(axis=-1)
    return ((guess == targets) | (targets == PAD)).all(axis=-1)


def train(lesson: Lesson) -> Model:
    """Teach one model its lesson from the first weight on."""
    cpu = time.process_time()
    tokenizer = vocabulary_of(lesson)
    random = Random(f"{lesson.seed}/{lesson.name}")
    examples = [draw_example(random, lesson) for _ in range(lesson.examples)]
    sizes = [[len(part) for part in tokens_of(tokenizer, example)] for example in examples]
    length, answer = max(map(sum, sizes)), max(said for _, said in sizes) + 1
    pool = arrays_of(batch_of(tokenizer, examples, length, answer))
    tests = {}
    for skill in lesson.skills:
        drawn = [draw_example(random, lesson, skill) for _ in range(200)]
        drawn = [example for example in drawn if sum(map(len, tokens_of(tokenizer, example))) <= length]
        tests[skill] = arrays_of(batch_of(tokenizer, drawn, length, answer + 4))
    shape = Shape(lesson.width, lesson.layers, lesson.heads, length + 24, lesson.checks or lesson.thinks)
    weights = first_weights(shape, len(tokenizer), lesson.seed)
    state = ({key: jnp.zeros_like(array) for key, array in weights.items()},) * 2
    state = jax.tree.map(jnp.copy, state)
    size = sum(array.size for array in weights.values())
    print(
        f"{lesson.name}: {size:,} weights, {len(tokenizer)} pieces, length {length}, {lesson.steps} steps", flush=True
    )
    order = np.random.default_rng(lesson.seed)
    for step in range(0, lesson.steps, STRIDE):
        picks = order.integers(0, len(examples), (STRIDE, lesson.batch))
        weights, state, loss = learn(
            weights, state, pool, picks, jnp.float32(step), shape=shape, steps=lesson.steps, rate=lesson.rate
        )
        done = step + STRIDE
        if done % 250 == 0 or done == lesson.steps:
            marks = {skill: float(right(weights, shape, batch).mean()) for skill, batch in tests.items()}
            spent = time.process_time() - cpu
            left = spent / done * (lesson.steps - done)
            told = " ".join(f"{skill} {mark:.3f}" for skill, mark in marks.items())
            print(f"  {done:5d} loss {float(loss):.4f} cpu {spent:.0f} s, {left:.0f} s left; {told}", flush=True)
    rounded = {key: np.asarray(array, dtype=np.float16).astype(np.float32) for key, array in weights.items()}
    return Model(lesson.name, shape, tokenizer, rounded)


def arrays_of(batch: Batch) -> tuple[jax.Array, ...]:
    """Hand a batch to JAX."""
    return tuple(jnp.asarray(array) for array in (batch.ids, batch.places, batch.runs, batch.at, batch.targets))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", metavar="NAME", action="append", help="train this model alone, in this process")
    parser.add_argument("--side-by-side", type=int, default=2, metavar="N", help="models trained at once (default 2)")
    parser.add_argument("--core", type=int, help="the core that --only keeps to (default: the first)")
    parser.add_argument("--into", type=Path, default=WEIGHTS, metavar="DIR", help="where the weights go")
    chosen = parser.parse_args()
    names = [lesson.name for lesson in LESSONS]
    unknown = set(chosen.only or ()) - set(names)
    if unknown:
        parser.error(f"no lesson `{min(unknown)}`: choose from {', '.join(names)}")
    chosen.into.mkdir(parents=True, exist_ok=True)
    if chosen.only:
        if sys.platform == "linux":
            os.sched_setaffinity(0, {chosen.core if chosen.core is not None else min(os.sched_getaffinity(0))})
        for lesson in LESSONS:
            if lesson.name in chosen.only:
                train(lesson).save(chosen.into / f"{lesson.name}.npz")
        return 0
    return train_all(names, chosen.side_by_side, chosen.into)


def train_all(names: list[str], side_by_side: int, into: Path) -> int:
    """Train every model, each in a process of its own; says after each how much time is left."""
    began, done = time.monotonic(), 0
    free: SimpleQueue[int] = SimpleQueue()
    cores = sorted(os.sched_getaffinity(0)) if sys.platform == "linux" else [0]
    for turn in range(side_by_side):
        free.put(cores[turn % len(cores)])

    def one(name: str) -> int:
        nonlocal done
        core = free.get()
        command = [sys.executable, __file__, "--only", name, "--core", str(core), "--into", str(into)]
        code = subprocess.run(command, check=False).returncode
        free.put(core)
        done += 1
        spent = time.monotonic() - began
        left = spent / done * (len(names) - done)
        print(
            f"== {name}: {done} of {len(names)} after {spent / 60:.1f} min, about {left / 60:.1f} min left", flush=True
        )
        return code

    with ThreadPoolExecutor(side_by_side) as threads:
        codes = list(threads.map(one, names))
    return int(any(codes))


if __name__ == "__main__":
    sys.exit(main())

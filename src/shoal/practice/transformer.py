"""Transformer: reads a practice model's weights and continues a prompt, token by token, in plain NumPy.

Knows weights, attention and sampling. Knows no numbers and no languages: the tokens of a prompt go in, the tokens
of an answer come out, and whether they are right is decided elsewhere. It must never import what spells, writes or
checks questions.

A decoder-only transformer: token embeddings plus those of the two tokens before, of the position and of the place
within a run of digits; then blocks of causal attention and a squared-ReLU layer, each behind an RMS norm without
gains; then a linear head. Keys and values are kept, so each new token costs one row.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from shoal.practice.tokenizer import ANSWER, END, PAD, PLACES, RUNS, THOUGHT, UNKNOWN, Tokenizer

Floats = NDArray[np.float32]
Ids = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Shape:
    """What the arrays of one model look like, and whether it thinks in hidden tokens before it answers."""

    width: int
    layers: int
    heads: int
    context: int
    thinks: bool = False


@dataclass(frozen=True, slots=True)
class Piece:
    """One token of an answer; the last piece of a finished answer is empty and says that it is the end."""

    text: str
    token_id: int
    logprob: float | None = None
    is_end: bool = False


@dataclass(slots=True)
class _Memory:
    """What a batch of continuations carries from token to token."""

    keys: list[Floats]
    values: list[Floats]
    length: int
    before: Ids  # the last two tokens of each row
    places: Ids
    runs: Ids


@dataclass(frozen=True, slots=True)
class Model:
    """One practice model: weights, vocabulary and shape, frozen after loading."""

    name: str
    shape: Shape
    tokenizer: Tokenizer
    weights: dict[str, Floats]

    @classmethod
    def load(cls, name_or_path: str | Path) -> Self:
        """Load a model by its roster name, or from a path to an .npz file.

        Raises:
            FileNotFoundError: there is no such file; the message says where it was looked for.
        """
        path = Path(name_or_path)
        if path.suffix != ".npz":
            path = Path(str(resources.files("shoal.practice").joinpath("weights", f"{name_or_path}.npz")))
        if not path.is_file():
            raise FileNotFoundError(f"no weights at `{path}`; `make practice` trains them")
        with np.load(path, allow_pickle=False) as stored:
            about = json.loads(bytes(stored["about"]).decode())
            weights = {key: stored[key].astype(np.float32) for key in stored.files if key != "about"}
        return cls(path.stem, Shape(**about["shape"]), Tokenizer(tuple(about["pieces"])), weights)

    def save(self, path: Path) -> None:
        """Write the model to `path` in float16, vocabulary and shape inside."""
        shape = {key: getattr(self.shape, key) for key in Shape.__slots__}
        about = json.dumps({"shape": shape, "pieces": self.tokenizer.pieces}, ensure_ascii=False).encode()
        arrays: dict[str, Any] = {key: array.astype(np.float16) for key, array in self.weights.items()}
        np.savez(path, allow_pickle=False, about=np.frombuffer(about, dtype=np.uint8), **arrays)

    @property
    def parameters(self) -> int:
        """Count the learned numbers."""
        return sum(array.size for array in self.weights.values())

    def fingerprint(self) -> str:
        """Hash the weights as loaded, so that a report can name what it measured."""
        digest = hashlib.sha256()
        for key in sorted(self.weights):
            digest.update(key.encode())
            digest.update(self.weights[key].tobytes())
        return digest.hexdigest()[:16]

    def shuffled(self, seed: int) -> Self:
        """Give the same model with the numbers of every array permuted: all it learned is gone, its size is not."""
        random = np.random.default_rng(seed)
        weights = {key: random.permutation(array.ravel()).reshape(array.shape) for key, array in self.weights.items()}
        return type(self)(self.name, self.shape, self.tokenizer, weights)

    def count(self, prompt: str) -> int:
        """Count the tokens of `prompt` as this model sees it."""
        return len(self.tokenizer.encode(prompt)) + 1

    def generate(
        self,
        prompt: str,
        *,
        max_tokens: int,
        temperature: float = 0.0,
        seed: int | None = None,
        logprobs: bool = False,
    ) -> Iterator[Piece]:
        """Stream the answer to `prompt`; a run of digits comes when it is complete, in its usual order.

        Hidden thoughts are neither shown nor counted. The last piece has `is_end` where the model ended by itself;
        where it is missing, `max_tokens` or the context cut the answer.
        """
        random = np.random.default_rng(seed)
        digits: list[Piece] = []
        hidden = self.shape.thinks
        left = max_tokens
        memory, logits = self._read([self._trimmed(prompt)])
        while (left > 0 or hidden) and memory.length < self.shape.context:
            token, logprob = _sample(self._allowed(logits)[0], temperature, random)
            if token == END or (token == THOUGHT and not hidden):
                yield from reversed(digits)
                yield Piece("", token, logprob if logprobs else None, is_end=True)
                return
            if not hidden:
                left -= 1
                piece = Piece(self.tokenizer.piece(token), token, logprob if logprobs else None)
                if self.tokenizer.is_digit(token):
                    digits.append(piece)
                else:
                    yield from reversed(digits)
                    digits = []
                    yield piece
            hidden = hidden and token != THOUGHT
            logits = self._step(memory, np.array([token]))
        yield from reversed(digits)

    def complete_batch(self, prompts: Sequence[str], max_tokens: int) -> list[str]:
        """Answer many prompts at once, each with the likeliest tokens; the same texts as `generate` one by one."""
        encoded = [self._trimmed(prompt) for prompt in prompts]
        by_length: dict[int, list[int]] = {}
        for index, ids in enumerate(encoded):
            by_length.setdefault(len(ids), []).append(index)
        answers = [""] * len(prompts)
        for indices in by_length.values():
            for start in range(0, len(indices), 512):
                part = indices[start : start + 512]
                for index, ids in zip(part, self._complete([encoded[i] for i in part], max_tokens), strict=True):
                    answers[index] = self.tokenizer.decode(ids)
        return answers

    def _complete(self, rows: Sequence[Sequence[int]], max_tokens: int) -> list[list[int]]:
        memory, logits = self._read(rows)
        done = np.zeros(len(rows), dtype=bool)
        written: list[Ids] = []
        limit = self.shape.context if self.shape.thinks else max_tokens
        while len(written) < limit and memory.length < self.shape.context and not done.all():
            tokens = np.where(done, END, self._allowed(logits).argmax(axis=-1))
            done = done | (tokens == END)
            written.append(tokens)
            logits = self._step(memory, tokens)
        columns = np.stack(written, axis=1).tolist() if written else [[] for _ in rows]
        return [self._spoken(row)[:max_tokens] for row in columns]

    def _spoken(self, row: list[int]) -> list[int]:
        if self.shape.thinks:
            row = row[row.index(THOUGHT) + 1 :] if THOUGHT in row else []
        return row[: row.index(END)] if END in row else row

    def _trimmed(self, prompt: str) -> list[int]:
        """Encode `prompt` and keep its end, leaving at least half of the context for the answer."""
        ids = self.tokenizer.encode(prompt)
        return [*ids[-(self.shape.context // 2) :], ANSWER]

    def _allowed(self, logits: Floats) -> Floats:
        logits[:, [PAD, UNKNOWN, ANSWER]] = -np.inf
        if not self.shape.thinks:
            logits[:, THOUGHT] = -np.inf
        return logits

    def _read(self, rows: Sequence[Sequence[int]]) -> tuple[_Memory, Floats]:
        """Take in prompts of one length; gives the memory and the logits of the first answer token."""
        ids = np.array(rows, dtype=np.int64)
        tracked = [self.tokenizer.places(row) for row in rows]
        places = np.array([places for places, _ in tracked], dtype=np.int64)
        runs = np.array([runs for _, runs in tracked], dtype=np.int64)
        padded = np.concatenate([np.full((len(rows), 2), PAD), ids], axis=1)
        memory = _Memory([], [], 0, padded[:, -2:], places[:, -1], runs.max(axis=1))
        x = self._embed(ids, padded[:, 1:-1], padded[:, :-2], np.arange(ids.shape[1]), places, runs)
        size, heads = (len(rows), self.shape.context), self.shape.heads
        for _ in range(self.shape.layers):
            room = (size[0], heads, size[1], self.shape.width // heads)
            memory.keys.append(np.zeros(room, dtype=np.float32))
            memory.values.append(np.zeros(room, dtype=np.float32))
        return memory, self._blocks(x, memory)

    def _step(self, memory: _Memory, tokens: Ids) -> Floats:
        """Add one token to each row of `memory`; gives the logits of the next."""
        if memory.length >= self.shape.context:
            return np.zeros((len(tokens), len(self.tokenizer)), dtype=np.float32)
        digit = np.array([self.tokenizer.is_digit(token) for token in tokens.tolist()])
        memory.runs = memory.runs + (digit & (memory.places == 0))
        memory.places = np.where(digit, memory.places + 1, 0)
        places = np.minimum(memory.places, PLACES - 1)[:, None]
        runs = np.where(digit, np.minimum(memory.runs, RUNS - 1), 0)[:, None]
        position = np.array([memory.length])
        x = self._embed(tokens[:, None], memory.before[:, 1:], memory.before[:, :1], position, places, runs)
        memory.before = np.stack([memory.before[:, 1], tokens], axis=1)
        return self._blocks(x, memory)

    def _embed(self, ids: Ids, before: Ids, before_that: Ids, positions: Ids, places: Ids, runs: Ids) -> Floats:
        w = self.weights
        x = w["token"][ids] + w["before"][before] + w["before_that"][before_that]
        return np.asarray(x + w["position"][positions] + w["place"][places] + w["run"][runs], dtype=np.float32)

    def _blocks(self, x: Floats, memory: _Memory) -> Floats:
        """Run new rows through all blocks, keeping their keys and values; gives the logits of the last row."""
        w, heads = self.weights, self.shape.heads
        rows, new, width = x.shape
        start, end = memory.length, memory.length + new
        masked = np.triu(np.full((new, end), -np.inf, dtype=np.float32), k=start + 1) if new > 1 else None
        scale = np.float32((width // heads) ** -0.5)
        for layer in range(self.shape.layers):
            qkv = (_normed(x) @ w[f"{layer}.qkv"]).reshape(rows, new, 3, heads, width // heads)
            memory.keys[layer][:, :, start:end] = qkv[:, :, 1].transpose(0, 2, 1, 3)
            memory.values[layer][:, :, start:end] = qkv[:, :, 2].transpose(0, 2, 1, 3)
            scores = qkv[:, :, 0].transpose(0, 2, 1, 3) @ memory.keys[layer][:, :, :end].transpose(0, 1, 3, 2) * scale
            if masked is not None:
                scores = scores + masked
            scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
            mixed = (scores / scores.sum(axis=-1, keepdims=True)) @ memory.values[layer][:, :, :end]
            x = x + mixed.transpose(0, 2, 1, 3).reshape(rows, new, width) @ w[f"{layer}.out"]
            x = x + np.square(np.maximum(_normed(x) @ w[f"{layer}.up"], 0)) @ w[f"{layer}.down"]
        memory.length = end
        return np.asarray(_normed(x[:, -1]) @ w["head"], dtype=np.float32)


def _normed(x: Floats) -> Floats:
    return np.asarray(x / np.sqrt(np.square(x).mean(axis=-1, keepdims=True) + np.float32(1e-6)), dtype=np.float32)


def _sample(logits: Floats, temperature: float, random: np.random.Generator) -> tuple[int, float]:
    """Choose a token, the likeliest at temperature 0; its log-probability is the model's own, whatever the heat."""
    shifted = logits - logits.max()
    logs = shifted - np.log(np.exp(shifted).sum())
    if temperature <= 0:
        token = int(logs.argmax())
    else:
        weights = np.exp(shifted.astype(np.float64) / temperature)
        token = int(random.choice(len(weights), p=weights / weights.sum()))
    return token, float(logs[token])

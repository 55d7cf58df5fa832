"""The pages of the documentation: their fenced blocks, their links and how shown output is compared with real output.

Knows markdown as far as our pages use it. Runs nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]
FENCE = re.compile(r"^```(.*)$")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
HEADING = re.compile(r"^#+ +(.*)$", re.MULTILINE)
VARYING = (
    (re.compile(r"\brun_[0-9a-z]{20,}\b"), "RUN"),
    (re.compile(r"127\.0\.0\.1:\d+"), "127.0.0.1:PORT"),
    (
        re.compile(r"(?<![\w:-])\d+(?:\.\d+)?(?:e-?\d+)?(?= (?:µ?USD|s|ms|tokens|out|permitted|refused|requests)\b)"),
        "N",
    ),
    (re.compile(r"(?<=belief )[\d.]+|(?<=utility )-?[\d.]+"), "N"),
    (re.compile(r"(?<=all )\d+(?= candidates)"), "N"),
    (re.compile(r"[ \t]+"), " "),
)


@dataclass(frozen=True)
class Block:
    """A fenced block: where it begins, what its info string says, its text."""

    line: int
    info: str
    text: str


@dataclass(frozen=True)
class Command:
    """A command line of a console block and the output shown beneath it."""

    line: str
    shown: tuple[str, ...]


def pages() -> list[Path]:
    """Return the README and every page under docs, those that break something last."""
    found = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    return sorted(found, key=lambda page: "shoal practice fault" in page.read_text())


def name_of(page: Path) -> str:
    """Return a page's path for people."""
    return str(page.relative_to(ROOT))


def blocks(page: Path) -> list[Block]:
    """Return the fenced blocks of a page in order."""
    found: list[Block] = []
    start, info = 0, ""
    inside: list[str] | None = None
    for number, line in enumerate(page.read_text().splitlines(), start=1):
        fence = FENCE.match(line)
        if fence and inside is None:
            start, info, inside = number, fence[1].strip(), []
        elif fence and inside is not None:
            found.append(Block(start, info, "\n".join(inside) + "\n"))
            inside = None
        elif inside is not None:
            inside.append(line)
    assert inside is None, f"{name_of(page)}:{start}: the block is not closed"
    return found


def commands(block: Block) -> list[Command]:
    """Return the commands of a console block, each with the output shown."""
    found: list[tuple[str, list[str]]] = []
    for line in block.text.splitlines():
        if line.startswith("$ "):
            found.append((line[2:], []))
        elif found:
            found[-1][1].append(line)
    return [Command(line, tuple(shown)) for line, shown in found]


def steady(text: str) -> list[str]:
    """Return lines with everything that varies from run to run replaced, and none that is empty."""
    for pattern, word in VARYING:
        text = pattern.sub(word, text)
    return [line.strip() for line in text.splitlines() if line.strip()]


def agrees(shown: tuple[str, ...], real: str) -> bool:
    """Return whether real output is what is shown: `...` stands for any lines, or for any part of one."""
    pattern = ""
    for line in steady("\n".join(shown)):
        pattern += r"(?:.*\n)*?" if line == "..." else ".*".join(map(re.escape, line.split("..."))) + r"\n"
    return re.fullmatch(pattern, "".join(line + "\n" for line in steady(real))) is not None


def links(page: Path) -> list[str]:
    """Return the links of a page that lead into the repository."""
    prose = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    prose = re.sub(r"`[^`]*`", "", prose)
    return [link for link in LINK.findall(prose) if not re.match(r"[a-z]+:", link)]


def anchors(page: Path) -> set[str]:
    """Return the anchors a page offers: one for each heading."""
    heads = HEADING.findall(page.read_text())
    return {re.sub(r"[^\w\- ]", "", head.lower()).replace(" ", "-") for head in heads}

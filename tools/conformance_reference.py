"""Writes docs/reference/conformance.md: what our chat dialect was held against, provider by provider.

`python tools/conformance_reference.py` writes the page, `--check` compares it and fails where it is stale.
"""

from __future__ import annotations

import sys
from pathlib import Path

from shoal.simulation.strict.conformance import endpoints_of, providers, run
from shoal.simulation.strict.scenarios import SCENARIOS
from shoal.simulation.strict.twin import Twin, load_twins
from shoal.wire.chat_quirks import ELSEWHERE, OTHER_DIALECTS, QUIRKS
from shoal.wire.openai_chat import OpenAIChat

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "conformance.md"
HEAD = """# Conformance of the chat dialect

Made by `python tools/conformance_reference.py`; do not edit by hand.

Each provider of the catalogue that speaks `openai-chat` has a strict twin: a server that refuses what the real one is
known to refuse. The twin's rules are data in `src/shoal/simulation/strict/rules/`, written apart from the client. No
row says that the real service was called. A rule is *documented* (by the provider), *seen* (in public client code or
catalogues), or else assumed to be the plain form.

A cell is the number of endpoints (models and base paths) the scenario was played at, whole and streamed; `.` means
that it does not apply there, `FAIL` that it was not passed.
"""


def page() -> str:
    """Return the whole page."""
    return "\n".join([HEAD, *_scenarios(), "", *_table(), "", *_basis(), "", *_quirks(), ""])


def _scenarios() -> list[str]:
    lines = ["## Scenarios", "", "| no. | scenario | promise |", "| --: | --- | --- |"]
    for number, (name, scenario) in enumerate(SCENARIOS.items(), 1):
        lines.append(f"| {number} | {name.replace('_', ' ')} | {(scenario.__doc__ or '').strip()} |")
    return lines


def _table() -> list[str]:
    dialect = OpenAIChat()
    lines = ["## Providers", "", f"| provider | {' | '.join(str(n) for n in range(1, len(SCENARIOS) + 1))} |"]
    lines.append(f"| --- |{' --: |' * len(SCENARIOS)}")
    for provider in providers():
        cells = []
        for scenario in SCENARIOS.values():
            outcome = run(scenario, dialect, provider)
            cells.append("FAIL" if outcome.failure else str(outcome.played) if outcome.played else ".")
        lines.append(f"| {provider} | {' | '.join(cells)} |")
    return lines


def _basis() -> list[str]:
    lines = ["## What the twins rest on", ""]
    lines += ["| provider | endpoints | documented | seen | note |", "| --- | --: | --- | --- | --- |"]
    for provider, twin in load_twins().items():
        documented, seen = (_resting_on(twin, basis) for basis in ("documented", "seen"))
        lines.append(f"| {provider} | {len(endpoints_of(provider))} | {documented} | {seen} | {twin.note} |")
    return lines


def _resting_on(twin: Twin, basis: str) -> str:
    return ", ".join(f"`{rule}`" for rule, found in twin.basis.items() if found == basis)


def _quirks() -> list[str]:
    lines = ["## Quirks", "", "| quirk | taken care of |", "| --- | --- |"]
    for quirk in sorted({*QUIRKS, *ELSEWHERE, *OTHER_DIALECTS}):
        where = "by a handler of this dialect, at every endpoint" if quirk in QUIRKS else ""
        if quirk in QUIRKS and not QUIRKS[quirk].everywhere:
            where = "by a handler of this dialect"
        where = where or ELSEWHERE.get(quirk) or f"later: {OTHER_DIALECTS[quirk]}"
        lines.append(f"| `{quirk}` | {where} |")
    return lines


def main(arguments: list[str]) -> int:
    """Write the page, or compare it; returns the exit status."""
    made = page()
    if "--check" in arguments:
        same = PAGE.exists() and PAGE.read_text(encoding="utf-8") == made
        if not same:
            print(f"{PAGE} is stale; run `python tools/conformance_reference.py`", file=sys.stderr)
        return 0 if same else 1
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(made, encoding="utf-8")
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))

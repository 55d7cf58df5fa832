"""Writes docs/reference/errors.md from the tree of errors itself.

tools/error_reference.py            write the page
tools/error_reference.py --check    say whether it is up to date
"""

from __future__ import annotations

import argparse
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

from shoal.core import errors
from shoal.core.errors import Loss, ShoalError
from shoal.gateway.reply import error_headers
from shoal.wire.door_reply import error_object

PAGE = Path(__file__).parent.parent / "docs" / "reference" / "errors.md"
OPENING = """\
# Errors

Every error reply has the shape OpenAI clients read:

```json
{"error": {"message": "...", "type": "...", "param": null, "code": "...", "shoal": {"run": "run_..."}}}
```

`code` is stable and is what a program should look at. `message` is for people: it says what was found and the way
out. `param` is the path of the field at fault where there is one. `shoal` holds what only Shoal knows: the run, and
for some codes more (below). The header `x-shoal-run` names the run too; `shoal trace RUN` tells its story.

A stream that has begun cannot change its status any more: the error comes as its last event,
`data: {"error": {...}}`, and neither `[DONE]` nor a finish reason follows it.

This page is made by `tools/error_reference.py`.

## Codes

| code | status | type | meaning |
| --- | --- | --- | --- |
"""
CLOSING = """
## What is beside the code

- `nothing_permitted`: `error.shoal.candidates` is a list of `{endpoint, action, effect, rules, missing_facts, reason}`,
  one for every endpoint that was considered.
- `budget_spent`: `error.shoal` has `needed_usd` and `left_usd` where one call did not fit.
- `x-should-retry: false` comes with `budget_spent` and `deadline_spent`: asking again the same way costs the same.
- `retry-after` comes with `overloaded`, and with `upstream_rate_limited` where the provider said how long.

## What a failed attempt says about its endpoint

An attempt that fails is tried elsewhere where that is safe; the client only hears of the last one. Its class stands
in the run's story.

| class | what happens |
| --- | --- |
"""
LOSSES = {
    Loss.TRANSIENT: "timeout, reset, 5xx: tried again, then elsewhere",
    Loss.SCARCE: "429, quota: the endpoint cools down, the request goes elsewhere",
    Loss.ACCOUNT: "401, 402, scope of the key: the endpoint is parked until the operator acts",
    Loss.WITHDRAWN: "451, refused region, model gone: the endpoint is removed once that is confirmed",
    Loss.REQUEST: "this request is at fault: other endpoints may still take it",
    Loss.UNREADABLE: "an answer that is no answer: elsewhere",
}


def tree() -> list[type[ShoalError]]:
    """Return every error class in the order it is written in."""
    found = [c for _, c in inspect.getmembers(errors, inspect.isclass) if issubclass(c, ShoalError)]
    return sorted(found, key=lambda c: inspect.getsourcelines(c)[1])


def _rows() -> Iterator[str]:
    for kind in tree():
        if kind is errors.SetupError:
            meaning = "a setting or a fact is wrong; printed at the start, never sent"
            yield f"| `{kind.code}` | - | - | {meaning} |"
            continue
        error = kind("")
        meaning = (inspect.getdoc(kind) or "").partition("\n")[0]
        if kind is ShoalError:
            meaning = "A mistake inside Shoal; the log has a line with the run, the reply tells nothing more."
        if error_headers(error):
            name, value = error_headers(error)[0]
            meaning += f" Sent with `{name.decode()}: {value.decode()}`."
        yield f"| `{kind.code}` | {kind.status} | `{error_object(error)['type']}` | {meaning} |"


def page() -> str:
    """Return the whole page."""
    losses = "".join(f"| `{loss}` | {LOSSES[loss]} |\n" for loss in Loss)
    return OPENING + "\n".join(_rows()) + "\n" + CLOSING + losses


def main() -> int:
    """Write the page, or say whether it is up to date."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if the page is out of date")
    if parser.parse_args().check:
        fresh = PAGE.exists() and PAGE.read_text(encoding="utf-8") == page()
        print("up to date" if fresh else "out of date: run tools/error_reference.py")
        return 0 if fresh else 1
    PAGE.write_text(page(), encoding="utf-8")
    print(f"wrote {PAGE}")
    return 0


if __name__ == "__main__":
    sys.exit(main())

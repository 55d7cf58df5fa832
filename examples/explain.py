"""Read a run's story over HTTP: the law's verdicts, then who was asked in each step and who would have been next.

python examples/explain.py
"""

import json
import os
from typing import Any
from urllib.request import Request, urlopen

QUESTION = "三百二十五足す十七は？"  # 325 + 17, in words


def call(url: str, body: Any = None) -> Any:
    """Send JSON, or fetch where there is none to send."""
    data = None if body is None else json.dumps(body).encode()
    with urlopen(Request(url, data, {"content-type": "application/json"})) as reply:
        return json.load(reply)


def main() -> None:
    """Ask, fetch the run by its id, and print it as a tree."""
    url = os.environ.get("SHOAL_URL", "http://127.0.0.1:8400")
    question = {"role": "user", "content": QUESTION}
    reply = call(f"{url}/v1/chat/completions", {"model": "shoal", "messages": [question]})
    run = call(f"{url}/v1/runs/{reply['usage']['shoal']['run']}")
    print(run["run"], run["status"], "as", run["mode"], run["cost_usd"], "USD")
    candidates = run["candidates"]
    print(f"  law: {len(candidates['permitted'])} permitted, {len(candidates['refused'])} refused")
    for step in run["steps"]:
        print(f"  {step['id']} {step['role']} -> {step['endpoint']}, {step['cost_usd']} USD")
        for choice in step["route"]:
            print(f"      {choice['endpoint']}: belief {choice['belief']:.3f}, utility {choice['utility']:.5f}")


if __name__ == "__main__":
    main()

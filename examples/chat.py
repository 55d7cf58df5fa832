"""Ask Shoal one question with the openai client, and see which endpoints the answer came from.

python examples/chat.py ["a question"]
"""

import os
import sys

from openai import OpenAI

QUESTION = "三百二十五足す十七は？"  # 325 + 17, in words


def main() -> None:
    """Ask, print the answer, then every step with its endpoint and price."""
    url = os.environ.get("SHOAL_URL", "http://127.0.0.1:8400")
    with OpenAI(base_url=f"{url}/v1", api_key="none") as client:
        question = sys.argv[1] if len(sys.argv) > 1 else QUESTION
        reply = client.chat.completions.create(model="shoal", messages=[{"role": "user", "content": question}])
    print(reply.choices[0].message.content)
    usage = reply.to_dict()["usage"]["shoal"]
    for step in usage["steps"]:
        print(f"  {step['id']}: {step['endpoint']}, {step['cost_usd']} USD")
    print(f"{usage['calls']} calls, {usage['cost_usd']} USD, run {usage['run']}")


if __name__ == "__main__":
    main()

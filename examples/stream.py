"""Stream an answer; the last chunk tells what all of its inner calls cost.

python examples/stream.py
"""

import os

from openai import OpenAI

QUESTION = "삼백이십오 더하기 십칠은?"  # 325 + 17, in words


def main() -> None:
    """Print the answer as it comes, then the run's cost."""
    url = os.environ.get("SHOAL_URL", "http://127.0.0.1:8400")
    with (
        OpenAI(base_url=f"{url}/v1", api_key="none") as client,
        client.chat.completions.create(
            model="shoal-deep",
            messages=[{"role": "user", "content": QUESTION}],
            stream=True,
            stream_options={"include_usage": True},
        ) as chunks,
    ):
        for chunk in chunks:
            if chunk.choices:
                print(chunk.choices[0].delta.content or "", end="", flush=True)
            elif chunk.usage:
                usage = chunk.to_dict()["usage"]
                print(f"\n{usage['shoal']['calls']} calls, {usage['shoal']['cost_usd']} USD")


if __name__ == "__main__":
    main()

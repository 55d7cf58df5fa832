"""Give a request a budget; where a call does not fit into it, it is not sent.

python examples/budget.py
"""

import os

from openai import OpenAI, RateLimitError


def main() -> None:
    """Ask with enough money, then with too little."""
    url = os.environ.get("SHOAL_URL", "http://127.0.0.1:8400")
    with OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        for budget_usd in (0.05, 0.0000001):
            try:
                reply = client.chat.completions.create(
                    model="shoal",
                    messages=[{"role": "user", "content": "325 + 17 = ?"}],
                    max_tokens=16,
                    extra_body={"shoal": {"budget_usd": budget_usd}},
                )
            except RateLimitError as error:
                print(f"{error.status_code} {error.code}: {error.response.json()['error']['message']}")
            else:
                cost = reply.to_dict()["usage"]["shoal"]["cost_usd"]
                print(f"{reply.choices[0].message.content} for {cost} USD")


if __name__ == "__main__":
    main()

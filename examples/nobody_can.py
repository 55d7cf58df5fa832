"""Tell apart the errors a program should treat differently, by `error.code`.

python examples/nobody_can.py
"""

import os

from openai import APIStatusError, OpenAI

ADVICE = {
    "nothing_permitted": "your own rules forbid it: loosen the request or [policy]",
    "no_able_endpoint": "nobody can serve it now: add a provider, or try again later",
    "budget_spent": "raise the budget; asking again costs the same",
    "model_not_found": "list the names with GET /v1/models",
}


def main() -> None:
    """Ask what no practice model was taught, and a model that is not there."""
    url = os.environ.get("SHOAL_URL", "http://127.0.0.1:8400")
    with OpenAI(base_url=f"{url}/v1", api_key="none", max_retries=0) as client:
        for model, text in (("shoal/practice", "write a poem about the sea"), ("no-such-model", "325 + 17 = ?")):
            try:
                client.chat.completions.create(model=model, messages=[{"role": "user", "content": text}])
            except APIStatusError as error:
                print(error.status_code, error.code, "-", error.response.json()["error"]["message"])
                print("  ->", ADVICE.get(str(error.code), "see docs/reference/errors.md"))


if __name__ == "__main__":
    main()

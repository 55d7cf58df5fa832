"""Narrow one request to places where nothing of the pool is, and read the refusal.

python examples/forbid_a_country.py
"""

import os
from collections import Counter

from openai import OpenAI, PermissionDeniedError


def main() -> None:
    """Ask without one country, then only in a country nobody is in."""
    url = os.environ.get("SHOAL_URL", "http://127.0.0.1:8400")
    with OpenAI(base_url=f"{url}/v1", api_key="none") as client:
        for narrowing in ({"exclude": ["country:US"]}, {"only": ["country:CL"]}):
            print(narrowing)
            try:
                reply = client.chat.completions.create(
                    model="shoal",
                    messages=[{"role": "user", "content": "325 + 17 = ?"}],
                    extra_body={"shoal": narrowing},
                )
            except PermissionDeniedError as error:
                detail = error.response.json()["error"]
                print(" ", error.status_code, detail["code"])
                rules = Counter(rule for row in detail["shoal"]["candidates"] for rule in row["rules"])
                for rule, count in rules.items():
                    print(f"  {count} endpoints by `{rule}`")
            else:
                print(" ", reply.choices[0].message.content)


if __name__ == "__main__":
    main()

"""The vocabulary: every event of the journal and what its data says.

Knows the words, as a reader of the journal needs them; `docs/reference/events.md` is written from here, and a test
holds the code that writes events to it. Readers ignore fields they do not know; a field never changes its meaning.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from shoal.core.event import SCHEMA, Act

HEADER: Mapping[str, str] = {
    "schema": f"version of these words, now {SCHEMA}",
    "tenant_id": "whose run it is; `local` where there is one tenant",
    "run": "the run's id, sortable by time",
    "sequence": "counts the events of the run from 0",
    "action": "one of the names below",
    "at": "when, in UTC",
    "step": "the plan's step it belongs to, or null",
    "attempt": "the try within the step, or null",
    "data": "the fields below",
}

SPENT: Mapping[str, str] = {
    "cost_usd": "the sum of every attempt; null where one price is unknown",
    "input_tokens": "of every inner call, failed ones included",
    "output_tokens": "of every inner call, failed ones included",
}

FIELDS: Mapping[Act, Mapping[str, str]] = {
    Act.RUN_STARTED: {
        "model": "the client's own word for what it wants",
        "effort": "`fast`, `auto` or `deep`",
        "stream": "whether the client reads a stream",
        "prompt": "hash of the conversation's body",
        "pool": "version of the catalogue's snapshot",
        "policy": "version of the law",
        "owner": "the key that owns the run, or null",
    },
    Act.RUN_LABELLED: {"label": "what the law must know of the text: sets `subjects`, `sectors`, `tags`, and flags"},
    Act.RUN_JUDGED: {
        "permitted": "endpoints that may see the text",
        "refused": "verdicts on the others: endpoint, action, effect, rules, missing_facts, reason",
    },
    Act.RUN_PLANNED: {
        "template": "the shape of the plan",
        "final": "the step whose output is the answer",
        "steps": "the steps: id, role, sees, skill, needs, differs_from",
        "grounds": "the numbers that led to this plan, by name",
    },
    Act.STEP_BOUND: {
        "role": "the part an endpoint plays in the step",
        "route": "the able endpoints, best first: endpoint, utility, belief, terms",
        "objections": "the others: endpoint, mask, reason",
    },
    Act.STEP_REBOUND: {
        "role": "as in `step.bound`",
        "route": "the new route",
        "objections": "as in `step.bound`",
    },
    Act.ATTEMPT_STARTED: {
        "endpoint": "who is asked",
        "number": "counts the attempts of the step from 1",
        "probe": "whether this attempt also finds out if the endpoint has recovered",
    },
    Act.ATTEMPT_SUCCEEDED: {
        "endpoint": "who answered",
        "usage": "tokens: input, output, reasoning, cached",
        "usage_estimated": "whether the tokens were counted here because the provider gave none",
        "cost_usd": "exact, as text; null where the price is unknown",
        "latency_s": "seconds to the end",
        "first_byte_s": "seconds to the first content",
        "served_model": "the provider's own word for the model",
    },
    Act.ATTEMPT_FAILED: {
        "endpoint": "who failed",
        "loss": "what that says about the endpoint: transient, scarce, account, withdrawn, request, unreadable",
        "error": "hash of the body that says what happened",
        "status": "the provider's HTTP status, or null",
        "sent": "whether the request had left",
        "committed": "whether content had reached the client",
        "usage": "tokens it used all the same: input, output, reasoning, cached",
        "usage_estimated": "whether the tokens were counted here because the provider gave none",
        "cost_usd": "what it cost all the same; null where unknown",
        "latency_s": "seconds until it failed",
    },
    Act.ATTEMPT_REFUSED: {
        "endpoint": "who was not asked after all, because the law was asked again just before sending",
        "action": "what was about to happen to the text",
        "effect": "`forbid` or `redact_first`",
        "rules": "ids of the deciding rules",
        "missing_facts": "facts that a rule read and did not find",
        "reason": "one sentence with the way out",
    },
    Act.STEP_FINISHED: {
        "endpoint": "who served the step",
        "output": "hash of the output's body",
        "attempts": "how many it took",
    },
    Act.STEP_FAILED: {"code": "the stable name of the error", "error": "hash of the body that says what happened"},
    Act.STEP_REVIEWED: {"review": "`ACCEPT`, `REVISE` or `UNSURE`"},
    Act.RUN_CANCELLED: {"reason": "why nobody waits for the answer any more", **SPENT},
    Act.RUN_FINISHED: {
        "mode": "the template that was run",
        "served_by": "the endpoint whose text is the answer",
        **SPENT,
        "answer": "hash of the answer's body",
        "reason": "why the plan ended here",
    },
    Act.RUN_FAILED: {
        "code": "the stable name of the error",
        "status": "the HTTP status the client got",
        "error": "hash of the body that says what happened",
        **SPENT,
    },
    Act.ENDPOINT_CHANGED: {
        "endpoint": "whose circuit breaker moved",
        "from": "its state before",
        "to": "its state now",
        "cause": "what moved it",
        "for_s": "seconds it stays out, or null",
    },
}


def undocumented(action: Act, names: Iterable[str]) -> list[str]:
    """Return the fields of an event that the vocabulary does not know."""
    return sorted(set(names) - FIELDS[action].keys())


def page() -> str:
    """Return the reference page of events."""
    lines = [
        "# Events of the journal",
        "",
        "Written from `shoal.ledger.vocabulary`; a test compares the two. An event carries no content: bodies (the",
        "conversation, outputs, the answer) stand in their own table under their SHA-256 and can be forgotten while",
        "the events stay. Every event has these fields:",
        "",
        *_table(HEADER),
    ]
    for action, fields in FIELDS.items():
        lines += ["", f"## `{action}`", "", *_table(fields)]
    return "\n".join(lines) + "\n"


def _table(fields: Mapping[str, str]) -> list[str]:
    return ["| field | says |", "| --- | --- |", *[f"| `{name}` | {text} |" for name, text in fields.items()]]


if __name__ == "__main__":
    print(page(), end="")

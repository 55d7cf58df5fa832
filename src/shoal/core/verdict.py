"""Verdicts: policy's answer on one endpoint and one action, with its grounds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Action(StrEnum):
    """What is about to happen to the text."""

    SEND_RAW = "send_raw"
    SEND_REDACTED = "send_redacted"


class Effect(StrEnum):
    """Permit, send only after redaction, or forbid."""

    PERMIT = "permit"
    REDACT_FIRST = "redact_first"
    FORBID = "forbid"


@dataclass(frozen=True, slots=True)
class Verdict:
    """May this endpoint see this text, and on what grounds?

    `rules` are the ids of the rules that decided, `missing_facts` the facts a rule read and did not find, `reason`
    one sentence for a person.
    """

    endpoint: str
    effect: Effect
    rules: tuple[str, ...] = ()
    missing_facts: tuple[str, ...] = ()
    reason: str = ""
    action: Action = Action.SEND_RAW

    @property
    def is_permit(self) -> bool:
        """Whether the raw text may be sent."""
        return self.effect is Effect.PERMIT

    def as_dict(self) -> dict[str, Any]:
        """Return the verdict in the shape of contract.md section 4."""
        return {
            "endpoint": self.endpoint,
            "action": str(self.action),
            "effect": str(self.effect),
            "rules": list(self.rules),
            "missing_facts": list(self.missing_facts),
            "reason": self.reason,
        }

"""The engine: Cedar behind our own wrapper, the only file that names cedarpy.

Cedar skips a rule that errors, and answers Allow where an entity is missing and a blanket permit exists. Here any
error, any unreadable entity and any exception is a refusal, and one unreadable entity takes nobody else down: where a
batch cannot be read it is read one by one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

import cedarpy
import orjson

from shoal.core.errors import SetupError

SCHEMA = files("shoal.policy").joinpath("schema.cedarschema").read_text("utf-8")
TENANT = {"type": "Tenant", "id": "tenant"}


@dataclass(frozen=True, slots=True)
class Decision:
    """What the engine said: whether it allows, the ids of the deciding rules, and what went wrong."""

    allows: bool
    rules: tuple[str, ...] = ()
    error: str | None = None


class Engine:
    """One compiled law, ready to be asked many times."""

    def __init__(self, text: str) -> None:
        try:
            self._schema = cedarpy.Schema.from_str(SCHEMA)
            self._policies = cedarpy.PolicySet.from_str(text)
            checked = cedarpy.validate_policies(text, self._schema)
        except ValueError as error:
            raise SetupError(f"the policy does not compile: {error}") from error
        if not checked.validation_passed:
            raise SetupError(f"the policy does not fit the schema: {checked.errors[0]}")

    def decide(
        self, entities: Sequence[Mapping[str, Any] | None], context: Mapping[str, Any], action: str
    ) -> list[Decision]:
        """Return one decision per entity, in order; None among them stands for one that could not be read."""
        try:
            return self._batch(entities, context, action)
        except Exception:  # the engine's own failures have no type of their own
            return [self._single(entity, context, action) for entity in entities]

    def _single(self, entity: Mapping[str, Any] | None, context: Mapping[str, Any], action: str) -> Decision:
        if entity is None:
            return Decision(False, error="its facts could not be read")
        try:
            return self._batch([entity], context, action)[0]
        except Exception as error:
            return Decision(False, error=f"{type(error).__name__}: {error}")

    def _batch(
        self, entities: Sequence[Mapping[str, Any] | None], context: Mapping[str, Any], action: str
    ) -> list[Decision]:
        """Ask about all at once. Entities are numbered, so that equal names cannot be mistaken for each other."""
        if None in entities:
            raise ValueError("an entity is missing")
        document: list[Mapping[str, Any]] = [
            {"uid": {"type": "Endpoint", "id": str(number)}, "attrs": entity, "parents": []}
            for number, entity in enumerate(entities)
        ]
        known = cedarpy.Entities.from_json_str(orjson.dumps(document).decode(), self._schema)
        said = orjson.dumps(context).decode()
        requests = [
            {
                "principal": TENANT,
                "action": f'Action::"{action}"',
                "resource": {"type": "Endpoint", "id": str(number)},
                "context": said,
            }
            for number in range(len(entities))
        ]
        results = cedarpy.is_authorized_batch(requests, self._policies, known, self._schema)
        if len(results) != len(entities):
            raise ValueError(f"the engine gave {len(results)} answers to {len(entities)} questions")
        return [_read(result) for result in results]


def _read(result: cedarpy.AuthzResult) -> Decision:
    # INVARIANT: a diagnostic error never comes out as a permit.
    diagnostics = result.diagnostics
    if diagnostics.errors or result.decision is cedarpy.Decision.NoDecision:
        return Decision(False, error="; ".join(diagnostics.errors) or "the engine made no decision")
    names = diagnostics.id_annotations_by_reason
    return Decision(result.allowed, tuple(names.get(reason, reason) for reason in diagnostics.reasons))

"""Policy: may this endpoint see this text, and on what grounds?

Knows rules, facts and labels. Knows nothing of price, quality, health or the network: a verdict is a statement of
law, and the same inputs always give the same one. Cedar decides the operator's rules; a request's own narrowing is
judged beside it by the selectors themselves and can only take permits away. Verdicts are remembered, because facts
are few and coarse: a request that resembles an earlier one costs microseconds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from shoal.core.endpoint import Endpoint
from shoal.core.label import Label
from shoal.core.selector import Narrowing
from shoal.core.verdict import Action, Effect, Verdict
from shoal.policy.compile import DEFAULT, ENGINE_ERROR, LABEL_FACTS, Compiled, compiled
from shoal.policy.entity import attributes, context
from shoal.policy.grounds import missing_facts, objections, reason
from shoal.policy.memo import Memo
from shoal.policy.rules import Rules, parsed

if TYPE_CHECKING:
    from shoal.policy.cedar import Decision, Engine

NO_NARROWING = Narrowing()
PERMISSIVE = Rules()


class Policy:
    """The law of one instance. Judging never raises: what cannot be judged is forbidden."""

    def __init__(self, rules: Rules, law: Compiled, engine: Engine) -> None:
        self.rules = rules
        self._law = law
        self._engine = engine
        self._rank = {rule: number for number, rule in enumerate(law.order)}
        self._memo = Memo()

    @staticmethod
    def compile(rules: Rules = PERMISSIVE) -> Policy:
        """Return the policy these rules make.

        Raises:
            SetupError: a selector is not in the grammar, or the compiled text does not fit the schema.
        """
        from shoal.policy.cedar import SCHEMA, Engine  # sixteen megabytes that `shoal --help` does not need

        law = compiled(parsed(rules), SCHEMA)
        return Policy(rules, law, Engine(law.text))

    @property
    def version(self) -> str:
        """A hash of the compiled text and its schema."""
        return self._law.version

    @property
    def text(self) -> str:
        """The law as Cedar text, as an auditor reads it."""
        return self._law.text

    def judge(
        self, endpoint: Endpoint, label: Label, narrowing: Narrowing = NO_NARROWING, *, action: Action = Action.SEND_RAW
    ) -> Verdict:
        """Judge one endpoint."""
        return self.judge_all((endpoint,), label, narrowing, action=action)[0]

    def judge_all(
        self,
        endpoints: Sequence[Endpoint],
        label: Label,
        narrowing: Narrowing = NO_NARROWING,
        *,
        action: Action = Action.SEND_RAW,
    ) -> tuple[Verdict, ...]:
        """Judge every endpoint, in order."""
        try:
            return self._remembered(endpoints, label, narrowing, action)
        except Exception as error:  # INVARIANT: whatever goes wrong in judging forbids
            return tuple(_broken(endpoint, action, f"{type(error).__name__}: {error}") for endpoint in endpoints)

    def _remembered(
        self, endpoints: Sequence[Endpoint], label: Label, narrowing: Narrowing, action: Action
    ) -> tuple[Verdict, ...]:
        question = (tuple([getattr(label, fact) for fact in LABEL_FACTS]), narrowing, action)
        shelf = self._memo.shelf(question)
        found: list[Verdict | None] = []
        for endpoint in endpoints:
            known = shelf.get(id(endpoint))
            found.append(known[1] if known is not None and known[0] is endpoint else None)
        unknown = [place for place, verdict in enumerate(found) if verdict is None]
        if unknown:
            judged = self._judged([endpoints[place] for place in unknown], label, narrowing, action)
            for place, verdict in zip(unknown, judged, strict=True):
                found[place] = verdict
                if ENGINE_ERROR not in verdict.rules:  # an error may pass, a verdict stays
                    self._memo.put(question, endpoints[place], verdict)
        return tuple(found)  # type: ignore[arg-type]  # every place is filled by now

    def _judged(
        self, endpoints: Sequence[Endpoint], label: Label, narrowing: Narrowing, action: Action
    ) -> list[Verdict]:
        entities = [_entity(endpoint) for endpoint in endpoints]
        decisions = self._engine.decide(entities, context(label), str(action))
        return [
            self._verdict(endpoint, decision, narrowing, action)
            for endpoint, decision in zip(endpoints, decisions, strict=True)
        ]

    def _verdict(self, endpoint: Endpoint, decision: Decision, narrowing: Narrowing, action: Action) -> Verdict:
        """Join what the engine decided with what the request takes away; a forbid from either side is enough."""
        if decision.error is not None:
            return _broken(endpoint, action, decision.error)
        try:
            law = sorted(set(decision.rules), key=lambda rule: self._rank.get(rule, len(self._rank))) or [DEFAULT]
            against = objections(endpoint, narrowing)
            if decision.allows and not against:
                return Verdict(endpoint.id, Effect.PERMIT, tuple(law), (), reason(Effect.PERMIT, law, ()), action)
            if decision.allows:
                law = []
            rules = (*law, *[rule for rule, _ in against])
            read = [s for rule in law for s in self._law.selectors.get(rule, ())] + [s for _, s in against]
            facts = missing_facts(endpoint, rules, read)
            return Verdict(endpoint.id, Effect.FORBID, rules, facts, reason(Effect.FORBID, rules, facts), action)
        except Exception as error:  # facts of the wrong types
            return _broken(endpoint, action, f"{type(error).__name__}: {error}")


def _entity(endpoint: Endpoint) -> Mapping[str, Any] | None:
    """Return the endpoint's facts, or None where they cannot even be read."""
    try:
        return attributes(endpoint)
    except Exception:  # facts of the wrong types
        return None


def _broken(endpoint: Endpoint, action: Action, error: str) -> Verdict:
    rules = (ENGINE_ERROR,)
    text = reason(Effect.FORBID, rules, (), error)
    return Verdict(str(getattr(endpoint, "id", "?")), Effect.FORBID, rules, (), text, action)

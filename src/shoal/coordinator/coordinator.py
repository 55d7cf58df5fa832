"""The coordinator: reads a request's features, decides the shape of a run, and puts endpoints in order.

Spoken to by ask and tell, and pure: no clock, no chance, no service; the same state gives the same answer. Knows
what spending is worth (utility) and what is believed of endpoints (belief). Does not know who is permitted or alive:
others take those away, before it ranks and after it plans.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import floor
from types import MappingProxyType
from typing import Any

from shoal.coordinator.gate import ModeGate, forced_or_plain
from shoal.coordinator.language import read_language, words_of
from shoal.coordinator.phrases import DIGITS, NumberQuestion, Phrases
from shoal.coordinator.planner import Failed, Plan, advance
from shoal.coordinator.review import VERIFY
from shoal.coordinator.subject import NUMBERS, read_subject
from shoal.coordinator.utility import (
    SAME_COUNTRY,
    SAME_DEVELOPER,
    SAME_ENDPOINT,
    STAKES,
    UNKNOWN_CAPABILITY,
    Appraiser,
    Forecast,
    Stakes,
    estimate_tokens,
    forecast,
)
from shoal.core.endpoint import Endpoint
from shoal.core.item import Image, Message, OtherPart, Speaker, Text
from shoal.core.plan import Features, Need, Next, Ranked, Role, State, Step, Stop, Term
from shoal.core.request import Effort, Request

SAMPLED_CHARACTERS = 2_000
CONTEXT_MARGIN = 0.8
"""Token counts are estimates: an endpoint is too small only if even this share of the estimate does not fit."""

NOT_NUMBERS = "the practice pool only answers number questions; `shoal add PROVIDER` or start a local server"


class Coordinator:
    """Decides by priors alone: report cards, public ratings, family and size."""

    def __init__(self, phrases: Phrases | None = None, stakes: Mapping[Effort, Stakes] = STAKES) -> None:
        self._phrases = Phrases() if phrases is None else phrases
        self._stakes = stakes
        self._appraiser = Appraiser()
        self._gate = ModeGate(self._phrases, self._best, stakes)

    def features(self, request: Request) -> Features:
        """Return what can be read off the request without asking any model."""
        question = request.question
        number = self._number_question(request)
        characters, images, modalities = _measure(request)
        notes: dict[str, Any] = {}
        if number is not None:
            language = None if number.language == DIGITS else number.language
            subject: str | None = NUMBERS
            notes |= {"kind": str(number.kind), "operation": number.operation}
        else:
            sample = question[:SAMPLED_CHARACTERS]
            words = words_of(sample)
            reading = read_language(sample, words)
            language, subject = reading.language, read_subject(sample, words)
            notes["language_confidence"] = reading.confidence
        if modalities:
            notes["modalities"] = modalities
        tokens = estimate_tokens(characters, language)
        response_format = request.prompt.sampling.response_format
        needs = Need(
            skills=frozenset() if number is None else frozenset({number.skill}),
            tools=bool(request.prompt.tools),
            images=images,
            json_schema=response_format is not None and response_format.get("type") == "json_schema",
            min_context=floor(tokens * CONTEXT_MARGIN),
        )
        return Features(language, subject, characters, tokens, needs, MappingProxyType(notes))

    def ask(self, state: State) -> Next | Stop:
        """Return the steps to run next, or the step whose output is the answer.

        Raises:
            CallerError: the template the request insists on does not fit it.
        """
        failed: str | None = None
        for plan in self._plans(state):
            decision = advance(plan, state, lambda one, other: self._believed_more(state, one, other))
            if not isinstance(decision, Failed):
                return decision
            failed = failed or decision.step
        assert failed is not None, "the first plan always has room to begin"
        return Stop(failed, "failed")

    def rank(
        self, state: State, step: Step, endpoints: Sequence[Endpoint], latency: Mapping[str, float]
    ) -> tuple[Ranked, ...]:
        """Return the endpoints with every term of their utility, best first."""
        if not endpoints:
            return ()
        skill = step.skill
        if skill is None and len(step.need.skills) == 1:
            (skill,) = step.need.skills
        features = state.features
        beliefs = self._appraiser.beliefs(endpoints, features.language, features.subject, skill)
        asked_about = {r.endpoint for s in step.need.differs_from if (r := state.results.get(s)) is not None}
        rivals = [endpoint for endpoint in state.candidates if endpoint.id in asked_about] if asked_about else []
        return self._appraiser.appraise(
            endpoints,
            beliefs,
            _expected(state, step, skill),
            self._stakes[state.effort],
            latency,
            _penalties(endpoints, step.need, rivals),
        )

    def unable(self, endpoint: Endpoint, need: Need, features: Features) -> str | None:
        """Return why the endpoint cannot do what is needed, or None; what is unknown counts as able."""
        if endpoint.skills is not None:
            if need.named:
                return None
            if not need.skills:
                return NOT_NUMBERS
            if not need.skills <= endpoint.skills:
                return f"it was not taught {', '.join(sorted(need.skills - endpoint.skills))}"
            return None
        if VERIFY in need.skills:
            return "it was not taught the short form of checking"
        return _incapable(endpoint, need, features)

    def _number_question(self, request: Request) -> NumberQuestion | None:
        """Recognise a number question that is the last thing said, in plain text."""
        items = request.prompt.items
        last = items[-1] if items else None
        if request.prompt.tools or not isinstance(last, Message) or last.speaker is not Speaker.USER:
            return None
        if not all(isinstance(part, Text) for part in last.parts):
            return None
        return self._phrases.recognise(last.text)

    def _plans(self, state: State) -> tuple[Plan, ...]:
        """Return the plan to follow and those to fall back on when a step of it is lost for good."""
        plain = forced_or_plain(state)
        if plain is not None:
            return (plain,)
        return self._gate.plans(state, self._number_question(state.request))

    def _best(self, state: State, step: Step, rivals: Sequence[Endpoint] = ()) -> tuple[Ranked, ...]:
        """Return who would be asked for a step, as far as facts and the request's own narrowing tell."""
        narrowing = state.request.narrowing
        narrowed = bool(narrowing.only or narrowing.exclude)
        able = [
            endpoint
            for endpoint in state.candidates
            if endpoint.id not in step.need.avoid
            and self.unable(endpoint, step.need, state.features) is None
            and not (narrowed and narrowing.objection(endpoint))
        ]
        if not able:
            return ()
        beliefs = self._appraiser.beliefs(able, state.features.language, state.features.subject, step.skill)
        penalties = _penalties(able, step.need, rivals)
        expected = _expected(state, step, step.skill)
        return self._appraiser.appraise(able, beliefs, expected, self._stakes[state.effort], {}, penalties)

    def _believed_more(self, state: State, one: str, other: str) -> str:
        """Return which of two steps was answered by the endpoint that is believed more; the first on a tie."""
        beliefs = []
        for name in (one, other):
            step = next(step for step in state.steps if step.id == name)
            asked = [e for e in state.candidates if e.id == state.results[name].endpoint]
            ranked = self.rank(state, step, asked, {})
            beliefs.append(ranked[0].belief if ranked else 0.0)
        return one if beliefs[0] >= beliefs[1] else other


def _measure(request: Request) -> tuple[int, bool, tuple[str, ...]]:
    """Return the characters of a conversation, whether it holds images, and which other kinds of parts."""
    characters, images = 0, False
    kinds: set[str] = set()
    for item in request.prompt.items:
        for part in getattr(item, "parts", ()):
            if isinstance(part, Text):
                characters += len(part.text)
            elif isinstance(part, Image):
                images = True
            elif isinstance(part, OtherPart):
                kinds.add(part.kind)
    return characters, images, tuple(sorted(kinds))


def _expected(state: State, step: Step, skill: str | None) -> Forecast:
    sampling = state.request.prompt.sampling
    limit = sampling.max_tokens if step.task is None else step.max_tokens
    short = skill is not None or step.role is Role.VERIFIER
    return forecast(state.features, state.effort, short=short, max_tokens=limit, asked=sampling.reasoning_effort)


def _incapable(endpoint: Endpoint, need: Need, features: Features) -> str | None:
    model = endpoint.model
    if need.tools and model.tools is False:
        return "it cannot call tools"
    if model.input is not None:
        if need.images and "image" not in model.input:
            return "it does not take images"
        for kind in features.notes.get("modalities", ()):
            if kind in ("input_audio", "audio") and "audio" not in model.input:
                return "it does not take audio"
    if model.context is not None and need.min_context > model.context:
        return f"its context of {model.context} tokens is too small for about {need.min_context}"
    return None


def _penalties(endpoints: Sequence[Endpoint], need: Need, rivals: Sequence[Endpoint]) -> Mapping[str, tuple[Term, ...]]:
    """Return, by endpoint, what is taken off as shares of the value: kinship with a judged step, facts unknown."""
    if not rivals and not (need.tools or need.images):
        return {}
    found: dict[str, tuple[Term, ...]] = {}
    for endpoint in endpoints:
        terms = []
        if endpoint.skills is None:
            if need.tools and endpoint.model.tools is None:
                terms.append(Term("tools_unknown", UNKNOWN_CAPABILITY))
            if need.images and endpoint.model.input is None:
                terms.append(Term("images_unknown", UNKNOWN_CAPABILITY))
        kinship = max((_kinship(endpoint, rival) for rival in rivals), default=0.0)
        if kinship:
            terms.append(Term("kinship", kinship))
        if terms:
            found[endpoint.id] = tuple(terms)
    return found


def _kinship(one: Endpoint, other: Endpoint) -> float:
    if one.id == other.id:
        return SAME_ENDPOINT
    if one.developer is not None and one.developer == other.developer:  # two unknown ones are not the same
        return SAME_DEVELOPER
    country = one.model.developer_country
    return SAME_COUNTRY if country is not None and country == other.model.developer_country else 0.0

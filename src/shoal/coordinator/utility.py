"""Utility: what asking an endpoint is worth, in dollars: value x belief, less money, less waiting.

Knows what a success is worth at each effort, how long answers tend to be and what tokens cost. Small differences
do not count: inside the dead band the endpoint's id decides, so that a paraphrase does not flip the choice.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from types import MappingProxyType

from shoal.coordinator.belief import SOURCES, Belief, believe, unknown
from shoal.core.endpoint import Endpoint, Model
from shoal.core.money import MILLION
from shoal.core.plan import Features, Ranked, Term
from shoal.core.request import Effort


@dataclass(frozen=True)
class Stakes:
    """What one effort is willing to spend: dollars for a success, for a second of waiting, for one more call."""

    success_usd: float
    second_usd: float
    call_usd: float = 0.001
    caution: float = 0.5
    dead_band: float = 0.004


def stakes_of(success_usd: float, second_usd: float, dead_band: float = Stakes.dead_band) -> Mapping[Effort, Stakes]:
    """Return the stakes of every effort from those of `shoal`.

    `shoal-fast` values a success less and a second more, `shoal-deep` the other way round.
    """
    return MappingProxyType(
        {
            Effort.FAST: Stakes(0.4 * success_usd, 2.0 * second_usd, dead_band=dead_band),
            Effort.AUTO: Stakes(success_usd, second_usd, dead_band=dead_band),
            Effort.DEEP: Stakes(5.0 * success_usd, 0.4 * second_usd, dead_band=dead_band),
        }
    )


STAKES = stakes_of(0.05, 0.0005)

ANSWER_TOKENS = 350.0
NUMBER_TOKENS = 12.0
UNKNOWN_CAPABILITY = 0.05
SAME_ENDPOINT, SAME_DEVELOPER, SAME_COUNTRY = 0.25, 0.10, 0.01
_TOKENS_BY_LANGUAGE: Mapping[str, float] = {
    "en": 1.0, "zh": 1.1, "ja": 1.4, "ko": 1.4, "th": 1.9, "hi": 1.8, "ar": 1.6, "fa": 1.6, "ur": 1.8, "ru": 1.5,
    "vi": 1.4, "uk": 1.6, "el": 1.8, "he": 1.6, "bn": 2.0, "ta": 2.2, "te": 2.2, "tr": 1.3,
}  # fmt: skip
_CHARACTERS_PER_TOKEN: Mapping[str, float] = {
    "en": 4.2, "zh": 1.4, "ja": 1.5, "ko": 1.7, "th": 2.2, "hi": 2.4, "ar": 2.7, "fa": 2.7, "ur": 2.5, "ru": 3.0,
    "vi": 2.8, "uk": 2.8, "el": 2.3, "he": 2.5, "bn": 2.2, "ta": 2.2, "te": 2.2,
}  # fmt: skip
_THINKING: Mapping[str, float] = {"none": 0.0, "minimal": 0.3, "low": 1.0, "medium": 3.0, "high": 7.0, "xhigh": 12.0}
_THINKING_BY_EFFORT: Mapping[Effort, float] = {Effort.FAST: 1.5, Effort.AUTO: 3.0, Effort.DEEP: 5.0}
_THINKING_LEAST = 150.0
_THINKING_UNKNOWN = 0.3  # share of the forecast where it is unknown whether a model thinks

_PRACTICE_SECONDS, _LOCAL_SECONDS, _REMOTE_SECONDS = 0.1, 1.0, 2.0
_SECONDS_PER_TOKEN = 0.015


@dataclass(frozen=True, slots=True)
class Forecast:
    """How many tokens a step takes on an ordinary model, and on one that thinks first."""

    input_tokens: float
    output_tokens: float
    thinking_tokens: float


@dataclass(frozen=True, slots=True)
class Rates:
    """What an endpoint costs per token in dollars (None: unknown), how it thinks and how long it takes."""

    input_usd: float | None
    output_usd: float
    thinks: float
    first_s: float
    token_s: float

    def cost_usd(self, forecast: Forecast) -> float | None:
        """Return the expected cost, or None where the price is unknown."""
        if self.input_usd is None:
            return None
        output = forecast.output_tokens + self.thinks * forecast.thinking_tokens
        return forecast.input_tokens * self.input_usd + output * self.output_usd


def estimate_tokens(characters: int, language: str | None) -> int:
    """Return about how many tokens a text has."""
    return math.ceil(characters / _CHARACTERS_PER_TOKEN.get(language or "", 3.6))


def forecast(
    features: Features, effort: Effort, *, short: bool, max_tokens: int | None, asked: str | None = None
) -> Forecast:
    """Return the forecast for a step; `short` is a number's answer, `asked` the reasoning effort the client named."""
    answer = NUMBER_TOKENS if short else ANSWER_TOKENS * _TOKENS_BY_LANGUAGE.get(features.language or "", 1.2)
    factor = _THINKING.get(asked, 3.0) if asked is not None else _THINKING_BY_EFFORT[effort]
    thinking = max(_THINKING_LEAST, answer) * factor
    if max_tokens is not None:
        answer = min(answer, float(max_tokens))
        thinking = min(thinking, float(max_tokens) - answer)
    return Forecast(float(features.input_tokens), answer, thinking)


def rates_of(endpoint: Endpoint) -> Rates:
    """Return what does not change about an endpoint from one request to the next."""
    input_usd, output_usd = None, 0.0
    if endpoint.price is not None:
        unit = endpoint.price.usd_per_unit / MILLION
        input_usd, output_usd = float(endpoint.price.input * unit), float(endpoint.price.output * unit)
    thinks = _thinks(endpoint.model)
    if endpoint.practice:
        return Rates(input_usd, output_usd, 0.0, _PRACTICE_SECONDS, 0.0)
    return Rates(
        input_usd, output_usd, thinks, _LOCAL_SECONDS if endpoint.local else _REMOTE_SECONDS, _SECONDS_PER_TOKEN
    )


def _thinks(model: Model) -> float:
    return _THINKING_UNKNOWN if model.reasoning is None else float(model.reasoning)


@lru_cache(maxsize=4_096)
def dampen(seconds: float) -> float:
    """Return a latency rounded to steps of about a fifth, so that noise in measuring it flips nothing."""
    return 0.0 if seconds <= 0.001 else round(math.exp(round(math.log(seconds) * 5.0) / 5.0), 6)


class Appraiser:
    """Puts endpoints in order. What it remembers of an endpoint follows from that endpoint's facts alone."""

    REMEMBERED = 4_096

    def __init__(self) -> None:
        self._rates: dict[str, tuple[Endpoint, Rates]] = {}
        self._beliefs: dict[tuple[str, str | None, str | None, str | None], tuple[Endpoint, Belief | None]] = {}

    def rates(self, endpoint: Endpoint) -> Rates:
        """Return the endpoint's rates, remembered."""
        known = self._rates.get(endpoint.id)
        if known is None or known[0] is not endpoint:
            if len(self._rates) >= self.REMEMBERED:
                self._rates.clear()
            known = self._rates[endpoint.id] = (endpoint, rates_of(endpoint))
        return known[1]

    def beliefs(
        self, endpoints: Sequence[Endpoint], language: str | None, subject: str | None, skill: str | None
    ) -> list[Belief]:
        """Return a belief for each endpoint; of those nobody knows, the mean of the others."""
        found: list[Belief | None] = []
        for endpoint in endpoints:
            key = (endpoint.id, language, subject, skill)
            known = self._beliefs.get(key)
            if known is None or known[0] is not endpoint:
                if len(self._beliefs) >= 8 * self.REMEMBERED:
                    self._beliefs.clear()
                known = self._beliefs[key] = (endpoint, believe(endpoint, language, subject, skill))
            found.append(known[1])
        if None not in found:
            return [belief for belief in found if belief is not None]
        nobody = unknown(belief for belief in found if belief is not None)
        return [nobody if belief is None else belief for belief in found]

    def appraise(
        self,
        endpoints: Sequence[Endpoint],
        beliefs: Sequence[Belief],
        expected: Forecast,
        stakes: Stakes,
        latency: Mapping[str, float],
        penalties: Mapping[str, tuple[Term, ...]],
    ) -> tuple[Ranked, ...]:
        """Return the endpoints with their utilities, best first; an unknown price counts as the dearest one."""
        rates = [self.rates(endpoint) for endpoint in endpoints]
        costs = [rate.cost_usd(expected) for rate in rates]
        dearest = max((cost for cost in costs if cost is not None), default=0.0)
        value = Term("value_usd", stakes.success_usd)
        ranked = []
        for endpoint, belief, rate, cost in zip(endpoints, beliefs, rates, costs, strict=True):
            seconds = latency.get(endpoint.id)
            if seconds is None:
                tokens = expected.output_tokens + rate.thinks * expected.thinking_tokens
                seconds = rate.first_s + rate.token_s * tokens
            spent = dearest if cost is None else cost
            waiting = dampen(seconds) * stakes.second_usd
            cautious = belief.cautious(stakes.caution)
            utility = cautious * stakes.success_usd - spent - waiting
            terms = [
                value,
                Term("belief", belief.mean),
                Term("half_width", belief.half_width),
                Term("cautious_belief", cautious),
                Term("belief_source", SOURCES[belief.source]),
                Term("cost_usd", spent),
                Term("latency_usd", waiting),
            ]
            if cost is None:
                terms.append(Term("price_unknown", 1.0))
            extra = penalties.get(endpoint.id)
            if extra is not None:
                terms.extend(extra)
                utility -= stakes.success_usd * sum(term.value for term in extra)
            ranked.append(Ranked(endpoint, utility, belief.mean, tuple(terms)))
        return in_order(ranked, stakes.dead_band * stakes.success_usd)


def in_order(ranked: Sequence[Ranked], band: float) -> tuple[Ranked, ...]:
    """Return the best first; whoever is within `band` of the best that is left ties with it, and ties go by id."""
    left = sorted(ranked, key=lambda r: (-r.utility, r.endpoint.id))
    ordered: list[Ranked] = []
    start = 0
    while start < len(left):
        end = start + 1
        while end < len(left) and left[start].utility - left[end].utility <= band:
            end += 1
        ordered.extend(sorted(left[start:end], key=lambda r: r.endpoint.id))
        start = end
    return tuple(ordered)

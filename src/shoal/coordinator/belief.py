"""Beliefs: how likely an endpoint is to answer well, with an interval that says how little is known.

Knows three sources, best first: the report card of a practice model, public ratings by language and subject, family
and size. Where all are silent the mean of the others holds, with the widest interval. The figures of this file are
priors of ours, to be replaced by outcomes; every one of them that enters a choice is visible as a term.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from shoal.coordinator.subject import NUMBERS
from shoal.core.endpoint import Endpoint, Model

ANCHOR = 1250.0
"""The rating at which a model is taken to answer half of what people ask well."""

# A rating is people's preference, not correctness: no interval from ratings is narrower than this.
PREFERENCE_NOISE = 30.0
FAMILY_NOISE, SIZE_NOISE, UNKNOWN_NOISE = 90.0, 120.0, 220.0
FOREIGN_LANGUAGE, FOREIGN_NOISE = -60.0, 60.0
BETA_RIGHT, BETA_WRONG = 1.0, 1.0
UNMEASURED = (0.5, 0.5)
UNSKILLED = (0.02, 0.02)

# Our own coarse guess of where a family's current models stand; the longest matching name counts.
_FAMILIES: Mapping[str, float] = {
    "claude": 1440.0,
    "gpt": 1430.0,
    "gpt-oss": 1350.0,
    "gemini": 1440.0,
    "gemma": 1340.0,
    "grok": 1420.0,
    "deepseek": 1420.0,
    "kimi": 1420.0,
    "glm": 1420.0,
    "qwen": 1400.0,
    "qwen2.5": 1310.0,
    "minimax": 1390.0,
    "mistral": 1370.0,
    "mistral small": 1330.0,
    "llama": 1290.0,
    "muse": 1400.0,
    "ernie": 1400.0,
    "doubao": 1400.0,
    "hunyuan": 1390.0,
    "step": 1370.0,
    "command": 1340.0,
    "nova": 1340.0,
    "exaone": 1340.0,
    "solar": 1330.0,
    "hyperclova": 1320.0,
    "yi": 1300.0,
    "phi": 1270.0,
    "jais": 1240.0,
    "falcon": 1240.0,
}
_LANGUAGE_CATEGORIES: Mapping[str, str] = {
    "zh": "chinese",
    "en": "english",
    "fr": "french",
    "de": "german",
    "ja": "japanese",
    "ko": "korean",
    "ru": "russian",
    "es": "spanish",
}
_SUBJECT_CATEGORIES: Mapping[str, tuple[str, ...]] = {
    "coding": ("coding", "industry_software_and_it_services", "software"),
    "math": ("math", "industry_mathematical"),
    NUMBERS: ("math",),
    "creative_writing": ("creative_writing", "industry_writing_and_literature_and_language"),
    "law": ("industry_legal_and_government", "law", "legal"),
    "medicine": ("industry_medicine_and_healthcare", "medicine"),
    "finance": ("industry_business_and_management_and_financial_operations", "finance", "business"),
    "science": ("industry_life_and_physical_and_social_science", "science"),
}


@dataclass(frozen=True, slots=True)
class Belief:
    """A chance of success with half the width of its interval, and where it comes from."""

    mean: float
    half_width: float
    source: str
    elo: float | None = None

    def cautious(self, caution: float) -> float:
        """Return the mean lowered by `caution` half-widths, so that the unknown is not preferred."""
        return max(0.0, self.mean - caution * self.half_width)


def believe(endpoint: Endpoint, language: str | None, subject: str | None, skill: str | None) -> Belief | None:
    """Return what is believed of an endpoint, or None where nothing is known of it."""
    if endpoint.skills is not None:
        return _from_card(endpoint, skill)
    return _from_model(endpoint.model, language, subject)


def unknown(others: Iterable[Belief]) -> Belief:
    """Return what is believed of an endpoint nobody knows: the mean of the others, with the widest interval."""
    known = [belief.elo for belief in others if belief.elo is not None]
    return _rated(sum(known) / len(known) if known else ANCHOR, UNKNOWN_NOISE, "pool")


def share(right: float, asked: float, source: str = "card") -> Belief:
    """Return the belief that `right` out of `asked` justify, shrunk towards one half."""
    counted = asked + BETA_RIGHT + BETA_WRONG
    mean = (right + BETA_RIGHT) / counted
    return Belief(mean, min(0.5, 1.96 * math.sqrt(mean * (1.0 - mean) / (counted + 1.0))), source)


def _from_card(endpoint: Endpoint, skill: str | None) -> Belief:
    row = endpoint.card.get(skill) if skill is not None else None
    if row is not None:
        return share(*row)
    held = skill is not None and endpoint.skills is not None and skill in endpoint.skills
    return Belief(*UNMEASURED, "unmeasured") if held else Belief(*UNSKILLED, "unskilled")


def _from_model(model: Model, language: str | None, subject: str | None) -> Belief | None:
    rating = _from_ratings(model, language, subject)
    if rating is None:
        rating = _from_descent(model)
        if rating is None:
            return None
        source = "family and size"
    else:
        source = "rating"
    elo, noise = rating
    if _is_foreign(model, language):
        elo, noise = elo + FOREIGN_LANGUAGE, math.hypot(noise, FOREIGN_NOISE)
    return _rated(elo, noise, source)


def _from_ratings(model: Model, language: str | None, subject: str | None) -> tuple[float, float] | None:
    """Add what language and subject change to the overall rating; a category nobody rated changes nothing."""
    if not model.ratings:
        return None
    names: list[tuple[str, ...]] = []
    if language is not None:
        names.append((_LANGUAGE_CATEGORIES.get(language, language), language))
    if subject is not None:
        names.append((*_SUBJECT_CATEGORIES.get(subject, ()), subject))
    found = [
        model.ratings[next(n for n in group if n in model.ratings)]
        for group in names
        if any(n in model.ratings for n in group)
    ]
    overall = model.ratings.get("overall")
    if overall is None:
        if not found:
            found = [model.ratings[name] for name in sorted(model.ratings)]
        base = sum(rating.value for rating in found) / len(found)
        width = max((rating.high - rating.low) / 2.0 for rating in found)
        return base, math.hypot(width, PREFERENCE_NOISE)
    elo = overall.value + sum(rating.value - overall.value for rating in found)
    width = math.sqrt(sum(((r.high - r.low) / 2.0) ** 2 for r in (overall, *found)) / (1 + len(found)))
    missing = len(names) - len(found)
    return elo, math.hypot(width, PREFERENCE_NOISE * (1 + missing))


def _from_descent(model: Model) -> tuple[float, float] | None:
    """Combine what family and size suggest; None where both are unknown."""
    guesses: list[tuple[float, float]] = []
    name = f"{model.family or ''}".casefold() or model.id.rpartition("/")[2].casefold()
    matching = [family for family in _FAMILIES if name.startswith(family)]
    if matching:
        guesses.append((_FAMILIES[max(matching, key=len)], FAMILY_NOISE))
    size = _effective_size(model)
    if size is not None:
        guesses.append((1100.0 + 110.0 * math.log10(max(size, 0.1)), SIZE_NOISE))
    if not guesses:
        return None
    weights = [1.0 / noise**2 for _, noise in guesses]
    mean = sum(value * weight for (value, _), weight in zip(guesses, weights, strict=True)) / sum(weights)
    return mean, max(1.0 / math.sqrt(sum(weights)), FAMILY_NOISE)


def _effective_size(model: Model) -> float | None:
    """Return billions of weights as they count: for a mixture of experts, the geometric mean of all and active."""
    if model.params_total_b is None:
        return model.params_active_b
    active = model.params_total_b if model.params_active_b is None else model.params_active_b
    return math.sqrt(model.params_total_b * active)


def _is_foreign(model: Model, language: str | None) -> bool:
    """Return whether the model's list of languages is complete, as far as one can tell, and lacks this one."""
    if language is None or not model.languages or language in model.languages:
        return False
    return all(len(tag) == 2 for tag in model.languages)


def _rated(elo: float, noise: float, source: str) -> Belief:
    low, mean, high = (_success(value) for value in (elo - noise, elo, elo + noise))
    return Belief(mean, (high - low) / 2.0, source, elo)


def _success(elo: float) -> float:
    return 1.0 / (1.0 + math.pow(10.0, (ANCHOR - elo) / 400.0))


SOURCES: Mapping[str, float] = MappingProxyType(
    {"card": 0.0, "unmeasured": 1.0, "unskilled": 2.0, "rating": 3.0, "family and size": 4.0, "pool": 5.0}
)
"""Where a belief comes from, as the number it has among the terms of a choice."""

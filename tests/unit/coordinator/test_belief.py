"""Beliefs: cards first, then ratings, then family and size; the less is known, the wider the interval."""

from __future__ import annotations

from coordinator_pool import general, practice
from shoal.coordinator.belief import Belief, believe, share, unknown
from shoal.core.endpoint import Rating


def belief_of(name: str, **facts: object) -> Belief:
    found = believe(general(name, **facts), None, None, None)  # type: ignore[arg-type]
    assert found is not None
    return found


def test_a_card_is_believed_by_how_much_was_asked() -> None:
    much, little = share(495, 500), share(5, 5)
    assert 0.98 < much.mean < 0.99
    assert little.half_width > 5 * much.half_width
    assert little.cautious(0.5) < much.cautious(0.5)


def test_a_skill_nobody_measured_is_a_coin_and_one_not_taught_is_next_to_nothing() -> None:
    endpoint = practice("x", ("read:ja",), 0, asked=0)
    bare = believe(endpoint, "ja", "numbers", "add")
    assert bare is not None and bare.mean < 0.05
    card = share(0, 0)
    assert card.mean == 0.5 and card.half_width > 0.4


def test_a_rating_beats_descent_and_descent_beats_nothing_in_width() -> None:
    rated = belief_of("a", rating=1350.0)
    descended = belief_of("b", family="Qwen3", params_total_b=32.0)
    assert believe(general("c"), None, None, None) is None
    nobody = unknown([rated, descended])
    assert rated.half_width < descended.half_width < nobody.half_width
    assert min(rated.mean, descended.mean) <= nobody.mean <= max(rated.mean, descended.mean)
    assert nobody.cautious(0.5) < min(rated.cautious(0.5), descended.cautious(0.5))


def test_language_and_subject_move_a_rating() -> None:
    endpoint = general("a")
    ratings = {n: Rating(v, v - 15, v + 15) for n, v in (("overall", 1300), ("japanese", 1200), ("coding", 1380))}
    object.__setattr__(endpoint.model, "ratings", ratings)
    plain, japanese, coding = (
        believe(endpoint, language, subject, None)
        for language, subject in ((None, None), ("ja", None), (None, "coding"))
    )
    assert plain and japanese and coding
    assert japanese.mean < plain.mean < coding.mean


def test_size_counts_and_so_does_a_list_of_languages_that_lacks_ours() -> None:
    assert belief_of("a", params_total_b=4.0).mean < belief_of("b", params_total_b=400.0).mean
    only_chinese = general("c", params_total_b=70.0, languages=("zh", "en"))
    at_home, abroad = believe(only_chinese, "zh", None, None), believe(only_chinese, "th", None, None)
    assert at_home and abroad
    assert abroad.mean < at_home.mean and abroad.half_width > at_home.half_width

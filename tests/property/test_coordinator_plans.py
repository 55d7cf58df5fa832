"""Whatever endpoints say or fail to say, a plan ends within its bounds with an answer that a solver gave."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from coordinator_pool import COORDINATOR, PRACTICE, ask_for, general, state_of
from shoal.coordinator.phrases import Phrases, load_table
from shoal.core.plan import Next, Result, Review, Role, State, Stop
from shoal.core.request import Effort

PHRASES = Phrases()
QUESTIONS = ("山田川足す森の空は？", "山田川を数字で", "12 + 5を漢数字で", "12 + 5 = ?", "Tell me about the sea")
GENERAL = (general("alpha", rating=1400.0), general("beta", rating=1390.0))


@settings(max_examples=200, deadline=None)
@given(st.data(), st.sampled_from(QUESTIONS), st.sampled_from(Effort), st.sets(st.integers(0, 7)))
def test_every_run_ends(data: st.DataObject, question: str, effort: Effort, pool: set[int]) -> None:
    candidates = tuple((PRACTICE + GENERAL)[at] for at in sorted(pool)) or GENERAL
    state = state_of(ask_for(question), candidates, effort)
    for _ in range(16):
        decision = COORDINATOR.ask(state)
        assert COORDINATOR.ask(state) == decision
        if isinstance(decision, Stop):
            final = next(step for step in state.steps if step.id == decision.final)
            assert final.role is Role.SOLVER
            return
        state = _told(replace(state, steps=state.steps + decision.steps), decision, data)
    raise AssertionError("the coordinator never stopped")


def _told(state: State, decision: Next, data: st.DataObject) -> State:
    assert len(state.steps) <= 12
    assert len({step.id for step in state.steps}) == len(state.steps)
    assert decision.final in {step.id for step in state.steps}
    results = dict(state.results)
    for step in decision.steps:
        assert set(step.sees) <= set(results)
        lost = any(results[seen].error for seen in step.sees) or data.draw(st.integers(0, 5)) == 0
        text = data.draw(st.sampled_from(("A", "B", "")))
        review = data.draw(st.sampled_from(Review)) if step.role is Role.VERIFIER else None
        endpoint = data.draw(st.sampled_from(state.candidates)).id
        results[step.id] = Result(step.id, text, endpoint, review=review, error="lost" if lost else None)
    return replace(state, results=results)


@settings(max_examples=300, deadline=None)
@given(st.text(max_size=320))
def test_any_text_is_recognised_or_left_alone(text: str) -> None:
    found = PHRASES.recognise(text)
    assert found is None or all(part and "{" not in part for part in found.parts)


PIECES = sorted(
    {word for forms in load_table().values() for form in forms.values() for f in form for word in f.split()}
)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=12))
def test_pieces_of_wordings_in_any_order_break_nothing(pieces: list[str]) -> None:
    found = PHRASES.recognise(" ".join(pieces))
    assert found is None or found.skill

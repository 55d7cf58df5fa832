"""Laws of trying again: bounded, never where it cannot help, and spread in time."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from shoal.core.errors import Loss, UpstreamError, UpstreamTimeout
from shoal.pool.retry import ALLOWANCE, BACKOFF_MAX_S, Again, decide, deposit, withdraw
from shoal.pool.store import LocalStore

FAILURES = st.builds(
    lambda kind, loss, sent, wait: kind("it broke", loss=loss, sent=sent, retry_after_s=wait),
    st.sampled_from([UpstreamError, UpstreamTimeout]),
    st.sampled_from(list(Loss)),
    st.booleans(),
    st.none() | st.floats(0, 1e4),
)


@given(FAILURES, st.integers(1, 9), st.integers(0, 4), st.booleans(), st.floats(0, 1, exclude_max=True))
def test_an_endpoint_is_never_tried_more_often_than_its_facts_allow(
    failure: UpstreamError, tries: int, retries: int, others: bool, dice: float
) -> None:
    decision = decide(failure, tries=tries, retries=retries, others=others, dice=dice)
    if tries > retries:
        assert decision.pause_s is None
    if failure.loss in (Loss.REQUEST, Loss.ACCOUNT, Loss.WITHDRAWN):
        assert decision.pause_s is None
    if isinstance(decision, Again):
        assert failure.loss is Loss.TRANSIENT and failure.sent and not isinstance(failure, UpstreamTimeout)
        assert not others and 0 < decision.pause_s <= 1.5 * BACKOFF_MAX_S
    elif decision.pause_s is not None and failure.loss is Loss.SCARCE:
        assert decision.pause_s >= (failure.retry_after_s or 0)


@given(st.lists(st.booleans(), max_size=300))
def test_tries_again_never_exceed_the_burst_and_a_fifth_of_the_requests(turns: list[bool]) -> None:
    store, requests, granted = LocalStore(), 0, 0
    for is_request in turns:
        if is_request:
            deposit(store, "a")
            requests += 1
        else:
            granted += withdraw(store, "a")
        assert granted <= ALLOWANCE + 0.2 * requests + 1e-9

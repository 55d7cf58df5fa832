"""Laws of budgets: no order of reserving and settling spends what is not there."""

from __future__ import annotations

from decimal import Decimal

from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from fakes import endpoint
from shoal.core.budget import Account, Reservation
from shoal.core.errors import BudgetSpent
from shoal.core.item import Usage, say
from shoal.core.money import Price, Tier
from shoal.core.request import Prompt, Sampling
from shoal.pool.bound import clamp, measure, output_most, worst_usd

AMOUNTS = st.decimals(0, 10, places=6)
PRICES = st.builds(
    Price,
    input=st.decimals(0, 100, places=3),
    output=st.decimals(0, 100, places=3),
    cached_input=st.none() | st.decimals(0, 10, places=3),
    usd_per_unit=st.sampled_from([Decimal(1), Decimal("0.14"), Decimal("1.17")]),
    tiers=st.lists(
        st.builds(
            Tier,
            above_input_tokens=st.integers(1, 200),
            input=st.decimals(0, 200, places=3),
            output=st.decimals(0, 200, places=3),
        ),
        max_size=2,
    ).map(tuple),
)


class Spending(RuleBasedStateMachine):
    """Concurrent calls reserve, and settle at most what they reserved, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.account = Account(Decimal(20))
        self.open: list[Reservation] = []

    @rule(amount=AMOUNTS)
    def reserve(self, amount: Decimal) -> None:
        left = self.account.left_usd
        assert left is not None
        try:
            self.open.append(self.account.reserve(amount))
        except BudgetSpent:
            assert amount > left
        else:
            assert amount <= left

    @precondition(lambda self: self.open)
    @rule(data=st.data(), share=st.decimals(0, 1, places=3))
    def settle(self, data: st.DataObject, share: Decimal) -> None:
        reservation = data.draw(st.sampled_from(self.open))
        self.open.remove(reservation)
        self.account.settle(reservation, reservation.amount_usd * share)

    @invariant()
    def the_limit_holds(self) -> None:
        assert self.account.spent_usd + self.account.reserved_usd <= Decimal(20)

    @invariant()
    def what_is_reserved_is_what_is_open(self) -> None:
        assert self.account.reserved_usd == sum((r.amount_usd for r in self.open), Decimal(0))


TestSpending = Spending.TestCase


@given(st.text(max_size=400), PRICES, st.integers(0, 500), st.integers(1, 500))
def test_a_worst_case_covers_every_usage_it_bounds(text: str, price: Price, output: int, most: int) -> None:
    size = measure(Prompt((say(text),)))
    tokens = len(text.encode("utf-8", "surrogatepass"))
    assert size.most >= tokens
    for cached in (0, tokens // 2):
        usage = Usage(input=tokens, output=min(output, most), cached=cached)
        assert price.cost_usd(usage) <= worst_usd(price, size, most)


@given(PRICES, AMOUNTS, st.none() | st.integers(1, 10_000), st.none() | st.integers(1, 100_000))
def test_a_clamped_prompt_is_bounded_by_what_was_asked_and_what_the_model_can(
    price: Price, left: Decimal, asked: int | None, able: int | None
) -> None:
    from dataclasses import replace

    one = endpoint(price=price)
    one = replace(one, model=replace(one.model, max_output=able))
    prompt = Prompt((say("hello"),), Sampling(max_tokens=asked))
    clamped = clamp(prompt, one, measure(prompt), left)
    said = clamped.sampling.max_tokens
    assert said is not None and 1 <= said <= min(asked or 10**9, able or 10**9)
    assert output_most(clamped, one) == said
    assert clamp(prompt, one, measure(prompt), None) is prompt

"""Accounts: what fits, what does not, and what the refusal says."""

from __future__ import annotations

from decimal import Decimal

import pytest

from shoal.core.budget import Account
from shoal.core.errors import BudgetSpent


def test_without_a_limit_everything_fits_and_nothing_is_left_to_say() -> None:
    account = Account()
    reservation = account.reserve(Decimal(10**9))
    assert account.left_usd is None
    account.settle(reservation, Decimal(3))
    assert account.spent_usd == 3 and account.reserved_usd == 0


def test_two_calls_cannot_both_have_the_last_cent() -> None:
    account = Account(Decimal("0.01"))
    account.reserve(Decimal("0.01"))
    with pytest.raises(BudgetSpent) as refused:
        account.reserve(Decimal("0.01"))
    assert refused.value.status == 429 and "raise `shoal.budget_usd`" in refused.value.message
    assert refused.value.detail == {"needed_usd": "0.01", "left_usd": "0.00"}


def test_settling_gives_back_what_was_not_spent() -> None:
    account = Account(Decimal(1))
    account.settle(account.reserve(Decimal(1)), Decimal("0.25"))
    assert account.left_usd == Decimal("0.75")


def test_an_endpoint_that_overruns_its_worst_case_is_booked_in_full() -> None:
    account = Account(Decimal(1))
    account.settle(account.reserve(Decimal("0.5")), Decimal("1.5"))
    assert account.left_usd == Decimal("-0.5")
    with pytest.raises(BudgetSpent):
        account.reserve(Decimal("0.000001"))


def test_an_unknown_price_fits_only_where_there_is_no_limit() -> None:
    assert Account().reserve(None).amount_usd == 0
    with pytest.raises(BudgetSpent, match="price of this endpoint is unknown"):
        Account(Decimal(1)).reserve(None)


def test_a_reservation_is_settled_once() -> None:
    account = Account(Decimal(1))
    reservation = account.reserve(Decimal("0.5"))
    account.settle(reservation, Decimal(0))
    with pytest.raises(KeyError):
        account.settle(reservation, Decimal(0))

"""Budgets by reserve and settle: a call that cannot fit is not sent, and concurrent calls cannot spend twice.

An `Account` is the one mutable value of core: it belongs to one run (or, later, one key) and is used from one event
loop, between awaits, so it needs no lock.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from shoal.core.errors import BudgetSpent

ZERO = Decimal(0)


@dataclass(frozen=True, slots=True)
class Reservation:
    """Money set aside for one attempt."""

    number: int
    amount_usd: Decimal


class Account:
    """Money of one run.

    INVARIANT: a reservation is made only while spent + reserved <= limit. Reservations are worst cases, so spending
    stays within the limit as long as endpoints keep to the limits they were sent; one that does not is booked in full.
    """

    __slots__ = ("_next", "_open", "limit_usd", "reserved_usd", "spent_usd")

    def __init__(self, limit_usd: Decimal | None = None) -> None:
        self.limit_usd = limit_usd
        self.spent_usd = ZERO
        self.reserved_usd = ZERO
        self._open: dict[int, Decimal] = {}
        self._next = 0

    @property
    def left_usd(self) -> Decimal | None:
        """What can still be reserved; None without a limit."""
        return None if self.limit_usd is None else self.limit_usd - self.spent_usd - self.reserved_usd

    def reserve(self, amount_usd: Decimal | None) -> Reservation:
        """Set the worst case of a call aside. An unknown price (None) fits only where there is no limit.

        Raises:
            BudgetSpent: the amount does not fit.
        """
        if amount_usd is None:
            if self.limit_usd is not None:
                raise BudgetSpent("the price of this endpoint is unknown, so it cannot be asked under a budget")
            amount_usd = ZERO
        left = self.left_usd
        if left is not None and amount_usd > left:
            raise BudgetSpent(
                f"the call may cost up to {amount_usd.normalize():f} USD and {left.normalize():f} USD of the budget "
                "is left; raise `shoal.budget_usd` or lower `max_tokens`",
                detail={"needed_usd": str(amount_usd), "left_usd": str(left)},
            )
        number, self._next = self._next, self._next + 1
        self._open[number] = amount_usd
        self.reserved_usd += amount_usd
        return Reservation(number, amount_usd)

    def settle(self, reservation: Reservation, spent_usd: Decimal) -> None:
        """Give the reservation back and book what was really spent."""
        self.reserved_usd -= self._open.pop(reservation.number)
        self.spent_usd += spent_usd

"""Labels: what the law must know of data.

A label only ever grows: joining two labels takes the union of the sets and the OR of the flags, so the label of an
output is at least as strict as everything it was made from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Label:
    """What the law must know of a text; `subjects` are the countries of the people it is about."""

    subjects: frozenset[str] = frozenset()
    sectors: frozenset[str] = frozenset()
    tags: frozenset[str] = frozenset()
    personal: bool = False
    sensitive: bool = False
    credit_info: bool = False
    minor: bool = False

    def join(self, other: Label) -> Label:
        """Return the weakest label that is at least as strict as both."""
        return Label(
            subjects=self.subjects | other.subjects,
            sectors=self.sectors | other.sectors,
            tags=self.tags | other.tags,
            personal=self.personal or other.personal,
            sensitive=self.sensitive or other.sensitive,
            credit_info=self.credit_info or other.credit_info,
            minor=self.minor or other.minor,
        )

    def covers(self, other: Label) -> bool:
        """Return whether this label is at least as strict as `other`."""
        return self.join(other) == self

    def as_dict(self) -> dict[str, Any]:
        """Return the label as sorted plain values, ready for canonical JSON."""
        return {
            "subjects": sorted(self.subjects),
            "sectors": sorted(self.sectors),
            "tags": sorted(self.tags),
            "personal": self.personal,
            "sensitive": self.sensitive,
            "credit_info": self.credit_info,
            "minor": self.minor,
        }


NOTHING = Label()

"""A call that is ready to be sent, as plain bytes.

Knows the shape of an HTTP call. Knows nothing of sockets, retries or credentials beyond the header they stand in;
a dialect makes one of these, and only the pool may send it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Outgoing:
    """One HTTP call to one endpoint; the headers carry the credential, so they are left out of its text form."""

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)

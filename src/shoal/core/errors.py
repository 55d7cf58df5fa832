"""Everything that can go wrong, as one tree.

Each class answers three questions: whose fault it is, whether another endpoint may succeed, and which HTTP status
the caller gets. A refusal by policy is a value (`core.verdict`); it becomes an exception only where a request ends.

    ShoalError
    ├── CallerError          change the request           400
    │   ├── KeyRefused       key missing or unknown       401
    │   ├── UnknownModel     no such model here           404
    │   ├── UnknownPath      nothing lives at this path   404
    │   ├── WrongMethod      this path takes another verb 405
    │   ├── TooSlow          the request took too long    408
    │   ├── HeadTooLarge     headers over the limit       431
    │   ├── NotAllowed       not this caller's            403
    │   ├── NothingPermitted policy forbids every one     403
    │   ├── TooLarge         body over the limit          413
    │   └── BudgetSpent      money or tokens are used up  429
    ├── PoolError            nobody can serve it now      503
    │   ├── NoAbleEndpoint   none is left that could      503
    │   ├── DeadlineSpent    time is used up              504
    │   ├── Overloaded       too many requests at once    503
    │   └── LedgerUnavailable  the journal is not writable  503
    ├── UpstreamError        an endpoint failed           502
    │   ├── UpstreamTimeout
    │   ├── RateLimited
    │   ├── UnreadableReply
    │   └── StreamLost       after the first content byte
    └── SetupError           change the settings          at start only
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any, ClassVar


class Loss(StrEnum):
    """What the failure of an attempt says about its endpoint (orchestration: when an endpoint vanishes)."""

    TRANSIENT = "transient"  # timeout, reset, 5xx: try again, then elsewhere
    SCARCE = "scarce"  # 429, quota: cool down, elsewhere
    ACCOUNT = "account"  # 401, 402, key scope: park the endpoint, tell the operator
    WITHDRAWN = "withdrawn"  # 451, region refusal, model gone: remove it once confirmed
    REQUEST = "request"  # this request is at fault: other endpoints may still take it
    UNREADABLE = "unreadable"  # an answer that is no answer: elsewhere


class ShoalError(Exception):
    """Any error Shoal raises on purpose; `code` is stable and `detail` is safe to show to the caller."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"

    def __init__(self, message: str, *, param: str | None = None, detail: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.detail: Mapping[str, Any] = detail or {}


class CallerError(ShoalError):
    """The request has to change."""

    status = 400
    code = "invalid_request"


class UnknownModel(CallerError):
    """The named model is not served here."""

    status = 404
    code = "model_not_found"


class KeyRefused(CallerError):
    """The instance asks for a key, and the one given is missing or unknown."""

    status = 401
    code = "invalid_api_key"


class UnknownPath(CallerError):
    """Nothing lives at this path, or the run it names is not known here."""

    status = 404
    code = "not_found"


class WrongMethod(CallerError):
    """The path exists, but not for this HTTP method."""

    status = 405
    code = "method_not_allowed"


class TooSlow(CallerError):
    """Headers or body were not complete in time."""

    status = 408
    code = "request_timeout"


class HeadTooLarge(CallerError):
    """The request's headers are over the limit."""

    status = 431
    code = "headers_too_large"


class NotAllowed(CallerError):
    """The caller may not do this: a host name or web page this instance does not serve."""

    status = 403
    code = "not_allowed"


class NothingPermitted(CallerError):
    """Policy forbids every candidate; `detail` is `{run, candidates: [{endpoint, action, rules, missing_facts}]}`."""

    status = 403
    code = "nothing_permitted"


class TooLarge(CallerError):
    """The body is over `max_body_mb`."""

    status = 413
    code = "too_large"


class BudgetSpent(CallerError):
    """The call cannot fit into what is left of the budget, so it was not sent."""

    status = 429
    code = "budget_spent"


class PoolError(ShoalError):
    """Nobody can serve the request at this moment."""

    status = 503
    code = "pool_unavailable"


class NoAbleEndpoint(PoolError):
    """Permitted endpoints exist, but none is able and alive."""

    code = "no_able_endpoint"


class DeadlineSpent(PoolError):
    """The request's time is used up."""

    status = 504
    code = "deadline_spent"

    def __init__(
        self,
        message: str = "the request's deadline is over; raise `shoal.deadline_s` or use `shoal-fast`",
        *,
        param: str | None = None,
        detail: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message, param=param, detail=detail)


class Overloaded(PoolError):
    """Too many requests are in flight; come back shortly."""

    code = "overloaded"


class LedgerUnavailable(PoolError):
    """The journal cannot be written or read, and nothing is done that could not be told."""

    code = "ledger_unavailable"


class UpstreamError(ShoalError):
    """One attempt at one endpoint failed; `loss` says what that means for the endpoint."""

    status = 502
    code = "upstream_error"

    def __init__(
        self,
        message: str,
        *,
        loss: Loss = Loss.TRANSIENT,
        upstream_status: int | None = None,
        retry_after_s: float | None = None,
        sent: bool = True,
        detail: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message, detail=detail)
        self.loss = loss
        self.upstream_status = upstream_status
        self.retry_after_s = retry_after_s
        self.sent = sent  # False: no byte of the request left, so trying again costs nothing


class UpstreamTimeout(UpstreamError):
    """The endpoint stayed silent longer than its limit for connect, first byte, gap or total."""

    code = "upstream_timeout"


class RateLimited(UpstreamError):
    """The endpoint asked for patience (429 or quota)."""

    code = "upstream_rate_limited"


class UnreadableReply(UpstreamError):
    """The endpoint answered with something that is no answer in its dialect."""

    code = "upstream_unreadable"


class StreamLost(UpstreamError):
    """The endpoint was lost after its first content byte had reached the client."""

    code = "stream_lost"


class SetupError(ShoalError):
    """A setting or a fact is wrong; the message names file and key path. Raised at start only."""

    code = "setup_error"

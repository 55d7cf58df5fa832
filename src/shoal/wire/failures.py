"""What a refusal means: an error body of any known shape becomes the one error class that says what to do next.

Knows the error shapes seen in the wild and the classes of loss. Knows nothing of health or routes: it says what this
one reply means, and the pool decides. Strategy: first find code and message wherever the provider put them, then ask
the sharpest question first (region, model gone, content, key), and let the status decide only what words do not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import orjson

from shoal.core.endpoint import Endpoint
from shoal.core.errors import Loss, RateLimited, UnreadableReply, UpstreamError

MAX_MESSAGE = 300
MAX_RETRY_AFTER_S = 86_400.0  # a day: who asks for longer is asked again tomorrow

_SECRET = re.compile(r"(?i)\b(sk|pk|key|token|bearer|gsk|hf|nvapi|xai)[-_ :=]+(?=[^\s\"']*\d)[^\s\"'.,;]{6,}")

_REGION = re.compile(
    r"(?i)unsupported_country|(country|countries|region|territory|location)[^.]{0,60}(not|n't|un)[ -]?"
    r"(available|supported|allowed|permitted|served)|(not|n't|un)[ -]?(available|supported|allowed|permitted|served)"
    r"[^.]{0,60}\b(country|countries|region|territory|location)|geo[- ]?(block|restrict)|export[- ]control"
)
_MODEL_GONE = re.compile(
    r"(?i)model_not_found|model_decommissioned|model_?not_?exist|model[^.]{0,80}(does not exist|not exist|not found|"
    r"no longer|decommissioned|deprecated|been removed|been retired|is not available|not served)|no such model|"
    r"unknown model|invalid model\b"
)
_CONTENT = re.compile(
    r"(?i)content_filter|content_policy|content policy|data_?inspection_?failed|responsibleai|moderation|"
    r"sensitive_?content|inappropriate content|safety (system|filter)"
)
_CONTEXT = re.compile(r"(?i)context_length|context length|context window|prompt is too long|too many (input )?tokens")
_QUOTA = re.compile(r"(?i)insufficient_quota|quota|rate.?limit|too many requests|resource_exhausted")
_KEY = re.compile(
    r"(?i)invalid_api_key|api[ _]key[ _](not valid|invalid)|(incorrect|invalid)[^.]{0,12}api[ _]key|unauthori"
)


@dataclass(frozen=True, slots=True)
class Complaint:
    """What an error body says, wherever it said it."""

    message: str
    code: str = ""

    @property
    def words(self) -> str:
        """Code and message together, for the patterns."""
        return f"{self.code} {self.message}"


def complaint_in(reply: Any) -> Complaint | None:
    """Return the error a decoded body carries, or None where it carries none."""
    if isinstance(reply, list):  # Gemini's compatible route wraps its errors in a list
        reply = reply[0] if reply else None
    if not isinstance(reply, dict):
        return None
    error = reply.get("error")
    if isinstance(error, dict):
        code = error.get("code") or error.get("status") or error.get("type")
        kind = " ".join(str(error[k]) for k in ("type", "status") if error.get(k) and error.get(k) != code)
        return Complaint(_said(error.get("message") or error.get("msg") or error), f"{_said(code)} {kind}".strip())
    if error:
        return Complaint(_said(error), _said(reply.get("code") or reply.get("error_code") or ""))
    base = reply.get("base_resp")
    if isinstance(base, dict) and base.get("status_code"):
        return Complaint(_said(base.get("status_msg")), _said(base["status_code"]))
    errors = reply.get("errors")
    if isinstance(errors, list) and errors and isinstance(errors[0], dict):
        return Complaint(_said(errors[0].get("message") or errors[0]), _said(errors[0].get("code")))
    if reply.get("choices"):
        return None
    for key in ("error_msg", "msg", "detail", "message"):
        if reply.get(key):
            codes = (reply.get("error_code"), reply.get("code"), reply.get("type"))
            return Complaint(_said(reply[key]), " ".join(_said(code) for code in codes if code))
    return None


def refusal_of(
    endpoint: Endpoint, status: int, headers: Mapping[str, str], body: bytes, *, codes: Mapping[str, Business]
) -> UpstreamError:
    """Return the error that a reply with an error status stands for."""
    try:
        complaint = complaint_in(orjson.loads(body))
    except orjson.JSONDecodeError:
        complaint = None
    if complaint is None:
        complaint = Complaint(_said(body[:MAX_MESSAGE].decode("utf-8", "replace").strip()) or "no reason given")
    return error_of(endpoint, status, complaint, codes=codes, retry_after_s=retry_after(headers))


@dataclass(frozen=True, slots=True)
class Business:
    """What a provider's own error code means."""

    loss: Loss
    kind: str


def error_of(
    endpoint: Endpoint,
    status: int,
    complaint: Complaint,
    *,
    codes: Mapping[str, Business],
    retry_after_s: float | None = None,
) -> UpstreamError:
    """Return the error a complaint stands for; `status` is 200 for one that came in band."""
    loss, kind = _meaning(status, complaint, codes)
    message = f"`{endpoint.id}` refused with {status}: {complaint.message}"
    if complaint.code:
        message += f" (code `{complaint.code}`)"
    detail = {"kind": kind, "upstream_code": complaint.code}
    make: type[UpstreamError] = RateLimited if loss is Loss.SCARCE else UpstreamError
    if loss is Loss.UNREADABLE:
        make = UnreadableReply
    return make(message, loss=loss, upstream_status=status, retry_after_s=retry_after_s, detail=detail)


def _meaning(status: int, complaint: Complaint, codes: Mapping[str, Business]) -> tuple[Loss, str]:
    for word in complaint.code.split():
        if word in codes:
            return codes[word].loss, codes[word].kind
    words = complaint.words
    if status == 451 or (status in (200, 400, 403, 404, 410) and _REGION.search(words)):
        return Loss.WITHDRAWN, "region"
    if status == 429 or (status in (200, 400, 403) and _QUOTA.search(words)):
        return Loss.SCARCE, "quota" if "insufficient_quota" in words else "rate"
    if status in (200, 400, 403, 404, 410, 422) and _MODEL_GONE.search(words):
        return Loss.WITHDRAWN, "model_gone"
    if status in (401, 402):
        return Loss.ACCOUNT, "account"
    if status in (200, 400, 403, 422, 500) and _CONTENT.search(words):
        return Loss.REQUEST, "content_filter"
    if status in (200, 400, 413, 422) and _CONTEXT.search(words):
        return Loss.REQUEST, "context_length"
    if status in (200, 400) and _KEY.search(words):
        return Loss.ACCOUNT, "account"
    if status == 410:
        return Loss.WITHDRAWN, "model_gone"
    if status in (403, 404):
        return Loss.ACCOUNT, "account"
    if status == 200:
        return (Loss.REQUEST if "invalid_request" in words else Loss.TRANSIENT), "in_band"
    if status == 408 or status in (409, 425) or status >= 500:
        return Loss.TRANSIENT, "server"
    if 400 <= status < 500:
        return Loss.REQUEST, "request"
    return Loss.UNREADABLE, "unexpected_status"


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Return the seconds a reply asks us to wait, from either form of Retry-After; None where it does not say."""
    found = {name.lower(): value for name, value in headers.items() if name.lower() in _WAITS}
    milliseconds = _number(found.get("retry-after-ms"))
    if milliseconds is not None:
        return min(milliseconds / 1000, MAX_RETRY_AFTER_S)
    value = found.get("retry-after")
    seconds = _number(value)
    if seconds is not None or value is None:
        return None if seconds is None else min(seconds, MAX_RETRY_AFTER_S)
    until = _date(value)
    if until is None:
        return None
    now = _date(found.get("date")) or datetime.now(UTC)  # the server's own clock, where it tells
    return min(max((until - now).total_seconds(), 0.0), MAX_RETRY_AFTER_S)


_WAITS = frozenset({"retry-after", "retry-after-ms", "date"})


def _number(text: str | None) -> float | None:
    if text is None or not re.fullmatch(r"\s*\d{1,12}(\.\d{0,9})?\s*", text, re.ASCII):
        return None
    return float(text)


def _date(text: str | None) -> datetime | None:
    if text is None or len(text) > 64:
        return None
    try:
        found = parsedate_to_datetime(text)
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found


def _said(value: Any) -> str:
    """Return a provider's words as one short line that carries no credential and no control character."""
    if value is None:
        return ""
    if not isinstance(value, str):
        value = _plain(value)
    value = value[: 4 * MAX_MESSAGE]
    if not value.isprintable():
        value = "".join(character if character.isprintable() else " " for character in value)
    return _SECRET.sub(r"\1-***", value)[:MAX_MESSAGE]


def _plain(value: Any) -> str:
    try:
        return orjson.dumps(value).decode()
    except (TypeError, orjson.JSONEncodeError):
        return type(value).__name__

"""Refusals: which class of loss a status and its words stand for."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from shoal.core.endpoint import Endpoint, Model
from shoal.core.errors import Loss, RateLimited, UnreadableReply, UpstreamError
from shoal.wire.failures import MAX_RETRY_AFTER_S, retry_after
from shoal.wire.openai_chat import OpenAIChat

ENDPOINT = Endpoint("acme/big", "acme", "big", Model("a/big", "a"), "https://x.test/v1")


def refused(status: int, body: Any, headers: dict[str, str] | None = None) -> UpstreamError:
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    with pytest.raises(UpstreamError) as caught:
        OpenAIChat().decode(ENDPOINT, status, headers or {}, data)
    return caught.value


def error(message: str, code: Any = None, kind: Any = None) -> dict[str, Any]:
    return {"error": {"message": message, "code": code, "type": kind}}


@pytest.mark.parametrize(
    ("status", "body", "loss"),
    [
        (401, error("bad key", "invalid_api_key"), Loss.ACCOUNT),
        (402, error("Insufficient Balance"), Loss.ACCOUNT),
        (
            403,
            error("Country, region, or territory not supported", "unsupported_country_region_territory"),
            Loss.WITHDRAWN,
        ),
        (403, error("This model is not available in your region."), Loss.WITHDRAWN),
        (403, error("not available in your country"), Loss.WITHDRAWN),
        (400, [{"error": {"code": 400, "message": "User location is not supported for the API use."}}], Loss.WITHDRAWN),
        (451, b"", Loss.WITHDRAWN),
        (451, error("legal reasons"), Loss.WITHDRAWN),
        (404, error("The model `x` does not exist", "model_not_found"), Loss.WITHDRAWN),
        (410, error("gone"), Loss.WITHDRAWN),
        (400, error("The model `x` has been decommissioned", "model_decommissioned"), Loss.WITHDRAWN),
        (404, b"<html>404 page not found</html>", Loss.ACCOUNT),
        (403, error("this key has no scope for chat", "forbidden"), Loss.ACCOUNT),
        (403, error("Your input was flagged by moderation"), Loss.REQUEST),
        (403, error("quota exceeded"), Loss.SCARCE),
        (429, error("slow down"), Loss.SCARCE),
        (429, error("You exceeded your current quota", "insufficient_quota"), Loss.SCARCE),
        (400, error("API key not valid. Please pass a valid API key.", "API_KEY_INVALID"), Loss.ACCOUNT),
        (400, error("max_tokens: unknown field"), Loss.REQUEST),
        (400, error("This model's maximum context length is 8192", "context_length_exceeded"), Loss.REQUEST),
        (400, error("filtered", "content_filter"), Loss.REQUEST),
        (400, {"code": "DataInspectionFailed", "message": "inappropriate"}, Loss.REQUEST),
        (422, {"detail": [{"loc": ["body", "n"], "msg": "too big"}]}, Loss.REQUEST),
        (413, b"", Loss.REQUEST),
        (408, b"", Loss.TRANSIENT),
        (500, error("The model does not exist in cache"), Loss.TRANSIENT),
        (502, b"<html>", Loss.TRANSIENT),
        (529, error("overloaded"), Loss.TRANSIENT),
        (302, b"", Loss.UNREADABLE),
    ],
)
def test_a_refusal_has_its_class(status: int, body: Any, loss: Loss) -> None:
    found = refused(status, body)
    assert found.loss is loss
    assert found.upstream_status == status
    assert isinstance(found, RateLimited) is (loss is Loss.SCARCE)
    assert isinstance(found, UnreadableReply) is (loss is Loss.UNREADABLE)
    assert str(found).startswith(f"`acme/big` refused with {status}: ")


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "99999999"}, MAX_RETRY_AFTER_S),
        ({"retry-after": "-5"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "٣"}, None),
        ({"retry-after": "Fri, 20 Nov 2026 10:00:30 GMT", "date": "Fri, 20 Nov 2026 10:00:00 GMT"}, 30.0),
        ({"retry-after": "Fri, 20 Nov 2026 10:00:00 GMT", "date": "Fri, 20 Nov 2026 10:00:30 GMT"}, 0.0),
        ({"retry-after": "Mon, 99 Jan 2026 00:00:00 GMT"}, None),
        ({}, None),
    ],
)
def test_a_wait_is_read_in_every_form(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


def test_a_rate_limit_carries_its_wait() -> None:
    assert refused(429, error("slow"), {"retry-after": "3"}).retry_after_s == 3


def test_a_providers_words_are_one_short_line_without_a_key() -> None:
    found = str(refused(401, error("Incorrect API key provided: sk-abcdef123456.\r\nx-evil: 1\x00" + "z" * 5000)))
    assert "abcdef" not in found
    assert found.isprintable()
    assert len(found) < 500


def test_words_about_tokens_and_keys_are_kept() -> None:
    found = str(refused(400, error("the token limit is 8192, and the key you sent has no quota left: key AbCd1234")))
    assert "token limit is 8192" in found and "key you sent" in found
    assert "AbCd1234" not in found


@pytest.mark.parametrize("body", [b"\xff\xfe", b'{"error": {"message": {"a": [1]}}}', b'{"error": []}', b"[[[[", b"[]"])
def test_odd_bodies_do_no_harm(body: bytes) -> None:
    assert refused(500, body).loss is Loss.TRANSIENT

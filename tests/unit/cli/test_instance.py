"""Where commands look for a running Shoal: a notice is believed only while somebody listens behind it."""

from __future__ import annotations

import asyncio
import json
import os
from pathlib import Path

import pytest

from shoal.cli import instance
from shoal.cli.instance import NOTICE, notice, running_url


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "5",
        '{"pid": 1}',
        '{"pid": 1, "url": 5}',
        '{"pid": 1, "url": "http://[bad"}',
        '{"pid": 1e300, "url": "http://127.0.0.1:1"}',
        '{"pid": 123456789012345678901234567890, "url": "http://127.0.0.1:1"}',
    ],
)
def test_a_notice_that_says_nothing_is_no_notice(tmp_path: Path, text: str) -> None:
    (tmp_path / NOTICE).write_text(text)
    assert running_url(tmp_path) is None


def test_a_notice_whose_pid_is_somebody_elses_by_now_is_not_believed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = "http://127.0.0.1:8400"
    (tmp_path / NOTICE).write_text(json.dumps({"pid": os.getpid(), "url": url}))
    monkeypatch.setattr(instance, "_listens", lambda found: False)
    assert running_url(tmp_path) is None
    monkeypatch.setattr(instance, "_listens", lambda found: found == url)
    assert running_url(tmp_path) == url


def test_the_notice_of_another_shoal_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(instance, "_listens", lambda found: True)

    async def story() -> None:
        async with notice(tmp_path, "http://127.0.0.1:1"):
            async with notice(tmp_path, "http://127.0.0.1:2"):
                assert running_url(tmp_path) == "http://127.0.0.1:1"
            assert running_url(tmp_path) == "http://127.0.0.1:1"
        assert running_url(tmp_path) is None

    asyncio.run(story())

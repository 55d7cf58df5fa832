"""A running Shoal for integration tests: a real process, the real practice pool, real sockets."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.request import Request, urlopen


@dataclass(frozen=True)
class Running:
    """The address of a running Shoal, its state directory and its process."""

    url: str
    state: Path
    process: subprocess.Popen[str]
    config: Path

    def post(self, path: str, body: Mapping[str, Any], **headers: str) -> tuple[int, dict[str, Any], dict[str, str]]:
        """Send JSON and return status, JSON and headers."""
        data = json.dumps(body).encode()
        call = Request(self.url + path, data, {"content-type": "application/json", **headers})
        try:
            with urlopen(call, timeout=60) as reply:
                return reply.status, json.load(reply), {k.lower(): v for k, v in reply.headers.items()}
        except HTTPError as error:
            return error.code, json.load(error), {k.lower(): v for k, v in error.headers.items()}

    def get(self, path: str) -> tuple[int, Any]:
        """Fetch JSON."""
        try:
            with urlopen(self.url + path, timeout=30) as reply:
                return reply.status, json.load(reply)
        except HTTPError as error:
            return error.code, json.load(error)

    def ask(self, text: str, model: str = "shoal", **shoal: Any) -> tuple[int, dict[str, Any], dict[str, str]]:
        """Ask one question."""
        body: dict[str, Any] = {"model": model, "messages": [{"role": "user", "content": text}]}
        if shoal:
            body["shoal"] = shoal
        return self.post("/v1/chat/completions", body)

    def shoal(self, *args: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run the command line against this instance."""
        return command(*args, state=self.state, config=self.config, check=check)


def environment(**extra: str) -> dict[str, str]:
    """Return a clean environment for a child process."""
    kept = {k: v for k, v in os.environ.items() if k in ("PATH", "HOME", "LANG", "TMPDIR", "VIRTUAL_ENV")}
    return {**kept, "PYTHONWARNINGS": "error", "NO_COLOR": "1", "COLUMNS": "140", **extra}


def command(
    *args: str, state: Path, config: Path | None = None, check: bool = True, **extra: str
) -> subprocess.CompletedProcess[str]:
    """Run `shoal ARGS` and return what it printed."""
    given = ["--state", str(state), *(["--config", str(config)] if config else [])]
    done = subprocess.run(
        [sys.executable, "-m", "shoal", *given, *args],
        capture_output=True,
        text=True,
        timeout=120,
        env=environment(**extra),
        cwd=state.parent,
    )
    assert not check or done.returncode == 0, f"{args}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done


@contextmanager
def running(folder: Path, settings: str = "", **extra: str) -> Iterator[Running]:
    """Start `shoal serve` on a free port; stop it with SIGTERM and insist on a clean end."""
    config, state = folder / "shoal.toml", folder / "state"
    config.write_text(settings or '[instance]\ncountry = "KR"\n\n[discovery]\nenabled = false\n')
    process = subprocess.Popen(
        [
            sys.executable,
            "-m",
            "shoal",
            "--config",
            str(config),
            "--state",
            str(state),
            "serve",
            "--port",
            "0",
            "--json",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(**extra),
        cwd=folder,
    )
    assert process.stdout is not None and process.stderr is not None
    line = process.stdout.readline()
    if not line:
        process.wait(10)
        raise AssertionError(f"shoal serve did not start:\n{process.stderr.read()}")
    try:
        yield Running(json.loads(line)["url"], state, process, config)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            code = process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()
            raise
        finally:
            errors = process.stderr.read()
            process.stdout.close()
            process.stderr.close()
        assert code == 0, f"shoal serve ended with {code}:\n{errors}"
        assert "Traceback" not in errors, errors

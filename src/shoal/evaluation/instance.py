"""A Shoal of its own for a bench: `shoal serve` as a real process on a free port, with settings written for it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

CLOCK_TICKS = os.sysconf("SC_CLK_TCK")
CALM = '[instance]\ncountry = "KR"\n\n[discovery]\nenabled = false\n'


@dataclass(frozen=True, slots=True)
class Serving:
    """A running instance: where, which process, how long it took until it answered."""

    url: str
    pid: int
    state: Path
    started_s: float

    def cpu_s(self) -> float:
        """Seconds of processor time the serving process has used."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / CLOCK_TICKS

    def memory_mb(self) -> float:
        """Resident megabytes of the serving process."""
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


@contextmanager
def serving(settings: str = CALM) -> Iterator[Serving]:
    """Serve for the length of the block."""
    with tempfile.TemporaryDirectory(prefix="shoal-bench-") as folder:
        config, state = Path(folder, "shoal.toml"), Path(folder, "state")
        config.write_text(settings)
        begun = time.perf_counter()
        command = ["--config", str(config), "--state", str(state), "serve", "--port", "0", "--json"]
        process = subprocess.Popen([sys.executable, "-m", "shoal", *command], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        try:
            ready = json.loads(process.stdout.readline())
            yield Serving(ready["url"], process.pid, state, time.perf_counter() - begun)
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(15)
            process.stdout.close()

"""The process of the practice pool: serve every model until told to stop, or until the parent is gone.

    python -m shoal.practice --state DIR [--model NAME ...] [--weights DIR] [--watch-stdin] [--threads N]

Prints one line of JSON once every port is open. With `--weights DIR` the weights of NAME are read from DIR/NAME.npz.
"""

from __future__ import annotations

import os

# One thread a matrix product: these are small, and the event loop needs the other core. Before NumPy is imported.
for _name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS", "VECLIB_MAXIMUM_THREADS"):
    os.environ[_name] = "1"

import argparse  # noqa: E402
import asyncio  # noqa: E402
import signal  # noqa: E402
import sys  # noqa: E402
from pathlib import Path  # noqa: E402

import orjson  # noqa: E402

from shoal.practice.server import PracticeServer  # noqa: E402

SWITCH_S = 0.001  # how long a thread may keep the interpreter while the event loop waits (Python's default is 5 ms)
WATCH_S = 0.5


def main() -> int:
    """Run the pool and return the exit status."""
    sys.setswitchinterval(SWITCH_S)
    arguments = _arguments()
    try:
        return asyncio.run(_serve(arguments))
    except (FileNotFoundError, KeyError) as error:
        print(error.args[0] if isinstance(error, KeyError) else error, file=sys.stderr)
        return 2


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m shoal.practice", description="Serve the practice pool.")
    parser.add_argument("--state", type=Path, required=True, help="directory for practice.json")
    parser.add_argument("--model", action="append", help="serve this model only; repeatable")
    parser.add_argument("--weights", type=Path, help="read weights from DIR/NAME.npz")
    parser.add_argument("--threads", type=int, default=1, choices=range(1, 17), help="threads that compute")
    parser.add_argument("--watch-stdin", action="store_true", help="stop when standard input ends")
    return parser.parse_args()


async def _serve(arguments: argparse.Namespace) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, stop.set)
    watch = asyncio.create_task(_watch_parent(stop, arguments.watch_stdin))
    weights, owners = _chosen(arguments)
    server = PracticeServer(weights, owners=owners, threads=arguments.threads)
    try:
        notice = await server.start()
        notice.write(arguments.state)
        try:
            ready = {"pid": notice.pid, "control": notice.control, "models": notice.models}
            print(orjson.dumps(ready).decode(), flush=True)
            await stop.wait()
        finally:
            notice.withdraw(arguments.state)
    finally:
        watch.cancel()
        await server.stop()
    return 0


def _chosen(arguments: argparse.Namespace) -> tuple[dict[str, Path], dict[str, str]]:
    """Return where the weights of each wanted model lie, and who developed it."""
    if arguments.weights is not None and arguments.model:
        return {name: arguments.weights / f"{name}.npz" for name in arguments.model}, {}
    from shoal.practice import roster

    rows = [roster.member(name) for name in arguments.model] if arguments.model else list(roster.members().values())
    folder = arguments.weights
    paths = {row.id: row.weights_path() if folder is None else folder / f"{row.id}.npz" for row in rows}
    missing = [name for name, path in paths.items() if not path.is_file()]
    if missing and not arguments.model and len(missing) < len(paths):  # a pool in the making serves what there is
        print(f"without weights, so not served: {', '.join(missing)}; `make practice` trains them", file=sys.stderr)
        paths = {name: path for name, path in paths.items() if name not in missing}
    return paths, {row.id: row.developer for row in rows}


async def _watch_parent(stop: asyncio.Event, watches_stdin: bool) -> None:
    """Stop when standard input ends or another process has become the parent."""
    if not watches_stdin:
        return
    loop = asyncio.get_running_loop()
    parent = os.getppid()

    def read() -> None:
        try:
            ended = os.read(0, 4096) == b""
        except BlockingIOError:
            return
        except OSError:
            ended = True
        if ended:
            loop.remove_reader(0)
            stop.set()

    loop.add_reader(0, read)
    while os.getppid() == parent:  # noqa: ASYNC110  # no event tells that a parent has died
        await asyncio.sleep(WATCH_S)
    stop.set()


if __name__ == "__main__":
    sys.exit(main())

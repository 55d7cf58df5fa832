"""`shoal` itself: quick to start, every command known by the line it is listed with, errors that name the way out."""

from __future__ import annotations

import importlib.util
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from shoal.catalogue.loader import load_facts
from shoal.cli.main import COMMANDS, main, report, shoal
from shoal.core.errors import NothingPermitted

HEAVY = ("aiohttp", "numpy", "sqlalchemy", "cedarpy", "rich", "msgspec", "orjson")
ROOT = Path(__file__).resolve().parents[3]


def test_help_is_quick_and_imports_nothing_heavy() -> None:
    seconds = []
    for _ in range(3):
        before = time.monotonic()
        subprocess.run([sys.executable, "-m", "shoal", "--help"], check=True, capture_output=True)
        seconds.append(time.monotonic() - before)
    assert min(seconds) < 0.4, seconds
    code = "import sys\nfrom shoal.cli.main import shoal\nshoal(['--help'], standalone_mode=False)\n"
    code += "print(*(m for m in sys.modules if '.' not in m), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert "shoal tour" in done.stdout
    assert not set(done.stderr.split()) & set(HEAVY)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_listed_with_its_own_line_and_teaches_by_example(name: str) -> None:
    context = click.Context(shoal, info_name="shoal")
    command = shoal.get_command(context, name)
    assert command is not None
    assert command.get_short_help_str(200) == COMMANDS[name][1]
    text = command.get_help(click.Context(command, info_name=name, parent=context))
    assert f"  shoal {name}" in text, "an example stands in the help"
    for one in command.commands.values() if isinstance(command, click.Group) else [command]:
        assert any("--json" in option.opts for option in one.params), f"{one.name} takes --json"


def test_an_unknown_command_is_answered_with_a_near_one() -> None:
    result = CliRunner().invoke(shoal, ["docter"])
    assert result.exit_code == 2
    assert "did you mean `shoal doctor`?" in result.output
    assert "`shoal --help` lists them" in CliRunner().invoke(shoal, ["zzz"]).output


def test_an_error_lists_its_grounds(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    row = {"endpoint": "practice/a", "rules": ["only host:AQ"], "reason": ""}
    error = NothingPermitted("policy forbids all 1 candidates", detail={"candidates": [row]})
    monkeypatch.setattr(sys, "argv", ["shoal", "ask"])
    report(error)
    said = capsys.readouterr().err
    assert "policy forbids all 1 candidates" in said and "practice/a: only host:AQ" in said
    monkeypatch.setattr(sys, "argv", ["shoal", "ask", "--json"])
    report(error)
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "nothing_permitted"


def test_grounds_that_many_share_are_told_once(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [{"endpoint": f"practice/{n}", "rules": ["only host:AQ"], "reason": "ask without it"} for n in "abcde"]
    masks = [{"endpoint": "practice/f", "mask": "health", "reason": "its breaker is open"}]
    monkeypatch.setattr(sys, "argv", ["shoal", "ask"])
    report(NothingPermitted("all are forbidden", detail={"candidates": rows, "objections": masks}))
    said = capsys.readouterr().err.splitlines()[1:]
    assert said == [
        "  practice/a, practice/b, practice/c and 2 more: ask without it",
        "  practice/f: health: its breaker is open",
    ]


def test_a_wrong_command_line_is_json_too_where_json_is_asked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "argv", ["shoal", "docter", "--json"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "did you mean `shoal doctor`?" in json.loads(capsys.readouterr().out)["error"]["message"]


def run_failing(monkeypatch: pytest.MonkeyPatch, error: Exception, *words: str) -> int | str | None:
    def fails(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(sys, "argv", ["shoal", "runs", *words])
    monkeypatch.setattr(shoal, "main", fails)
    with pytest.raises(SystemExit) as stopped:
        main()
    return stopped.value.code


def test_a_fault_of_ours_is_one_line_that_asks_for_a_report(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert run_failing(monkeypatch, ExceptionGroup("several", [KeyError("rows")])) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: KeyError: 'rows'; ") and "SHOAL_DEBUG=1" in said
    assert said.count("\n") == 1 and "Traceback" not in said
    assert run_failing(monkeypatch, ValueError("a\nb"), "--json") == 1
    assert json.loads(capsys.readouterr().out)["error"]["code"] == "internal_error"


def test_a_full_disk_is_no_fault_of_ours(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    assert run_failing(monkeypatch, OSError(28, "No space left on device", "/state/serve.json")) == 1
    said = capsys.readouterr().err
    assert said.startswith("error: `/state/serve.json`: No space left on device") and "fault" not in said


def test_who_debugs_sees_the_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOAL_DEBUG", "1")
    with pytest.raises(KeyError):
        run_failing(monkeypatch, KeyError("rows"))


def test_the_reference_is_made_from_the_help() -> None:
    spec = importlib.util.spec_from_file_location("cli_reference", ROOT / "tools" / "cli_reference.py")
    assert spec is not None and spec.loader is not None
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    assert tool.PAGE.read_text(encoding="utf-8") == tool.page(), "run tools/cli_reference.py"


def test_every_provider_a_help_page_adds_is_in_the_catalogue() -> None:
    page = (ROOT / "docs" / "reference" / "cli.md").read_text(encoding="utf-8")
    named = set(re.findall(r"shoal add ([a-z][\w-]*)", page))
    assert named and named <= set(load_facts().providers)

"""The command line as a person meets it: real processes, against a running Shoal and without one."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from running import Running, command, environment

QUESTION = "三百二十五足す十七は？"


def told(done: subprocess.CompletedProcess[str]) -> Any:
    """Return what a command printed, as JSON."""
    return json.loads(done.stdout)


def alone(folder: Path, *args: str, check: bool = True, **extra: str) -> subprocess.CompletedProcess[str]:
    """Run a command where no Shoal runs and no local server is sought."""
    config = folder / "shoal.toml"
    if not config.exists():
        config.write_text("[discovery]\nenabled = false\n")
    return command(*args, state=folder / "state", config=config, check=check, **extra)


# Against a running Shoal


def test_ask_answers_and_explains(instance: Running) -> None:
    reply = told(instance.shoal("ask", QUESTION, "--model", "shoal-deep", "--explain", "--json"))
    story = reply["shoal"]["explain"]
    assert reply["choices"][0]["message"]["content"]
    assert story["status"] == "finished" and story["steps"] and story["candidates"]["permitted"]
    said = instance.shoal("ask", QUESTION, "--explain").stdout
    assert "permitted, 0 refused" in said and "belief" in said and "shoal trace run_" in said


def test_a_question_can_come_from_standard_input(instance: Running) -> None:
    words = ["--state", str(instance.state), "--config", str(instance.config), "ask", "--json"]
    done = subprocess.run(
        [sys.executable, "-m", "shoal", *words],
        input="what is forty-two plus seven?",
        capture_output=True,
        text=True,
        env=environment(),
        check=True,
        timeout=60,
    )
    assert told(done)["choices"][0]["message"]["content"]


def test_runs_lists_and_trace_tells(instance: Running) -> None:
    run = told(instance.shoal("ask", QUESTION, "--json"))["usage"]["shoal"]["run"]
    lines = told(instance.shoal("runs", "--json"))["runs"]
    assert lines[0]["run"] == run and lines[0]["status"] == "finished"
    assert run[-10:] in instance.shoal("runs").stdout
    view = told(instance.shoal("trace", run[-10:], "--json"))
    assert view["run"] == run and view["steps"]
    assert "law" in instance.shoal("trace").stdout
    with_url = told(command("trace", run, "--json", state=instance.state, config=instance.config))
    assert with_url["run"] == run


def test_narrowing_shows_in_the_refusal(instance: Running) -> None:
    done = instance.shoal("ask", QUESTION, "--only", "host:AQ", check=False)
    assert done.returncode == 1 and done.stdout == ""
    assert "only host:AQ" in done.stderr and "practice/hana-ja" in done.stderr and "Traceback" not in done.stderr
    error = told(instance.shoal("ask", QUESTION, "--only", "host:AQ", "--json", check=False))["error"]
    assert error["code"] == "nothing_permitted" and error["shoal"]["candidates"]


def test_doctor_knows_the_running_shoal(instance: Running) -> None:
    report = told(instance.shoal("doctor", "--json"))
    assert report["running"] == instance.url and report["journal"]["healthy"] is True
    summary = report["summary"]
    assert summary["able"] == summary["endpoints"] == summary["with_price"] == summary["with_country"]
    assert all(row["reached"]["status"] == 200 and row["health"] == "able" for row in report["endpoints"])


def test_doctor_goes_through_the_same_pool_that_serves(instance: Running) -> None:
    name = "melati-id"
    instance.shoal("practice", "fault", name, "kill")
    try:
        report = told(instance.shoal("doctor", "--json"))
        (row,) = (row for row in report["endpoints"] if row["id"] == f"practice/{name}")
        assert not row["able"] and "practice revive" in row["problems"][0]["way_out"]
        assert "not reached" in instance.shoal("doctor").stdout
    finally:
        instance.shoal("practice", "revive", name)


# Without one


def test_models_are_narrowed_by_selectors(tmp_path: Path) -> None:
    found = told(alone(tmp_path, "models", "--only", "country:KR", "--only", "open-weights", "--json"))["models"]
    assert found and all(row["open_weights"] is True for row in found)
    assert all("KR" in (row["host_country"], row["operator_country"], row["developer_country"]) for row in found)
    everything = told(alone(tmp_path, "models", "--all", "--json"))["models"]
    assert len(everything) > 115 and len({row["model"] for row in everything}) >= 115
    assert {"anthropic-messages", "openai-chat"} <= {row["dialect"] for row in everything}
    assert "of" in alone(tmp_path, "models", "--all", "--only", "country:KR").stdout.splitlines()[-1]


def test_init_add_check_doctor_is_a_road(tmp_path: Path) -> None:
    config, state = tmp_path / "own.toml", tmp_path / "state"

    def run(*args: str, check: bool = True, **extra: str) -> subprocess.CompletedProcess[str]:
        words = [sys.executable, "-m", "shoal", "--state", str(state), "--config", str(config), *args]
        done = subprocess.run(words, capture_output=True, text=True, timeout=120, env=environment(**extra))
        assert not check or done.returncode == 0, done.stderr
        return done

    assert "shoal add" in run("init", "--country", "KR").stdout
    config.write_text(config.read_text() + "\n[discovery]\nenabled = false\n")
    asked = run("add", "deepseek", check=False)
    assert asked.returncode == 2 and "--yes" in asked.stderr and "under the law of CN" in " ".join(asked.stdout.split())
    added = told(run("add", "deepseek", "--yes", "--json"))
    assert added["operator_country"] == "CN" and added["key"]["variable"] == "DEEPSEEK_API_KEY"
    assert told(run("config", "check", "--json"))["pool"]["by_provider"] == {"deepseek": 3}
    report = told(run("doctor", "--json", "--no-probe"))
    rows = {row["id"]: row for row in report["endpoints"]}
    problem = rows["deepseek@cn/deepseek-flash"]["problems"][0]
    assert problem == {"what": "its key is missing", "way_out": "export DEEPSEEK_API_KEY=..."}
    shown = told(run("doctor", "--json", "--no-probe", DEEPSEEK_API_KEY="sk-x-0123456789", GROQ_API_KEY="gsk-y"))
    assert shown["keys_found"] == [{"provider": "groq", "variable": "GROQ_API_KEY"}]
    assert "sk-x" not in json.dumps(shown) and "gsk-y" not in json.dumps(shown)


def test_doctor_ends_with_one_where_nobody_can_serve(tmp_path: Path) -> None:
    (tmp_path / "shoal.toml").write_text("[discovery]\nenabled = false\n[practice]\nenabled = false\n")
    done = alone(tmp_path, "doctor", "--json", check=False)
    assert done.returncode == 1 and told(done)["summary"]["able"] == 0


def test_practice_questions_are_lines_of_json(tmp_path: Path) -> None:
    done = alone(tmp_path, "practice", "questions", "--seed", "7", "--n", "6")
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(rows) == 6 and all({"prompt", "answer", "level", "language"} == set(row) for row in rows)


def test_the_tour_shows_that_losing_a_country_and_a_model_is_survived(tmp_path: Path) -> None:
    steps = told(alone(tmp_path, "tour", "--json"))["steps"]
    asked, explained, forbidden, killed, refused = steps
    assert asked["answer"] and explained["story"]["status"] == "finished"
    assert not any("hana-ja" in row["endpoint"] for row in forbidden["asked"])
    assert killed["answer"] and killed["killed"] not in {row["endpoint"] for row in killed["asked"]}
    assert refused["error"] == "nothing_permitted" and refused["rules"] == ["only host:AQ"]
    said = alone(tmp_path, "tour", "--fast")
    assert said.stdout.count("$ shoal") == 5 and "Traceback" not in said.stderr and "\x1b[" not in said.stdout
    assert not (tmp_path / "state" / "journal.sqlite").exists(), "the tour leaves nothing behind"


# Errors


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["docter"], 2, "did you mean `shoal doctor`?"),
        (["models", "--only", "planet:mars"], 1, "`planet:mars` is not a selector; write one of host:"),
        (["trace", "run_none"], 1, "there is no run `run_none`"),
        (["add", "depseek", "--yes"], 1, "close to it: deepseek"),
        (["ask", "1 + 1", "--model", "shoal-depe"], 1, "`shoal-deep`"),
        (["--url", "http://127.0.0.1:1", "ask", "1 + 1"], 1, "start one with `shoal serve`"),
        (["config", "check", "nowhere.toml"], 1, "`shoal init` writes one"),
    ],
)
def test_an_error_names_the_way_out(tmp_path: Path, words: list[str], code: int, said: str) -> None:
    done = alone(tmp_path, *words, check=False)
    assert done.returncode == code, done.stderr
    assert said in done.stderr and "Traceback" not in done.stderr


def test_settings_that_cannot_be_read_are_told_with_their_line(tmp_path: Path) -> None:
    (tmp_path / "shoal.toml").write_text('[instance]\ncountry = "KR"\n\n[policy]\ndefault = "perhaps"\n')
    for words in (["config", "check"], ["ask", "1 + 1"], ["doctor"], ["serve", "--port", "0"], ["models"]):
        done = alone(tmp_path, *words, check=False)
        assert done.returncode == 1 and "shoal.toml:5: `policy.default`" in done.stderr, words
        assert "Traceback" not in done.stderr

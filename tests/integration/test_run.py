"""`joulefleet run`, as a user types it: real Ray, real processes, real Parquet."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

import joulefleet
from tests.support.studies import changed
from tests.support.tiny_trials import TINY_STUDY
from tests.support.wait import until

pytestmark = [pytest.mark.measures, pytest.mark.usefixtures("environment")]

COMMAND = [sys.executable, "-m", "coordinator"]
LONGER = changed(TINY_STUDY, {"measure.baseline_s": 0.4})


def start(folder: Path, *more: str, text: str = TINY_STUDY, check: bool = False) -> subprocess.Popen[str]:
    """Start a run in a session of its own, so that signals reach it and no other process."""
    (folder / "study.yaml").write_text(text)
    return subprocess.Popen(
        [*COMMAND, "run", str(folder / "study.yaml"), "--store", str(folder / "store"), *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str], expected: int = 0) -> str:
    """Wait for the end of a run with the expected exit code; return its stderr."""
    _, stderr = process.communicate(timeout=240)
    assert process.returncode == expected, stderr
    return stderr


def committed(folder: Path) -> dict[str, str]:
    """Return the digest of each attempt's file in the store."""
    files = (folder / "store" / "attempts").glob("*.parquet")
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def starts(folder: Path) -> list[str]:
    """Return the attempts that were started, in order."""
    journal = folder / "state" / "starts.jsonl"
    return [json.loads(line)["trial_id"] for line in journal.read_text().splitlines()] if journal.exists() else []


def counts(folder: Path) -> tuple[int, int]:
    """Return the numbers of rows and of distinct trials that are ok."""
    with joulefleet.open(folder / "store") as store:
        row = store.arrow("select count(*) n, count(distinct trial_id) d from trials where status = 'ok'").to_pylist()[
            0
        ]
    return row["n"], row["d"]


def test_a_study_runs_on_embedded_ray(tmp_path: Path) -> None:
    """Eight trials, plain lines on stderr when piped, and no process left over.

    Every row says what agent, coordinator and Ray cost, and the work ran at ordinary priority under Ray.
    """
    process = start(tmp_path, text=changed(TINY_STUDY, {"measure.window.passes": 100}))
    output = finish(process)
    assert counts(tmp_path) == (8, 8)
    assert "[8/8]" in output
    assert "8 of 8 trials ok" in output
    assert "\x1b" not in output
    # Ray's own clean-up takes a moment after its driver has ended.
    until(lambda: not [p.pid for p in psutil.process_iter() if _session(p.pid) == process.pid], seconds=30)
    token = tmp_path / "state" / "ray-token"
    assert token.stat().st_mode & 0o777 == 0o600
    with joulefleet.open(tmp_path / "store") as store:
        rows = store.arrow(
            "select observer_cpu_s, nice, oom_score_adj, omp_num_threads, threads from trials"
        ).to_pylist()
    assert all(row["observer_cpu_s"] > 0 for row in rows)
    assert {(row["nice"], row["oom_score_adj"]) for row in rows} == {(os.getpriority(os.PRIO_PROCESS, 0), 0)}
    assert all(row["omp_num_threads"] == str(row["threads"]) for row in rows)


def _session(pid: int) -> int | None:
    try:
        return os.getsid(pid)
    except OSError:
        return None


def test_invariant_2_a_run_killed_in_the_middle_resumes_without_repeating(tmp_path: Path) -> None:
    """After SIGKILL the files present stay as they are, and no finished trial is started twice."""
    process = start(tmp_path, text=LONGER)
    until(lambda: len(committed(tmp_path)) >= 3)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    before = committed(tmp_path)
    finished = {name.split("-")[0] for name in before}
    until(lambda: not _work_alive(tmp_path))
    outbox = {path.name.split("-")[0] for path in (tmp_path / "state" / "outbox").rglob("*.parquet")}
    begun = len(starts(tmp_path))
    output = finish(start(tmp_path, text=LONGER))
    assert before.items() <= committed(tmp_path).items()
    assert not (finished | outbox) & set(starts(tmp_path)[begun:])
    assert counts(tmp_path) == (8, 8)
    assert "done before" in output or outbox


def _work_alive(folder: Path) -> bool:
    journal = folder / "state" / "starts.jsonl"
    return any(psutil.pid_exists(json.loads(line)["pid"]) for line in journal.read_text().splitlines())


def test_one_interrupt_finishes_the_trial_and_stops(tmp_path: Path) -> None:
    """The present trial is in the store, and the next run continues after it."""
    process = start(tmp_path, text=LONGER)
    until(lambda: len(starts(tmp_path)) >= 2)
    os.killpg(process.pid, signal.SIGINT)
    output = finish(process, expected=130)
    assert "Stopping when this trial is done" in output
    assert {name.split("-")[0] for name in committed(tmp_path)} == set(starts(tmp_path))


def test_two_interrupts_stop_at_once_and_leave_nothing_running(tmp_path: Path) -> None:
    """The present trial is lost, and only that one runs again."""
    process = start(tmp_path, text=changed(TINY_STUDY, {"measure.window.passes": 1_000_000, "measure.timeout_s": 600}))
    until(lambda: len(starts(tmp_path)) >= 1)
    os.killpg(process.pid, signal.SIGINT)
    line = process.stderr.readline() if process.stderr else ""
    while line and "Ctrl-C again" not in line:
        line = process.stderr.readline() if process.stderr else ""
    os.killpg(process.pid, signal.SIGINT)
    finish(process, expected=130)
    until(lambda: not _work_alive(tmp_path), seconds=10)
    assert committed(tmp_path) == {}


def test_a_second_run_on_the_same_store_is_refused_at_once(tmp_path: Path) -> None:
    """It names the process that writes, and the first run continues."""
    first = start(tmp_path, text=LONGER)
    until(lambda: len(committed(tmp_path)) >= 1)
    output = finish(start(tmp_path, text=LONGER), expected=4)
    assert f"process {first.pid}" in output
    os.killpg(first.pid, signal.SIGTERM)
    finish(first, expected=130)


def test_failed_trials_are_rows_with_reasons_and_an_exit_code(tmp_path: Path) -> None:
    """Items longer than one model's positions fail in the work; the other model's trials are measured."""
    text = changed(TINY_STUDY, {"models.big.architecture.config.max_position_embeddings": 8})
    output = finish(start(tmp_path, "--local", text=text), expected=7)
    assert "4 failed" in output
    with joulefleet.open(tmp_path / "store") as store:
        rows = store.arrow("select model, status, reason, energy_j, message from trials").to_pylist()
    assert {(row["model"], row["status"], row["reason"]) for row in rows} == {
        ("big", "failed", "exception"),
        ("small", "ok", None),
    }


ROBERTA = """
name: roberta
regime: burst
repetitions: 1
models:
  roberta:
    architecture:
      model_type: roberta
      config:
        {vocab_size: 2000, hidden_size: 32, num_hidden_layers: 4, num_attention_heads: 2, intermediate_size: 64,
         max_position_embeddings: 200, type_vocab_size: 1}
  distilroberta:
    architecture:
      model_type: roberta
      config:
        {vocab_size: 2000, hidden_size: 32, num_hidden_layers: 2, num_attention_heads: 2, intermediate_size: 64,
         max_position_embeddings: 200, type_vocab_size: 1}
tasks:
  one: {preset: stsb, items: {synthetic: {count: 4}}}
pairs:
  roberta: {teacher: roberta, student: distilroberta}
proofs:
  a_a: [{model: roberta, task: one}]
  twice: [{model: roberta, task: one}]
factors: {threads: [1]}
measure: {baseline_s: 0.02, warm_up: {at_least_s: 0, at_most_s: 0}, window: {passes: 20}, cool_down: {fixed_s: 0}}
"""


def test_another_architecture_works_by_yaml_alone_and_proofs_run(tmp_path: Path) -> None:
    """RoBERTa and DistilRoBERTa, with a model against itself and one that processes each item twice."""
    finish(start(tmp_path, "--local", text=ROBERTA))
    with joulefleet.open(tmp_path / "store") as store:
        rows = {
            row["model"]: row
            for row in store.arrow("select model, tokens, items, item_repeats, model_class from attempts").to_pylist()
        }
    assert set(rows) == {"roberta", "distilroberta", "roberta+again", "roberta+twice"}
    assert {row["model_class"] for row in rows.values()} == {"RobertaForSequenceClassification"}
    assert rows["roberta+twice"]["tokens"] == 2 * rows["roberta"]["tokens"]
    assert rows["roberta+twice"]["items"] == rows["roberta"]["items"]

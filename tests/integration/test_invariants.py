"""The invariants of docs/architecture.md that no other test is named after.

1 and 2: tests/unit/coordinator/campaign/test_campaign.py and tests/integration/test_run.py. 3: tests/integration/
test_measure.py. 5: tests/property/test_counters.py besides the one here.
"""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

import joulefleet
from agent.config import AgentSetup
from agent.runner.pool import RunnerPool
from agent.sensors.rapl.powercap import open_powercap
from coordinator.campaign.campaign import Campaign
from coordinator.cluster.interface import Command
from coordinator.cluster.local import LocalCluster
from coordinator.store.writer import open_store
from joulefleet.plan.design import Design
from joulefleet.schema import COLUMNS
from tests.support.machines import unpacked
from tests.support.studies import changed
from tests.support.tiny_trials import TINY_STUDY, tiny_pinned

pytestmark = pytest.mark.measures

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory, cache: Path) -> Path:
    """Return a store that a real agent wrote without energy counters; one of the models failed."""
    folder = tmp_path_factory.mktemp("invariants")
    text = changed(TINY_STUDY, {"models.big.architecture.config.max_position_embeddings": 8})
    setup = AgentSetup(sysfs_root=folder / "sys", state=folder / "state", cache=cache, lock_folders=lambda: (folder,))
    with open_store(folder / "store", study="tiny") as writer:
        cluster = LocalCluster(Command(store_id=writer.store_id, epoch=writer.epoch), setup)
        Campaign(cluster, writer, tiny_pinned(text), on_event=lambda event: None, should_stop=lambda: False).run()
        cluster.close()
    return folder / "store"


def test_invariant_4_no_number_is_invented(store: Path) -> None:
    """A value that could not be measured is null with a reason, and never 0."""
    with joulefleet.open(store) as opened:
        rows = opened.arrow("select * from attempts").to_pylist()
        energies = opened.arrow("select * from energy").to_pylist()
    assert {row["status"] for row in rows} == {"ok", "failed"}
    for row in rows:
        assert row["energy_j"] is None
        assert row["energy_reason"]
        assert row["quality"] is None
        assert row["quality_reason"]
        assert (row["status"] == "failed") == (row["reason"] is not None) == (row["window_s"] is None)
    assert all((energy["joules"] is None) == bool(energy["reason"]) for energy in energies)


def test_invariant_4_measured_and_modelled_never_share_a_column(store: Path) -> None:
    """Modelled joules are in energy_modelled_j and in energies of provenance `modelled`, nowhere else."""
    with joulefleet.open(store) as opened:
        sources = opened.arrow("select distinct provenance, source, joules is null missing from energy").to_pylist()
        rows = opened.arrow(
            "select energy_j, energy_net_j, energy_modelled_j from trials where status = 'ok'"
        ).to_pylist()
    assert {(row["provenance"], row["missing"]) for row in sources} == {("measured", True), ("modelled", False)}
    assert all(row["energy_j"] is None and row["energy_net_j"] is None for row in rows)
    assert all(row["energy_modelled_j"] > 0 for row in rows)


def test_invariant_5_a_part_is_never_added_to_what_contains_it() -> None:
    """Core and uncore (inside a package) and psys (around it) are in no total."""
    for tree in ("two-packages-with-dram", "psys-first", "mmio-duplicate"):
        sensor = open_powercap(unpacked(tree) / "sys")
        assert {d.kind for d in sensor.domains if d.counts_in} <= {"package", "dram"}
        names = [d.channel for d in sensor.domains if "package" in d.counts_in]
        assert len(names) == len(set(names)) > 0
        sensor.close()


def test_invariant_6_both_of_a_pair_do_equal_work(store: Path) -> None:
    """Within a task, everything that defines the work is the same for both models of the pair."""
    design = Design(tiny_pinned(), store_id="s")
    trials = next(design.blocks("m", design.passes({}))).trials
    for task in ("one", "two"):
        big, small = (t for t in sorted(trials, key=lambda t: t.cell.model) if t.cell.task == task)
        assert big.protocol.task == small.protocol.task
        assert big.protocol.passes == small.protocol.passes
        assert (big.cell.batch_size, big.cell.threads, big.cell.dtype) == (
            small.cell.batch_size,
            small.cell.threads,
            small.cell.dtype,
        )


def test_invariant_7_the_order_is_stored(store: Path) -> None:
    """Block and position of each trial are those of the plan; its predecessor is the cell that ran before it."""
    pinned = tiny_pinned(changed(TINY_STUDY, {"models.big.architecture.config.max_position_embeddings": 8}))
    with joulefleet.open(store) as opened:
        rows = opened.arrow("select * from attempts order by started_at").to_pylist()
    design = Design(pinned, store_id="")
    plan = design.blocks(rows[0]["place"], design.passes({}))
    planned = {t.trial_id: (str(t.cell), t.block, t.position) for block in plan for t in block.trials}
    assert {row["trial_id"]: (planned[row["trial_id"]][0], row["block"], row["position"]) for row in rows} == planned
    ran = [planned[row["trial_id"]][0] for row in rows]
    assert [row["predecessor"] for row in rows] == [None, *ran[:-1]]


def test_invariant_8_the_observer_is_measured(store: Path) -> None:
    """Every measured row has the agent's CPU time in its window."""
    with joulefleet.open(store) as opened:
        rows = opened.arrow("select observer_cpu_s from trials where status = 'ok'").to_pylist()
    assert all(row["observer_cpu_s"] > 0 for row in rows)


FORBIDDEN_MODULES = {"pickle", "marshal", "shelve", "dill", "cloudpickle", "joblib"}
FORBIDDEN_CALLS = {"eval", "exec", "compile", "__import__"}


def test_invariant_9_nothing_of_ours_runs_code_from_a_file_or_a_socket() -> None:
    """No module imports a pickle or calls eval; weights are loaded from safetensors, with remote code off."""
    for path in [*ROOT.glob("joulefleet/**/*.py"), *ROOT.glob("agent/**/*.py"), *ROOT.glob("coordinator/**/*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Import(names=names):
                    assert not {name.name.split(".")[0] for name in names} & FORBIDDEN_MODULES, path
                case ast.ImportFrom(module=str(module)):
                    assert module.split(".")[0] not in FORBIDDEN_MODULES, path
                case ast.Call(func=ast.Name(id=name)):
                    assert name not in FORBIDDEN_CALLS, path
                case ast.Call(func=ast.Attribute(attr="from_pretrained"), keywords=keywords):
                    said = {keyword.arg: ast.unparse(keyword.value) for keyword in keywords}
                    assert said.get("trust_remote_code") == "False", path
                    assert said.get("local_files_only") == "True", path


def test_invariant_9_what_a_runner_sends_is_data(setup: AgentSetup, pool: RunnerPool) -> None:
    """The kernel reports who wrote a mark; a mark of a process that is not the runner's is refused."""
    from agent.runner.protocol import ProtocolError
    from agent.trial.attempt import Attempt, AttemptFailed
    from agent.trial.sensor_set import open_sensors
    from tests.support.tiny_trials import tiny_trial

    attempt = Attempt(tiny_trial(), setup, open_sensors("powercap", setup, period_s=1.0), float("inf"))
    server = pool.fork_server(environment="bare", threads=1, cold=False)
    for pid in (1, server.root_pid, -1):
        with pytest.raises(ProtocolError):
            attempt._process_of(server, pid)
    with pytest.raises(AttemptFailed, match="pid: host"):
        attempt._process_of(server, None)


def test_every_column_is_documented() -> None:
    """Each column has a meaning, and a unit where its name carries one."""
    for column in COLUMNS:
        assert column.meaning.endswith("."), column.name
        for suffix, unit in {"_s": "s", "_bytes": "B", "_j": "J", "_percent": "%"}.items():
            if column.name.endswith(suffix):
                assert column.unit == unit, column.name

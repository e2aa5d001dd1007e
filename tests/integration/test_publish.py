"""A store published to a local server of the S3 protocol, and read from there."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from moto.server import ThreadedMotoServer
from pyarrow import fs
from typer.testing import CliRunner

import joulefleet
from coordinator.cli.compare import compare
from coordinator.cli.publish import publish
from coordinator.cli.sql import sql
from coordinator.cli.status import status
from coordinator.store.publish import publish as publish_store
from coordinator.store.writer import open_store
from joulefleet.errors import StoreError
from joulefleet.store.compaction import MANY_SMALL, compact
from joulefleet.store.layout import StoreLayout, format_bytes
from tests.support.attempt_rows import attempt_row, study_from, twelve_cell_rows, write_attempt, write_store
from tests.support.compaction_crashes import attempts_of, files_of

app = typer.Typer()
for command in (publish, sql, compare, status):
    app.command()(command)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """Yield host and port of a server that keeps buckets in memory."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(endpoint: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """Return the address of a prefix in a new bucket; the credentials are in the environment."""
    for name, value in (("ACCESS_KEY_ID", "key"), ("SECRET_ACCESS_KEY", "secret"), ("DEFAULT_REGION", "us-east-1")):
        monkeypatch.setenv(f"AWS_{name}", value)
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    name = f"bucket-{abs(hash(request.node.name))}"
    query = f"scheme=http&endpoint_override={endpoint}&allow_bucket_creation=true"
    system, path = fs.FileSystem.from_uri(f"s3://{name}?{query}")
    system.create_dir(path)
    return f"s3://{name}/study?{query}"


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """Make the store of a finished study of 36 trials."""
    study = study_from()
    return write_store(tmp_path / "twelve", twelve_cell_rows(study), study)


def test_what_each_place_measures_now_is_published_too(store: Path, bucket: str) -> None:
    """Readers need the plans; a plan that has changed is sent again."""
    (store / "plans").mkdir(exist_ok=True)
    for text in ("[1]", "[1, 2]"):
        (store / "plans" / "x.json").write_text(text)
        publish_store(StoreLayout(store), bucket)
        assert files_at(bucket)["plans/x.json"] == text.encode()


def output_of(*arguments: str) -> str:
    """Return the standard output of `joulefleet` with `arguments`. Raises what the command raises."""
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def files_at(uri: str) -> dict[str, bytes]:
    """Return every file at `uri`, by its path there."""
    system, base = fs.FileSystem.from_uri(uri)
    found = system.get_file_info(fs.FileSelector(base, recursive=True))
    files = {}
    for info in found:
        if info.type == fs.FileType.File:
            with system.open_input_stream(info.path) as file:
                files[info.path.removeprefix(f"{base}/")] = file.read()
    return files


def test_a_published_store_reads_as_the_store_itself(store: Path, bucket: str) -> None:
    """Every command that reads accepts its address, and joulefleet.open does."""
    before = attempts_of(store)
    compared = output_of("compare", "--store", str(store), "--json")
    assert "36 attempts at s3://" in output_of("publish", bucket, "--store", str(store))
    assert attempts_of(bucket) == before
    assert output_of("compare", "--store", bucket, "--json") == compared
    query = "select count(*) n from trials where status = 'ok'"
    assert output_of("sql", "--store", bucket, "--format", "csv", query) == "n\n36\n"
    assert "36  36       0        0  100 %" in output_of("status", "--store", bucket)
    assert json.loads(output_of("status", "--store", bucket, "--json"))["store"] == bucket
    with joulefleet.open(bucket) as opened:
        copy = opened.layout.root
        assert opened.arrow("from readings").num_rows == 108
    assert not copy.exists()


def test_the_environment_may_name_a_published_store(store: Path, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable holds a path or an address."""
    output_of("publish", bucket, "--store", str(store))
    monkeypatch.setenv("JOULEFLEET_STORE", bucket)
    assert output_of("sql", "--format", "csv", "select count(*) n from trials") == "n\n36\n"
    assert "100 %" in output_of("status")


def test_what_is_there_is_not_sent_again(store: Path, bucket: str) -> None:
    """A second publication sends nothing, and after one more attempt only the new file."""
    first = json.loads(output_of("publish", bucket, "--store", str(store), "--json"))
    assert (first["attempts"], first["sent_files"], first["kept_files"]) == (36, 4, 0)
    again = json.loads(output_of("publish", bucket, "--store", str(store), "--json"))
    assert (again["sent_files"], again["sent_bytes"], again["kept_files"]) == (0, 0, 4)
    write_attempt(store, attempt_row(trial_id="one more"))
    more = json.loads(output_of("publish", bucket, "--store", str(store), "--json"))
    assert (more["attempts"], more["sent_files"], more["kept_files"]) == (37, 2, 4)


class CutOffError(Exception):
    """The connection was lost."""


def test_a_publication_that_was_cut_off_is_no_store_and_goes_on(store: Path, bucket: str) -> None:
    """Files that were sent stay, and a torn one is sent again."""
    compact(StoreLayout(store))
    write_attempt(store, attempt_row(trial_id="one more"))
    compact(StoreLayout(store))

    def cut(step: object) -> None:
        if getattr(step, "done", 0):
            raise CutOffError

    with pytest.raises(CutOffError):
        publish_store(StoreLayout(store), bucket, on_step=cut)
    (sent,) = files_at(bucket)
    assert sent.startswith("compacted/")
    with pytest.raises(StoreError, match="there is no published store"):
        attempts_of(bucket)
    system, base = fs.FileSystem.from_uri(bucket)
    whole = files_at(bucket)[sent]
    with system.open_output_stream(f"{base}/{sent}") as out:
        out.write(whole[:-1] + b"x")
    done = publish_store(StoreLayout(store), bucket)
    assert (done.sent_files, done.kept_files) == (6, 0)
    assert files_at(bucket)[sent] == whole
    assert attempts_of(bucket) == attempts_of(store)


def test_data_goes_before_what_makes_it_count(store: Path, tmp_path: Path) -> None:
    """The times of the files show the order: manifests after their files, format.json last."""
    target = tmp_path / "published"
    output_of("publish", f"file://{target}", "--store", str(store))
    order = sorted((path for path in target.rglob("*") if path.is_file()), key=lambda path: path.stat().st_mtime_ns)
    assert [path.parent.name for path in order] == ["compacted", "studies", "manifest", "published"]
    assert attempts_of(f"file://{target}") == attempts_of(target) == attempts_of(store)
    assert [name for name in files_of(target) if name.endswith(".tmp")] == []


def test_a_live_store_may_be_read_by_its_address(store: Path) -> None:
    """file:// is the folder itself, with its loose attempts."""
    assert attempts_of(f"file://{store}") == attempts_of(store)


def test_merged_files_are_replaced_where_they_were_published(tmp_path: Path, bucket: str) -> None:
    """Each attempt is published once, and no file remains that does not count."""
    store = write_store(tmp_path / "s", [])
    for number in range(MANY_SMALL):
        write_attempt(store, attempt_row(trial_id=str(number)))
        publish_store(StoreLayout(store), bucket)
        compact(StoreLayout(store))
        if number == 2:
            publish_store(StoreLayout(store), bucket)
    assert len([name for name in files_at(bucket) if name.startswith("compacted/")]) == MANY_SMALL - 1
    publish_store(StoreLayout(store), bucket)
    assert attempts_of(bucket) == attempts_of(store)
    assert sorted(name.split("/")[0] for name in files_at(bucket)) == ["compacted", "format.json", "manifest"]


def test_attempts_that_are_not_compacted_are_counted_not_hidden(store: Path, bucket: str) -> None:
    """--no-compact publishes the compacted files, also while a coordinator writes."""
    compact(StoreLayout(store))
    write_attempt(store, attempt_row(trial_id="loose"))
    with open_store(store, study="running"):
        result = CliRunner().invoke(app, ["publish", bucket, "--store", str(store), "--no-compact", "--json"])
        assert "1 attempts are not compacted yet, so not published" in result.stderr
        assert json.loads(result.stdout)["attempts"] == 36
        with pytest.raises(
            StoreError, match=r"writes to this store\. Publish what is compacted already with --no-compact"
        ):
            output_of("publish", bucket, "--store", str(store))
    assert len(attempts_of(bucket)) == 36


def test_damaged_file_is_not_published(store: Path, bucket: str) -> None:
    """A published file that is damaged is not read."""
    compact(StoreLayout(store))
    (file,) = (store / "compacted").iterdir()
    data = file.read_bytes()
    file.write_bytes(data[:-1] + b"x")
    with pytest.raises(StoreError, match="damaged; nothing of it was published"):
        publish_store(StoreLayout(store), bucket)
    assert files_at(bucket) == {}
    file.write_bytes(data)
    publish_store(StoreLayout(store), bucket)
    system, base = fs.FileSystem.from_uri(bucket)
    with system.open_output_stream(f"{base}/compacted/{file.name}") as out:
        out.write(data[:-1] + b"x")
    with pytest.raises(StoreError, match=r"damaged\. Remove it there and run `joulefleet publish` again"):
        attempts_of(bucket)


def test_other_files_and_other_stores_are_left_alone(store: Path, tmp_path: Path, bucket: str) -> None:
    """They belong to somebody else."""
    publish_store(StoreLayout(store), bucket)
    other = write_store(tmp_path / "other", [attempt_row()])
    (other / "format.json").write_bytes(format_bytes("other"))
    with pytest.raises(StoreError, match="holds another store"):
        publish_store(StoreLayout(other), bucket)
    folder = tmp_path / "documents"
    folder.mkdir()
    (folder / "letter.txt").write_text("mine")
    with pytest.raises(StoreError, match=r"holds other files \(letter.txt\)"):
        publish_store(StoreLayout(store), f"file://{folder}")
    with pytest.raises(StoreError, match="the store itself"):
        publish_store(StoreLayout(store), f"file://{store}")


def test_an_address_that_nothing_answers_at_is_one_line_with_a_cure(store: Path, bucket: str) -> None:
    """Examples are a missing bucket, a port where no server listens, and text that is no address."""
    for uri, cure in (
        (bucket.replace("bucket-", "nobody-").replace("&allow_bucket_creation=true", ""), "Make the bucket first"),
        ("s3://b/x?scheme=http&endpoint_override=127.0.0.1:1", "Check the network"),
        ("ftp://b/x", "Name one like s3://bucket/prefix"),
        ("s3://b/with space", "Name one like s3://bucket/prefix"),
    ):
        with pytest.raises(StoreError, match=cure) as caught:
            output_of("publish", uri, "--store", str(store))
        assert len(str(caught.value).splitlines()) == 1
    with pytest.raises(StoreError, match="there is no published store"):
        output_of("sql", "--store", bucket, "select 1")


def test_a_published_store_is_not_watched(store: Path, bucket: str) -> None:
    """It changes only when somebody publishes."""
    result = CliRunner().invoke(app, ["status", "--store", bucket, "--watch"])
    assert result.exit_code == 2
    assert "leave --watch out" in result.stderr


def test_a_newer_published_store_is_named_by_its_address(store: Path, tmp_path: Path, bucket: str) -> None:
    """The copy does not exist any more when the error is read."""
    copy = shutil.copytree(store, tmp_path / "copy")
    (copy / "format.json").write_text('{"layout": 99, "store_id": "fake"}')
    system, base = fs.FileSystem.from_uri(bucket)
    with system.open_output_stream(f"{base}/format.json") as out:
        out.write((copy / "format.json").read_bytes())
    with pytest.raises(StoreError, match=r"^s3://\S+: its layout is version 99"):
        attempts_of(bucket)

"""A store published to a server of the S3 protocol on this machine, and read from there."""

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
from tests.support.crashes import attempts_of, files_of

app = typer.Typer()
for command in (publish, sql, compare, status):
    app.command()(command)


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """Host and port of a server that keeps buckets in memory."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"{host}:{port}"
    server.stop()


@pytest.fixture
def bucket(endpoint: str, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """The address of a prefix in a bucket of the test's own; credentials are in the environment."""
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
    """A finished study of 36 trials."""
    study = study_from()
    return write_store(tmp_path / "twelve", twelve_cell_rows(study), study)


def test_what_each_place_measures_now_is_published_too(store: Path, bucket: str) -> None:
    """Reading a study needs it; it changes, and is sent again then."""
    (store / "plans").mkdir(exist_ok=True)
    for text in ("[1]", "[1, 2]"):
        (store / "plans" / "x.json").write_text(text)
        publish_store(StoreLayout(store), bucket)
        assert files_at(bucket)["plans/x.json"] == text.encode()


def said(*arguments: str) -> str:
    """The standard output of `joulefleet` with `arguments`. Raises what the command raises."""
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    return result.stdout


def files_at(uri: str) -> dict[str, bytes]:
    """Every file at `uri`, by its path there."""
    system, base = fs.FileSystem.from_uri(uri)
    found = system.get_file_info(fs.FileSelector(base, recursive=True))
    files = {}
    for info in found:
        if info.type == fs.FileType.File:
            with system.open_input_stream(info.path) as file:
                files[info.path.removeprefix(f"{base}/")] = file.read()
    return files


def test_a_published_store_reads_as_the_store_itself(store: Path, bucket: str) -> None:
    """By every verb that reads, and in a notebook."""
    before = attempts_of(store)
    compared = said("compare", "--store", str(store), "--json")
    assert "36 attempts at s3://" in said("publish", bucket, "--store", str(store))
    assert attempts_of(bucket) == before
    assert said("compare", "--store", bucket, "--json") == compared
    query = "select count(*) n from trials where status = 'ok'"
    assert said("sql", "--store", bucket, "--format", "csv", query) == "n\n36\n"
    assert "36  36       0        0  100 %" in said("status", "--store", bucket)
    assert json.loads(said("status", "--store", bucket, "--json"))["store"] == bucket
    with joulefleet.open(bucket) as opened:
        copy = opened.layout.root
        assert opened.arrow("from readings").num_rows == 108
    assert not copy.exists()


def test_the_environment_may_name_a_published_store(store: Path, bucket: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As it may name a folder."""
    said("publish", bucket, "--store", str(store))
    monkeypatch.setenv("JOULEFLEET_STORE", bucket)
    assert said("sql", "--format", "csv", "select count(*) n from trials") == "n\n36\n"
    assert "100 %" in said("status")


def test_what_is_there_is_not_sent_again(store: Path, bucket: str) -> None:
    """The second time nothing, after one more attempt what is new."""
    first = json.loads(said("publish", bucket, "--store", str(store), "--json"))
    assert (first["attempts"], first["sent_files"], first["kept_files"]) == (36, 4, 0)
    again = json.loads(said("publish", bucket, "--store", str(store), "--json"))
    assert (again["sent_files"], again["sent_bytes"], again["kept_files"]) == (0, 0, 4)
    write_attempt(store, attempt_row(trial_id="one more"))
    more = json.loads(said("publish", bucket, "--store", str(store), "--json"))
    assert (more["attempts"], more["sent_files"], more["kept_files"]) == (37, 2, 4)


class CutOffError(Exception):
    """The connection ended here."""


def test_a_publication_that_was_cut_off_is_no_store_and_goes_on(store: Path, bucket: str) -> None:
    """What was sent stays; what was sent torn is sent again."""
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
    """A folder shows the times: format.json last, manifests after their files."""
    target = tmp_path / "published"
    said("publish", f"file://{target}", "--store", str(store))
    order = sorted((path for path in target.rglob("*") if path.is_file()), key=lambda path: path.stat().st_mtime_ns)
    assert [path.parent.name for path in order] == ["compacted", "studies", "manifest", "published"]
    assert attempts_of(f"file://{target}") == attempts_of(target) == attempts_of(store)
    assert [name for name in files_of(target) if name.endswith(".tmp")] == []


def test_a_live_store_may_be_read_by_its_address(store: Path) -> None:
    """file:// is the folder itself, loose attempts and all."""
    assert attempts_of(f"file://{store}") == attempts_of(store)


def test_merged_files_are_replaced_where_they_were_published(tmp_path: Path, bucket: str) -> None:
    """Every attempt once, before and after, and no file that does not count."""
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
    """--no-compact publishes what there is, also while a coordinator writes."""
    compact(StoreLayout(store))
    write_attempt(store, attempt_row(trial_id="loose"))
    with open_store(store, study="running"):
        result = CliRunner().invoke(app, ["publish", bucket, "--store", str(store), "--no-compact", "--json"])
        assert "1 attempts are not compacted yet, so not published" in result.stderr
        assert json.loads(result.stdout)["attempts"] == 36
        with pytest.raises(
            StoreError, match=r"writes to this store\. Publish what is compacted already with --no-compact"
        ):
            said("publish", bucket, "--store", str(store))
    assert len(attempts_of(bucket)) == 36


def test_damaged_file_is_not_published(store: Path, bucket: str) -> None:
    """And one that was damaged there is not read."""
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
    """What lies there already is somebody's."""
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
    """A bucket that is not there, a port where nobody listens, words that are no address."""
    for uri, cure in (
        (bucket.replace("bucket-", "nobody-").replace("&allow_bucket_creation=true", ""), "Make the bucket first"),
        ("s3://b/x?scheme=http&endpoint_override=127.0.0.1:1", "Check the network"),
        ("ftp://b/x", "Name one like s3://bucket/prefix"),
        ("s3://b/with space", "Name one like s3://bucket/prefix"),
    ):
        with pytest.raises(StoreError, match=cure) as caught:
            said("publish", uri, "--store", str(store))
        assert len(str(caught.value).splitlines()) == 1
    with pytest.raises(StoreError, match="there is no published store"):
        said("sql", "--store", bucket, "select 1")


def test_a_published_store_is_not_watched(store: Path, bucket: str) -> None:
    """It changes when somebody publishes, not while one looks."""
    result = CliRunner().invoke(app, ["status", "--store", bucket, "--watch"])
    assert result.exit_code == 2
    assert "leave --watch out" in result.stderr


def test_a_newer_published_store_is_named_by_its_address(store: Path, tmp_path: Path, bucket: str) -> None:
    """Not by the copy, which is gone by then."""
    copy = shutil.copytree(store, tmp_path / "copy")
    (copy / "format.json").write_text('{"layout": 99, "store_id": "fake"}')
    system, base = fs.FileSystem.from_uri(bucket)
    with system.open_output_stream(f"{base}/format.json") as out:
        out.write((copy / "format.json").read_bytes())
    with pytest.raises(StoreError, match=r"^s3://\S+: its layout is version 99"):
        attempts_of(bucket)

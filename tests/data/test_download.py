"""Downloads against a small HTTP server on the loopback interface."""

import errno
import io
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tsdistill.data import load_dataset
from tsdistill.data.catalogue import download_collection
from tsdistill.data.download import fetch, file_digest
from tsdistill.errors import TsdistillError

TS = "@problemName x\n@timeStamps false\n@univariate true\n@equalLength true\n@classLabel true 1 2\n@data\n"
PADDING = b"x" * 200_000


def archive(name, **extra):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        for half in ("TRAIN", "TEST"):
            file.writestr(f"{name}/{name}_{half}.ts", TS + "1,2:1\n3,4:2\n")
        file.writestr("readme.txt", PADDING)
        for path, text in extra.items():
            file.writestr(path, text)
    return content.getvalue()


class Server:
    """Serves ``files``; cuts the connections whose turn stands in ``cuts`` after so many bytes."""

    def __init__(self):
        self.files, self.cuts, self.ranges, self.resumable = {}, [], [], True
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.answer(self)

            def log_message(self, *args):
                pass

        self.http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.http.server_port}"
        self.thread = threading.Thread(target=self.http.serve_forever, daemon=True)
        self.thread.start()

    def answer(self, handler):
        asked = handler.headers.get("Range")
        self.ranges.append(asked)
        body = self.files.get(handler.path)
        if body is None:
            handler.send_error(404)
            return
        start = int(asked.removeprefix("bytes=").rstrip("-")) if asked and self.resumable else 0
        if start >= len(body):
            handler.send_error(416)
            return
        rest = body[start:]
        handler.send_response(206 if start else 200)
        handler.send_header("Content-Length", str(len(rest)))
        handler.end_headers()
        handler.wfile.write(rest[: self.cuts.pop(0)] if self.cuts else rest)

    def close(self):
        self.http.shutdown()
        self.http.server_close()
        self.thread.join()


@pytest.fixture
def server():
    one = Server()
    yield one
    one.close()


def conf(server, name="Wafer", **more):
    return {"_target_": "tsdistill.data.archive.ArchiveReader", "name": name, "mirrors": [server.url]} | more


def test_a_set_is_fetched_once(server, tmp_path):
    server.files["/Wafer.zip"] = archive("Wafer")
    data = load_dataset(conf(server), None, tmp_path)
    assert data.source == "download" and data.train.x.tolist() == [[[1, 2]], [[3, 4]]]
    again = load_dataset(conf(server), None, tmp_path)
    assert again.source == "downloaded before" and again.fingerprint == data.fingerprint
    assert len(server.ranges) == 1
    left = sorted(path.name for path in (tmp_path / "archive").iterdir())
    assert left == [".Wafer.lock", "Wafer", "Wafer.sha256"]
    sums = (tmp_path / "archive" / "Wafer.sha256").read_text().splitlines()
    assert sums[0] == f"{file_digest(tmp_path / 'archive/Wafer/Wafer_TEST.ts')}  Wafer/Wafer_TEST.ts"


def test_a_cut_connection_is_resumed(server, tmp_path):
    server.files["/Wafer.zip"] = archive("Wafer")
    server.cuts = [70_000, 50_000]
    seen = []
    fetch("Wafer", tmp_path, [server.url], "advice", lambda name, done, total: seen.append((done, total)))
    assert server.ranges == [None, "bytes=70000-", "bytes=120000-"]
    assert seen[-1][0] == seen[-1][1] == len(server.files["/Wafer.zip"])


def test_a_download_goes_on_in_a_later_call(server, tmp_path):
    server.files["/Wafer.zip"] = archive("Wafer")
    server.cuts = [10_000, 10_000, 10_000]
    with pytest.raises(TsdistillError, match=r"cut after 30000 of .* run again to resume.*;\nadvice"):
        fetch("Wafer", tmp_path, [server.url], "advice")
    assert not (tmp_path / "Wafer").exists()
    fetch("Wafer", tmp_path, [server.url], "advice")
    assert server.ranges[-1] == "bytes=30000-" and (tmp_path / "Wafer").is_dir()


def test_a_full_disk_is_not_blamed_on_the_archive_and_the_download_is_kept(server, tmp_path, monkeypatch):
    server.files["/Wafer.zip"] = archive("Wafer")

    def full(source, file):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("tsdistill.data.download.shutil.copyfileobj", full)
        with pytest.raises(TsdistillError, match=r"cannot be unpacked .No space left"):
            fetch("Wafer", tmp_path, [server.url], "advice")
    assert not (tmp_path / "Wafer").exists()
    fetch("Wafer", tmp_path, [server.url], "advice")
    assert (tmp_path / "Wafer").is_dir()


def test_a_server_that_cannot_resume_gives_all_again(server, tmp_path):
    server.files["/Wafer.zip"] = archive("Wafer")
    server.cuts, server.resumable = [10_000], False
    fetch("Wafer", tmp_path, [server.url], "advice")
    assert (tmp_path / "Wafer" / "Wafer_TRAIN.ts").is_file()


def test_a_part_that_is_longer_than_the_whole_is_dropped(server, tmp_path):
    server.files["/Wafer.zip"] = archive("Wafer")
    server.cuts = [10_000] * 3
    with pytest.raises(TsdistillError):
        fetch("Wafer", tmp_path, [server.url], "advice")
    (part,) = tmp_path.glob("*.part")
    part.write_bytes(b"y" * 10_000_000)
    fetch("Wafer", tmp_path, [server.url], "advice")
    assert (tmp_path / "Wafer").is_dir()


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"<html>not found</html>", "not a valid zip archive"),
        (archive("Wafer")[:-30], "not a valid zip archive"),
        (archive("Other"), "the archive lacks Wafer_TRAIN or Wafer_TEST"),
    ],
)
def test_a_wrong_archive_is_refused_and_the_next_mirror_tried(server, tmp_path, content, reason):
    server.files["/Wafer.zip"] = content
    with pytest.raises(TsdistillError, match=f"{reason}.*;\nadvice"):
        fetch("Wafer", tmp_path, [server.url], "advice")
    assert [path.name for path in tmp_path.iterdir()] == [".Wafer.lock"]
    server.files["/good/Wafer.zip"] = archive("Wafer")
    fetch("Wafer", tmp_path, [server.url, server.url + "/good/"], "advice")
    assert (tmp_path / "Wafer").is_dir()


def test_an_archive_cannot_write_outside_its_folder(server, tmp_path):
    server.files["/Wafer.zip"] = archive("Wafer", **{"../../Wafer_TRAIN.tsv": "evil", "/abs/evil.ts": "evil"})
    fetch("Wafer", tmp_path / "deep" / "cache", [server.url], "advice")
    assert not list(tmp_path.glob("*.tsv"))
    assert {path.name for path in (tmp_path / "deep/cache/Wafer").iterdir()} == {
        "Wafer_TRAIN.ts",
        "Wafer_TEST.ts",
        "Wafer_TRAIN.tsv",
    }


def test_without_a_network_the_folder_to_fill_is_named(tmp_path):
    nowhere = {
        "_target_": "tsdistill.data.archive.ArchiveReader",
        "name": "Wafer",
        "mirrors": ["http://127.0.0.1:9"],
    }
    with pytest.raises(TsdistillError) as told:
        load_dataset(nowhere, None, tmp_path)
    reason, advice = str(told.value).split("\n")
    assert reason.startswith("Wafer could not be downloaded (http://127.0.0.1:9/Wafer.zip: ")
    assert str(tmp_path / "archive" / "Wafer") in advice and "TSDISTILL_DATA" in advice


def test_a_damaged_download_is_set_aside_and_fetched_again(server, tmp_path, caplog):
    server.files["/Wafer.zip"] = archive("Wafer")
    load_dataset(conf(server), None, tmp_path)
    (tmp_path / "archive" / "Wafer" / "Wafer_TEST.ts").write_text(TS + "1,2:1\n")
    assert load_dataset(conf(server), None, tmp_path).source == "download"
    assert "set aside" in caplog.text


def test_fetching_a_collection_ahead(server, tmp_path):
    server.files = {f"/{name}.zip": archive(name) for name in ("Wafer", "Yoga")}
    came = download_collection(["Wafer", "GunPoint", "Yoga", "Ham"], None, tmp_path, [server.url])
    assert [(one.name, one.outcome) for one in came] == [
        ("Wafer", "fetched"),
        ("GunPoint", "here"),
        ("Yoga", "fetched"),
        ("Ham", "failed"),
    ]
    assert "HTTP 404" in came[-1].reason
    assert [one.outcome for one in download_collection(["@bundled"], None, tmp_path, [server.url])] == [
        "here"
    ] * 9


def test_two_that_fetch_at_once_fetch_once(server, tmp_path):
    server.files["/Wafer.zip"] = archive("Wafer")
    threads = [
        threading.Thread(target=fetch, args=("Wafer", tmp_path, [server.url], "advice")) for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(server.ranges) == 1

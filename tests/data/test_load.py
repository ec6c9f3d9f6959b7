"""Configs to datasets: common keys, the user's own readers, the cache of parsed sets."""

import subprocess
import sys
import tracemalloc
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from omegaconf import OmegaConf

from tsdistill.data import load_dataset
from tsdistill.data.load import COMMON_KEYS
from tsdistill.data.parsed import read_cached
from tsdistill.data.raw import RawDataset, RawPart
from tsdistill.data.tsv import read_tsv
from tsdistill.errors import TsdistillError

CONFIGS = sorted((Path(__file__).parents[2] / "conf" / "dataset").glob("*.yaml"))
ARCHIVE = {"_target_": "tsdistill.data.archive.ArchiveReader", "name": "GunPoint"}


@dataclass
class Sines:
    """A reader as a user may write it."""

    n: int = 4

    def read(self, data_root, cache):
        x = np.sin(np.arange(self.n * 8.0)).reshape(self.n, 1, 8)
        part = RawPart.of(x, [i % 2 for i in range(self.n)])
        return RawDataset("Sines", part, part, "a formula")


def test_a_reader_of_the_users_own(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "user_code", sys.modules[__name__])
    conf = OmegaConf.create({"_target_": "user_code.Sines", "n": 6, "max_length": 4, "scaling": "per_series"})
    data = load_dataset(conf, None, tmp_path)
    assert data.train.x.shape == (6, 1, 4) and data.classes == ("0", "1") and data.source == "a formula"


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_every_config_names_a_reader_and_all_its_settings(path):
    from hydra.utils import get_class, instantiate

    conf = OmegaConf.load(path)
    reader = get_class(conf["_target_"])
    own = set(conf) - set(COMMON_KEYS) - {"_target_"}
    assert set(COMMON_KEYS) <= set(conf)
    if "planted" not in path.stem:
        assert own == set(reader.__dataclass_fields__)
    instantiate({key: conf[key] for key in ("_target_", *own)})


def test_a_root_that_is_not_there_is_refused(tmp_path):
    with pytest.raises(TsdistillError, match="no such folder; correct the setting data_root or the variable"):
        load_dataset(ARCHIVE, tmp_path / "nowhere", tmp_path)


def test_importing_the_room_is_light():
    code = (
        "import sys, tsdistill.data, tsdistill.data.catalogue; "
        "heavy = ('sktime', 'sklearn', 'pandas', 'torch', 'hydra', 'matplotlib'); "
        "print([m for m in heavy if m in sys.modules])"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


@pytest.fixture
def mine(tmp_path):
    path = tmp_path / "mine.csv"
    path.write_text("label,t1,t2\na,1,2\nb,3,4\na,5,6\nb,7,8\n")
    return {"_target_": "tsdistill.data.wide.WideReader", "train": str(path)}


class Counting:
    """A reader that counts how often it parses."""

    def __init__(self, inner):
        self.inner, self.parsed = inner, 0

    def locate(self, data_root, cache):
        return self.inner.locate(data_root, cache)

    def parse(self, sources):
        self.parsed += 1
        return self.inner.parse(sources)


def test_a_set_is_parsed_once_until_its_file_or_its_settings_change(mine, tmp_path):
    from hydra.utils import instantiate

    reader = Counting(instantiate(mine))
    cache = tmp_path / "cache"

    def read(**more):
        return read_cached(reader, mine | more, None, cache)

    first, second = read(), read()
    assert reader.parsed == 1
    np.testing.assert_array_equal(first.train.values, second.train.values)
    assert first.train.labels == second.train.labels and first.source == second.source
    read(test_seed=3)
    assert reader.parsed == 2
    path = Path(mine["train"])
    path.write_text(path.read_text().replace("7", "9"))
    assert 9 in [*read().train.values.ravel(), *read().test.values.ravel()]
    assert reader.parsed == 3


@pytest.mark.parametrize("damage", ["cut", "flip", "empty", "rubbish"])
def test_a_broken_parsed_set_is_parsed_anew(mine, tmp_path, damage, caplog):
    cache = tmp_path / "cache"
    fingerprint = load_dataset(mine, None, cache).fingerprint
    (stored,) = (cache / "parsed").iterdir()
    good = stored.read_bytes()
    at = good.index(b"NUMPY") + 130
    stored.write_bytes(
        {
            "cut": good[: len(good) // 2],
            "flip": good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :],
            "empty": b"",
            "rubbish": b"\0" * 64,
        }[damage]
    )
    assert load_dataset(mine, None, cache).fingerprint == fingerprint
    assert "parsed again" in caplog.text
    assert stored.read_bytes() == good


def test_a_cache_that_cannot_be_written_is_done_without(mine, tmp_path, caplog):
    (tmp_path / "cache").write_text("a file where the folder should be")
    assert len(load_dataset(mine, None, tmp_path / "cache").train) == 3
    assert "not kept" in caplog.text


def test_a_large_file_needs_little_more_than_its_array(tmp_path):
    path = tmp_path / "big.tsv"
    rows = np.random.default_rng(0).normal(size=(20, 10_000))
    with path.open("w") as file:
        for n in range(200):
            file.write(f"{n % 3}\t" + "\t".join(f"{v:.6f}" for v in rows[n % 20]) + "\n")
    tracemalloc.start()
    part = read_tsv(path)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert part.values.nbytes == 200 * 10_000 * 4
    assert peak < 1.5 * part.values.nbytes

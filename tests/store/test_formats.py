import errno
import json
import math
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from tsdistill.store.formats import (
    from_yaml,
    load_tensors,
    metrics,
    read_json,
    save_tensors,
    to_json,
    to_yaml,
)


def test_nan_becomes_null_and_nan_again_while_an_absent_block_stays_none(tmp_path):
    value = {"test": {"roc_auc": math.nan, "nll": math.inf, "accuracy": 0.1}, "validation": None}
    (tmp_path / "a.json").write_text(to_json(value))

    def refuse(constant: str) -> float:
        raise AssertionError(f"{constant} is not JSON")

    json.loads((tmp_path / "a.json").read_text(), parse_constant=refuse)
    found = read_json(tmp_path / "a.json")
    assert found == {"test": {"roc_auc": None, "nll": None, "accuracy": 0.1}, "validation": None}
    test = metrics(found["test"])
    assert math.isnan(test["roc_auc"]) and math.isnan(test["nll"]) and test["accuracy"] == 0.1
    assert metrics(found["validation"]) is None


def test_numpy_and_torch_scalars_are_written_as_their_values():
    value = [np.float32(0.5), np.int64(3), np.bool_(True), torch.tensor(2.5), np.float64(math.nan)]
    assert json.loads(to_json(value)) == [0.5, 3, True, 2.5, None]


def test_floats_keep_every_bit():
    assert json.loads(to_json([0.1 + 0.2, 1e-320]))[0] == 0.1 + 0.2


def test_config_survives_yaml():
    config = {
        "lr": 1e-05,
        "name": "1e-3",
        "off": "no",
        "none": None,
        "list": [1, 2.0, True],
        "deep": {"z": {}, "a": []},
        "text": "a: b\nc",
    }
    found = from_yaml(to_yaml(config))
    assert found == config and list(found) == list(config)


def test_a_config_that_was_read_and_changed_is_read_again_as_it_is_stored() -> None:
    text = to_yaml({"a": {"b": [1, 2]}})
    from_yaml(text)["a"]["b"].append(3)
    assert from_yaml(text) == {"a": {"b": [1, 2]}}


@pytest.mark.parametrize("text", ["a: [", "- 1", "just text: : x"])
def test_malformed_config_is_a_value_error(text):
    with pytest.raises(ValueError, match="config is"):
        from_yaml(text)


def test_tensors_keep_values_types_and_shared_or_transposed_memory(tmp_path):
    base = torch.arange(6.0).reshape(2, 3)
    tensors = {
        "base": base,
        "tied": base,
        "row": base[1],
        "transposed": base.T,
        "ints": torch.tensor([2**40]),
        "half": torch.tensor(0.5, dtype=torch.bfloat16),
        "empty": torch.zeros(0, 3),
        "grad": torch.ones(2, requires_grad=True),
    }
    save_tensors(tmp_path / "t.safetensors", {**tensors, "array": np.eye(2, dtype=np.float32)})
    found = load_tensors(tmp_path / "t.safetensors")
    assert torch.equal(found.pop("array"), torch.eye(2))
    assert found.keys() == tensors.keys()
    for name, tensor in tensors.items():
        assert found[name].dtype == tensor.dtype and torch.equal(found[name], tensor.detach())


def test_no_tensors_and_rubbish(tmp_path):
    save_tensors(tmp_path / "none.safetensors", {})
    assert load_tensors(tmp_path / "none.safetensors") == {}
    (tmp_path / "bad.safetensors").write_bytes(b"rubbish" * 10)
    with pytest.raises(ValueError, match=r"bad\.safetensors"):
        load_tensors(tmp_path / "bad.safetensors")
    with pytest.raises(OSError, match="No such file"):
        save_tensors(tmp_path / "no" / "such.safetensors", {})


FULL = """
import resource, sys
from pathlib import Path
import torch
from tsdistill.store.formats import save_tensors
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    save_tensors(Path(sys.argv[1]), {"a": torch.zeros(100_000)})
except OSError as error:
    print(error.errno)
"""


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX limits")
def test_tensors_that_do_not_fit_are_an_os_error_with_its_number(tmp_path):
    command = [sys.executable, "-c", FULL, str(tmp_path / "t.safetensors")]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout == f"{errno.EFBIG}\n"


@pytest.mark.skipif(os.name == "nt", reason="needs POSIX modes")
def test_tensors_may_be_read_by_whom_the_umask_lets(tmp_path):
    save_tensors(tmp_path / "t.safetensors", {"a": torch.zeros(1)})
    (tmp_path / "plain").write_text("")
    assert (tmp_path / "t.safetensors").stat().st_mode == (tmp_path / "plain").stat().st_mode


@pytest.mark.parametrize(
    "text",
    [
        "dataset: '${oc.create:{_target_: pathlib.Path.write_text}}'\n",
        "a: '${oc.env:HOME}'\n",
        "a: {b: [1, '${a}']}\n",
        'a: "\\x24{oc.env:HOME}"\n',
    ],
)
def test_a_stored_config_with_an_interpolation_is_refused(text):
    with pytest.raises(ValueError, match="interpolation"):
        from_yaml(text)

"""Stored configs from a stranger: refused in one line, with nothing run and little time spent."""

import os
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tsdistill.config.stored import KNOWN
from tsdistill.errors import TsdistillError
from tsdistill.runs.restore import refuse_foreign
from tsdistill.store.formats import from_yaml, to_yaml

LONG = bool(os.environ.get("TSDISTILL_LONG"))
MOST_SECONDS = 5.0


def nested(levels: int) -> str:
    return "a: " + "[" * levels + "]" * levels


def bomb(levels: int) -> str:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels)]
    return "\n".join(lines)


WRITES = "_target_: pathlib.Path.write_text, self: canary, data: x"
INTERPOLATIONS = [
    "${oc.env:HOME}",
    "${oc.env:CANARY,default}",
    "${oc.create:{" + WRITES + "}}",
    "${oc.decode:'{" + WRITES + "}'}",
    "${oc.deprecated:b}",
    "${oc.dict.keys:b}",
    "${oc.dict.values:b}",
    "${oc.select:b,c}",
    "${hydra:runtime.cwd}",
    "${hydra:job.name}",
    "${now:%Y}",
    "${python_version:micro}",
    "${eval:1+1}",
    "${b}",
    "${.b}",
    "${..b.c}",
    "x${b}y",
    "\\\\${b}",
    "${" * 200 + "b" + "}" * 200,
    "${a",
]
TEXTS = [
    *(f"b: 1\na: '{text.replace(chr(39), chr(39) * 2)}'" for text in INTERPOLATIONS),
    *(f"b: 1\n'{text.replace(chr(39), chr(39) * 2)}': 1" for text in INTERPOLATIONS[:4]),
    'a: "\\x24{oc.env:HOME}"',
    'a: "\\u0024\\x7boc.env:HOME}"',
    "a: |\n  ${oc.env:HOME}",
    "a: [1, {b: ['${oc.env:HOME}']}]",
    bomb(3),
    bomb(9),
    "a: &a [*a]",
    "a: &a {b: *a}",
    "a: &anchor 1",
    "x: &x {b: 1}\na: {<<: *x}",
    nested(100),
    nested(50_000),
    "a: " + "{b: " * 20_000 + "1" + "}" * 20_000,
    "a: " + "x" * 1_000_000,
    "\n".join(f"a{n}: {n}" for n in range(200_000)),
    "a: !!python/object/apply:os.system ['rm canary']",
    "a: !!python/object/new:os.system ['rm canary']",
    "a: !!python/name:os.system",
    "a: !!python/module:os",
    "a: !!python/tuple [1]",
    "a: !!binary aGVsbG8=",
    "a: !!timestamp 2001-01-01",
    "a: !!set {b, c}",
    "a: !own 1",
    "!!map {a: !!str b}",
    "%TAG ! tag:yaml.org,2002:python/\n--- !object/apply:os.system ['rm canary']",
    "",
    "[]",
    "- 1",
    "1",
    "a: 1\n---\nb: 2",
    "a: 1\na: 2",
    "a: [",
    "a: \0",
    "? [1, 2]\n: 3",
    "a: " + "9" * 10_000,
]


@pytest.mark.parametrize("text", TEXTS, ids=range(len(TEXTS)))
def test_a_config_that_is_more_than_plain_data_is_refused(canary: Path, text: str) -> None:
    began = time.process_time()
    with pytest.raises(ValueError):
        from_yaml(text)
    assert time.process_time() - began < MOST_SECONDS
    assert canary.read_text() == "untouched"


TARGETS: list[Any] = [
    *("os.system", "os.remove", "subprocess.Popen", "subprocess.run", "builtins.eval", "builtins.exec"),
    *("builtins.open", "pathlib.Path", "pathlib.Path.write_text", "pathlib.Path.unlink", "shutil.rmtree"),
    *("importlib.import_module", "runpy.run_path", "pickle.load", "webbrowser.open", "antigravity"),
    *("torch.load", "torch.save", "torch.hub.load", "torch.jit.load", "torch.compile", "torch.ops"),
    *("torch.nn.Module", "torch.nn.Sequential", "torch.nn.Module.apply", "torch.nn.parallel.DataParallel"),
    *("torch.utils.data.DataLoader", "torch.serialization.load", "torch.package.PackageImporter"),
    *("torch.distributed.init_process_group", "torch.from_file", "torch.nn.modules.linear.Linear"),
    *("numpy.load", "numpy.save", "numpy.fromfile", "pandas.read_pickle", "safetensors.torch.save_file"),
    *("hydra.utils.instantiate", "hydra.utils.get_method", "omegaconf.OmegaConf.load", "functools.partial"),
    *("tsdistill.cli.run", "tsdistill.store.artefact.discard", "tsdistill.store.artefact.write_atomically"),
    *("tsdistill.data.download.fetch", "tsdistill.testing.check_model", "tsdistill.models.fcn.FCN.__init__"),
    *(
        "tsdistill.config.stored.KNOWN",
        "",
        ".",
        "..",
        "a b",
        "../../x",
        "torch.nn.Linear ",
        "TORCH.nn.Linear",
    ),
    *(None, 1, True, [], ["torch.nn.Linear"], {}, {"_target_": "torch.nn.Linear"}),
]
WRAPS = [
    lambda node: node,
    lambda node: {"_target_": "torch.nn.Identity", "x": node},
    lambda node: {"_target_": "tsdistill.models.fcn.FCN", "filters": [1, [{"y": node}]]},
]


@pytest.mark.parametrize("target", TARGETS, ids=range(len(TARGETS)))
@pytest.mark.parametrize("wrap", WRAPS, ids=["plain", "inside", "deep"])
def test_a_target_that_is_not_in_the_table_is_refused(canary: Path, target: Any, wrap: Any) -> None:
    with pytest.raises(TsdistillError, match="in a stored config is not a dataset, model or teacher"):
        refuse_foreign(wrap({"_target_": target, "self": str(canary), "data": "x"}), "student.model")
    assert canary.read_text() == "untouched"


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20)
names = st.sampled_from(["a", "_target_", "model", "_partial_"]) | st.text(max_size=5)
trees = st.recursive(
    scalars | st.sampled_from(sorted(KNOWN)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner),
    max_leaves=10,
)


@settings(max_examples=3000 if LONG else 60, deadline=None)
@given(text=st.text(alphabet="a&*!<>{}[]$:-|'\"\\ \n#%?,0.", max_size=60) | st.text(max_size=60))
def test_any_text_is_plain_data_or_a_value_error(text: str) -> None:
    try:
        found = from_yaml(text)
    except ValueError:
        return
    assert isinstance(found, dict) and "${" not in repr(found)


@settings(max_examples=3000 if LONG else 60, deadline=None)
@given(tree=trees)
def test_a_tree_that_is_let_through_names_only_what_is_in_the_table(tree: object) -> None:
    def targets(node: object) -> list[object]:
        if isinstance(node, dict):
            own = [node["_target_"]] if "_target_" in node else []
            return own + [found for value in node.values() for found in targets(value)]
        return [found for value in node for found in targets(value)] if isinstance(node, list) else []

    try:
        refuse_foreign(tree, "student.model")
    except TsdistillError:
        return
    assert all(target in KNOWN for target in targets(tree))


def test_what_is_written_is_read_again() -> None:
    config = {"a": {"b": [1, 2.5, None, True, "x: y", "&a", "*b", "!c", "1e-3", 1e-3]}, "n": "9"}
    assert from_yaml(to_yaml(config)) == config

"""Digests of the source behind a number: what counts, what does not, and what is remembered."""

import importlib.machinery
import importlib.util
import json
import re
import sys
from collections.abc import Mapping
from itertools import count
from types import ModuleType

import pytest

from tsdistill.config import code
from tsdistill.config.code import code_behind, code_digest, remember_in, watch_imports
from tsdistill.errors import TsdistillError

_number = count()


class Project:
    """A folder of modules on the search path, all below one package name that no other test uses."""

    def __init__(self, folder):
        self.folder = folder
        self.name = f"behind_{next(_number)}"

    def write(self, files: Mapping[str, str]):
        for path, text in files.items():
            place = self.folder / path.replace("PKG", self.name)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text.replace("PKG", self.name))
        importlib.invalidate_caches()

    def forget(self):
        for name in [each for each in sys.modules if each.startswith(self.name)]:
            del sys.modules[name]
            code._imported.pop(name, None)

    def behind(self, target="PKG", anew=True):
        """Digests by name, as a new process would find them."""
        if anew:
            self.forget()
        found = code_behind([target.replace("PKG", self.name)])
        return {name.replace(self.name, "PKG"): digest for name, digest in found.items()}


@pytest.fixture
def project(tmp_path, monkeypatch):
    # Bytecode is looked up by a time in whole seconds, and these files change faster than that.
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    made = Project(tmp_path / "project")
    made.folder.mkdir()
    monkeypatch.syspath_prepend(made.folder)
    monkeypatch.setattr(code, "_memory", code._Memory())
    yield made
    made.forget()


@pytest.fixture
def watched():
    before = list(sys.meta_path)
    watch_imports()
    yield
    sys.meta_path[:] = before


def changed(before, after):
    assert before.keys() == after.keys()
    return {name for name in before if before[name] != after[name]}


def test_an_edited_body_changes_its_module_alone(project):
    project.write({"PKG.py": "import PKG_helper\n", "PKG_helper.py": "def f():\n    return 1\n"})
    before = project.behind()
    assert list(before) == ["PKG", "PKG_helper"]
    assert all(len(digest) == 16 and int(digest, 16) >= 0 for digest in before.values())
    project.write({"PKG_helper.py": "def f():\n    return 2\n"})
    assert changed(before, project.behind()) == {"PKG_helper"}


@pytest.mark.parametrize(
    "edited",
    [
        "x = [1, 2]\n\n\ndef f(a):\n    # why\n    return a\n",
        "x = [1, 2]\ndef f(a):\n    return (a)\n",
        '"""Module."""\nx = [\n    1,\n    2,\n]\n"""Value."""\ndef f(a):\n    """Same."""\n    return a\n',
        "x = [1, 2]\r\ndef f(a):\r\n    return a\r\n",
    ],
)
def test_comments_docstrings_and_formatting_do_not_count(project, edited):
    project.write({"PKG.py": "x = [1, 2]\ndef f(a):\n    return a\n"})
    before = project.behind()
    project.write({"PKG.py": edited})
    assert project.behind() == before


def test_a_class_of_a_docstring_alone_is_the_same_without_it(project):
    project.write({"PKG.py": 'class Wrong(Exception):\n    """Something is wrong."""\n'})
    before = project.behind()
    project.write({"PKG.py": "class Wrong(Exception):\n    pass\n"})
    assert project.behind() == before


def test_a_string_that_is_a_value_counts(project):
    project.write({"PKG.py": "x = 'a'\n"})
    before = project.behind()
    project.write({"PKG.py": "x = 'b'\n"})
    assert changed(before, project.behind()) == {"PKG"}


@pytest.mark.parametrize(
    "source",
    [
        "def f():\n    import PKG_helper\n",
        "class A:\n    def f(self):\n        from PKG_helper import value\n",
        "try:\n    pass\nexcept ValueError:\n    import PKG_helper\n",
        "if 1 == 1:\n    pass\nelse:\n    import PKG_helper\n",
        "def f(x):\n    match x:\n        case 1:\n            import PKG_helper\n",
        "def f(x):\n    with x:\n        import PKG_helper as h\n",
    ],
)
def test_imports_count_wherever_they_stand(project, source):
    project.write({"PKG.py": source, "PKG_helper.py": "value = 1\n"})
    before = project.behind()
    assert f"{project.name}_helper" not in sys.modules
    project.write({"PKG_helper.py": "value = 2\n"})
    assert changed(before, project.behind()) == {"PKG_helper"}


@pytest.mark.parametrize(
    ("source", "reached"),
    [
        (
            "from typing import *\nif TYPE_CHECKING:\n    import PKG_a\nelse:\n    import PKG_b\n",
            "b",
        ),
        ("import typing\nif typing.TYPE_CHECKING:\n    import PKG_a\nelif 1:\n    import PKG_b\n", "b"),
        ("from typing import TYPE_CHECKING\nif not TYPE_CHECKING:\n    import PKG_b\n", "b"),
    ],
)
def test_what_only_type_checkers_import_does_not_count(project, source, reached):
    project.write({"PKG.py": source, "PKG_a.py": "", "PKG_b.py": ""})
    assert list(project.behind()) == ["PKG", f"PKG_{reached}"]


def test_relative_imports_and_the_packages_of_a_module(project):
    project.write(
        {
            "PKG/__init__.py": "",
            "PKG/deep/__init__.py": "from ..side import value\n",
            "PKG/deep/one.py": "from . import two\nfrom ...too_far import x\n",
            "PKG/deep/two.py": "def f():\n    from .three import g\n",
            "PKG/deep/three.py": "g = 1\n",
            "PKG/side.py": "value = 1\n",
            "PKG/unused.py": "",
        }
    )
    wanted = ["PKG", "PKG.deep", "PKG.deep.three", "PKG.deep.two", "PKG.side"]
    assert list(project.behind("PKG.deep.two")) == wanted
    project.write({"PKG/deep/one.py": "from . import two\n"})
    assert list(project.behind("PKG.deep.one")) == sorted([*wanted, "PKG.deep.one"])


def test_a_submodule_may_be_imported_from_its_package(project):
    project.write(
        {"PKG/__init__.py": "", "PKG/sub.py": "", "PKG_user.py": "def f():\n    from PKG import sub\n"}
    )
    assert list(project.behind("PKG_user")) == ["PKG", "PKG.sub", "PKG_user"]


def test_folders_without_init_are_searched_before_and_after_they_are_imported(project):
    project.write({"PKG/a/b/one.py": "x = 1\n", "PKG_user.py": "def f():\n    from PKG.a.b import one\n"})
    before = project.behind("PKG_user")
    assert list(before) == ["PKG.a.b.one", "PKG_user"]
    importlib.import_module(f"{project.name}.a.b.one")
    assert project.behind("PKG_user", anew=False) == before


def test_base_classes_of_a_target_count_however_they_came(project):
    project.write(
        {
            "PKG.py": "import importlib\nbase = importlib.import_module('PKG_' + 'base')\n"
            "class Net(base.Base):\n    pass\n",
            "PKG_base.py": "class Base:\n    x = 1\n",
        }
    )
    assert list(project.behind("PKG")) == ["PKG"]
    assert list(project.behind("PKG.Net")) == ["PKG", "PKG_base"]


def test_a_target_may_be_a_function_or_stand_in_its_package(project):
    project.write(
        {
            "PKG/__init__.py": "from .work import run\n",
            "PKG/work.py": "def run(): ...\n",
            "PKG/run.py": "raise SystemExit\n",
        }
    )
    assert list(project.behind("PKG.run")) == ["PKG", "PKG.work"]
    assert list(project.behind("PKG.work.run")) == ["PKG", "PKG.work"]


def test_what_is_installed_is_not_followed(project):
    project.write({"PKG.py": "import json, os.path, math\nimport numpy as np\nfrom torch import nn\n"})
    assert list(project.behind()) == ["PKG"]
    assert code_behind(["torch.optim.Adam", "math.sin", "json", "numpy.exp"]) == {}


def test_an_installed_module_is_none_of_ours_even_below_the_project(project, monkeypatch):
    project.write({"env/site-packages/PKG_dep.py": "", "PKG.py": "import PKG_dep\n"})
    monkeypatch.syspath_prepend(project.folder / "env" / "site-packages")
    assert list(project.behind()) == ["PKG"]


def test_a_working_copy_linked_among_the_installed_is_ours(project, monkeypatch):
    project.write({"env/site-packages/keep": "", "copy/__init__.py": "", "PKG.py": "import PKG_dep\n"})
    (project.folder / "env/site-packages" / f"{project.name}_dep").symlink_to(project.folder / "copy")
    monkeypatch.syspath_prepend(project.folder / "env" / "site-packages")
    assert list(project.behind()) == ["PKG", "PKG_dep"]


def test_imports_that_lead_nowhere_are_skipped(project):
    project.write(
        {"PKG.py": "def f():\n    import nowhere.at_all\n    import __main__\n    from ... import x\n"}
    )
    assert list(project.behind()) == ["PKG"]


def test_a_neutral_module_is_left_out_and_not_followed(project):
    project.write(
        {
            "PKG.py": "import PKG_words\n",
            "PKG_words.py": '__neutral__: str = "only words"\nimport PKG_more\n',
            "PKG_more.py": "",
        }
    )
    assert list(project.behind()) == ["PKG"]
    project.write({"PKG_words.py": '__neutral__ = ""\nimport PKG_more\n'})
    assert list(project.behind()) == ["PKG", "PKG_more", "PKG_words"]


def test_a_circle_of_imports_ends(project):
    project.write(
        {"PKG.py": "import PKG_a\n", "PKG_a.py": "import PKG_b\n", "PKG_b.py": "import PKG_a, PKG\n"}
    )
    assert list(project.behind()) == ["PKG", "PKG_a", "PKG_b"]


def test_a_broken_file_counts_byte_by_byte(project):
    project.write({"PKG.py": "def f():\n    import PKG_broken\n", "PKG_broken.py": "x = (\n"})
    before = project.behind()
    project.write({"PKG_broken.py": "x = ( \n"})
    assert changed(before, project.behind()) == {"PKG_broken"}


def test_an_edit_after_the_import_does_not_count_under_the_watch(project, watched):
    project.write({"PKG.py": "import PKG_helper\n", "PKG_helper.py": "x = 1\n"})
    importlib.import_module(project.name)
    project.write({"PKG_helper.py": "x = 2\n"})
    running = project.behind(anew=False)
    assert changed(running, project.behind()) == {"PKG_helper"}


def test_without_the_watch_the_first_look_is_remembered(project):
    project.write({"PKG.py": "x = 1\n"})
    before = project.behind()
    project.write({"PKG.py": "x = 2\n"})
    assert project.behind(anew=False) == before
    assert project.behind() != before


def test_what_is_imported_after_a_digest_wins_over_the_file_of_then(project, watched):
    project.write({"PKG.py": "def f():\n    import PKG_late\n", "PKG_late.py": "x = 1\n"})
    before = project.behind()
    project.write({"PKG_late.py": "x = 2\n"})
    importlib.import_module(f"{project.name}_late")
    project.write({"PKG_late.py": "x = 1\n"})
    assert changed(before, project.behind(anew=False)) == {"PKG_late"}


def test_looking_for_a_module_is_no_import(project, watched):
    project.write({"PKG.py": "def f():\n    import PKG_late\n", "PKG_late.py": "x = 1\n"})
    before = project.behind()
    importlib.util.find_spec(f"{project.name}_late")
    project.write({"PKG_late.py": "x = 2\n"})
    assert changed(before, project.behind(anew=False)) == {"PKG_late"}


def test_a_reload_counts(project, watched):
    project.write({"PKG.py": "x = 1\n"})
    before = project.behind()
    project.write({"PKG.py": "x = 22\n"})
    importlib.reload(sys.modules[project.name])
    assert changed(before, project.behind(anew=False)) == {"PKG"}


def test_the_watch_is_set_once_and_directly_before_the_path_finder(monkeypatch):
    # Without a watch of before, behind which libraries may have put finders of their own.
    others = [finder for finder in sys.meta_path if not isinstance(finder, code._Watch)]
    monkeypatch.setattr(sys, "meta_path", others)
    watch_imports()
    watch_imports()
    kinds = [type(finder) for finder in sys.meta_path]
    assert kinds.count(code._Watch) == 1
    assert sys.meta_path[kinds.index(code._Watch) + 1] is importlib.machinery.PathFinder


def parses(monkeypatch):
    """Sources examined from now on, in a process that knows nothing yet."""
    seen = []
    examine = code._examine
    monkeypatch.setattr(code, "_examine", lambda source: seen.append(source) or examine(source))
    return seen


def test_a_later_process_need_not_parse(project, tmp_path, monkeypatch):
    project.write({"PKG.py": "import PKG_helper\n"})
    project.write({"PKG_helper.py": "import os\n"})
    folder = tmp_path / "kept" / "code"
    before = project.behind()
    remember_in(folder)  # what was known before is kept as well
    project.behind()
    assert [path.name for path in folder.iterdir()] == ["code.json"]

    monkeypatch.setattr(code, "_memory", code._Memory())
    remember_in(folder)
    seen = parses(monkeypatch)
    assert project.behind() == before
    assert seen == []
    written = (folder / "code.json").stat().st_ino
    project.write({"PKG_helper.py": "import sys\n"})
    assert changed(before, project.behind()) == {"PKG_helper"}
    assert len(seen) == 1
    assert (folder / "code.json").stat().st_ino != written
    assert len(json.loads((folder / "code.json").read_text())["facts"]) == 3


def of_facts(facts):
    return json.dumps({"facts": facts, "sha256": code._checksum(facts)})


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: "",
        lambda text: re.sub(r'\["[0-9a-f]{16}', '["0123456789abcdef', text),
        lambda text: text[: len(text) // 2],
        lambda text: "[1]",
        *(
            lambda text, entry=entry: of_facts(dict.fromkeys(json.loads(text)["facts"], entry))
            for entry in (
                1,
                ["0" * 16, [[0, "a", "b"]], False],
                ["0" * 16, [[-1, "a", []]], False],
                ["0" * 16, [], None],
                ["short", [], False],
            )
        ),
    ],
)
def test_a_broken_memory_is_ignored_and_written_anew(project, tmp_path, monkeypatch, spoil):
    project.write({"PKG.py": "import PKG_helper\n", "PKG_helper.py": ""})
    remember_in(tmp_path)
    before = project.behind()
    file = tmp_path / "code.json"
    whole = file.read_text()
    file.write_text(spoil(whole))
    monkeypatch.setattr(code, "_memory", code._Memory())
    remember_in(tmp_path)
    assert project.behind() == before
    assert json.loads(file.read_text()) == json.loads(whole)


def test_a_memory_that_cannot_be_written_is_ignored(project, tmp_path):
    (tmp_path / "file").write_text("")
    remember_in(tmp_path / "file")
    project.write({"PKG.py": ""})
    assert list(project.behind()) == ["PKG"]


@pytest.mark.parametrize(
    ("target", "told"),
    [
        ("PKG_nowhere.Net", "PKG_nowhere.Net: cannot import PKG_nowhere (ModuleNotFoundError: "),
        ("PKG.sub.Net", "PKG.sub.Net: PKG has no 'sub'; did you mean 'subs'?; is its"),
        ("PKG.subs.Net", "PKG.subs.Net: cannot import PKG.subs (ModuleNotFoundError: "),
        ("PKG_empty.Net", "PKG_empty.Net: PKG_empty has no 'Net'; is its"),
    ],
)
def test_a_target_that_cannot_be_imported_is_named(project, target, told):
    project.write(
        {"PKG/__init__.py": "subs = 1\n", "PKG_empty.py": "", "PKG/subs.py": "import nowhere_at_all\n"}
    )
    importlib.import_module(project.name)
    if target == "PKG.subs.Net":
        project.write({"PKG/__init__.py": ""})
    with pytest.raises(TsdistillError) as raised:
        project.behind(target)
    message = str(raised.value)
    assert message.startswith(told.replace("PKG", project.name))
    assert message.endswith("is its folder on PYTHONPATH?")
    assert "\n" not in message


def test_a_module_that_fails_is_named(project):
    project.write({"PKG.py": "raise RuntimeError('two\\nlines')\n"})
    with pytest.raises(TsdistillError, match=r"^\w+\.Net: cannot import \w+ \(RuntimeError: two lines\)$"):
        project.behind("PKG.Net")


def sourceless(name, spec=None):
    module = ModuleType(name)
    module.__spec__ = spec
    module.Net = type("Net", (), {"__module__": name})
    sys.modules[name] = module


@pytest.mark.parametrize("kind", ["main", "no spec", "bare spec", "base class", "extension"])
def test_code_without_a_file_of_its_own_is_refused(project, kind):
    project.write({"PKG.py": "import sys\nclass Net(sys.modules['PKG_made'].Net): ...\n", "PKG_c.so": ""})
    project.write({"PKG_uses_c.py": "def f():\n    import PKG_c\n"})
    bare = importlib.machinery.ModuleSpec(f"{project.name}_made", None)
    sourceless(f"{project.name}_made", bare if kind == "bare spec" else None)
    target = {"main": "__main__.Net", "base class": "PKG.Net", "extension": "PKG_uses_c"}.get(
        kind, "PKG_made.Net"
    )
    if kind == "main":
        sys.modules["__main__"].Net = type("Net", (), {"__module__": "__main__"})
    try:
        with pytest.raises(
            TsdistillError, match="has no Python source file to digest: put it into a module of its"
        ):
            project.behind(target, anew=False)
    finally:
        vars(sys.modules["__main__"]).pop("Net", None)


def test_our_own_code_is_found_without_what_is_not_reached():
    found = code_behind(["tsdistill.methods.stage", "tsdistill.models.recurrent.LSTM"])
    assert {
        "tsdistill.methods",
        "tsdistill.models.recurrent",
    } <= found.keys()
    assert all(name.partition(".")[0] == "tsdistill" for name in found)
    assert list(found) == sorted(found)
    assert "tsdistill.errors" not in found  # declared neutral
    assert not any(name.startswith(("tsdistill.report", "tsdistill.commands")) for name in found)


def test_one_digest_for_all():
    assert code_digest({"a": "1", "b": "2"}) == code_digest({"b": "2", "a": "1"})
    assert (
        len({code_digest({}), code_digest({"a": "1"}), code_digest({"a": "2"}), code_digest({"b": "1"})}) == 4
    )

"""The groups teacher and student, made from model/: the package's, the user's, and which file wins."""

from contextlib import suppress
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.config_store import ConfigStore
from omegaconf import OmegaConf

from tsdistill.cli import run
from tsdistill.config.groups import PROVIDER, ROLES, config_folders, register_models
from tsdistill.config.resolve import conf_folder
from tsdistill.config.schema import StudentConf, TeacherConf, register

MODELS = sorted(path.stem for path in (conf_folder() / "model").glob("*.yaml"))


@pytest.fixture(autouse=True)
def package_models(surroundings):
    """The package's models alone afterwards."""
    yield
    register_models(())


@pytest.fixture
def mine(tmp_path):
    """A user's folder with a model of its own."""
    write(tmp_path / "mine" / "model" / "mynet.yaml", "_target_: mynet.Net\nwidth: 32\n")
    return tmp_path / "mine"


def write(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def job(words, capsys, command="distill"):
    """The composed settings, as the command prints them."""
    assert run(command, ["--cfg", "job", *words]) == 0
    return OmegaConf.create(capsys.readouterr().out)


def stored(role):
    return sorted(name.removesuffix(".yaml") for name in ConfigStore.instance().list(role))


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("role", ROLES)
def test_every_model_composes_in_either_role_into_the_schema(role, name):
    register()
    with initialize_config_dir(str(conf_folder().resolve()), version_base="1.3"):
        conf = compose("distill", [f"{role}={name}"])
    node = conf[role]
    assert OmegaConf.get_type(node) is {"teacher": TeacherConf, "student": StudentConf}[role]
    assert node.name == name and "defaults" not in node
    assert node.model == OmegaConf.load(conf_folder() / "model" / f"{name}.yaml")


def test_both_groups_have_every_model_and_files_only_of_teachers_that_are_no_network():
    register()
    for role in ROLES:
        assert stored(role) == MODELS
        assert not {path.stem for path in (conf_folder() / role).glob("*.yaml")} & set(MODELS)


@pytest.mark.parametrize("name", [path.stem for path in (conf_folder() / "teacher").glob("*.yaml")])
def test_every_other_teacher_composes(name):
    register()
    with initialize_config_dir(str(conf_folder().resolve()), version_base="1.3"):
        node = compose("train-teacher", [f"teacher={name}"]).teacher
    assert node.name == name and node.kind["_target_"].startswith("tsdistill.teachers.")


FORMS = [
    ["--config-dir", "mine"],
    ["--config-dir=mine"],
    ["-cd", "mine"],
    ["-cd=mine"],
    ["hydra.searchpath=[file://mine]"],
    ["hydra.searchpath=[mine]"],
]


@pytest.mark.parametrize("words", FORMS, ids=" ".join)
def test_a_model_in_a_folder_of_the_user_s_is_there_in_both_roles(words, mine, capsys):
    conf = job([*words, "student=mynet", "teacher=mynet", "student.model.width=8"], capsys)
    assert conf.student == {"name": "mynet", "model": {"_target_": "mynet.Net", "width": 8}}
    assert conf.teacher.name == "mynet" and conf.teacher.model == {"_target_": "mynet.Net", "width": 32}
    assert conf.teacher.training.lr == 0.001
    assert job([*words, "teacher=mynet"], capsys, "train-teacher").teacher.name == "mynet"


def test_an_absolute_folder_beside_others(mine, capsys):
    write(Path("other/model/second.yaml"), "_target_: second.Net\n")
    words = [
        f"hydra.searchpath=['file://{mine}',{Path('other').resolve()}]",
        "student=mynet",
        "teacher=second",
    ]
    conf = job(words, capsys)
    assert (conf.student.name, conf.teacher.name) == ("mynet", "second")


def test_what_an_earlier_command_found_is_forgotten(mine, capsys):
    job(["--config-dir", "mine", "student=mynet"], capsys)
    assert run("distill", ["student=mynet", "--cfg", "job"]) == 2
    assert capsys.readouterr().err.startswith("tsdistill: student=mynet: there is no such student; ")


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("words", [["--config-dir", "mine"], ["hydra.searchpath=[mine]"]], ids=" ".join)
def test_a_file_of_the_user_s_in_the_group_wins(words, role, mine, capsys):
    for name in ("fcn", "mynet"):
        write(mine / role / f"{name}.yaml", f"name: theirs_{name}\nmodel:\n  _target_: {role}.Net\n")
    (other,) = set(ROLES) - {role}
    for name in ("fcn", "mynet"):
        conf = job([*words, f"{role}={name}", f"{other}={name}"], capsys)
        assert conf[role].name == f"theirs_{name}" and conf[role].model == {"_target_": f"{role}.Net"}
        assert conf[other].name == name


def test_a_file_of_the_user_s_may_build_on_a_model(mine, capsys):
    write(
        mine / "student" / "wide.yaml",
        "defaults:\n  - /model@model: mynet\n  - _self_\nname: wide\nmodel:\n  width: 99\n",
    )
    conf = job(["--config-dir", "mine", "student=wide"], capsys)
    assert conf.student == {"name": "wide", "model": {"_target_": "mynet.Net", "width": 99}}


def test_a_file_of_the_package_s_in_the_group_wins(tmp_path, monkeypatch):
    write(tmp_path / "conf" / "model" / "fcn.yaml", "_target_: x.Net\n")
    write(tmp_path / "conf" / "student" / "fcn.yaml", "name: written\n")
    monkeypatch.setattr("tsdistill.config.groups.conf_folder", lambda: tmp_path / "conf")
    register_models([])
    assert stored("teacher") == ["fcn"] and stored("student") == []
    with initialize_config_dir(str(tmp_path / "conf"), version_base="1.3"):
        conf = compose(overrides=["+teacher=fcn", "+student=fcn"])
    assert conf == {
        "teacher": {"model": {"_target_": "x.Net"}, "name": "fcn"},
        "student": {"name": "written"},
    }


def test_what_others_stored_is_left():
    store = ConfigStore.instance()
    store.store(name="fcn", group="student", node={"name": "another's"}, provider="another")
    try:
        register()
        register()
        assert store.load("student/fcn.yaml").node.name == "another's"
        assert store.load("teacher/fcn.yaml").provider == PROVIDER
        assert OmegaConf.get_type(store.load("distill_schema.yaml").node.student) is StudentConf
    finally:
        del store.repo["student"]["fcn.yaml"]


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("student=mynte", "student=mynte: there is no such student; did you mean 'mynet'?"),
        ("teacher=mynte", "teacher=mynte: there is no such teacher; did you mean 'mynet'?"),
        ("teacher=fnc", "teacher=fnc: there is no such teacher; did you mean 'fcn'?"),
    ],
)
def test_the_nearest_name_is_told_the_user_s_own_among_them(word, told, mine, capsys):
    assert run("distill", ["--config-dir", "mine", word]) == 2
    assert capsys.readouterr().err == f"tsdistill: {told}\n"


def test_the_help_and_the_defaults_tree_list_them(mine, capsys):
    with suppress(SystemExit):  # by which Hydra ends after its help
        run("distill", ["--help", "--config-dir", "mine"])
    lines = capsys.readouterr().out.splitlines()
    for role in ROLES:
        (listed,) = (line for line in lines if line.startswith(f"{role}: "))
        others = [path.stem for path in (conf_folder() / role).glob("*.yaml")]
        assert listed == f"{role}: {', '.join(sorted([*MODELS, *others, 'mynet']))}"
    assert run("distill", ["--info", "defaults-tree", "--config-dir", "mine", "student=mynet"]) == 0
    tree = capsys.readouterr().out
    assert "student: mynet" in tree and "model@student.model: mynet" in tree and "teacher: fcn" in tree


@pytest.mark.parametrize(
    ("words", "folders"),
    [
        ([], []),
        (["dataset.name=X", "-m", "--config-dir", "a", "seed=0,1"], ["a"]),
        (["-cd", "a/b", "hydra.searchpath=[file:///c d,'e f']"], ["a/b", "/c d", "e f"]),
        (["++hydra.searchpath=[pkg://their.conf,f]"], ["f"]),
        (["hydra.searchpath=["], []),
        (["hydra.searchpath=null"], []),
        (["hydra.searchpath=a"], []),
        (["--config-dir"], []),
        (["--config-name", "x"], []),
    ],
    ids=str,
)
def test_folders_are_found_among_the_words(words, folders):
    assert config_folders(words) == [Path(folder) for folder in folders]


def test_a_folder_that_is_not_there_is_told_as_before(capsys):
    assert run("distill", ["--config-dir", "nowhere", "--cfg", "job"]) == 2
    assert "nowhere' not found" in capsys.readouterr().err

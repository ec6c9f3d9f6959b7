"""The commands: help, exit statuses, and what is said of wrong invocations."""

import errno
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest
import torch

from tsdistill import __version__, cli
from tsdistill.cli import HELP, main, run

TINY = (
    "dataset.name=UnitTest",
    "dataset.download=false",
    "data_root=null",
    "teacher=fcn_8",
    "student=lstm_8",
    "method=none",
    "training.epochs=1",
    "teacher.training.epochs=1",
    "saliency.window=5",
    "hardware=cpu",
)


@pytest.fixture(autouse=True)
def no_devices(surroundings: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)


def one_class(folder: Path) -> None:
    home = folder / "archive" / "UCRArchive_2018" / "Alone"
    home.mkdir(parents=True)
    for part in ("TRAIN", "TEST"):
        (home / f"Alone_{part}.tsv").write_text("1\t0.5\t1.5\t2.5\n" * 4)


def a_file(folder: Path) -> None:
    (folder / "a_file").write_text("no folder")


NO_DEVICE = f"PyTorch {torch.__version__} sees no such device here; use hardware.device=auto or cpu"

NO_FLAG = "there is no such flag; settings are written NAME=VALUE without dashes, such as training.epochs=5"
WRONG = [
    # groups, keys and names
    ("mehtod=tsd", "mehtod: there is no setting 'mehtod'; did you mean 'method'?"),
    ("method=tds", "method=tds: there is no such method; did you mean 'tsd'?"),
    ("student=lstm8", "student=lstm8: there is no such student; did you mean 'lstm_8'?"),
    ("training.lrr=1", "training.lrr: training has no key 'lrr'; did you mean 'lr'?"),
    ("+training.lrr=1", "training.lrr: there is no such setting; did you mean 'lr'?"),
    (
        "student.model.hiden=4",
        "student.model.hiden: student.model has no key 'hiden'; did you mean 'hidden'?",
    ),
    (
        "+student.model.hiden=4",
        "student.model.hiden: tsdistill.models.recurrent.LSTM takes no such setting; did you mean 'hidden'?",
    ),
    ("dataset.name=GunPiont", "dataset.name=GunPiont: no such set; did you mean 'GunPoint'?"),
    # types and values
    ("training.lr=fast", "training.lr=fast should be a number"),
    ("student.model.hidden=big", "student.model.hidden=big should be a whole number"),
    ("saliency.mode=ofline", "saliency.mode=ofline: did you mean 'online'?"),
    ("training=3", "training=3: there is no such training; --help lists the choices"),
    ("method.stages=3", "method.stages=3: it has settings of its own; --cfg job shows them"),
    (
        "method.stages.train.terms.ce=3",
        "method.stages.train.terms.ce=3: it has settings of its own; --cfg job shows them",
    ),
    ("teacher.model=3", "teacher.model=3: it has settings of its own; --cfg job shows them"),
    (
        "method.grid=3 trial=1",
        "method.grid=3 should be a list of settings, such as [{{method.lam: 0.1}}]",
    ),
    ("trial=9", "trial=9: method none has trials 0 (its default) to 4"),
    ("split.validation=1.5", "split.validation=1.5 should be 0 or more and below 1"),
    ("teacher.seeds=[]", "teacher.seeds is empty; give at least one seed, such as teacher.seeds=[0]"),
    (
        "method=tsd saliency.window=25",
        "saliency.window=25 is longer than the shortest series (24 steps); "
        "give at most 24, or a fraction such as 0.1",
    ),
    (
        "method=tsd method.form=class",
        "method.stages.train.terms.tsd.form=class should be one of classwise, summed, root, logit",
    ),
    (
        "teacher.training.monitor=acuracy",
        "training.monitor=acuracy is not measured here; did you mean 'accuracy'?",
    ),
    ("debug=3", "debug=3 should be true or false"),
    ("-m retrain=true,-1", "retrain=-1 should be true or false"),
    ("hardware.compile=2", "hardware.compile=2 should be true or false"),
    ("retry=-1", "retry=-1 should be 0 or more"),
    ("-m seed=1,2 retry=-1", "retry=-1 should be 0 or more"),
    # what chooses nothing, several things or what is none
    (
        "method={}",
        "method={{}}: an empty {{}} sets nothing; choose by method=NAME or set one of its settings",
    ),
    ("method.stages={}", "method.stages={{}}: an empty {{}} sets nothing; set one of its settings"),
    ("method=[1]", "method=[1]: there is no such method; --help lists the choices"),
    ("method=[kd,tsd]", "method=[kd,tsd]: a run has one method; sweep over several by -m method=kd,tsd"),
    ("calibration=[]", "calibration=[]: there is no such calibration; --help lists the choices"),
    ("student=null", "student=null: there is no such student; --help lists the choices"),
    ("-m student=null,fcn", "student=null,fcn: there is no such student; --help lists the choices"),
    ("hydra/launcher=3", "hydra/launcher=3: there is no such hydra/launcher; --help lists the choices"),
    (
        "scheduler@training.scheduler=null",
        "scheduler@training.scheduler=null: there is no such scheduler; --help lists the choices",
    ),
    ("~method", "~method: it can't be removed; choose another by method=NAME"),
    ("~training.epochs", "~training.epochs: it can't be removed; set another value by training.epochs=VALUE"),
    ("=3", "=3: a setting is written NAME=VALUE, without spaces"),
    ("method=kd,tsd", "method=kd,tsd: a run has one value; -m sweeps over several"),
    ("seed=range(3)", "seed=range(3): a run has one value; -m sweeps over several"),
    ("student.model=null", "student.model=null: a run needs one; choose it by student=NAME"),
    ("teacher.kind=null", "teacher.kind=null: a run needs one; choose it by teacher=NAME"),
    ("teacher.seeds=[[1]]", "teacher.seeds[0]=[1] should be a whole number"),
    ("teacher.members=3", "teacher.members=3 should be a list, such as [fcn,resnet]"),
    ("method.name=null", "method.name=null should be a text"),
    ("student.name=", "student.name= should be a text"),
    ("out=[a]", "out=[a] should be a text"),
    (
        "-m hydra.sweeper.params=3",
        "hydra.sweeper.params=3 should hold settings, such as {{seed: '1,2'}}",
    ),
    # what is told without training or a record
    ("why=true teacher.cross_fit=abc", "teacher.cross_fit is set, and teacher fcn_8 takes no cross_fit"),
    (
        "why=true teacher=random_forest teacher.cross_fit=abc",
        "teacher.cross_fit=abc should be auto, 0 or the number of folds, 2 or more",
    ),
    ("why=true teacher.path=x", "teacher.path is set, and teacher fcn_8 takes no path"),
    # devices
    ("hardware.device=gpu", "hardware.device=gpu: there is no such device; did you mean 'cpu'?"),
    ("hardware=gpu", "hardware=gpu: there is no such hardware; did you mean 'cpu'?"),
    ("hardware=cuda", f"hardware.device=cuda: {NO_DEVICE}"),
    ("hardware.device=cuda:1", f"hardware.device=cuda:1: {NO_DEVICE}"),
    ("hardware=mps", f"hardware.device=mps: {NO_DEVICE}"),
    # data and folders
    (
        "data_root=nowhere",
        "data_root=nowhere: no such folder; correct the setting data_root or the variable TSDISTILL_DATA",
    ),
    (
        "data_root=a_file",
        "data_root=a_file: no such folder; correct the setting data_root or the variable TSDISTILL_DATA",
    ),
    (
        "data_root=archive dataset.name=Alone",
        "Alone: the training part has only one class ('1'); at least two are needed",
    ),
    (
        "dataset=csv dataset.train=mine.csv",
        "dataset.train=mine.csv: no such file (looked for it from {cwd})",
    ),
    ("dataset=csv", "dataset.train is not set: name the file with the training series"),
    ("out=a_file", "out=a_file: a_file is a file; name a folder"),
    ("out=a_file/below", "out=a_file/below: a_file is a file; name a folder"),
    (
        "out=/proc/nope",
        "cannot write /proc/nope: No such file or directory; "
        "check the permissions or choose another output folder",
    ),
    # words that are no overrides
    ("method", "method: a setting is written NAME=VALUE, without spaces"),
    ("--epochs 5", f"--epochs: {NO_FLAG}"),
    ("--train=tsd", f"--train=tsd: {NO_FLAG}"),
    ("-e 5", f"-e: {NO_FLAG}"),
    ("-method=tsd", f"-method=tsd: {NO_FLAG}"),
    ("-m method=none,tds", "method=tds: there is no such method; did you mean 'tsd'?"),
]


@pytest.mark.parametrize(("words", "told"), WRONG, ids=[words for words, _ in WRONG])
def test_a_wrong_invocation_is_told_in_one_or_two_lines(
    words: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one_class(tmp_path)
    a_file(tmp_path)
    chosen = words.split(" ")
    own_data = [word for word in TINY if not (word.startswith("dataset") and "dataset=csv" in chosen)]
    assert run("distill", [*own_data, *chosen]) == 2
    said = capsys.readouterr()
    assert said.err == f"tsdistill: {told.format(cwd=tmp_path)}\n"
    assert "Traceback" not in said.out
    assert not (tmp_path / "tsdistill-out" / "runs").exists()


@pytest.mark.parametrize(
    ("command", "words", "told"),
    [
        (
            "train-teacher",
            ["retrain=true"],
            "retrain: there is no setting 'retrain'; did you mean 'retry'?",
        ),
        ("train-teacher", ["seed=1"], "seed: there is no setting 'seed'; "),
        (
            "train-teacher",
            ["training.epochs=3"],
            "training: there is no setting 'training'; did you mean 'teacher.training'?",
        ),
        ("train-teacher", ["teacher=fnc"], "teacher=fnc: there is no such teacher; did you mean 'fcn'?"),
        ("report", ["-m", "metric=kl"], "report sweeps over nothing; leave -m out"),
        ("report", ["method={}"], "method={}: an empty {} sets nothing; leave it out, or write a value"),
        ("report", ["method=[]"], "method=[]: name a method, or several with commas between them"),
        ("report", ["metric=[[a]]"], "metric[0]=[a] should be a text"),
        ("report", ["labels.tsd=null"], "labels.tsd=null should be a text"),
        ("report", ["to="], "to is empty; name a folder or a file"),
        ("predict", ["input="], "input is empty; name a folder or a file"),
        ("report", ["method=null"], "no run records under tsdistill-out: run `tsdistill distill` first, or "),
        ("explain", ["hardware=3"], "hardware=3: there is no such hardware; --help lists the choices"),
        ("report", ["~only"], "~only: it can't be removed; set another value by only=VALUE"),
        ("runs", ["verify=3"], "verify=3 should be true or false"),
        ("datasets", ["debug=3"], "debug=3 should be true or false"),
        (
            "evaluate",
            ["groups=[]"],
            "groups=[]: name at least one of performance, substitution, reasoning, cost",
        ),
        ("evaluate", ["snrs=[]"], "snrs=[]: name at least one ratio, such as snrs=[20,10]"),
        ("evaluate", ["snrs=[20,-1e9]"], "snrs[1]=-1e+09 should be from -100 to 100 [dB]"),
        ("explain", ["series=[]"], "series=[]: name at least one series, such as series=1,5"),
        ("merge", ["from=[]"], "from=[]: name the folders to copy from, such as from=A,B out=C"),
        ("report", ["select=tets"], "select=tets: did you mean 'test'?"),
        ("pack", ["from=A"], "from: there is no setting 'from'; choose from: debug, out, unpack"),
        ("runs", ["metod=tsd"], "metod: there is no setting 'metod'; did you mean 'method'?"),
        ("runs", ["met=tsd"], "met: there is no setting 'met'; did you mean 'method'?"),
        (
            "export",
            ["dataset.nam=ECG200"],
            "dataset.*: it is restricted by its name alone, as in dataset=NAME",
        ),
        ("merge", ["frmo=A"], "frmo: there is no setting 'frmo'; did you mean 'from'?"),
        (
            "pack",
            ["method=kd"],
            "method: this command has no such setting or group; --help lists what it takes",
        ),
        ("report", ["out=nowhere"], "no run records under nowhere: run `tsdistill distill` first, or "),
    ],
)
def test_the_other_commands_refuse_likewise(
    command: str, words: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(command, words) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"tsdistill: {told}") and said.count("\n") == 1


def test_a_full_disk_is_told_in_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("distill", TINY) == 0  # so that the data are read already
    capsys.readouterr()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("tsdistill.store.artefact.os.fsync", full)
    assert run("distill", [*TINY, "seed=1"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("tsdistill: cannot write tsdistill-out/runs/UnitTest/") and said.endswith(
        ": No space left on device; free some space or choose another output folder\n"
    )
    assert said.count("\n") == 1
    assert len(list(Path("tsdistill-out/runs/UnitTest").iterdir())) == 1


def test_a_folder_that_cannot_be_written_is_told_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    Path("tsdistill-out").mkdir()
    Path("tsdistill-out/teachers").write_text("a file in the place of a folder")
    assert run("distill", TINY) == 2
    said = capsys.readouterr().err
    assert "Not a directory" in said and said.count("\n") == 1


def test_an_error_of_the_program_s_own_is_told_in_one_line_with_status_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(_: object) -> None:
        raise ZeroDivisionError("by no fault of the user's")

    monkeypatch.setattr("tsdistill.runs.story.distill", broken)
    assert run("distill", TINY) == 1
    line = "tsdistill: internal error: ZeroDivisionError: by no fault of the user's; debug=true shows where\n"
    assert capsys.readouterr().err == line
    with pytest.raises(ZeroDivisionError):
        run("distill", [*TINY, "debug=true"])


def test_an_interrupt_says_that_the_work_is_kept(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("tsdistill.runs.story.distill", interrupted)
    assert run("distill", TINY) == 130
    assert capsys.readouterr().err == (
        "interrupted; finished work is stored, and the same command resumes from there\n"
    )


def test_a_failed_sweep_does_not_colour_the_next_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("distill", [*TINY, "-m", "trial=9,10"]) == 1
    assert run("distill", TINY) == 0
    capsys.readouterr()


@pytest.mark.parametrize(
    "words",
    [
        ["-m", "seed=0,1", "trial=0,1"],
        ["seed=0,1", "-m", "trial=0,1"],
        ["seed=0,1", "trial=range(2)", "--multirun"],
        ["-m", "method=glob([none,kd])", "seed=0,1"],
    ],
    ids=" ".join,
)
def test_a_sweep_says_how_far_it_is(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from tsdistill.console import say

    monkeypatch.setattr("tsdistill.runs.story.distill", lambda conf: say(f"{conf.method.name} {conf.seed}"))
    assert run("distill", [*TINY, *words]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" ")[0] for line in lines] == ["[1/4]", "[2/4]", "[3/4]", "[4/4]", "4"]
    assert lines[-1] == "4 runs, 0 failed"


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["+method.lamda=1"], "method tsd reads no such setting"),
        (["-m", "seed=0,1", "+method.lamda=1,2"], "method tsd reads no such setting"),
        (["-m", "method=none,tsd", "+method.lamda=1", "share=1/2"], "no method of this sweep reads it"),
        (["-m", "method=none,tsd", "++method.lam=1,2", "share=1/4"], ""),
        (["method.lam=1"], ""),
    ],
    ids=lambda part: " ".join(part) if isinstance(part, list) else "",
)
def test_a_setting_that_no_method_reads_is_told_once_and_does_not_end_the_command(
    words: list[str], told: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("tsdistill.runs.story.distill", lambda conf: None)
    assert run("distill", [*TINY, "method=tsd", *words]) == 0
    said = capsys.readouterr().out
    assert said.count("has no effect") == bool(told)
    assert f"has no effect: {told}; did you mean 'lam'?\n" in said if told else True


@pytest.mark.parametrize(
    "words",
    [["--cfg", "job"], ["--cfg=job", "-p", "training"], ["--info", "defaults"], ["--help"]],
    ids=" ".join,
)
@pytest.mark.parametrize("place", ["before", "after"])
def test_hydra_s_own_flags_work_before_and_after_overrides(
    words: list[str], place: str, capsys: pytest.CaptureFixture[str]
) -> None:
    overrides = ["training.epochs=77", "method=kd"]
    chosen = [*words, *overrides] if place == "before" else [*overrides, *words]
    with suppress(SystemExit):  # by which Hydra ends after its help
        assert run("distill", chosen) == 0
    said = capsys.readouterr().out
    assert {"--cfg": "epochs: 77", "--cfg=job": "epochs: 77", "--info": "method/kd", "--help": "method"}[
        words[0]
    ] in said


def test_a_flag_s_value_is_no_dataset(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("datasets", ["GunPoint", "--cfg", "job"]) == 0
    assert "name: GunPoint" in capsys.readouterr().out


def test_flags_move_behind_the_overrides_with_their_values() -> None:
    words = ["a=1", "--config-dir", "mine", "b=2", "-m", "c=3", "--config-name=x", "~d", "--info"]
    assert cli._flags_last(words) == [
        *("a=1", "b=2", "c=3", "~d"),
        *("--config-dir", "mine", "-m", "--config-name=x", "--info"),
    ]


@pytest.mark.parametrize("word", [None, "-h", "--help", "help"])
def test_help_lists_the_commands(
    word: str | None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["tsdistill", *([word] if word else [])])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 0
    assert capsys.readouterr().out == HELP
    assert all(f"\n  {command} " in HELP for command in cli.COMMANDS)


def test_a_command_that_is_not_there(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["tsdistill", "destill"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert capsys.readouterr().err == "tsdistill: there is no command 'destill'; did you mean 'distill'?\n"


def test_help_and_version_import_nothing_heavy() -> None:
    """So they answer in well under 0.2 s."""
    program = (
        "import sys; from tsdistill.cli import main\n"
        "try: main()\n"
        "except SystemExit as ended: assert ended.code == 0\n"
        "heavy = {'torch', 'hydra', 'omegaconf', 'numpy', 'pandas', 'sktime', 'rich'} & set(sys.modules)\n"
        "assert not heavy, heavy"
    )
    for flag in ("--help", "--version"):
        ended = subprocess.run(
            [sys.executable, "-c", program, flag], capture_output=True, text=True, check=False
        )
        assert ended.returncode == 0, ended.stderr
    assert ended.stdout == f"{__version__}\n"

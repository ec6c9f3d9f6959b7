"""What the shells are offered."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

import tsdistill
from tsdistill import cli
from tsdistill.commands.completion import bash, fish, run, stored_words, zsh
from tsdistill.config.words import words_by_command
from tsdistill.errors import TsdistillError

FEW: Mapping[str, Sequence[str]] = {
    "distill": ["method=kd", "method=tsd", "method=tsd_kd", "training.lr=", "debug=true", "-m"],
    "report": ["metric="],
}

STORED: Mapping[str, Sequence[str]] = {
    "distill": ["dataset=ucr", "dataset.name=", "study="],
    "report": ["dataset=", "method=tsd", "metric="],
    "runs": ["id="],
}

ASK = """
source "$1"; COMP_LINE="$2"; COMP_POINT=${#2}; read -ra COMP_WORDS <<< "$2"; COMP_CWORD=$3
_tsdistill; echo "${COMPREPLY[@]}"
"""


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
@pytest.mark.parametrize(
    ("line", "place", "offered"),
    [
        ("tsdistill ", 1, "distill report"),
        ("tsdistill re", 1, "report"),
        ("tsdistill distill meth", 2, "method=kd method=tsd method=tsd_kd"),
        ("tsdistill distill method=ts", 2, "tsd tsd_kd"),  # bash takes what follows = for a word
        ("tsdistill distill method=kd,tsd_", 2, "kd,tsd_kd"),
        ("tsdistill distill -", 2, "-m"),
        ("tsdistill distill x=1 training.l", 3, "training.lr="),
        ("tsdistill report meth", 2, ""),
    ],
)
def test_bash_completes(tmp_path: Path, line: str, place: int, offered: str) -> None:
    script = tmp_path / "script"
    script.write_text(bash(FEW))
    words = ["bash", "-c", ASK, "bash", str(script), line, str(place)]
    done = subprocess.run(words, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == offered and not done.stderr


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of runs; the command ``tsdistill`` is on the search path."""
    for dataset, name, method in (
        ("GunPoint", "ab12", "tsd"),
        ("GunPoint", "cd34", "mine"),
        ("Big%20Set", "ab56", "$(x)"),
    ):
        folder = tmp_path / "my out" / "runs" / dataset / name
        folder.mkdir(parents=True)
        (folder / "result.json").write_text(json.dumps({"method": method}))
    (tmp_path / "my out" / "runs" / "GunPoint" / "ef78").mkdir()  # damaged
    (tmp_path / "my out" / "studies").mkdir()
    (tmp_path / "my out" / "studies" / "first.journal").touch()
    (tmp_path / "bin").mkdir()
    command = tmp_path / "bin" / "tsdistill"
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m tsdistill "$@"\n')
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{command.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(Path(tsdistill.__file__).parents[1]))
    monkeypatch.setenv("TSDISTILL_OUT", str(tmp_path / "my out"))
    return tmp_path / "my out"


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_completes_what_is_stored(stored: Path, tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text(bash(STORED))
    lines = [
        "report method=",
        "report method=kd,m",
        "runs id=ab",
        "distill dataset=",
        "distill dataset.name=G",
    ]
    ask = f'offered() {{ {ASK}\n}}; s=$1; shift; for line; do offered $s "tsdistill $line" 2; done'
    done = subprocess.run(
        ["bash", "-c", ask, "bash", str(script), *lines], capture_output=True, text=True, check=True
    )
    offered = ["tsd tsd mine", "kd,mine", "ab56 ab12", "ucr", "GunPoint"]
    assert done.stdout.splitlines() == offered and not done.stderr


def test_stored_names_are_those_of_the_folder_that_the_line_names(
    stored: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TSDISTILL_OUT", "elsewhere")
    assert stored_words("report", "dataset=", "tsdistill report dataset=") == []
    line = f"tsdistill report 'out={stored}'"
    assert stored_words("report", "dataset=", line) == ["dataset=GunPoint"]  # the other one needs quotes
    assert stored_words("report", "method=", line) == ["method=tsd", "method=mine"]
    assert stored_words("runs", "id=c", line) == ["id=cd34"]
    assert stored_words("tune", "study=", line) == ["study=first"]
    assert stored_words("tune", "method=", line) == stored_words("runs", "metric=", line) == []
    (stored.parent / "out").symlink_to(stored)
    line = (
        f"tsdistill runs out=nowhere out=no,{stored.parent}/out 'id="  # several folders, and a quote to come
    )
    assert stored_words("runs", "id=e", line) == ["id=ef78"]


def test_what_cannot_be_read_ends_in_silence(stored: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (stored / "runs" / "Odd").touch()
    (stored / "runs" / "GunPoint" / "pack-0001.zip").write_bytes(b"no zip")
    (stored / "runs" / "GunPoint" / "ef78" / "result.json").write_text("[")
    assert cli._complete(["stored", "report", "method=", f"out='{stored}'"]) == 0
    assert capsys.readouterr().out.split() == ["method=tsd", "method=mine"]
    (stored / "studies" / "first.journal").rename(stored / "first")
    (stored / "studies").rmdir()
    assert cli._complete(["stored", "tune", "study=", "out=\0"]) == 0
    captured = capsys.readouterr()
    assert captured.out.strip() == captured.err == ""


@pytest.mark.skipif(shutil.which("zsh") is None, reason="there is no zsh")
def test_zsh_takes_the_script(tmp_path: Path) -> None:
    script = tmp_path / "script"
    script.write_text(zsh(STORED))
    ask = 'compdef() {}; compadd() { print -r -- "${(P)@[-1]}" }; _files() {}; compset() {}; source "$1"'
    ask += "; words=(tsdistill report method=); CURRENT=3 PREFIX=method=; _tsdistill"
    done = subprocess.run(["zsh", "-fc", ask, "zsh", str(script)], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["dataset=", "method=tsd", "metric="] and not done.stderr


def test_zsh_and_fish_are_offered_the_same() -> None:
    assert "  distill) candidates=('method=kd' 'method=tsd' 'method=tsd_kd' 'training.lr=' " in zsh(FEW)
    assert "if (( CURRENT == 2 )); then candidates=(distill report)" in zsh(FEW)
    line = "complete -c tsdistill -n '__fish_seen_subcommand_from report' -a 'metric='"
    assert line in fish(FEW).splitlines()


def test_every_command_offers_its_groups_choices_and_settings() -> None:
    words = words_by_command()
    assert set(words) == set(cli.COMMANDS)
    for word in ("method=tsd", "method=dkd+tsd", "teacher=minirocket", "teacher=lstm_8", "experiment=demo"):
        assert word in words["distill"]
        assert word in words["status"]
    assert "train-teacher" in words["status"]
    settings = {
        "seed=",
        "training.lr=",
        "dataset.name=",
        "hardware.precision=bf16",
        "fail=fast",
        "debug=true",
    }
    assert settings <= set(words["distill"])
    assert {"method=kd", "metric=", "dataset=", "where="} <= set(words["report"])
    assert not any("hydra" in word or " " in word for found in words.values() for word in found)


@pytest.mark.parametrize("words", [[], ["bsh"], ["bash", "zsh"]])
def test_another_shell_is_refused(words: list[str]) -> None:
    with pytest.raises(TsdistillError, match="name a shell, such as `tsdistill completion bash`; "):
        run(words)
    assert cli._complete(words) == 2

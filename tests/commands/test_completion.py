"""What the shells are offered."""

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from tsdistill import cli
from tsdistill.commands.completion import bash, fish, run, zsh
from tsdistill.config.words import words_by_command
from tsdistill.errors import TsdistillError

FEW: Mapping[str, Sequence[str]] = {
    "distill": ["method=kd", "method=tsd", "method=tsd_kd", "training.lr=", "debug=true", "-m"],
    "report": ["metric="],
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

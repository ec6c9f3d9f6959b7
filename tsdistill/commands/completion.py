"""``tsdistill completion``: a script by which a shell completes commands, groups, choices, settings, names.

The words are written into the script, so that a press of the tab key starts no Python. Only for the names of
what is stored does the script ask ``tsdistill completion stored COMMAND NAME=BEGUN LINE``.
"""

import os
import shlex
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from tsdistill.errors import TsdistillError, nearest

STORED_BY_COMPOSING = {"dataset.name": "dataset", "study": "study"}
STORED_BY_READING = {
    **{name: name for name in ("dataset", "method", "teacher", "student")},
    **dict.fromkeys(("run", "id"), "run"),
}
"""Settings whose values are names of what is stored, and of which kind: where an experiment is composed, and
where stored runs are read."""
STORED = "|".join(f"{name}=*" for name in {**STORED_BY_COMPOSING, **STORED_BY_READING})

Words = Mapping[str, Sequence[str]]

BASH = """\
# Completion of tsdistill for bash, written by: tsdistill completion bash
_tsdistill() {{
  local line="${{COMP_LINE:0:COMP_POINT}}" words="" candidate
  local current="${{line##* }}" head="" tail
  if [ "$COMP_CWORD" -eq 1 ]; then words="{commands}"
  else case "${{COMP_WORDS[1]}}" in
{cases}
  esac; fi
  tail="$current"
  if [[ "$current" == *=*,* ]]; then  # the last of several values
    head="${{current%,*}},"
    tail="${{current%%=*}}=${{current##*,}}"
  fi
  case "$tail" in {stored})
    if [[ " $words " == *" ${{tail%%=*}}="* ]]; then
      words+=" $("${{COMP_WORDS[0]}}" completion stored "${{COMP_WORDS[1]}}" "$tail" "$line" 2>/dev/null)"
    fi ;;
  esac
  COMPREPLY=()
  while IFS= read -r candidate; do
    [ -n "$head" ] && candidate="$head${{candidate#*=}}"
    # bash takes what follows = for a word of its own
    [[ "$current" == *=* ]] && candidate="${{candidate#*=}}"
    COMPREPLY+=("$candidate")
  done < <(compgen -W "$words" -- "$tail")
  [[ ${{#COMPREPLY[@]}} -eq 1 && "${{COMPREPLY[0]}}" == *= ]] && compopt -o nospace 2>/dev/null
  return 0
}}
complete -o default -F _tsdistill tsdistill
"""

ZSH = """\
#compdef tsdistill
# Completion of tsdistill for zsh, written by: tsdistill completion zsh
_tsdistill() {{
  local -a candidates
  if (( CURRENT == 2 )); then candidates=({commands})
  else case $words[2] in
{cases}
  esac; fi
  case $PREFIX in {stored})
    if (( ${{candidates[(I)${{PREFIX%%=*}}=*]}} )); then
      local begun="${{PREFIX%%=*}}=${{${{PREFIX#*=}}##*,}}"
      candidates+=(${{(f)"$($words[1] completion stored "$words[2]" "$begun" "$words" 2>/dev/null)"}})
    fi ;;
  esac
  if [[ $PREFIX == *=*,* ]]; then  # the last of several values
    local name=${{PREFIX%%=*}}
    compset -P '*,'
    candidates=(${{${{(M)candidates:#$name=*}}#*=}})
  fi
  compadd -S '' -a -- candidates
  (( CURRENT > 2 )) && _files
}}
compdef _tsdistill tsdistill
"""


FISH_STORED = """\
complete -c tsdistill -n 'string match -qr "^({stored})" -- (commandline -ct)' -a '(
  set -l line (commandline -cp); set -l words (string split -n " " -- $line)
  $words[1] completion stored $words[2] (commandline -ct) $line 2>/dev/null)'"""


def run(words: Sequence[str]) -> None:
    """Print the script for a shell, or the stored names that such a script asks for.

    Args:
        words: the shell's name, alone; or ``stored`` and what ``stored_words`` takes.

    Raises:
        TsdistillError: no shell is named, or another one.
    """
    if len(words) == 4 and words[0] == "stored":
        with suppress(Exception):  # a shell that completes a word has no use for errors
            print("\n".join(stored_words(*words[1:])))
        return
    if len(words) != 1 or words[0] not in SHELLS:
        hint = nearest(words[0] if words else "", SHELLS)
        raise TsdistillError(f"completion: name a shell, such as `tsdistill completion bash`; {hint}")
    from tsdistill.config.words import words_by_command

    offered: dict[str, Sequence[str]] = {**words_by_command(), "completion": list(SHELLS)}
    print(SHELLS[words[0]](offered), end="")


def stored_words(command: str, word: str, line: str) -> list[str]:
    """Words that name what is stored.

    Args:
        command: the command that is typed.
        word: the word that is completed, ``NAME=`` and how the value begins.
        line: the line so far, for its ``out=``.
    """
    from tsdistill.cli import COMPOSING
    from tsdistill.store.named import stored_names

    composing = command in COMPOSING or command == "status"
    name, _, begun = word.partition("=")
    kind = (STORED_BY_COMPOSING if composing else STORED_BY_READING).get(name)
    if kind is None:
        return []
    return [f"{name}={found}" for out in _folders(line) for found in stored_names(kind, begun, out)]


def _folders(line: str) -> list[Path]:
    """The output folders of a line that may end within quotes."""
    try:
        words = shlex.split(line)
    except ValueError:
        words = line.split()
    named = [word.removeprefix("out=") for word in words if word.startswith("out=")]
    out = (named and named[-1]) or os.environ.get("TSDISTILL_OUT") or "tsdistill-out"
    found = Path(out).expanduser()
    return [found] if found.exists() else [Path(each).expanduser() for each in out.split(",")]


def bash(words: Words) -> str:
    """The script for bash, from the words of each command."""
    cases = "\n".join(f'  {command}) words="{" ".join(found)}" ;;' for command, found in words.items())
    return BASH.format(commands=" ".join(words), cases=cases, stored=STORED)


def zsh(words: Words) -> str:
    """The script for zsh."""
    cases = "\n".join(
        f"  {command}) candidates=({' '.join(map(_quoted, found))}) ;;" for command, found in words.items()
    )
    return ZSH.format(commands=" ".join(words), cases=cases, stored=STORED)


def fish(words: Words) -> str:
    """The script for fish."""
    lines = [
        "# Completion of tsdistill for fish, written by: tsdistill completion fish",
        f"complete -c tsdistill -f -n __fish_use_subcommand -a {_quoted(' '.join(words))}",
    ]
    for command, found in words.items():
        seen = _quoted(f"__fish_seen_subcommand_from {command}")
        lines.append(f"complete -c tsdistill -n {seen} -a {_quoted(' '.join(found))}")
    lines.append(FISH_STORED.format(stored=STORED.replace("*", "")))
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return f"'{text}'"


SHELLS: Mapping[str, Callable[[Words], str]] = {"bash": bash, "zsh": zsh, "fish": fish}
"""Shells, and what writes their scripts."""

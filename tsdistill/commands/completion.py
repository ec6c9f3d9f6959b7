"""``tsdistill completion``: a script by which a shell completes commands, groups, choices and settings.

The words are written into the script, so that a press of the tab key starts no Python.
"""

from collections.abc import Callable, Mapping, Sequence

from tsdistill.errors import TsdistillError, nearest

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


def run(words: Sequence[str]) -> None:
    """Print the script for a shell.

    Args:
        words: the shell's name, alone.

    Raises:
        TsdistillError: no shell is named, or another one.
    """
    if len(words) != 1 or words[0] not in SHELLS:
        hint = nearest(words[0] if words else "", SHELLS)
        raise TsdistillError(f"completion: name a shell, such as `tsdistill completion bash`; {hint}")
    from tsdistill.config.words import words_by_command

    offered: dict[str, Sequence[str]] = {**words_by_command(), "completion": list(SHELLS)}
    print(SHELLS[words[0]](offered), end="")


def bash(words: Words) -> str:
    """The script for bash, from the words of each command."""
    cases = "\n".join(f'  {command}) words="{" ".join(found)}" ;;' for command, found in words.items())
    return BASH.format(commands=" ".join(words), cases=cases)


def zsh(words: Words) -> str:
    """The script for zsh."""
    cases = "\n".join(
        f"  {command}) candidates=({' '.join(map(_quoted, found))}) ;;" for command, found in words.items()
    )
    return ZSH.format(commands=" ".join(words), cases=cases)


def fish(words: Words) -> str:
    """The script for fish."""
    lines = [
        "# Completion of tsdistill for fish, written by: tsdistill completion fish",
        f"complete -c tsdistill -f -n __fish_use_subcommand -a {_quoted(' '.join(words))}",
    ]
    for command, found in words.items():
        seen = _quoted(f"__fish_seen_subcommand_from {command}")
        lines.append(f"complete -c tsdistill -n {seen} -a {_quoted(' '.join(found))}")
    return "\n".join(lines) + "\n"


def _quoted(text: str) -> str:
    return f"'{text}'"


SHELLS: Mapping[str, Callable[[Words], str]] = {"bash": bash, "zsh": zsh, "fish": fish}
"""Shells, and what writes their scripts."""

"""One filter language over stored runs: ``seed=1 and method.lam<0.5 and not method in kd,none``."""

import fnmatch
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

from tsdistill.errors import TsdistillError, nearest

Result = Mapping[str, Any]
Predicate = Callable[[Result], bool]
R = TypeVar("R", bound=Result)

IDENTITY = ("id", "dataset", "method", "teacher", "student", "seed", "trial", "status", "flags", "study")
_MEASURED = (
    "test",
    "validation",
    "teacher_test",
    "teacher_validation",
    "noise",
    "reasoning",
    "reseeded",
    "cost",
)
BLOCKS = {"training": "trained"}
"""Blocks of a result that are renamed here, because a setting already has their name."""
_BLOCKS = {name: name for name in (*_MEASURED, "timing", "data")} | {new: old for old, new in BLOCKS.items()}
_COMPARED: Mapping[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_TOKEN = re.compile(
    r"\s*(?:(?P<sign><=|>=|!=|==|=|<|>|\(|\)|,)|'(?P<single>[^']*)'|\"(?P<double>[^\"]*)\""
    r"|(?P<word>[^\s<>=!(),'\"]+))"
)
_CONSTANTS = {"true": True, "false": False, "null": None}
_MISSING = object()


class _Token(NamedTuple):
    """A word, a sign, or a quoted text: that is never a keyword and never a pattern."""

    text: str
    quoted: bool = False


_SIGNS = {_Token(sign) for sign in ("(", ")", ",", "=", "==", "!=", *_COMPARED)}


class Where:
    """A parsed filter.

    Grammar: comparisons ``name op value`` under ``and``, ``or``, ``not`` and parentheses. ``op`` is ``=``,
    ``!=``, ``<``, ``<=``, ``>``, ``>=`` or ``in``; after ``=``, ``!=`` and ``in`` several values stand with
    commas between them. Names are those of a run (``dataset``, ``seed``, ...), any setting
    (``saliency.window``) or metric (``test.accuracy``). ``*`` and ``?`` match in texts unless these are
    quoted. A comparison with something that a run lacks is false.

    Args:
        text: the filter.

    Raises:
        TsdistillError: it cannot be read.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.names: list[str] = []
        self._tokens = _tokens(text)
        self._at = 0
        self._matches = self._either()
        if self._at < len(self._tokens):
            raise self._wrong("'and' or 'or'")

    def __call__(self, result: Result) -> bool:
        """Whether a stored result passes."""
        return self._matches(result)

    def kept(self, results: Sequence[R]) -> list[R]:
        """The results that pass.

        Raises:
            TsdistillError: the filter names what no result has, or nothing passes.
        """
        known = names_of(results)
        for name in self.names:
            if name not in known:
                raise TsdistillError(f"where: no stored run has '{name}'; {nearest(name, known)}")
        found = [result for result in results if self(result)]
        if not found:
            raise TsdistillError(f"where: none of {len(results)} stored runs matches {self.text}")
        return found

    def _either(self) -> Predicate:
        parts = [self._all()]
        while self._take("or"):
            parts.append(self._all())
        return lambda result: any(part(result) for part in parts)

    def _all(self) -> Predicate:
        parts = [self._one()]
        while self._take("and"):
            parts.append(self._one())
        return lambda result: all(part(result) for part in parts)

    def _one(self) -> Predicate:
        if self._take("not"):
            inner = self._one()
            return lambda result: not inner(result)
        if self._take("("):
            inner = self._either()
            if not self._take(")"):
                raise self._wrong("')'")
            return inner
        return self._comparison()

    def _comparison(self) -> Predicate:
        name = self._value("a name").text
        sign = next((s for s in ("=", "==", "!=", "in", *_COMPARED) if self._take(s)), None)
        if sign is None:
            raise self._wrong("=, !=, <, <=, >, >= or in")
        self.names.append(name)
        if sign in _COMPARED:
            return _ordered(name, _COMPARED[sign], self._value("a value").text)
        values = [self._value("a value")]
        while self._take(","):
            values.append(self._value("a value"))
        equal = sign != "!="
        return lambda result: (
            (found := value_of(result, name)) is not _MISSING
            and any(_equal(found, value) for value in values) is equal
        )

    def _take(self, word: str) -> bool:
        if self._at < len(self._tokens) and self._tokens[self._at] == _Token(word):
            self._at += 1
            return True
        return False

    def _value(self, expected: str) -> _Token:
        if self._at == len(self._tokens) or self._tokens[self._at] in _SIGNS:
            raise self._wrong(expected)
        self._at += 1
        return self._tokens[self._at - 1]

    def _wrong(self, expected: str) -> TsdistillError:
        read = " ".join(token.text for token in self._tokens[: self._at])
        place = f"after '{read}'" if read else "at the start"
        return TsdistillError(f"where={self.text}: expected {expected} {place}")


def _tokens(text: str) -> list[_Token]:
    found, at = [], 0
    while text[at:].strip():
        match = _TOKEN.match(text, at)
        if match is None:
            raise TsdistillError(f"where={text}: cannot read '{text[at:].strip()}'; quote text with ' or \"")
        quoted = match["single"] if match["single"] is not None else match["double"]
        found.append(
            _Token(match["sign"] or match["word"]) if quoted is None else _Token(quoted, quoted=True)
        )
        at = match.end()
    return found


def value_of(result: Result, name: str) -> Any:
    """What a result says under a name: identity, setting or metric."""
    if name in IDENTITY:
        return result.get(name, _MISSING)
    if name in result.get("settings", {}):
        return result["settings"][name]
    block, _, key = name.partition(".")
    return (result.get(_BLOCKS[block]) or {}).get(key, _MISSING) if block in _BLOCKS else _MISSING


def names_of(results: Iterable[Result]) -> set[str]:
    """Every name that some result has."""
    names = set(IDENTITY)
    for result in results:
        names.update(result.get("settings", {}))
        names.update(f"{new}.{key}" for new, old in _BLOCKS.items() for key in (result.get(old) or {}))
    return names


def _ordered(name: str, compare: Callable[[Any, Any], bool], text: str) -> Predicate:
    number = _number(text)
    if number is None:
        raise TsdistillError(f"where: {name} can be compared by size with numbers only, not with '{text}'")

    def matches(result: Result) -> bool:
        found = value_of(result, name)
        return isinstance(found, int | float) and not isinstance(found, bool) and compare(found, number)

    return matches


def _equal(found: Any, value: _Token) -> bool:
    text = value.text
    if isinstance(found, list | tuple):
        return any(_equal(each, value) for each in found)
    if isinstance(found, float) and found != found:  # an undefined metric, null on disk
        found = None
    if isinstance(found, bool) or found is None:
        return text in _CONSTANTS and found is _CONSTANTS[text]
    if isinstance(found, int | float):
        return found == _number(text)
    return str(found) == text if value.quoted else fnmatch.fnmatchcase(str(found), text)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None

"""Digests of the source code behind a number, so that a cache key changes with the code that matters."""

import ast
import hashlib
import json
import os
import re
import secrets
import site
import sys
import sysconfig
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import lru_cache
from importlib import import_module
from importlib.abc import MetaPathFinder
from importlib.machinery import SOURCE_SUFFIXES, ModuleSpec, PathFinder
from importlib.util import resolve_name, spec_from_file_location
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from tsdistill.errors import TsdistillError, nearest

FORMAT = 1
"""Raised when what a digest covers, or what is kept of a module, changes."""

MOST_KEPT = 2000
"""Entries of ``code.json``; the oldest go first."""

INSTALLED = frozenset({"site-packages", "dist-packages"})
PACKAGE = __name__.partition(".")[0]


class _Import(NamedTuple):
    """An import statement as it is written, so that it holds whatever the module is called."""

    level: int
    module: str
    names: tuple[str, ...]


class _Facts(NamedTuple):
    """What a source says, whatever the name of its module."""

    digest: str
    imports: tuple[_Import, ...]
    neutral: bool


# --- the sources of imported modules ---

_imported: dict[str, bytes] = {}
"""Sources by full name; they hold only while the module is in ``sys.modules``."""


class _Watch(MetaPathFinder):
    """Finds what ``PathFinder`` finds, and keeps the source of it."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        spec = PathFinder.find_spec(fullname, path, target)
        # A name that is imported already is merely looked up, unless a target says that it is reloaded.
        if spec is not None and (target is not None or fullname not in sys.modules) and _is_own(spec):
            source = _read(spec)
            if source is not None:
                _imported[fullname] = source
        return spec


def watch_imports() -> None:
    """Remember the source of each module as it is imported.

    A module that is edited while the program runs keeps the digest of what runs. Calling this again does
    nothing.
    """
    if any(isinstance(finder, _Watch) for finder in sys.meta_path):
        return
    # Not at the front: other finders, such as pytest's, must still see a module first.
    place = next((i for i, finder in enumerate(sys.meta_path) if finder is PathFinder), len(sys.meta_path))
    sys.meta_path.insert(place, _Watch())


def _source(name: str, spec: ModuleSpec) -> bytes | None:
    """Source of a module as imported, or as on disk where it is not imported; None if it has none."""
    if name not in sys.modules:
        return _read(spec)
    if name not in _imported:
        source = _read(spec)
        if source is None:
            return None
        _imported[name] = source
    return _imported[name]


def _read(spec: ModuleSpec) -> bytes | None:
    """Read the file of a spec; None if it is not Python source or can't be read."""
    if not spec.has_location or not str(spec.origin).endswith(tuple(SOURCE_SUFFIXES)):
        return None
    origin = str(spec.origin)
    load = getattr(spec.loader, "get_data", None)  # also reads from within a zip file
    try:
        return bytes(load(origin)) if load is not None else Path(origin).read_bytes()
    except OSError:
        return None


# --- which modules are ours, and where they are ---


def _is_own(spec: ModuleSpec) -> bool:
    """Whether a module belongs to this package or to the user, rather than to what is installed."""
    if spec.name.partition(".")[0] == PACKAGE:
        return True
    if not spec.has_location:  # built in, frozen, or a namespace
        return False
    folder = str(spec.origin).rpartition(os.sep)[0]
    return not _is_installed(folder, tuple(sys.path))


@lru_cache(maxsize=8192)
def _is_installed(folder: str, search_path: tuple[str, ...]) -> bool:
    """Whether a folder lies in the standard library or among installed packages."""
    installed = _installed_folders(search_path)
    real = Path(folder).resolve()
    if any(real.is_relative_to(each) for each in installed):
        return True
    # A link among the installed packages may lead to another store of such, or to someone's working copy.
    linked = any(Path(folder).is_relative_to(each) for each in installed)
    return linked and not INSTALLED.isdisjoint(real.parts)


@lru_cache(maxsize=8)
def _installed_folders(search_path: tuple[str, ...]) -> frozenset[Path]:
    """Folders of the standard library and of installed packages, as written and with links followed."""
    paths = sysconfig.get_paths()
    standard = [Path(paths["stdlib"]), Path(paths["platstdlib"])]
    zipped = f"python{sys.version_info.major}{sys.version_info.minor}.zip"
    standard += [each.with_name(zipped) for each in standard]
    sites = [paths["purelib"], paths["platlib"], *site.getsitepackages(), site.getusersitepackages()]
    # On Windows the whole prefix counts as a site folder, and a project may lie below it.
    packages = [Path(each) for each in (*sites, *search_path) if Path(each).name in INSTALLED]
    return frozenset(form for each in (*standard, *packages) for form in (each, each.resolve()))


class _Modules:
    """Where modules are, for one walk over them; nothing is imported."""

    def __init__(self) -> None:
        self._specs: dict[str, ModuleSpec | None] = {}

    def spec(self, name: str) -> ModuleSpec | None:
        """Find a module by its full name; None if there is no such module."""
        if name not in self._specs:
            self._specs[name] = self._find(name)
        return self._specs[name]

    def _find(self, name: str) -> ModuleSpec | None:
        if name == "__main__":
            return None  # it is another module each time, and often one that has a name as well
        if name in sys.modules:
            return _spec_of(name)
        parent = name.rpartition(".")[0]
        if not parent:
            return _search(name, None)
        above = self.spec(parent)
        # An installed package may be large, and nothing in it is ours: don't look for its files.
        if above is None or (above.has_location and not _is_own(above)):
            return None
        # An imported package may have changed its path.
        package = sys.modules.get(parent)
        folders = list(getattr(package, "__path__", None) or above.submodule_search_locations or ())
        return (_search(name, folders) or _namespace(name, folders)) if folders else None


def _namespace(name: str, folders: list[str]) -> ModuleSpec | None:
    """Spec of a folder without ``__init__``; the import system makes none before its parent is imported."""
    places = [Path(each) / name.rpartition(".")[2] for each in folders]
    found = [str(place) for place in places if place.is_dir()]
    spec = ModuleSpec(name, None, is_package=True)
    spec.submodule_search_locations = found
    return spec if found else None


def _spec_of(name: str) -> ModuleSpec | None:
    """Spec of an imported module; made from its file where it was loaded without one."""
    module = sys.modules[name]
    spec, file = getattr(module, "__spec__", None), getattr(module, "__file__", None)
    if isinstance(spec, ModuleSpec):
        return spec
    return spec_from_file_location(name, file) if isinstance(file, str) else None


def _search(name: str, folders: list[str] | None) -> ModuleSpec | None:
    """Ask the import system for a module; ``importlib.util.find_spec`` would import its parents."""
    for finder in sys.meta_path:
        if isinstance(finder, _Watch):
            continue  # it would take this for an import
        try:
            spec = finder.find_spec(name, folders)
        except Exception:  # a finder of someone else's may fail in any way
            return None
        if spec is not None:
            return spec
    return None


# --- what a source says ---


def _examine(source: bytes) -> _Facts:
    """Parse a source."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # the import has shown them
            tree = ast.parse(source)
        neutral = any(_declares_neutral(statement) for statement in tree.body)
        imports = tuple(dict.fromkeys(_imports(tree.body)))
        _strip(tree.body, filler=[])
        text = ast.unparse(tree).encode(errors="surrogatepass")
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # the last two: nested too deeply
        return _Facts(hashlib.sha256(source).hexdigest()[:16], (), False)
    return _Facts(hashlib.sha256(text).hexdigest()[:16], imports, neutral)


def _declares_neutral(statement: ast.stmt) -> bool:
    """Whether a statement is ``__neutral__ = "reason"``."""
    if isinstance(statement, ast.Assign):
        names = statement.targets
    elif isinstance(statement, ast.AnnAssign):
        names = [statement.target]
    else:
        return False
    named = any(isinstance(name, ast.Name) and name.id == "__neutral__" for name in names)
    reason = statement.value
    return named and isinstance(reason, ast.Constant) and isinstance(reason.value, str) and bool(reason.value)


def _blocks(statement: ast.stmt) -> Iterator[list[ast.stmt]]:
    """Lists of statements directly within a statement."""
    for field in ("body", "orelse", "finalbody"):
        block = getattr(statement, field, None)
        if block:
            yield block
    for field in ("handlers", "cases"):
        for part in getattr(statement, field, ()):
            yield part.body


def _imports(block: list[ast.stmt]) -> Iterator[_Import]:
    """Import statements in a block and within its statements, but for those that only type checkers see."""
    for statement in block:
        if isinstance(statement, ast.Import):
            yield from (_Import(0, alias.name, ()) for alias in statement.names)
        elif isinstance(statement, ast.ImportFrom):
            names = tuple(alias.name for alias in statement.names if alias.name != "*")
            yield _Import(statement.level, statement.module or "", names)
        elif isinstance(statement, ast.If) and _is_type_checking(statement.test):
            yield from _imports(statement.orelse)
        elif (
            isinstance(statement, ast.If)
            and isinstance(statement.test, ast.UnaryOp)
            and isinstance(statement.test.op, ast.Not)
            and _is_type_checking(statement.test.operand)
        ):
            yield from _imports(statement.body)
        else:
            for inner in _blocks(statement):
                yield from _imports(inner)


def _is_type_checking(test: ast.expr) -> bool:
    """Whether a condition is ``TYPE_CHECKING`` or ``typing.TYPE_CHECKING``."""
    name = test.attr if isinstance(test, ast.Attribute) else test.id if isinstance(test, ast.Name) else None
    return name == "TYPE_CHECKING"


def _strip(block: list[ast.stmt], filler: list[ast.stmt]) -> None:
    """Take out docstrings and other bare strings, in place; an emptied block gets the filler."""
    block[:] = [each for each in block if not _is_bare_string(each)] or filler
    for statement in block:
        for inner in _blocks(statement):
            _strip(inner, filler=[ast.Pass()])


def _is_bare_string(statement: ast.stmt) -> bool:
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )


# --- what is remembered of sources ---


class _Memory:
    """Facts by source, in this process and, in a folder, for later ones."""

    def __init__(self) -> None:
        self._by_source: dict[bytes, _Facts] = {}
        self._by_key: dict[str, _Facts] = {}
        self._file: Path | None = None
        self._stored: dict[str, _Facts] | None = None
        self._unsaved = False

    def keep_in(self, folder: Path) -> None:
        """Read and write ``code.json`` there from now on."""
        self._file = folder / "code.json"
        self._stored = None
        self._unsaved = bool(self._by_key)

    def facts(self, source: bytes) -> _Facts:
        """Facts of a source, parsed only where nothing is remembered of it."""
        found = self._by_source.get(source)
        if found is not None:
            return found
        version = f"{sys.version_info.major}.{sys.version_info.minor}"  # ast.unparse differs between them
        key = f"{hashlib.sha256(source).hexdigest()}-{FORMAT}-{version}"
        if self._stored is None:
            self._stored = self._load()
        found = self._stored.get(key)
        if found is None:
            found = _examine(source)
            self._unsaved = True
        self._by_source[source] = self._by_key[key] = found
        return found

    def save(self) -> None:
        """Write what is new; it is only a cache, so failing to write it is ignored."""
        if not self._unsaved or self._file is None:
            return
        self._unsaved = False
        stored = self._load()  # another process may have written meanwhile
        new = {key: facts for key, facts in self._by_key.items() if key not in stored}
        if not new:
            return
        kept = dict(list({**stored, **new}.items())[-MOST_KEPT:])
        with suppress(OSError):
            self._file.parent.mkdir(parents=True, exist_ok=True)
            scratch = self._file.with_name(f".code-{secrets.token_hex(8)}")
            try:
                with scratch.open("x", encoding="utf-8") as file:  # its mode follows the umask
                    json.dump({"facts": kept, "sha256": _checksum(kept)}, file, separators=(",", ":"))
                scratch.replace(self._file)
            finally:
                scratch.unlink(missing_ok=True)

    def _load(self) -> dict[str, _Facts]:
        """Read the file, but for entries that are not what they should be."""
        if self._file is None:
            return {}
        try:
            whole = json.loads(self._file.read_bytes())
        except (OSError, ValueError, RecursionError):
            return {}
        kept = whole.get("facts") if isinstance(whole, dict) else None
        if not isinstance(kept, dict) or whole.get("sha256") != _checksum(kept):
            return {}
        read = {key: _facts_from(entry) for key, entry in kept.items()}
        return {key: facts for key, facts in read.items() if facts is not None}


def _checksum(kept: Mapping[str, Any]) -> str:
    """A changed digit in a digest would give every run another key."""
    return hashlib.sha256(json.dumps(kept, sort_keys=True).encode()).hexdigest()


def _facts_from(entry: object) -> _Facts | None:
    """Facts from their JSON; None if it is not such."""
    match entry:
        case [str(digest), list(imports), bool(neutral)] if re.fullmatch("[0-9a-f]{16}", digest):
            read = [_import_from(each) for each in imports]
            valid = tuple(each for each in read if each is not None)
            return _Facts(digest, valid, neutral) if len(valid) == len(read) else None
    return None


def _import_from(entry: object) -> _Import | None:
    """An import from its JSON; None if it is not such."""
    match entry:
        case [int(level), str(module), list(names)] if all(isinstance(name, str) for name in names):
            return _Import(level, module, tuple(names)) if level >= 0 else None
    return None


_memory = _Memory()


def remember_in(folder: Path) -> None:
    """Keep what is known of sources in a folder, so that another process need not parse them.

    Args:
        folder: holds ``code.json``; made when there is something to keep. A file that is broken or can't be
            written is ignored.
    """
    _memory.keep_in(folder)


# --- the walk ---


def code_behind(targets: Iterable[str]) -> dict[str, str]:
    """Digest every module of ours that is reachable from targets through imports.

    Followed are the modules of ``tsdistill``, and others whose source lies outside the standard library and
    the installed packages. Imports are read from the source, wherever in it they stand, but for those under
    ``if TYPE_CHECKING``; the packages of a module count as well, and the base classes of a class that is a
    target. A module with ``__neutral__ = "reason"`` says that it can't move a number: it is left out, and so
    is what only it imports. Comments, docstrings and formatting don't count.

    Args:
        targets: dotted paths of modules, or of classes and functions in them; these modules are imported.

    Returns:
        16 hex digits by module, sorted by name.

    Raises:
        TsdistillError: a target can't be imported, or a module has no source to digest.
    """
    modules = _Modules()
    ahead = [name for target in targets for name in _modules_of(target, modules)]
    seen: set[str] = set()
    found: dict[str, str] = {}
    while ahead:
        name = ahead.pop()
        if name in seen:
            continue
        seen.add(name)
        spec = modules.spec(name)
        if spec is not None and spec.has_location and not _is_own(spec):
            continue
        parent = name.rpartition(".")[0]
        if parent:
            ahead.append(parent)
        if spec is None or not spec.has_location:
            continue  # something in a module that is no module itself, or a folder without a source
        source = _source(name, spec)
        if source is None:
            raise _no_source(name)
        facts = _memory.facts(source)
        if facts.neutral:
            continue
        found[name] = facts.digest
        ahead += _names(facts.imports, spec.parent)
    _memory.save()
    return dict(sorted(found.items()))


def code_digest(found: Mapping[str, str]) -> str:
    """Hash what ``code_behind`` found.

    Args:
        found: digests by module; their order does not matter.

    Returns:
        16 hex digits.
    """
    text = json.dumps(dict(found), sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _names(imports: Iterable[_Import], package: str | None) -> Iterator[str]:
    """Full names of what may be modules in the imports of a module in a package."""
    for level, module, names in imports:
        base = module
        if level:
            try:
                base = resolve_name("." * level + module, package or "")
            except ImportError:
                continue  # it would fail when it ran, too
        yield base
        yield from (f"{base}.{name}" for name in names)


def _modules_of(target: str, modules: _Modules) -> list[str]:
    """Import a target, and name the modules that define it."""
    first, *rest = target.split(".")
    module, name = _import_target(first, target), first
    while rest:
        inner = f"{name}.{rest[0]}"
        # A function may be called like a file beside it that was never meant to be imported.
        if inner not in sys.modules and hasattr(module, rest[0]):
            break
        try:
            module, name = _import_target(inner, target), inner
        except ModuleNotFoundError:
            break
        rest = rest[1:]
    found: Any = module
    for part in rest:
        if not hasattr(found, part):
            near = nearest(part, (key for key in dir(found) if not key.startswith("_")))
            advice = "; ".join(filter(None, (near, "is its folder on PYTHONPATH?")))
            raise TsdistillError(f"{target}: {name} has no '{part}'; {advice}")
        found, name = getattr(found, part), f"{name}.{part}"
    family: Iterable[object] = found.__mro__ if isinstance(found, type) else (found,)
    defining = [getattr(member, "__module__", None) for member in family]
    if isinstance(found, ModuleType):
        defining = [found.__name__]
    if not rest and "." in name:
        # A module may be hidden in its package by what is called the same; mean both.
        shown = getattr(sys.modules.get(name.rpartition(".")[0]), name.rpartition(".")[2], None)
        defining.append(getattr(shown, "__module__", None))
    names = [module.__name__, *(each for each in defining if isinstance(each, str))]
    for each in names:
        if _is_sourceless(each, modules):
            raise _no_source(each, target)
    return names


def _import_target(name: str, target: str) -> ModuleType:
    """Import a module of a target.

    Raises:
        ModuleNotFoundError: there is no such module in its package.
        TsdistillError: there is no such package, or the module fails.
    """
    try:
        return import_module(name)
    except Exception as error:  # a user's own module may fail in any way
        missing = isinstance(error, ModuleNotFoundError)
        if missing and "." in name and getattr(error, "name", None) == name:
            raise
        advice = "; is its folder on PYTHONPATH?" if missing else ""
        told = " ".join(f"{type(error).__name__}: {error}".split())
        raise TsdistillError(f"{target}: cannot import {name} ({told}){advice}") from error


def _is_sourceless(name: str, modules: _Modules) -> bool:
    """Whether a module lives in this process only; modules of installed packages don't count."""
    if name == "__main__":
        return True
    if name not in sys.modules:
        return False
    spec = modules.spec(name)
    if spec is not None and (
        spec.has_location
        or spec.origin in ("built-in", "frozen")
        or spec.submodule_search_locations is not None
    ):
        return False
    top = modules.spec(name.partition(".")[0])
    return top is None or not top.has_location or _is_own(top)


def _no_source(name: str, target: str | None = None) -> TsdistillError:
    what = f"{target}: {name}" if target else name
    return TsdistillError(f"{what} has no Python source file to digest: put it into a module of its own")

"""Settings of a method that a command gives and nothing reads, such as a misspelt ``+method.lamda=1``."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from omegaconf import DictConfig, OmegaConf

from tsdistill.config.resolve import UNSET
from tsdistill.errors import nearest

__neutral__ = "it warns"

APART = (*UNSET, "added")
"""Keys of a method that are read by name."""
_ABSOLUTE = re.compile(r"\bmethod(?:\.|\[)([\w-]+)")
_RELATIVE = re.compile(r"[{:,]\s*\.+([\w-]+)")


def unread(words: Iterable[str], confs: Sequence[DictConfig]) -> list[str]:
    """Say which overrides set what none of a command's methods reads.

    One that some of a sweep's methods read is in order: ``-m method=none,tsd +method.lam=0.1,1``. That is why
    this is a warning about words, and not a check of configs.

    Args:
        words: the command's overrides.
        confs: a composed config for each method.

    Returns:
        A line for each such override, with the nearest setting that is read.
    """
    read = {name for conf in confs for name in _read(conf)}
    who = f"method {confs[0].method.name} reads" if len(confs) == 1 else "no method of this sweep reads"
    lines = []
    for word in filter(sets_method, words):
        key = _name(word).split(".")[1]
        if key not in (*APART, *read):
            told = "no such setting" if len(confs) == 1 else "it"
            near = nearest(key, read & {str(each) for conf in confs for each in conf.method})
            lines.append(f"{word} has no effect: {who} {told}" + (f"; {near}" if near else ""))
    return lines


def sets_method(word: str) -> bool:
    """Whether an override sets something of the method, rather than choosing or removing it."""
    return _name(word).startswith("method.")


def _name(word: str) -> str:
    return word.partition("=")[0].lstrip("+")


def _read(conf: DictConfig) -> Iterator[str]:
    """Keys of a method that some interpolation refers to, from its own node or elsewhere."""
    for name in map(str, conf):
        if name == "hydra" or OmegaConf.is_missing(conf, name):
            continue
        node = conf._get_node(name)
        plain = OmegaConf.to_container(node, resolve=False) if OmegaConf.is_config(node) else node._value()  # type: ignore[union-attr]
        for text in _texts(plain):
            yield from _ABSOLUTE.findall(text)
            yield from _RELATIVE.findall(text) if name == "method" else ()


def _texts(node: Any) -> Iterator[str]:
    """All values in which something is referred to."""
    if isinstance(node, Mapping):
        for value in node.values():
            yield from _texts(value)
    elif isinstance(node, list):
        for value in node:
            yield from _texts(value)
    elif isinstance(node, str) and "${" in node:
        yield node

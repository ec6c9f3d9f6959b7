"""Every word that a command takes: its groups with their choices, and its settings with theirs."""

from collections.abc import Iterator
from enum import Enum
from typing import Any

from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.types import RunMode
from omegaconf import BooleanNode, DictConfig, EnumNode, Node

from tsdistill.config.flags import MULTIRUN, SWEEPABLE
from tsdistill.config.resolve import conf_folder
from tsdistill.config.schema import COMMANDS, register

FLAGS = (*MULTIRUN, "--cfg", "--config-dir", "--help", "--info", "--resolve")
"""Hydra's flags that users need."""
RESTRICTED = {"method": "method", "teacher": "teacher", "student": "student", "dataset": None}
"""Names by which commands restrict what they read, and the group whose choices they are."""
ASKING = {"status": "distill"}
"""Commands that take the words of another."""
ASKED_ABOUT = {"status": ("train-teacher",)}
"""Commands whose sweeps such a command is asked about by their names."""


def words_by_command() -> dict[str, list[str]]:
    """Words of each command, in the order in which to offer them; a name that wants a value ends in ``=``."""
    register()
    with initialize_config_dir(str(conf_folder()), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        found = {}
        for command in COMMANDS:
            config = loader.load_configuration(ASKING.get(command, command), [], RunMode.RUN)
            asked = ASKED_ABOUT.get(command, ())
            flags = FLAGS if command in SWEEPABLE else [flag for flag in FLAGS if flag not in MULTIRUN]
            words = [*asked, *_groups(loader, config), *_settings(config), *flags]
            found[command] = list(dict.fromkeys(words))
    return found


def _groups(loader: Any, config: DictConfig) -> Iterator[str]:
    """``group=choice`` of each group that a command composes, or by which it restricts what it reads."""
    groups = {name: name.partition("@")[0] for name in config.hydra.runtime.choices}
    if "only" in config:
        groups |= {name: group or "" for name, group in RESTRICTED.items()}
    for name, group in groups.items():
        if name.startswith("hydra/"):
            continue
        options = loader.get_group_options(group) if group else []
        yield from (f"{name}={option}" for option in options)
        if not options:
            yield f"{name}="


def _settings(config: DictConfig) -> Iterator[str]:
    """``name=`` of each setting, and ``name=value`` where there are few values."""
    for name in config:
        if name not in ("hydra", "only"):
            yield from _leaves(config._get_node(name), str(name))


def _leaves(node: Any, path: str) -> Iterator[str]:
    if isinstance(node, DictConfig) and not (node._is_none() or node._is_missing()):
        for name in map(str, node):
            yield from _leaves(node._get_node(name), f"{path}.{name}")
    elif isinstance(node, EnumNode):
        kind: type[Enum] = node.enum_type
        yield from (f"{path}={member.name}" for member in kind)
    elif isinstance(node, BooleanNode):
        yield from (f"{path}={value}" for value in ("true", "false"))
    elif isinstance(node, Node):
        yield f"{path}="

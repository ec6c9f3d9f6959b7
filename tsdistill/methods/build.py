"""From a method's config to its stages."""

from collections.abc import Mapping
from typing import Any

from tsdistill.config.targets import check_target, locate, shown
from tsdistill.errors import TsdistillError, nearest
from tsdistill.methods.base import LossTerm
from tsdistill.methods.stage import Stage

_STAGE_KEYS = ("terms", "weights", "monitor", "epochs")


def build_stages(method: Mapping[str, Any]) -> list[Stage]:
    """Build a method's stages, in the order of its config.

    A term of weight 0 is left out, so that it costs nothing.

    Args:
        method: the resolved node ``method``: ``name`` and ``stages``, each with ``terms``, ``weights`` and,
            optionally, ``monitor`` and ``epochs``.

    Returns:
        At least one stage.

    Raises:
        TsdistillError: unknown keys, weights without a term or terms that their class refuses.
    """
    stages = method.get("stages") or {}
    if not stages:
        raise TsdistillError(f"method {method.get('name')}: it has no stages; see conf/method/tsd.yaml")
    return [_build_stage(name, node) for name, node in stages.items()]


def _build_stage(name: str, node: Mapping[str, Any]) -> Stage:
    path = f"method.stages.{name}"
    for key in node:
        if key not in _STAGE_KEYS:
            raise TsdistillError(
                f"{path}.{key}: a stage has no such setting; {nearest(str(key), _STAGE_KEYS)}"
            )
    terms, weights = node.get("terms") or {}, node.get("weights") or {}
    for key in (*weights, *terms):
        if key not in terms or key not in weights:
            where, other = ("terms", terms) if key not in terms else ("weights", weights)
            raise TsdistillError(f"{path}.{where} has no '{key}'; {nearest(key, other)}")
    for key, weight in weights.items():
        if isinstance(weight, bool) or not isinstance(weight, int | float) or weight < 0:
            raise TsdistillError(f"{path}.weights.{key}={shown(weight)} should be a number, 0 or more")
    if not any(weights.values()):
        raise TsdistillError(f"{path}.weights: all are 0, so there is nothing to train; give one a weight")
    built = {key: _build_term(term, f"{path}.terms.{key}") for key, term in terms.items() if weights[key]}
    return Stage(
        name, built, {key: float(weights[key]) for key in built}, node.get("monitor"), node.get("epochs")
    )


def _build_term(node: Mapping[str, Any], path: str) -> LossTerm:
    check_target(node, path)
    found = locate(node["_target_"], path)
    try:
        term = found(**{key: value for key, value in node.items() if key != "_target_"})
    except Exception as error:  # whatever a user's constructor may raise
        raise TsdistillError(f"{path}: {str(error) or type(error).__name__}") from error
    if not isinstance(term, LossTerm):
        raise TsdistillError(f"{path}._target_={node['_target_']} is not a tsdistill.methods.base.LossTerm")
    return term

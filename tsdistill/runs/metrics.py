"""Recompute the metrics of stored logits when their code has changed, without training."""

from typing import Any

from tsdistill.config.code import code_behind, code_digest
from tsdistill.evaluation.performance import performance
from tsdistill.evaluation.substitution import substitution
from tsdistill.runs.spec import METRIC_CODE
from tsdistill.store.records import RunRecord


def metric_code() -> str:
    """Digest of the code that turns logits into metrics."""
    return code_digest(code_behind(METRIC_CODE))


def measured_anew(record: RunRecord) -> dict[str, Any]:
    """A record's result with performance and substitution computed from its stored logits."""
    result, logits = dict(record.result), {name: tensor.numpy() for name, tensor in record.logits.items()}
    for part in ("validation", "test"):
        if result[part] is not None:
            result[part] = {**result[part], **performance(logits[part], logits[f"y_{part}"])}
    found = substitution(logits["test"], logits["teacher_test"], logits["y_test"])
    return {**result, "test": {**result["test"], **found}, "metric_code": metric_code()}

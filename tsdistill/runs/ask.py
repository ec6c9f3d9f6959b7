"""``tsdistill ask``: writes every series that a teacher elsewhere has to answer."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from omegaconf import DictConfig, OmegaConf
from torch import Tensor, nn

from tsdistill.config.resolve import check_composed
from tsdistill.config.schema import AskConf
from tsdistill.console import say
from tsdistill.errors import TsdistillError
from tsdistill.runs.session import Job, predict, prepare
from tsdistill.runs.teaching import drawn_pool
from tsdistill.saliency.draws import References
from tsdistill.saliency.pools import PoolPlan, pool_logits
from tsdistill.store.artefact import staged
from tsdistill.store.formats import to_json
from tsdistill.teachers.answers import INDEX, QUESTIONS, TABLE, name_of


class Questions(nn.Module):
    """A teacher that writes down what it is asked: each series once."""

    def __init__(self) -> None:
        super().__init__()
        self.part = ""
        self.x: list[NDArray[np.float32]] = []
        self.lengths: list[int | None] = []
        self.parts: list[str] = []
        self._known: set[bytes] = set()

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Note the series (B, C, T); the answer (B, 1) means nothing."""
        known = [None] * len(x) if lengths is None else lengths.tolist()
        for one, length in zip(x.cpu().numpy(), known, strict=True):
            name = name_of(one, length)
            if name not in self._known:
                self._known.add(name)
                self.x.append(one.copy())
                self.lengths.append(length)
                self.parts.append(self.part)
        return x.new_zeros(len(x), 1)


def ask(composed: DictConfig) -> None:
    """Write the series of every part and of the pool, and an index.

    Raises:
        TsdistillError: the folder is there already, or a setting that no run could work with.
    """
    check_composed(composed)
    conf: AskConf = OmegaConf.to_object(composed)  # type: ignore[assignment]
    folder = Path(conf.to)
    if folder.exists():
        raise TsdistillError(f"to={folder} is there already, perhaps with answers; name another folder")
    job = prepare(conf)
    questions = _asked(job)
    counts = {part: questions.parts.count(part) for part in dict.fromkeys(questions.parts)}
    index = {
        "dataset": job.dataset.name,
        "classes": list(job.dataset.classes),
        "channels": job.dataset.channels,
        "length": job.dataset.length,
        "questions": counts,
        "split": OmegaConf.to_container(composed.split),
        "saliency": OmegaConf.to_container(composed.saliency, enum_to_str=True),
        "data": job.dataset.fingerprint,
    }
    with staged(folder) as new:
        _write(new, questions)
        (new / INDEX).write_text(to_json(index), encoding="utf-8")
    told = ", ".join(f"{count:,} {part}" for part, count in counts.items())
    say(
        f"{job.dataset.name}: {len(questions.x):,} series ({told}) in {folder}; write their answers to "
        f"{folder / 'answers.csv'} with the header id,{','.join(job.dataset.classes)}, then distil with "
        f"teacher=answers teacher.path={folder / 'answers.csv'}"
    )


def _asked(job: Job) -> Questions:
    """What a teacher of this job is asked, in order."""
    questions = Questions()
    for part, tensors in job.parts.items():
        questions.part = part
        predict(questions, tensors, job)
    train = job.parts["train"]
    plan = PoolPlan.of(job.conf.saliency, train, job.dataset.channels)
    questions.part = "pool"
    references = References(train.x, train.y, train.lengths)
    pool_logits(questions, train, drawn_pool(job, plan), references, plan.window)
    return questions


def _write(folder: Path, questions: Questions) -> None:
    x = np.stack(questions.x)
    lengths = [length for length in questions.lengths if length is not None]
    ids, parts = np.arange(len(x)), np.array(questions.parts)
    np.savez_compressed(
        folder / QUESTIONS, x=x, id=ids, part=parts, lengths=np.array(lengths, dtype=np.int64)
    )
    C, T = x.shape[1:]
    values = ",".join(f"c{c}t{t}" for c in range(C) for t in range(T))
    with (folder / TABLE).open("w", encoding="utf-8") as file:
        file.write(f"id,part,length,{values}\n")
        for number, one in enumerate(x):
            length = questions.lengths[number]
            row = ",".join(str(value) for value in one.ravel())
            file.write(f"{number},{parts[number]},{T if length is None else length},{row}\n")

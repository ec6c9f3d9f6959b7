"""What makes two runs one: in a copy of the package whose code is edited between commands."""

import shutil
from pathlib import Path

import in_process
import pytest

import tsdistill
from tsdistill.config.resolve import conf_folder
from tsdistill.runs.why import differences

TINY = (
    *("dataset.name=UnitTest", "teacher=fcn_8", "student=lstm_8", "hardware=cpu"),
    # The copied kernel would have to be compiled once more.
    *("training.epochs=2", "teacher.training.epochs=2", "method=kd", "hardware.kernel=torch"),
)


class Checkout:
    """A copy of package and configs, run in processes of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        ignored = shutil.ignore_patterns("__pycache__", "conf")
        shutil.copytree(Path(tsdistill.__file__).parent, folder / "tsdistill", ignore=ignored)
        shutil.copytree(conf_folder(), folder / "conf")

    def edit(self, file: str, old: str, new: str) -> None:
        path = self.folder / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    def distill(self, *words: str) -> str:
        said = self.folder / "said.txt"
        status = in_process.run(
            self.folder, ["distill", *TINY, *words, f"out={self.folder / 'out'}"], {}, said
        )
        assert status == 0, said.read_text()
        return said.read_text()


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    made = Checkout(tmp_path_factory.mktemp("checkout"))
    made.distill()
    return made


def test_an_edit_trains_what_it_can_change_and_nothing_else(checkout: Checkout) -> None:
    assert "already there" in checkout.distill("method.tau=4.0")
    checkout.edit(
        "tsdistill/methods/kd.py", "    return tau**2 *", "    # how Hinton has it\n    return tau**2 *"
    )
    checkout.edit("tsdistill/methods/kd.py", '"""Tau^2 KL', '"""Softened: tau^2 KL')
    assert "already there" in checkout.distill("method.tau=4")
    # Another method's loss, another family, the report: nothing of this run.
    checkout.edit(
        "tsdistill/methods/tsd.py",
        "return saliency_loss(student / divisor",
        "return 2 * saliency_loss(student / divisor",
    )
    checkout.edit("tsdistill/models/inception.py", "import torch\n", "import torch\n\nUNUSED = 1\n")
    checkout.edit(
        "tsdistill/report/tables.py",
        '"""',
        '"""',
    )
    assert "already there" in checkout.distill()
    checkout.edit("tsdistill/methods/kd.py", "    return tau**2 *", "    return 2 * tau**2 *")
    told = checkout.distill("why=true")
    assert "the code of tsdistill.methods.kd was edited" in told and "2 epochs" not in told
    told = checkout.distill()
    assert "already there" not in told and "teacher fcn_8 seed 0: trained" not in told
    checkout.edit("tsdistill/models/convolution.py", "import torch\n", "import torch\n\nCHANGED = 1\n")
    assert "teacher fcn_8 seed 0: trained" in checkout.distill()


def test_an_edited_metric_measures_stored_logits_anew_and_trains_nothing(checkout: Checkout) -> None:
    words = ("seed=7",)
    checkout.distill(*words)
    checkout.edit(
        "tsdistill/evaluation/performance.py", "import numpy as np\n", "import numpy as np\n\nNEW = 1\n"
    )
    told = checkout.distill(*words)
    assert "measured anew" in told and "already there" in told
    assert "measured anew" not in checkout.distill(*words)


def test_a_helper_that_a_users_model_imports_counts(checkout: Checkout) -> None:
    (checkout.folder / "widths.py").write_text("def width():\n    return 4\n")
    (checkout.folder / "mynet.py").write_text(
        "import torch\n\n\nclass Net(torch.nn.Module):\n"
        "    def __init__(self, in_channels, n_classes):\n"
        "        from widths import width\n\n"
        "        super().__init__()\n"
        "        self.body = torch.nn.Linear(in_channels, width())\n"
        "        self.head = torch.nn.Linear(width(), n_classes)\n\n"
        "    def forward(self, x):\n"
        "        return self.head(torch.relu(self.body(x.mean(-1))))\n"
    )
    words = ("student=custom", "student.model._target_=mynet.Net")
    checkout.distill(*words)
    assert "already there" in checkout.distill(*words)
    checkout.edit("widths.py", "return 4", "return 5")
    assert "already there" not in checkout.distill(*words)


def test_the_plain_student_is_trained_once_for_all_teachers(checkout: Checkout) -> None:
    assert "already there" not in checkout.distill("method=none")
    told = checkout.distill("method=none", "teacher=gru_8")
    assert "teacher gru_8 seed 0: trained" in told and "already there" in told
    assert len(list((checkout.folder / "out/runs/UnitTest").glob("*-*/result.json"))) == 2
    told = checkout.distill("method=none", "teacher=lstm_8", "why=true")
    assert "teacher lstm_8" in told and "is not stored" in told and "it is not trained again" in told


def test_differences_name_facts_and_edited_modules() -> None:
    ours = {"seed": 1, "training": {"lr": 0.1}, "code": {"a": "1", "b": "1"}}
    theirs = {"seed": 1.0, "training": {"lr": 0.2}, "code": {"a": "2", "c": "1"}}
    assert differences(ours, theirs) == [
        "the code of a was edited",
        "the code of b is not used there",
        "the code of c is used there",
        "training.lr: 0.1 here, 0.2 there",
    ]

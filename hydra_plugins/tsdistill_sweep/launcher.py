"""Hydra's door to our launcher; Hydra imports this module whatever is run, so the rest is imported on use."""

from collections.abc import Sequence

from hydra.core.utils import JobReturn
from hydra.plugins import launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class Launcher(launcher.Launcher):
    """Runs the jobs of a sweep side by side on this machine."""

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Take what Hydra hands over."""
        self.context, self.task, self.config = hydra_context, task_function, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run all jobs; their results are in their records, so none is returned."""
        from tsdistill.runs.launch import launch

        launch(self.context, self.task, self.config, job_overrides, initial_job_idx)
        return []

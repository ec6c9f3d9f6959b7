"""What the hardware settings may be; refused before anything is trained."""

from tsdistill.config.schema import HardwareConf
from tsdistill.errors import TsdistillError


def check_hardware(hardware: HardwareConf) -> None:
    """Refuse impossible numbers.

    Raises:
        TsdistillError: names the setting.
    """
    for name in ("threads", "jobs_per_device"):
        if getattr(hardware, name) < 1:
            raise TsdistillError(f"hardware.{name}={getattr(hardware, name)} should be 1 or more")
    if hardware.jobs != "auto" and (not hardware.jobs.isdecimal() or int(hardware.jobs) < 1):
        raise TsdistillError(f"hardware.jobs={hardware.jobs} should be auto, or a number from 1")
    if not hardware.checkpoint_seconds >= 0:
        raise TsdistillError(
            f"hardware.checkpoint_seconds={hardware.checkpoint_seconds:g} should be 0 or more"
        )

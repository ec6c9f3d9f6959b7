"""Archives and files to (N, C, T) arrays: reading, resampling, missing values, scaling."""

from tsdistill.data.load import load_dataset
from tsdistill.data.types import Part, TimeSeriesDataset

__all__ = ["Part", "TimeSeriesDataset", "load_dataset"]

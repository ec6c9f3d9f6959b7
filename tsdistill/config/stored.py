"""What a stored config may build without leave: a table, since a record can come from anyone.

A class stands here if its constructor only builds: it opens no file, starts no process and calls nothing that
it is given.
"""

__neutral__ = "it refuses targets and computes nothing"

READERS = frozenset(
    {
        "tsdistill.data.archive.ArchiveReader",
        "tsdistill.data.long.LongReader",
        "tsdistill.data.npz.NpzReader",
        "tsdistill.data.own.FolderReader",
        "tsdistill.data.planted.PlantedReader",
        "tsdistill.data.wide.WideReader",
    }
)
TEACHERS = frozenset(
    {
        "tsdistill.teachers.answers.AnswersTeacher",
        "tsdistill.teachers.checkpoint.Checkpoint",
        "tsdistill.teachers.ensemble.Ensemble",
        "tsdistill.teachers.estimator.EstimatorTeacher",
        "tsdistill.teachers.network.NetworkTeacher",
    }
)
ESTIMATORS = frozenset(
    {
        "sklearn.ensemble.RandomForestClassifier",
        "sktime.classification.distance_based.KNeighborsTimeSeriesClassifier",
        "sktime.classification.interval_based.DrCIF",
        "sktime.classification.kernel_based.Arsenal",
        "tsdistill.teachers.rocket.RocketRidge",
    }
)
"""Those that ``conf/teacher`` names; any other may call what its arguments name."""
MODELS = frozenset(
    {
        "tsdistill.models.fcn.FCN",
        "tsdistill.models.inception.Inception",
        "tsdistill.models.recurrent.GRU",
        "tsdistill.models.recurrent.LSTM",
        "tsdistill.models.resnet.ResNet",
    }
)
LAYERS = frozenset(
    f"torch.nn.{name}"
    for name in (
        *("AdaptiveAvgPool1d", "AdaptiveMaxPool1d", "AvgPool1d", "MaxPool1d", "ConstantPad1d", "ZeroPad1d"),
        *("BatchNorm1d", "GroupNorm", "InstanceNorm1d", "LayerNorm", "LocalResponseNorm"),
        *("Conv1d", "ConvTranspose1d", "Linear", "Bilinear", "Identity", "Flatten", "Unflatten"),
        *("AlphaDropout", "Dropout", "Dropout1d", "FeatureAlphaDropout"),
        *("CELU", "ELU", "GELU", "GLU", "Hardsigmoid", "Hardswish", "Hardtanh", "LeakyReLU", "LogSigmoid"),
        *("LogSoftmax", "Mish", "PReLU", "ReLU", "ReLU6", "RReLU", "SELU", "SiLU", "Sigmoid", "Softmax"),
        *("Softplus", "Softshrink", "Softsign", "Tanh", "Tanhshrink"),
        *("GRU", "LSTM", "RNN", "MultiheadAttention", "TransformerEncoderLayer"),
    )
)
SCHEDULERS = frozenset(
    f"torch.optim.lr_scheduler.{name}"
    for name in (
        *("ConstantLR", "CosineAnnealingLR", "CosineAnnealingWarmRestarts", "CyclicLR", "ExponentialLR"),
        *("LinearLR", "MultiStepLR", "OneCycleLR", "PolynomialLR", "ReduceLROnPlateau", "StepLR"),
    )
)
KNOWN = READERS | TEACHERS | ESTIMATORS | MODELS | LAYERS | SCHEDULERS
"""Every target that a stored config may name."""

"""Writes the header: settings and weights as constants, then the code that reads them."""

from collections.abc import Iterable
from importlib.resources import files
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tsdistill.data.preprocess import Preprocessing
from tsdistill.deploy.network import (
    Array,
    ConvolutionNetwork,
    RecurrentNetwork,
    Step,
    place_buffers,
    read_network,
)
from tsdistill.deploy.student import Student
from tsdistill.saliency.draws import resolve_window

LENGTHS, GAPS, SCALINGS = (
    {"resample": "TSD_RESAMPLE", "pad": "TSD_PAD", "truncate": "TSD_TRUNCATE"},
    {"interpolate": "TSD_INTERPOLATE", "zero": "TSD_ZERO", "refuse": "TSD_REFUSE"},
    {"none": "TSD_UNSCALED", "per_series": "TSD_PER_SERIES", "per_channel_train": "TSD_PER_CHANNEL"},
)
_LARGEST_INT = 2**31 - 1
_HALF_RANGE = 127


def write_header(student: Student, window: float, *, int8: bool) -> str:
    """Write a student as a C99 header.

    Args:
        student: one of the five families.
        window: width of the windows of ``tsd_saliency``, in steps or as a fraction of the shortest reference.
        int8: hold weights as whole numbers of 8 bits, with a scale for each row.

    Returns:
        The text.

    Raises:
        TsdistillError: another model, or a window that does not fit.
    """
    network = read_network(student.model)
    lines = [*_top(student), *_settings(student, network, window, int8), "", *_preparation(student)]
    body = _recurrent if isinstance(network, RecurrentNetwork) else _convolution
    lines += [*body(network, int8), *_head(network, int8), *_references(student)]  # type: ignore[arg-type]
    kind = "recurrent" if isinstance(network, RecurrentNetwork) else "convolution"
    parts = [_template(name) for name in ("prepare", kind, "answers")]
    return "\n".join(lines) + "\n\n" + "".join(parts) + "\n#endif\n"


def _template(name: str) -> str:
    return (files("tsdistill.deploy.c") / f"{name}.h.in").read_text(encoding="utf-8")


def _top(student: Student) -> list[str]:
    about = student.about
    told = f"{about['dataset']} {about['method']} {about['student']} seed {about['seed']}, run {about['run']}"
    stream = student.preparation.needs_whole_series()
    return [
        f"/* A time series classifier made by tsdistill: {_comment(told)}.",
        "   C99 with math.h alone; no allocation, no globals that change. Compile without -ffast-math.",
        "   tsd_predict(memory, x, steps, probabilities) gives the class; its name is in tsd_classes.",
        *([f"   There is no tsd_step: {_comment(stream)}."] if stream else []),
        "*/",
        "#ifndef TSD_STUDENT_H",
        "#define TSD_STUDENT_H",
        "",
        "#include <math.h>",
        "",
    ]


def _comment(text: str) -> str:
    return text.replace("*/", "* /").replace("\n", " ").replace("\\", "/").replace("??", "? ?")


def _settings(
    student: Student, network: RecurrentNetwork | ConvolutionNetwork, window: float, int8: bool
) -> list[str]:
    preparation, how = student.preparation, student.preparation.how
    lengths = _reference_lengths(student)
    choices = [name for group in (LENGTHS, GAPS, SCALINGS) for name in group.values()]
    values: dict[str, Any] = {name: at for at, name in enumerate([*choices, "TSD_LSTM", "TSD_GRU"])}
    recurrent = isinstance(network, RecurrentNetwork)
    values |= {
        "TSD_CHANNELS": preparation.channels,
        "TSD_LENGTH": preparation.length,
        "TSD_CLASSES": len(student.classes),
        "TSD_LENGTHS": LENGTHS[how.lengths],
        "TSD_GAPS": GAPS[how.gaps],
        "TSD_SCALING": SCALINGS[how.scaling],
        **_length_limits(student, how),
        "TSD_FEATURES": network.head.shape[1],
        "TSD_INT8": int(int8),
        "TSD_RECURRENT": int(recurrent),
        "TSD_STREAM": int(recurrent and preparation.needs_whole_series() is None),
        "TSD_WINDOW": resolve_window(window, min(lengths), "window"),
        "TSD_REFERENCES": len(lengths),
    }
    weight = "signed char" if int8 else "float"
    return [
        *(f"#define {name} {value}" for name, value in values.items()),
        "",
        f"typedef {weight} tsd_weight;",
        "",
        "static const char *const tsd_classes[TSD_CLASSES] = {",
        *(f"    {_string(name)}," for name in student.classes),
        "};",
    ]


def _length_limits(student: Student, how: Preprocessing) -> dict[str, int]:
    """The fewest and the most steps of a series, and those that are kept of it."""
    preparation = student.preparation
    length, most = preparation.length, min(10**6, _LARGEST_INT // preparation.length)
    if preparation.cut is not None:
        return {"TSD_LEAST": preparation.cut, "TSD_MOST": most, "TSD_CUT": preparation.cut}
    if how.lengths == "resample":
        return {"TSD_LEAST": 1, "TSD_MOST": most}
    least = 1 if preparation.padded else length
    return {"TSD_LEAST": least, "TSD_MOST": most if how.max_length == length else length}


def _string(text: str) -> str:
    """A string literal; bytes beyond ASCII, and those that C would read as something else, in octal."""
    plain = (chr(b) if 32 <= b < 127 and chr(b) not in '"\\?' else f"\\{b:03o}" for b in text.encode())
    return '"' + "".join(plain) + '"'


def _preparation(student: Student) -> list[str]:
    moments = student.preparation.moments
    if moments is None:
        return []
    mean, deviation = (np.array(one, dtype=np.float64) for one in moments)
    high = mean.astype(np.float32).astype(np.float64)
    scale = np.where(deviation > 0, 1 / np.where(deviation > 0, deviation, 1), 0)
    rows = {"tsd_mean": high, "tsd_rest": mean - high, "tsd_scale": scale}
    return [line for name, values in rows.items() for line in _floats(name, values)]


def _floats(name: str, values: Array) -> list[str]:
    """A constant array of float, in rows that can be read."""
    texts = [_float(value) for value in np.ravel(values).astype(np.float32).tolist()]
    return [f"static const float {name}[{len(texts)}] = {{", *_rows(texts), "};"]


def _float(value: float) -> str:
    text = f"{np.float32(value):.9g}"
    return f"{text}f" if any(sign in text for sign in ".e") else f"{text}.0f"


def _rows(texts: list[str], width: int = 8) -> Iterable[str]:
    return ("    " + ", ".join(texts[i : i + width]) + "," for i in range(0, len(texts), width))


def quantised(weights: Array) -> tuple[NDArray[np.int8], Array]:
    """Weights (rows, ...) as whole numbers from -127 to 127, and the scale of each row."""
    flat = weights.reshape(len(weights), -1)
    scale = np.abs(flat).max(axis=1) / _HALF_RANGE
    scale[scale == 0] = 1.0
    return np.rint(flat / scale[:, None]).astype(np.int8), scale


def _weights(name: str, weights: Array, int8: bool) -> list[str]:
    """Weights as they are, or as whole numbers with a scale for each row."""
    if not int8:
        return _floats(name, weights)
    whole, scale = quantised(weights)
    texts = [str(value) for value in whole.ravel().tolist()]
    return [
        f"static const tsd_weight {name}[{len(texts)}] = {{",
        *_rows(texts, 16),
        "};",
        *_floats(f"{name}_scale", scale),
    ]


def _recurrent(network: RecurrentNetwork, int8: bool) -> list[str]:
    hidden = network.head.shape[1]
    lines = [
        f"#define TSD_CELL {'TSD_LSTM' if network.is_lstm else 'TSD_GRU'}",
        f"#define TSD_LAYERS {len(network.layers)}",
        f"#define TSD_HIDDEN {hidden}",
        "",
    ]
    scales = " *in_scale, *re_scale," if int8 else ""
    rows = []
    for at, layer in enumerate(network.layers):
        lines += [
            *_weights(f"tsd_in_{at}", layer.inputs, int8),
            *_weights(f"tsd_re_{at}", layer.states, int8),
            *_floats(f"tsd_bias_{at}", layer.bias),
        ]
        scale = f"tsd_in_{at}_scale, tsd_re_{at}_scale, " if int8 else ""
        rows.append(f"    {{tsd_in_{at}, tsd_re_{at}, {scale}tsd_bias_{at}, {layer.inputs.shape[1]}}},")
    return [
        *lines,
        "typedef struct {",
        "    const tsd_weight *in, *re;",
        f"    const float{scales} *bias;",
        "    int inputs;",
        "} tsd_layer;",
        "static const tsd_layer tsd_layers[TSD_LAYERS] = {",
        *rows,
        "};",
    ]


def _convolution(network: ConvolutionNetwork, int8: bool) -> list[str]:
    first, rows = place_buffers(network)
    kinds = {step.kind for step in network.steps}
    lines = [
        *("#define TSD_CONVOLVE 0", "#define TSD_SHORTCUT 1", "#define TSD_POOL 2"),
        *("#define TSD_ADD 1", "#define TSD_RELU 2"),
        f"#define TSD_HAS_SHORTCUT {int('shortcut' in kinds)}",
        f"#define TSD_HAS_POOL {int('pool' in kinds)}",
        f"#define TSD_LAYERS {len(network.steps)}",
        f"#define TSD_ROWS {rows}",
        f"#define TSD_LAST {first[network.last]}",
        "",
    ]
    table = []
    for at, step in enumerate(network.steps):
        lines += _step_arrays(f"tsd_{at}", step, int8)
        table.append(_step_row(f"tsd_{at}", step, first, int8, network.sizes))
    return [
        *lines,
        "typedef struct {",
        "    const tsd_weight *w;",
        "    const float *scale, *bias;",
        "    short inputs, outputs, kernel, from, to;",
        "    unsigned char kind, flags;",
        "} tsd_layer;",
        "static const tsd_layer tsd_layers[TSD_LAYERS] = {",
        *table,
        "};",
    ]


def _step_arrays(name: str, step: Step, int8: bool) -> list[str]:
    if step.kind == "pool":
        return []
    bias = _floats(f"{name}_bias", step.bias)
    if step.kind == "shortcut":
        return [*_floats(f"{name}_w_scale", step.weights), *bias]
    return [*_weights(f"{name}_w", step.weights, int8), *bias]


def _step_row(name: str, step: Step, first: list[int], int8: bool, sizes: tuple[int, ...]) -> str:
    convolves, pools = step.kind == "convolve", step.kind == "pool"
    kernel = step.weights.shape[2] if convolves else 1
    weights = f"{name}_w" if convolves else "0"
    scale = f"{name}_w_scale" if step.kind == "shortcut" or (convolves and int8) else "0"
    flags = " | ".join(flag for flag, on in (("TSD_ADD", step.add), ("TSD_RELU", step.relu)) if on) or "0"
    rows = f"{first[step.source]}, {first[step.target] + step.at}"
    places = f"{sizes[step.source]}, {step.outputs}, {kernel}, {rows}"
    bias = "0" if pools else f"{name}_bias"
    return f"    {{{weights}, {scale}, {bias}, {places}, TSD_{step.kind.upper()}, {flags}}},"


def _head(network: RecurrentNetwork | ConvolutionNetwork, int8: bool) -> list[str]:
    return [*_weights("tsd_head_w", network.head, int8), *_floats("tsd_head_bias", network.head_bias)]


def _reference_lengths(student: Student) -> list[int]:
    lent = student.references
    return [lent.x.shape[2]] * len(lent) if lent.lengths is None else [int(n) for n in lent.lengths]


def _references(student: Student) -> list[str]:
    """The reference series, prepared, one step after another; their classes and lengths."""
    lent, lengths = student.references, _reference_lengths(student)
    classes = [str(label) for label in lent.y.tolist()]
    rows: list[str] = []
    for series in lent.x:
        rows += ["    {", *_rows([_float(value) for value in series.T.ravel().tolist()]), "    },"]
    return [
        "static const float tsd_reference[TSD_REFERENCES][TSD_LENGTH * TSD_CHANNELS] = {",
        *rows,
        "};",
        f"static const int tsd_reference_class[TSD_REFERENCES] = {{{', '.join(classes)}}};",
        f"static const int tsd_reference_length[TSD_REFERENCES] = {{{', '.join(map(str, lengths))}}};",
        "",
    ]

"""C headers: compiled without a warning, run under sanitizers, equal to the library step by step.

A test program reads float32 and int32 inputs and writes what every step gives. All models of one
dtype are compiled at once, which shows that several headers go together.
"""

import re
import shutil
import subprocess

import jax
import numpy as np
import pytest

import seqjax
from seqjax import interop, models, text
from seqjax.tasks import Trained

pytestmark = pytest.mark.usefixtures("quick_compile")

STEPS = 1000
FEATURES = 5
STRICT = "-std=c99 -Wall -Wextra -Werror -O1 -fsanitize=undefined,address -fno-sanitize-recover=all"

# Sizes that fill no block, one block, and more than one.
NETS = {
    "elman": seqjax.Elman(16),
    "rectified": seqjax.Elman(7, activation="relu"),
    "lstm": seqjax.LSTM(17),
    "coupled": seqjax.LSTM(6, coupled=True),
    "gru": seqjax.GRU(33),
    "cho": seqjax.GRU(9, reset="before"),
    "zoneout": seqjax.stack(seqjax.zoneout(seqjax.LSTM(6), 0.2, 0.4), seqjax.GRU(6)),
    "residual": seqjax.stack(
        *(seqjax.GRU(5), seqjax.LSTM(5), seqjax.zoneout(seqjax.GRU(5), 0.3)),
        dropout=0.5,
        residual=True,
    ),
}
LAYERS = seqjax.stack(seqjax.LSTM(24), seqjax.GRU(20))
LANGUAGES = {
    "language": models.LanguageModel(70, 20, LAYERS),
    "tied": models.LanguageModel(11, 20, LAYERS, tied=True),
}
NAMES = (*NETS, *LANGUAGES)

PROGRAM = """
#include <stdio.h>
#include <string.h>
{includes}

static float numbers[{steps}][{features}];
static int tokens[{steps}];

int main(void) {{
  if (fread(numbers, sizeof numbers, 1, stdin) != 1) return 1;
  if (fread(tokens, sizeof tokens, 1, stdin) != 1) return 1;
  {runs}
  return 0;
}}
"""
RUN = """{{
    {name}_state state;
    float y[{upper}_OUTPUTS];
    memset(&state, 255, sizeof state);
    {name}_reset(&state);
    for (int t = 0; t < {steps}; t++) {{
      {name}_step(&state, {input}, y);
      fwrite(y, sizeof y, 1, stdout);
    }}
  }}"""


def compiled(folder, code, *options):
    """Compiles a C program strictly, and gives its path."""
    if shutil.which("cc") is None:
        pytest.skip("no C compiler")
    (folder / "program.c").write_text(code)
    words = [*STRICT.split(), *options, "program.c", "-o", "program", "-lm"]
    done = subprocess.run(["cc", *words], cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return folder / "program"


def params_of(name):
    """Parameters whose biases are not zero, and whose recurrence forgets."""
    if name in NETS:
        params = NETS[name].init(jax.random.key(3), FEATURES)
    else:
        params = LANGUAGES[name].init(jax.random.key(3), np.zeros((1, 2), int))["params"]
    leaves, structure = jax.tree.flatten(params)
    rng = np.random.default_rng(len(leaves))
    shaken = [0.7 * leaf + 0.1 * rng.normal(size=leaf.shape) for leaf in leaves]
    return jax.tree.map(lambda leaf: leaf.astype("f4"), structure.unflatten(shaken))


def inputs_of():
    rng = np.random.default_rng(0)
    return rng.normal(size=(STEPS, FEATURES)).astype("f4"), rng.integers(0, 11, STEPS, "i4")


def expected_of(name, weights):
    """What plain scans give on the same weights."""
    params = params_of(name)
    if weights == "int8":
        params = interop.dequantise(interop.quantise(params))
    numbers, tokens = inputs_of()
    if name in NETS:
        return seqjax.unroll(NETS[name], params, numbers, backend="scan")[1]
    model = LANGUAGES[name].clone(backend="scan")
    return model.apply({"params": params}, tokens)[1]


@pytest.fixture(scope="module", params=["float32", "int8"])
def run(request, tmp_path_factory):
    """What the C program gives, by model: `[STEPS, outputs]`."""
    folder, runs = tmp_path_factory.mktemp(request.param), []
    for name in NAMES:
        model = NETS.get(name) or LANGUAGES[name]
        interop.c.save((model, params_of(name)), folder / f"{name}.h", weights=request.param)
        which = "numbers[t]" if name in NETS else "tokens[t]"
        runs.append(RUN.format(name=name, upper=name.upper(), steps=STEPS, input=which))
    includes = "\n".join(f'#include "{name}.h"' for name in NAMES)
    blanks = {"includes": includes, "runs": "\n  ".join(runs)}
    program = compiled(folder, PROGRAM.format(steps=STEPS, features=FEATURES, **blanks))
    fed = b"".join(part.tobytes() for part in inputs_of())
    done = subprocess.run([program], input=fed, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()
    flat, found = np.frombuffer(done.stdout, "f4"), {}
    for name in NAMES:
        expected = expected_of(name, request.param)
        found[name], flat = flat[: expected.size].reshape(expected.shape), flat[expected.size :]
    assert flat.size == 0
    return request.param, found


@pytest.mark.parametrize("name", NAMES)
def test_a_thousand_steps_equal_the_scan(run, name):
    weights, found = run
    expected = np.asarray(expected_of(name, weights))
    # A sum of some 50 products of numbers about 1 is right to 50 * 2^-24 = 3e-6 in either order of
    # its terms. Gates forget, so the errors of a thousand steps do not pile up: some are kept at once.
    # In int8 the inputs, of which the largest is about 3, are rounded to 3 / 2^16 besides.
    tolerance = {"float32": 2e-5, "int8": 2e-4}[weights]
    np.testing.assert_allclose(found[name], expected, atol=tolerance, rtol=tolerance)
    assert np.abs(expected[-1]).max() > 0.01


def test_sums_of_int8_never_overflow_and_keep_nan(tmp_path):
    """The largest numbers of all, more of them than 32 bits hold products of 16 and 8."""
    net, size = seqjax.Elman(3, activation="relu"), 600
    params = net.init(jax.random.key(0), size) | {"w_x": np.full((size, 3), 0.5, "f4")}
    interop.c.save((net, params), tmp_path / "wide.h", weights="int8")
    program = """#include "wide.h"
    #include <stdio.h>
    int main(void) {
      wide_state state;
      float x[WIDE_INPUTS], y[WIDE_OUTPUTS];
      for (int i = 0; i < WIDE_INPUTS; i++) x[i] = 1e30f;
      wide_reset(&state);
      wide_step(&state, x, y);
      printf("%g ", y[0]);
      x[7] = 0.0f / 0.0f;
      wide_step(&state, x, y);
      printf("%d", y[0] != y[0]);
      return 0;
    }"""
    done = subprocess.run([compiled(tmp_path, program)], capture_output=True, check=True)
    large, lost = done.stdout.split()
    np.testing.assert_allclose(float(large), 300e30, rtol=1e-4)
    assert lost == b"1"


def test_the_code_beside_the_weights_is_small(tmp_path):
    net = seqjax.stack(*(NETS[name] for name in ("elman", "rectified", "lstm", "gru", "cho")))
    model = models.LanguageModel(11, 5, net)
    params = model.init(jax.random.key(0), np.zeros((1, 2), int))["params"]
    for weights in ("float32", "int8"):
        interop.c.save((model, params), tmp_path / "model.h", weights=weights)
        text = (tmp_path / "model.h").read_text()
        code = re.sub(r"/\* weights \*/.*/\* end of weights \*/", "", text, flags=re.DOTALL)
        code = re.sub(r"/\*.*?\*/", "", code, flags=re.DOTALL)
        assert "_lstm(" in code and len(code) < 8192
        assert "malloc" not in code and re.findall(r"#include <.*>", code) == ["#include <math.h>"]


def test_a_trained_model_is_written_and_drawn_from(tmp_path):
    """The loop of the comment at the head, compiled as it stands there."""
    words = "to be or not to be\n"
    task = text.LanguageModel.of(words, seqjax.GRU(8), embedding_size=4)
    trained = Trained(task, task.init(jax.random.key(0)))
    interop.c.save(trained, tmp_path / "hamlet.h")
    usage = (tmp_path / "hamlet.h").read_text().split("*/")[0]
    lines = re.findall(r"^     (.*?;)", usage, re.MULTILINE)
    assert len(lines) == 5
    declared, (step, draw) = lines[:3], lines[3:]
    program = "\n".join(
        [
            '#include "hamlet.h"\n#include <stdio.h>\nint main(void) {',
            *declared,
            "int token = 0, counts[HAMLET_TOKENS] = {0};",
            "for (int t = 0; t < 5; t++) {",
            step,
            'token = hamlet_sample(logits, 0.0f, 0.5f); printf("%d ", token); }',
            "for (int k = 0; k < 20000; k++) {",
            f"float uniform = (float)k / 20000; {draw} counts[token]++; }}",
            'for (int k = 0; k < HAMLET_TOKENS; k++) printf("%d ", counts[k]);',
            "return 0; }",
        ]
    )
    done = subprocess.run([compiled(tmp_path, program)], capture_output=True, check=True)
    found = [int(word) for word in done.stdout.split()]
    stream, token, likeliest = interop.Stream(trained), 0, []
    for _ in range(5):
        logits = stream(token)
        token = int(logits.argmax())
        likeliest.append(token)
    assert found[:5] == likeliest
    shares = jax.nn.softmax(logits / 0.8)
    np.testing.assert_allclose(np.array(found[5:]) / 20000, shares, atol=2e-4)


def test_what_quantise_made_is_written_as_it_is(tmp_path):
    params = params_of("lstm")
    small, net = interop.quantise(params), NETS["lstm"]
    pairs = {"large": (net, params), "small": (net, small), "alone": (seqjax.int8(net), small)}
    for name, pair in pairs.items():
        interop.c.save(pair, tmp_path / f"{name}.h", weights="int8")
    for name in ("small", "alone"):
        text = (tmp_path / f"{name}.h").read_text()
        renamed = text.replace(name, "large").replace(name.upper(), "LARGE")
        assert renamed == (tmp_path / "large.h").read_text()


@pytest.mark.parametrize(
    "net, message",
    [
        (
            seqjax.bidirectional(seqjax.LSTM(3)),
            "bidirectional reads the future, and C makes single",
        ),
        (
            seqjax.LSTM(3, peephole=True),
            r"C has no peephole of LSTM\(3, peephole=True\); stream it",
        ),
        (seqjax.LSTM(3, projection_size=2), "C has no projection_size of"),
        (seqjax.GRU(3, layer_norm=True), "C has no layer_norm of GRU"),
        (
            seqjax.stack(seqjax.GRU(3), seqjax.MinGRU(3)),
            r"layer_1: C has LSTM, GRU and Elman, not MinGRU\(3\); stream it in Python",
        ),
        (seqjax.gated(seqjax.GRU(3)), r"C has no gated\(...\); stream it in Python"),
    ],
)
def test_what_c_lacks_is_refused(net, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        interop.c.save((net, net.init(jax.random.key(0), 3)), tmp_path / "model.h")
    assert not list(tmp_path.iterdir())


def test_other_mistakes_are_told(tmp_path, unchecked):
    net = NETS["gru"]
    pair = (net, params_of("gru"))
    with pytest.raises(ValueError, match="'my-model' is no name in C; call the file like model.h"):
        interop.c.save(pair, tmp_path / "my-model.h")
    with pytest.raises(ValueError, match="weights='int4' is unknown; choose 'float32' or 'int8'"):
        interop.c.save(pair, tmp_path / "model.h", weights="int4")
    with pytest.raises(TypeError, match="the model is a GRU; give a trained model"):
        interop.c.save(net, tmp_path / "model.h")
    classifier = models.SequenceClassifier(3, net)
    with pytest.raises(TypeError, match="SequenceClassifier is not written as C.*give its recurr"):
        interop.c.save((classifier, {}), tmp_path / "model.h")


def test_numbers_of_all_sizes_are_written_exactly():
    values = np.array([0, 1, -3, 1e-7, 1 / 3, 1e20, 1e-40, -0.0], "f4")
    table = interop.c.writing._table("float", "name", values)
    words = re.search(r"\{\n(.*)\};", table).group(1).split(",")
    assert all(re.fullmatch(r"-?\d+(\.\d+)?(e[+-]\d+)?f", word) for word in words)
    assert all("." in word or "e" in word for word in words)
    np.testing.assert_array_equal(np.array([float(word[:-1]) for word in words], "f4"), values)

"""Sampling: held to a Python loop, to distributions worked out in NumPy, and to each row being on its own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax
from seqjax.decoding import sample, sample_logits
from seqjax.models import LanguageModel

pytestmark = pytest.mark.usefixtures("quick_compile")

VOCAB = 6
MODEL = LanguageModel(VOCAB, 6, seqjax.LSTM(7))


@pytest.fixture(scope="module")
def params():
    params = MODEL.init(jax.random.key(5), jnp.zeros((1, 1), int))["params"]
    return params | {"head": jax.tree.map(lambda leaf: 4 * leaf, params["head"])}


def write(params, prompt, key, length, **options):
    return sample(
        MODEL.advance, params, MODEL.start(params, (len(prompt),)), prompt, key, length, **options
    )


def prompts(key, rows=3, time=4):
    return jax.random.randint(key, (rows, time), 0, VOCAB)


def python_greedy(params, prompt, length):
    """One row, one token at a time."""
    state, advance = MODEL.start(params, ()), jax.jit(MODEL.advance)
    for token in prompt:
        state, logits = advance(params, state, token)
    written = []
    for _ in range(length):
        written.append(int(np.argmax(logits)))
        state, logits = advance(params, state, jnp.int32(written[-1]))
    return written


def test_greedy_equals_a_loop_in_python(getkey, params):
    prompt = prompts(getkey())
    out = write(params, prompt, getkey(), 9, temperature=0.0)
    assert out.tokens.dtype == jnp.int32 and out.tokens.shape == (3, 9)
    np.testing.assert_array_equal(out.tokens, [python_greedy(params, row, 9) for row in prompt])
    np.testing.assert_array_equal(out.lengths, 9)
    assert len(np.unique(out.tokens)) > 1


def test_a_nucleus_of_bfloat16_scores_is_that_of_float32(getkey):
    draws = jax.vmap(lambda key, logits: sample_logits(key, logits, top_p=0.5), (0, None))
    for dtype in (jnp.bfloat16, jnp.float32):
        ids = draws(jax.random.split(getkey(), 4000), jnp.zeros(1000, dtype))
        assert int(ids.max()) < 501 and len(np.unique(ids)) > 490


def test_top_k_of_one_is_greedy_at_any_temperature(getkey, params):
    prompt = prompts(getkey())
    greedy = write(params, prompt, getkey(), 9, temperature=0)
    np.testing.assert_array_equal(
        write(params, prompt, getkey(), 9, temperature=3.0, top_k=1).tokens, greedy.tokens
    )
    np.testing.assert_array_equal(
        write(params, prompt, getkey(), 9, temperature=3.0, top_p=0.0).tokens, greedy.tokens
    )


LOGITS = np.log([0.05, 0.4, 0.1, 0.02, 0.3, 0.13])  # best first: 1, 4, 5, 2, 0, 3


def fixed(params, state, tokens):
    """A model that says the same at every step."""
    return state, jnp.broadcast_to(jnp.asarray(LOGITS, jnp.float32), (*tokens.shape, VOCAB))


def distribution(temperature=1.0, top_k=None, top_p=None):
    """Sorts, cuts and normalises, in NumPy."""
    p = np.exp(LOGITS / temperature)
    order = np.argsort(-p)
    if top_k is not None:
        p[order[top_k:]] = 0
    p /= p.sum()
    if top_p is not None:
        keep = max(1, int(np.searchsorted(np.cumsum(p[order]), top_p - 1e-9)) + 1)
        p[order[keep:]] = 0
    return p / p.sum()


CUTS = [
    {},
    {"temperature": 0.5},
    {"temperature": 2.0},
    {"top_k": 1},
    {"top_k": 3},
    {"top_k": 99},
    {"top_p": 0.39},
    {"top_p": 0.75},
    {"top_p": 1.0},
    {"temperature": 0.7, "top_k": 4, "top_p": 0.8},
    {"temperature": 2.0, "top_p": 0.75},
]


@pytest.mark.parametrize("options", CUTS, ids=str)
def test_draws_follow_the_distribution_and_the_cuts(getkey, options):
    rows, length = 40, 500
    out = sample(fixed, {}, jnp.zeros(rows), jnp.zeros((rows, 1), int), getkey(), length, **options)
    wanted = distribution(**options)
    counts = np.bincount(np.ravel(out.tokens), minlength=VOCAB)
    assert (counts[wanted == 0] == 0).all()
    spread = np.sqrt(wanted * (1 - wanted) / (rows * length))
    np.testing.assert_array_less(np.abs(counts / counts.sum() - wanted), 4.5 * spread + 1e-9)


def test_the_best_token_stays_whatever_top_p():
    keys = jax.random.split(jax.random.key(0), 50)
    draw = jax.vmap(lambda key: sample_logits(key, jnp.asarray(LOGITS, jnp.float32), top_p=1e-6))
    np.testing.assert_array_equal(draw(keys), 1)


def test_of_equal_scores_top_k_keeps_k():
    keys = jax.random.split(jax.random.key(0), 400)
    drawn = jax.vmap(lambda key: sample_logits(key, jnp.zeros(VOCAB), top_k=2))(keys)
    assert len(np.unique(drawn)) == 2


def test_draws_in_a_row_and_in_a_batch_are_independent(getkey):
    rows, length = 200, 100
    out = sample(fixed, {}, jnp.zeros(rows), jnp.zeros((rows, 1), int), getkey(), length)
    same = (distribution() ** 2).sum()
    for a, b in ((out.tokens[:, 1:], out.tokens[:, :-1]), (out.tokens[1:], out.tokens[:-1])):
        assert abs(np.mean(a == b) - same) < 0.02


def test_a_key_gives_one_text_and_another_key_another(getkey, params):
    prompt, key = prompts(getkey()), getkey()
    once = write(params, prompt, key, 12).tokens
    np.testing.assert_array_equal(once, write(params, prompt, key, 12).tokens)
    assert (once != write(params, prompt, getkey(), 12).tokens).any()
    np.testing.assert_array_equal(once[:, :7], write(params, prompt, key, 7).tokens)


def test_a_row_does_not_depend_on_its_batch(getkey, params):
    prompt, key = prompts(getkey()), getkey()
    all_rows = write(params, prompt, key, 10, temperature=1.5, stop_token=2)
    others = prompts(getkey()).at[1].set(prompt[1])
    beside_others = write(params, others, key, 10, temperature=1.5, stop_token=2)
    np.testing.assert_array_equal(all_rows.tokens[1], beside_others.tokens[1])
    np.testing.assert_array_equal(
        all_rows.tokens[:2],
        write(params, prompt[:2], key, 10, temperature=1.5, stop_token=2).tokens,
    )


def test_with_a_key_of_its_own_a_row_does_not_depend_on_its_place(getkey, params):
    prompt, keys = prompts(getkey()), jax.random.split(getkey(), 3)
    tokens = write(params, prompt, keys, 8).tokens
    turned = write(params, prompt[::-1], keys[::-1], 8).tokens[::-1]
    np.testing.assert_array_equal(tokens, turned)
    one = getkey()
    own = jax.vmap(lambda place: jax.random.fold_in(one, place))(jnp.arange(3))
    np.testing.assert_array_equal(
        write(params, prompt, one, 8).tokens, write(params, prompt, own, 8).tokens
    )
    with pytest.raises(ValueError, match=r"keys have shape \(2,\); give one key, or one for each"):
        write(params, prompt, keys[:2], 8)


def test_ragged_prompts_are_separate_prompts(getkey, params):
    prompt, key, lengths = prompts(getkey(), 3, 4), getkey(), jnp.array([4, 1, 2])
    out = write(params, prompt, key, 8, prompt_lengths=lengths)
    for row, length in enumerate(lengths):
        alone = write(params, prompt[:, :length], key, 8)
        np.testing.assert_array_equal(out.tokens[row], alone.tokens[row])
    garbage = jnp.where(jnp.arange(4)[None] < lengths[:, None], prompt, VOCAB - 1)
    np.testing.assert_array_equal(
        out.tokens, write(params, garbage, key, 8, prompt_lengths=lengths).tokens
    )
    assert (out.tokens != write(params, prompt, key, 8).tokens)[1:].any()


def test_prompt_lengths_out_of_range_under_jit_are_clamped():
    last = lambda params, state, tokens: (tokens, 9 * jax.nn.one_hot(tokens, 4))  # noqa: E731
    prompt = jnp.array([[1, 2, 3], [1, 2, 3]])

    @jax.jit
    def write(lengths):
        return sample(
            last,
            {},
            jnp.zeros(2, int),
            prompt,
            jax.random.key(0),
            2,
            prompt_lengths=lengths,
            temperature=0,
        ).tokens

    np.testing.assert_array_equal(write(jnp.array([99, -3])), [[3, 3], [1, 1]])
    np.testing.assert_array_equal(write(jnp.array([3, 1])), [[3, 3], [1, 1]])


def test_prompt_lengths_that_are_known_while_tracing():
    lengths = jnp.array([1, 2])

    @jax.jit
    def write(key):
        prompt = jnp.zeros((2, 3), int)
        return sample(
            fixed, {}, jnp.zeros(2), prompt, key, 2, prompt_lengths=lengths, temperature=0
        ).tokens

    np.testing.assert_array_equal(write(jax.random.key(0)), 1)


def test_the_prompt_is_read_and_the_state_before_it_counts(getkey, params):
    prompt = prompts(getkey(), 1, 6)
    state, _ = MODEL.apply({"params": params}, prompt[:, :4])
    begun = sample(MODEL.advance, params, state, prompt[:, 4:], getkey(), 9, temperature=0)
    np.testing.assert_array_equal(
        begun.tokens, write(params, prompt, getkey(), 9, temperature=0).tokens
    )


def counting(params, state, tokens):
    """Counts up from whatever it reads."""
    return state, 50.0 * jax.nn.one_hot((tokens + 1) % VOCAB, VOCAB)


def test_a_row_ends_with_the_stop_token():
    prompt = jnp.array([[0], [2], [4], [3]])
    out = sample(
        counting, {}, jnp.zeros(4), prompt, jax.random.key(0), 4, temperature=0, stop_token=4
    )
    np.testing.assert_array_equal(
        out.tokens, [[1, 2, 3, 4], [3, 4, 4, 4], [5, 0, 1, 2], [4, 4, 4, 4]]
    )
    np.testing.assert_array_equal(out.lengths, [4, 2, 4, 1])


def test_all_rows_done_ends_the_loop():
    calls = []

    def counted(params, state, tokens):
        jax.debug.callback(lambda _: calls.append(1), tokens)
        return counting(params, state, tokens)

    prompt = jnp.array([[1], [2]])
    sample(counted, {}, jnp.zeros(2), prompt, jax.random.key(0), 1000, temperature=0, stop_token=4)
    jax.effects_barrier()
    assert len(calls) < 10


def test_one_compilation_serves_all_keys_prompts_and_temperatures(getkey, params):
    traces = []

    def step(params, state, tokens):
        traces.append(1)
        return MODEL.advance(params, state, tokens)

    def run(temperature):
        state = MODEL.start(params, (3,))
        return sample(
            step, params, state, prompts(getkey()), getkey(), 5, temperature=temperature, top_k=3
        )

    run(1.0)
    first = len(traces)
    for temperature in (0.5, 2.0, 0.0):
        run(temperature)
    assert len(traces) == first > 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"prompt": jnp.zeros((2, 0), int)}, "at least one token"),
        ({"prompt": jnp.zeros(3, int)}, r"prompt has shape \(3,\)"),
        ({"length": 0}, "length is 0"),
        ({"length": -1}, "length is -1"),
        ({"temperature": -0.5}, "temperature is -0.5"),
        ({"temperature": float("nan")}, "temperature is nan"),
        ({"top_k": 0}, "top_k is 0; give at least 1"),
        ({"top_p": 1.5}, "top_p is 1.5; give at least 0 and at most 1"),
        ({"top_p": -0.1}, "top_p is -0.1"),
        ({"prompt_lengths": jnp.array([0, 3])}, "prompt_lengths"),
        ({"prompt_lengths": jnp.array([1, 4])}, "prompt_lengths"),
        ({"prompt_lengths": jnp.array([1, 2, 3])}, r"prompt_lengths have shape \(3,\)"),
    ],
)
def test_mistakes(getkey, options, words):
    given = {"prompt": jnp.zeros((2, 3), int), "length": 2} | options
    with pytest.raises(ValueError, match=words):
        sample(fixed, {}, jnp.zeros(2), given.pop("prompt"), getkey(), given.pop("length"), **given)

"""Beam search: held to the enumeration of all sequences, to a beam of Python lists, and to greedy sampling."""

import dataclasses
import functools
import itertools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax
from seqjax import decoding
from seqjax.decoding import beam_search
from seqjax.models import LanguageModel

pytestmark = pytest.mark.usefixtures("quick_compile")

VOCAB, STOP, FIRST, LENGTH, POSITIONS = 4, 3, 0, 4, 3
WIDE = 121  # 1 + 3 + 9 + 27 ended sequences and 81 that are cut off: a place for every one


class TableState(NamedTuple):
    """The token before the last one read, and a stand-in for attention."""

    previous: Any
    attention: Any


def table_step(params, state, tokens):
    """Scores by the last two tokens, and other ones for each row; attention by the same."""
    logits, attention = (
        jax.vmap(lambda t, i, j: t[i, j])(t, state.previous, tokens) for t in params
    )
    return TableState(tokens, attention), logits


def attention_of(state):
    return state.attention


def tables(rows, seed=0, vocab=VOCAB, scale=1.5):
    draw = np.random.default_rng(seed)
    attention = draw.exponential(size=(rows, vocab, vocab, POSITIONS)) ** 2
    scores = scale * draw.normal(size=(rows, vocab, vocab, vocab))
    return scores.astype(np.float32), (attention / attention.sum(-1, keepdims=True)).astype(
        np.float32
    )


def start(rows):
    return TableState(jnp.zeros(rows, int), jnp.zeros((rows, POSITIONS)))


def search(params, beam=WIDE, length=LENGTH, stop=STOP, **options):
    rows = len(params[0])
    first = jnp.full(rows, FIRST)
    return beam_search(
        table_step, params, start(rows), first, beam=beam, length=length, stop_token=stop, **options
    )


def replay(params, row, tokens):
    """Log-probability of each token of a sequence, and the attention it was written with."""
    before, last, log_probs, attention = 0, FIRST, [], []
    for token in tokens:
        scores = params[0][row, before, last].astype(np.float64)
        log_probs.append(scores[token] - np.log(np.exp(scores).sum()))
        attention.append(params[1][row, before, last])
        before, last = last, token
    return np.array(log_probs), np.array(attention)


def every_sequence(length=LENGTH):
    """All that end, and all that are cut off."""
    for size in range(length):
        yield from ((*words, STOP) for words in itertools.product(range(STOP), repeat=size))
    yield from itertools.product(range(STOP), repeat=length)


def score(params, row, tokens, alpha, beta, positions):
    log_probs, attention = replay(params, row, tokens)
    covered = np.log(np.clip(attention.sum(0), 1e-3, 1))[:positions].sum()
    return log_probs.sum() / ((5 + len(tokens)) / 6) ** alpha + beta * covered


def enumerated(params, row, alpha=0.0, beta=0.0, positions=POSITIONS, allowed=lambda tokens: True):
    """(ended, score, tokens) of all allowed sequences, best first, those cut off last."""
    found = [
        (t[-1] == STOP, score(params, row, t, alpha, beta, positions), t)
        for t in every_sequence()
        if allowed(t)
    ]
    return sorted(found, reverse=True)


def written(found, row):
    lengths = np.asarray(found.lengths[row])
    return [
        tuple(np.asarray(t)[:n].tolist()) for t, n in zip(found.tokens[row], lengths, strict=True)
    ]


def penalties(alpha, beta, positions):
    return decoding.LengthPenalty(alpha), decoding.CoveragePenalty(np.asarray(positions), beta)


@pytest.mark.parametrize(("alpha", "beta"), [(0.0, 0.0), (1.0, 0.0), (0.7, 0.4), (-0.5, 0.2)])
def test_exact_with_a_place_for_every_sequence(alpha, beta):
    params, positions = tables(3), [3, 2, 1]
    ranking = penalties(alpha, beta, positions)
    found = search(params, n_best=50, penalties=ranking, observe=attention_of)
    for row in range(3):
        expected = enumerated(params, row, alpha, beta, positions[row])[:50]
        np.testing.assert_allclose(
            found.scores[row], [score for _, score, _ in expected], atol=1e-4
        )
        assert written(found, row) == [tokens for *_, tokens in expected]
        np.testing.assert_array_equal(found.ended[row], [ended for ended, *_ in expected])
        sums = [replay(params, row, tokens)[0].sum() for *_, tokens in expected]
        np.testing.assert_allclose(found.log_probs[row], sums, atol=1e-4)


def test_the_attention_along_every_hypothesis_is_returned():
    params = tables(2)
    found = search(params, n_best=50, observe=attention_of)
    assert found.observed.shape == (2, 50, LENGTH, POSITIONS)
    for row, n in itertools.product(range(2), range(50)):
        tokens = written(found, row)[n]
        expected = np.zeros((LENGTH, POSITIONS))
        expected[: len(tokens)] = replay(params, row, tokens)[1]
        np.testing.assert_allclose(found.observed[row, n], expected, atol=1e-6)


def python_beam(params, row, width, length, groups=1, strength=0.0):
    """Beams of lists that never stop early: `(log_prob, tokens)`, the ended ones in their places."""
    beams = [[(0.0, ())] for _ in range(groups)]
    for _ in range(length):
        taken = np.zeros(VOCAB)
        for group, live in enumerate(beams):
            ended = [h for h in live if h[1][-1:] == (STOP,)]
            grown = [
                (total + replay(params, row, (*tokens, token))[0][-1], (*tokens, token))
                for total, tokens in live
                if tokens[-1:] != (STOP,)
                for token in range(VOCAB)
            ]
            grown.sort(key=lambda h: h[0] - strength * taken[h[1][-1]], reverse=True)
            grown = grown[: width - len(ended)]
            taken += np.bincount([tokens[-1] for _, tokens in grown], minlength=VOCAB)
            beams[group] = ended + grown
    return list(itertools.chain(*beams))


def ranked(hypotheses, alpha):
    order = [(t[-1] == STOP, total / ((5 + len(t)) / 6) ** alpha, t) for total, t in hypotheses]
    return sorted(order, reverse=True)


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_a_narrow_beam_and_its_early_stop_agree_with_a_beam_that_never_stops_early(alpha):
    params = tables(40, seed=1)
    found = search(params, beam=3, length=8, n_best=2, penalties=[decoding.LengthPenalty(alpha)])
    for row in range(40):
        expected = ranked(python_beam(params, row, 3, 8), alpha)[:2]
        assert written(found, row) == [tokens for *_, tokens in expected]
        np.testing.assert_allclose(
            found.scores[row], [score for _, score, _ in expected], atol=1e-4
        )


def test_the_search_ends_when_nothing_can_beat_what_has_ended():
    steps = []

    def counted(params, state, tokens):
        jax.debug.callback(lambda _: steps.append(1), state)
        return state, jnp.broadcast_to(jnp.array([0.0, 0.0, 0.0, 4.0]), (len(tokens), VOCAB))

    def run(alpha, n_best):
        steps.clear()
        given = {"beam": 3, "length": 50, "stop_token": STOP, "n_best": n_best}
        found = beam_search(
            counted,
            {},
            jnp.zeros(1),
            jnp.zeros(1, int),
            penalties=[decoding.LengthPenalty(alpha)],
            **given,
        )
        jax.effects_barrier()
        return len(steps) // 3, found

    few, found = run(0.0, 1)
    assert few == 1 and written(found, 0) == [(STOP,)]
    more, _ = run(0.0, 2)
    assert few < more < 50
    longer, _ = run(3.0, 1)  # hypotheses of 50 tokens might yet win
    assert longer > few


@pytest.mark.parametrize("alpha", [0.0, 1.5])
def test_a_beam_of_one_is_greedy(alpha):
    model = LanguageModel(6, 6, seqjax.LSTM(7))
    params = model.init(jax.random.key(5), jnp.zeros((1, 1), int))["params"]
    params = params | {"head": jax.tree.map(lambda leaf: 4 * leaf, params["head"])}
    first = jnp.arange(6)
    greedy = decoding.sample(
        model.advance,
        params,
        model.start(params, (6,)),
        first[:, None],
        jax.random.key(0),
        9,
        temperature=0,
        stop_token=5,
    )
    found = beam_search(
        model.advance,
        params,
        model.start(params, (6,)),
        first,
        beam=1,
        length=9,
        stop_token=5,
        penalties=[decoding.LengthPenalty(alpha)],
    )
    np.testing.assert_array_equal(found.tokens[:, 0], greedy.tokens)
    np.testing.assert_array_equal(found.lengths[:, 0], greedy.lengths)
    assert len(set(greedy.lengths.tolist())) > 1


def no_repeats(size, tokens):
    runs = [tokens[i : i + size] for i in range(len(tokens) - size + 1)]
    return len(runs) == len(set(runs))


def no_two_then_one(scores, written, t):
    """A rule of a user's own."""
    after = (t > 0) & (written[..., jnp.maximum(t - 1, 0)] == 2)
    return scores.at[..., 1].set(jnp.where(after, -jnp.inf, scores[..., 1]))


ENDS = lambda low, high, tokens: (tokens[-1] == STOP) <= (low <= len(tokens) <= high)  # noqa: E731
CONSTRAINTS = {
    "ban": (decoding.BanTokens(np.array([1])), lambda t: 1 not in t),
    "min": (decoding.MinLength(3, STOP), lambda t: len(t) >= 3),
    "max": (decoding.MaxLength(jnp.array([3]), STOP), lambda t: len(t) <= 3),
    "prefix": (
        decoding.ForcePrefix(jnp.array([[2, 1, 0]]), jnp.array([2])),
        lambda t: t[:2] == (2, 1),
    ),
    "no prefix": (decoding.ForcePrefix(jnp.array([[2]]), jnp.array([0])), lambda t: True),
    "ngrams of 1": (decoding.BlockNgrams(1), lambda t: no_repeats(1, t)),
    "ngrams of 2": (decoding.BlockNgrams(2), lambda t: no_repeats(2, t)),
    "ngrams of 5": (decoding.BlockNgrams(5), lambda t: True),
    "a function": (no_two_then_one, lambda t: (2, 1) not in zip(t, t[1:], strict=False)),
}


@pytest.mark.parametrize("name", CONSTRAINTS)
def test_constraints_leave_what_they_allow_and_nothing_else(name):
    constraint, allowed = CONSTRAINTS[name]
    params = tables(1, seed=2)
    found = search(
        params, n_best=WIDE, constraints=[constraint], penalties=[decoding.LengthPenalty(0.5)]
    )
    expected = enumerated(params, 0, 0.5, allowed=allowed)
    real = np.isfinite(found.log_probs[0])
    assert [t for t, valid in zip(written(found, 0), real, strict=True) if valid] == [
        t for *_, t in expected
    ]


def test_constraints_compose_and_each_row_has_its_own():
    params = tables(3, seed=3)
    rules = [
        decoding.ForcePrefix(jnp.array([[2, 1], [0, 0], [1, 1]]), jnp.array([2, 0, 1])),
        decoding.MinLength(jnp.array([2, 4, 3]), STOP),
        decoding.BlockNgrams(2),
    ]
    found = search(params, n_best=3, constraints=rules)
    for row, (prefix, least) in enumerate([((2, 1), 2), ((), 4), ((1,), 3)]):
        expected = enumerated(
            params,
            row,
            allowed=lambda t, p=prefix, n=least: (
                t[: len(p)] == p and len(t) >= n and no_repeats(2, t)
            ),
        )
        assert written(found, row) == [t for *_, t in expected[:3]]


def test_when_all_is_forbidden_the_score_says_so():
    found = search(tables(1), beam=2, constraints=[decoding.BanTokens(jnp.arange(VOCAB))])
    assert found.log_probs[0, 0] == -np.inf and not found.ended.any()


def test_rows_do_not_depend_on_their_batch():
    params = tables(12, seed=4)
    together = search(params, beam=4, length=8, n_best=3, observe=attention_of)
    for row in range(12):
        alone = search(
            tuple(t[row : row + 1] for t in params),
            beam=4,
            length=8,
            n_best=3,
            observe=attention_of,
        )
        jax.tree.map(
            lambda a, b: np.testing.assert_allclose(a[row], b[0], atol=1e-6),  # noqa: B023
            together,
            alone,
        )


def test_groups_take_different_tokens():
    params, strength = tables(20, seed=5), 1.3
    found = search(params, beam=6, length=6, n_best=6, groups=3, diversity=strength)
    for row in range(20):
        expected = ranked(python_beam(params, row, 2, 6, groups=3, strength=strength), 0.0)
        np.testing.assert_allclose(
            found.scores[row], [score for _, score, _ in expected], atol=1e-4
        )
        assert sorted(written(found, row)) == sorted(t for *_, t in expected)
    firsts = search(params, beam=3, length=6, n_best=3, groups=3, diversity=50.0).tokens[..., 0]
    assert all(len(set(row)) == 3 for row in np.asarray(firsts).tolist())


def test_drawn_beams_are_samples_without_replacement():
    rows = 3000
    one = tables(1, seed=6, scale=1.0)
    params = tuple(np.repeat(t, rows, axis=0) for t in one)
    draw = functools.partial(search, beam=2, length=3, n_best=2)
    found = draw(params, key=jax.random.key(0))
    pairs = [tuple(written(found, row)) for row in range(rows)]
    assert all(a != b for a, b in pairs)

    chances = {t: np.exp(replay(one, 0, t)[0].sum()) for t in every_sequence(3)}
    assert sum(chances.values()) == pytest.approx(1)
    for t, chance in chances.items():
        close = 4 * np.sqrt(chance * (1 - chance) / rows) + 1e-3
        assert np.mean([a == t for a, _ in pairs]) == pytest.approx(chance, abs=close)
        second = sum(p * chance / (1 - p) for other, p in chances.items() if other != t)
        assert np.mean([b == t for _, b in pairs]) == pytest.approx(second, abs=close)

    half = draw(tuple(t[: rows // 2] for t in params), key=jax.random.key(0))
    np.testing.assert_array_equal(half.tokens, found.tokens[: rows // 2])


def test_an_ensemble_means_the_probabilities_of_its_members():
    members = [tables(2, seed=seed) for seed in (7, 8, 9)]
    params = jax.tree.map(lambda *leaves: jnp.stack(leaves), *members)
    state = jax.tree.map(lambda leaf: jnp.stack([leaf] * 3, axis=1), start(2))
    found = beam_search(
        decoding.Ensemble(table_step),
        params,
        state,
        jnp.full(2, FIRST),
        beam=WIDE,
        length=LENGTH,
        stop_token=STOP,
        n_best=20,
    )
    for row in range(2):
        chances = {
            t: np.mean([np.exp(replay(member, row, t)[0]) for member in members], axis=0).prod()
            for t in every_sequence()
        }
        order = sorted(chances, key=lambda t: (t[-1] == STOP, chances[t]), reverse=True)[:20]
        assert written(found, row) == order
        np.testing.assert_allclose(
            found.log_probs[row], np.log([chances[t] for t in order]), atol=1e-4
        )
    assert decoding.Ensemble(table_step) == decoding.Ensemble(table_step)


def test_one_compilation_serves_all_values():
    traces = []

    def step(params, state, tokens):
        traces.append(1)
        return table_step(params, state, tokens)

    def run(alpha, banned, least, seed):
        beam_search(
            step,
            tables(2, seed),
            start(2),
            jnp.zeros(2, int),
            beam=3,
            length=5,
            stop_token=STOP,
            penalties=[decoding.LengthPenalty(alpha)],
            constraints=[
                decoding.BanTokens(np.array([banned])),
                decoding.MinLength(least, STOP),
                no_two_then_one,
            ],
        )

    run(0.6, 1, 2, 0)
    first = len(traces)
    run(1.0, 2, 3, 1)
    assert len(traces) == first > 0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"beam": 0}, "beam is 0"),
        ({"length": 0}, "length is 0"),
        ({"n_best": 4}, "n_best is 4; a beam of 3"),
        ({"groups": 2}, "does not divide into 2 groups"),
        ({"groups": 3, "key": jax.random.key(0)}, "not both"),
        ({"first": jnp.zeros((2, 1), int)}, r"first has shape \(2, 1\)"),
        ({"first": jnp.zeros(3, int)}, "must begin with the batch, 3"),
        (
            {"penalties": [decoding.CoveragePenalty(np.array([3, 3]))]},
            "CoveragePenalty wants the attention",
        ),
    ],
)
def test_mistakes(options, words):
    given = {"first": jnp.zeros(2, int), "beam": 3, "length": 5, "stop_token": STOP} | options
    with pytest.raises(ValueError, match=words):
        beam_search(table_step, tables(2), start(2), given.pop("first"), **given)


def test_mistakes_of_rules():
    with pytest.raises(ValueError, match="size is 0"):
        decoding.BlockNgrams(0)
    with pytest.raises(ValueError, match="beta is -0.1"):
        decoding.CoveragePenalty(np.array([3]), -0.1)


class Shorter(decoding.Penalty):
    """A plain class, whose attribute may change."""

    def __init__(self, strength):
        self.strength = strength

    def __call__(self, scores, lengths, observed):
        return scores - self.strength * lengths if self.strength else scores

    def bound(self, scores, shortest, longest):
        return scores - self.strength * shortest


@dataclasses.dataclass
class Listed:
    """No subclass, no hash, no bound; arrays among its attributes."""

    strength: Any
    name: str = "listed"
    parts: dict = dataclasses.field(
        default_factory=lambda: {"scale": jnp.array([[1.0]]), "kind": "by length"}
    )

    def __call__(self, scores, lengths, observed):
        return scores - self.strength * self.parts["scale"] * lengths


@dataclasses.dataclass(frozen=True)
class Frozen(decoding.Penalty):
    strength: float

    def __call__(self, scores, lengths, observed):
        return scores - self.strength * lengths


class Pair(NamedTuple):
    """A pytree with text in it."""

    strength: float
    name: str = "pair"

    def __call__(self, scores, lengths, observed):
        return scores - self.strength * lengths


class Scaled(decoding.LengthPenalty):
    """A subclass of a pytree, which is none."""


def by_function(scores, lengths, observed):
    return scores - 0.4 * lengths


OWN = {
    "a plain class": Shorter,
    "a dataclass without a hash": Listed,
    "a frozen dataclass": Frozen,
    "a named tuple": Pair,
    "a function": lambda strength: by_function,
    "part of a function": lambda strength: functools.partial(by_function),
    "a method": lambda strength: Frozen(strength).__call__,
    "an array": lambda strength: Listed(jnp.asarray(strength)),
}


@pytest.mark.parametrize("name", OWN)
def test_penalties_of_ones_own(name):
    params, strength = tables(2, seed=11), 0.4
    found = search(params, n_best=20, penalties=[OWN[name](strength)])
    for row in range(2):
        expected = [
            (ended, score - strength * len(t), t) for ended, score, t in enumerated(params, row)
        ]
        expected = sorted(expected, reverse=True)[:20]
        assert written(found, row) == [t for *_, t in expected]
        np.testing.assert_allclose(
            found.scores[row], [score for _, score, _ in expected], atol=1e-4
        )


def test_a_penalty_of_ones_own_in_a_chain_and_under_jit():
    params = tables(2, seed=12)
    plain = search(params, beam=8, penalties=[decoding.LengthPenalty(0.7)])
    chain = search(params, beam=8, penalties=[Scaled(0.7), Shorter(0.0), Listed(0.0)])
    np.testing.assert_allclose(plain.scores, chain.scores, rtol=1e-6)
    inside = jax.jit(lambda strength: search(params, beam=8, penalties=[Listed(strength)]).scores)
    np.testing.assert_allclose(
        inside(0.4), search(params, beam=8, penalties=[Shorter(0.4)]).scores, rtol=1e-6
    )


def test_an_object_that_changed_is_not_mistaken_for_what_it_was():
    params, penalty = tables(1, seed=13), Shorter(0.0)
    before = search(params, beam=8, n_best=1, penalties=[penalty])
    penalty.strength = 3.0
    after = search(params, beam=8, n_best=1, penalties=[penalty])
    np.testing.assert_allclose(after.scores, after.log_probs - 3.0 * after.lengths, rtol=1e-5)
    assert before.scores[0, 0] == before.log_probs[0, 0]

    class Ban:
        token = 1

        def __call__(self, scores, written, t):
            return scores.at[..., self.token].set(-jnp.inf)

    ban = Ban()
    for ban.token in (1, 2):
        assert ban.token not in search(params, beam=8, constraints=[ban]).tokens[0, 0]


def test_one_compilation_serves_all_arrays_of_a_users_penalty():
    traces = []

    def step(params, state, tokens):
        traces.append(1)
        return table_step(params, state, tokens)

    def run(strength):
        given = {
            "beam": 3,
            "length": 5,
            "stop_token": STOP,
            "penalties": [Listed(np.float32(strength))],
        }
        beam_search(step, tables(2), start(2), jnp.zeros(2, int), **given)
        return len(traces)

    assert run(0.1) == run(0.2) > 0


@pytest.mark.parametrize(
    ("penalties", "words"),
    [
        ([0.6], r"penalties\[0\] is a float; give a function"),
        (
            [by_function, decoding.LengthPenalty],
            r"penalties\[1\] is the class LengthPenalty; give an object of it",
        ),
        (decoding.LengthPenalty(0.6), "penalties is a LengthPenalty; give a sequence"),
        ([Shorter({1, 2})], r"penalties\[0\], a Shorter, holds a set, which has no hash"),
    ],
)
def test_what_is_no_penalty_is_named(unchecked, penalties, words):
    with pytest.raises(TypeError, match=words):
        search(tables(1), beam=2, penalties=penalties)


def test_more_of_a_prefix_than_there_is():
    params = tables(1, seed=14)
    forced = [decoding.ForcePrefix(jnp.array([[2, 1]]), jnp.array([n])) for n in (2, 99)]
    one, other = (search(params, constraints=[rule]) for rule in forced)
    np.testing.assert_array_equal(one.tokens, other.tokens)

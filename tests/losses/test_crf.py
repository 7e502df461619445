import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from jax.test_util import check_grads

from seqjax.losses import crf

LENGTHS = np.array([4, 0, 1, 3])
BIO = ("O", "B-x", "I-x", "B-y", "I-y")
BIOES = ("O", "B-x", "I-x", "E-x", "S-x")

pytestmark = pytest.mark.usefixtures("quick_compile")


LOG_PARTITION = jax.jit(crf.log_partition, static_argnames="associative")
MARGINALS = jax.jit(crf.marginals, static_argnames="associative")
VITERBI = jax.jit(crf.viterbi)
"""One program each: call by call every step of them is compiled alone."""


def random_scores(key, batch=4, time=4, tags=3, dtype=jnp.float32):
    shapes = ((batch, time, tags), (tags, tags), (tags,), (tags,))
    return crf.Scores(
        *(
            jax.random.normal(k, shape, dtype)
            for k, shape in zip(jax.random.split(key, 4), shapes, strict=True)
        )
    )


def enumerate_paths(scores, row, length):
    """Every tag sequence of a row with its score, the best first, by brute force."""
    emissions, transitions, start, end = (np.asarray(array, np.float64) for array in scores)
    paths = {}
    for path in itertools.product(range(len(start)), repeat=length):
        score = sum(emissions[row, t, tag] for t, tag in enumerate(path))
        score += sum(transitions[a, b] for a, b in itertools.pairwise(path))
        paths[path] = score + (start[path[0]] + end[path[-1]] if path else 0.0)
    return sorted(paths.items(), key=lambda item: -item[1])


def log_sum(paths):
    values = np.array([score for _, score in paths])
    return values.max() + np.log(np.exp(values - values.max()).sum())


@pytest.mark.parametrize("associative", [False, True])
def test_partition_likelihood_and_marginals_are_those_of_enumeration(getkey, associative):
    scores = random_scores(getkey())
    tags = jax.random.randint(getkey(), (4, 4), 0, 3)
    partition = crf.log_partition(*scores, lengths=LENGTHS, associative=associative)
    likelihood = crf.log_likelihood(tags, *scores, lengths=LENGTHS, associative=associative)
    marginals = crf.marginals(*scores, lengths=LENGTHS, associative=associative)
    for row, length in enumerate(LENGTHS):
        paths = enumerate_paths(scores, row, length)
        np.testing.assert_allclose(partition[row], log_sum(paths), atol=1e-5)
        own = dict(paths)[tuple(tags[row, :length].tolist())]
        np.testing.assert_allclose(likelihood[row], own - log_sum(paths), atol=1e-5)
        wanted = np.zeros((4, 3))
        for path, score in paths:
            for t, tag in enumerate(path):
                wanted[t, tag] += np.exp(score - log_sum(paths))
        np.testing.assert_allclose(marginals[row], wanted, atol=1e-5)


@pytest.mark.parametrize("k", [1, 2, 5])
def test_kbest_is_the_head_of_the_sorted_enumeration(getkey, k):
    scores = random_scores(getkey())
    found = crf.kbest(*scores, lengths=LENGTHS, k=k)
    for row, length in enumerate(LENGTHS):
        paths = enumerate_paths(scores, row, length)[:k]
        np.testing.assert_allclose(
            found.scores[row, : len(paths)], [score for _, score in paths], atol=1e-5
        )
        assert (found.scores[row, len(paths) :] == -jnp.inf).all()
        for rank, (path, _) in enumerate(paths):
            assert found.tags[row, rank].tolist() == [*path, *[0] * (4 - length)]


def test_viterbi_is_the_first_of_kbest_and_scores_its_own_path(getkey):
    scores = random_scores(getkey(), tags=4)
    best, found = crf.viterbi(*scores, lengths=LENGTHS), crf.kbest(*scores, lengths=LENGTHS, k=3)
    np.testing.assert_array_equal(best.tags, found.tags[:, 0])
    np.testing.assert_allclose(
        crf.path_score(best.tags, *scores, lengths=LENGTHS), best.scores, rtol=1e-6
    )


@given(time=st.integers(0, 9), tags=st.integers(1, 4), seed=st.integers(0, 99))
def test_both_forms_agree_and_no_sequence_beats_the_partition(time, tags, seed):
    key = jax.random.key(seed)
    scores = random_scores(key, batch=3, time=time, tags=tags)
    lengths = jax.random.randint(key, (3,), 0, time + 1)
    one, other = (LOG_PARTITION(*scores, lengths=lengths, associative=a) for a in (False, True))
    np.testing.assert_allclose(one, other, atol=1e-4)
    assert (VITERBI(*scores, lengths=lengths).scores <= one + 1e-4).all()
    mass = MARGINALS(*scores, lengths=lengths).sum(-1)
    np.testing.assert_allclose(mass, np.arange(time) < np.asarray(lengths)[:, None], atol=1e-4)


def test_without_transitions_it_is_a_softmax_for_each_step(getkey):
    emissions = random_scores(getkey()).emissions
    scores = crf.Scores(emissions, jnp.zeros((3, 3)), jnp.zeros(3), jnp.zeros(3))
    np.testing.assert_allclose(crf.marginals(*scores), jax.nn.softmax(emissions), atol=1e-6)
    np.testing.assert_array_equal(crf.viterbi(*scores).tags, emissions.argmax(-1))


@pytest.mark.parametrize("associative", [False, True])
def test_gradients_match_finite_differences(x64, getkey, associative):
    scores = random_scores(getkey(), dtype=jnp.float64)
    tags = jax.random.randint(getkey(), (4, 4), 0, 3)
    loss = lambda *chain: crf.log_likelihood(  # noqa: E731
        tags, *chain, lengths=LENGTHS, associative=associative
    ).sum()
    check_grads(jax.jit(loss), tuple(scores), order=1, modes=["rev"])


@pytest.mark.parametrize("associative", [False, True])
def test_padding_may_hold_anything(getkey, associative):
    scores = random_scores(getkey())
    tags = jax.random.randint(getkey(), (4, 4), 0, 3)
    padding = np.arange(4) >= LENGTHS[:, None]

    def loss(emissions, tags):
        chain = scores._replace(emissions=emissions)
        return crf.log_likelihood(tags, *chain, lengths=LENGTHS, associative=associative).sum()

    garbage = jnp.where(padding[..., None], jnp.nan, scores.emissions)
    both = jax.jit(jax.value_and_grad(loss))
    clean = both(scores.emissions, tags)
    dirty = both(garbage, jnp.where(padding, 99, tags))
    np.testing.assert_array_equal(clean[0], dirty[0])
    np.testing.assert_array_equal(clean[1], dirty[1])
    assert (np.asarray(dirty[1])[padding] == 0).all()
    one, other = (
        crf.kbest(*scores._replace(emissions=e), lengths=LENGTHS, k=2)
        for e in (scores.emissions, garbage)
    )
    jax.tree.map(np.testing.assert_array_equal, one, other)


@pytest.mark.parametrize("associative", [False, True])
@pytest.mark.parametrize("forbidden", [crf.FORBIDDEN, -np.inf])
def test_the_forbidden_is_impossible_and_its_gradients_are_finite(getkey, associative, forbidden):
    scores = random_scores(getkey())
    scores = scores._replace(
        transitions=scores.transitions.at[0, 1].set(forbidden).at[2].set(forbidden),
        start=scores.start.at[2].set(forbidden),
        emissions=scores.emissions.at[0, 1, 0].set(forbidden),
    )
    tags = jnp.array(
        [[0, 0, 0, 0], [0, 1, 0, 0], [2, 0, 0, 0], [2, 0, 1, 0]]
    )  # all but one forbidden
    loss = lambda *chain: crf.log_likelihood(  # noqa: E731
        tags, *chain, lengths=LENGTHS, associative=associative
    ).sum()
    slopes = jax.jit(jax.grad(loss, argnums=(0, 1, 2, 3)))(*scores)
    assert all(np.isfinite(g).all() for g in slopes)
    assert crf.forbidden(tags, *scores, lengths=LENGTHS).tolist() == [True, False, True, True]
    assert np.isneginf(crf.path_score(tags, *scores, lengths=LENGTHS)).tolist() == [
        True,
        False,
        True,
        True,
    ]
    marginals = MARGINALS(*scores, lengths=LENGTHS, associative=associative)
    assert marginals[0, 1, 0] == 0 and (marginals[:, 0, 2] == 0).all()
    paths = crf.kbest(*scores, lengths=LENGTHS, k=3)
    assert paths.scores[0, 0] > -jnp.inf and (paths.tags[:, :, 0][(LENGTHS > 0)] != 2).all()


@pytest.mark.parametrize("associative", [False, True])
@pytest.mark.parametrize("forbidden", [crf.FORBIDDEN, -np.inf])
def test_a_rows_own_tags_are_allowed_and_counted(getkey, associative, forbidden):
    scores = random_scores(getkey())
    chain = scores._replace(
        transitions=scores.transitions.at[0, 1].set(forbidden),
        end=scores.end.at[1].set(forbidden),
        emissions=scores.emissions.at[3, 1, 2].set(forbidden),
    )
    tags = jnp.array([[0, 1, 0, 1], [0, 0, 0, 0], [2, 0, 0, 0], [2, 2, 0, 0]])
    nats = lambda *chain: crf.log_likelihood(tags, *chain, lengths=LENGTHS, associative=associative)  # noqa: E731
    found = nats(*chain)
    assert crf.forbidden(tags, *chain, lengths=LENGTHS).tolist() == [True, False, False, True]
    for row in (0, 3):
        own = tuple(tags[row, : LENGTHS[row]].tolist())
        # What forbids the row's own tags counts as 0; all other sequences are as they were.
        lifted = jax.tree.map(
            lambda mine, all: jnp.where(mine <= crf.FORBIDDEN / 2, 0, all), chain, scores
        )
        score = dict(enumerate_paths(lifted, row, LENGTHS[row]))[own]
        others = [
            (path, value)
            for path, value in enumerate_paths(chain, row, LENGTHS[row])
            if path != own
        ]
        np.testing.assert_allclose(found[row], score - log_sum([*others, (own, score)]), atol=1e-5)
    slopes = jax.grad(lambda *chain: nats(*chain).sum(), argnums=(0, 1, 2, 3))
    grads = jax.jit(slopes)(*chain)
    assert all(np.isfinite(g).all() and np.abs(g).max() < 9 for g in grads)
    np.testing.assert_allclose(jax.jit(nats)(*chain), found, rtol=1e-5)


def test_one_broken_row_leaves_the_mean_as_it_was():
    tags = jnp.tile(jnp.array([[0, 1, 2, 0]]), (8, 1)).at[0].set(jnp.array([0, 2, 2, 0]))
    scores = crf.constrain(random_scores(jax.random.key(0), batch=8), crf.bio_constraints(BIO[:3]))
    assert crf.forbidden(tags, *scores).sum() == 1
    assert 0 > crf.log_likelihood(tags, *scores).min() > -20


@pytest.mark.parametrize("k", [3, 60])
def test_no_search_returns_what_is_forbidden(getkey, k):
    scores = crf.constrain(random_scores(getkey(), tags=5), crf.bio_constraints(BIO))
    found = crf.kbest(*scores, lengths=LENGTHS, k=k)
    for row, length in enumerate(LENGTHS):
        paths = [(p, s) for p, s in enumerate_paths(scores, row, length) if s > crf.FORBIDDEN / 2][
            :k
        ]
        np.testing.assert_allclose(
            found.scores[row, : len(paths)], [score for _, score in paths], atol=1e-5
        )
        assert (found.scores[row, len(paths) :] == -jnp.inf).all() and not found.tags[
            row, len(paths) :
        ].any()
        for rank, (path, _) in enumerate(paths):
            assert found.tags[row, rank].tolist() == [*path, *[0] * (4 - length)]
    none = crf.viterbi(*scores._replace(start=jnp.full(5, -jnp.inf)), lengths=LENGTHS)
    assert none.scores.tolist() == [-np.inf, 0, -np.inf, -np.inf] and not none.tags.any()


def test_numbers_that_are_no_tags(getkey):
    scores = random_scores(getkey())
    tags = (
        jnp.zeros((4, 4), int).at[0, 3].set(3).at[2, 0].set(-1).at[3, 3].set(-100)
    )  # the last one is padding
    for function in (crf.log_likelihood, crf.path_score):
        with pytest.raises(
            ValueError, match="a tag is 3; give tags from 0 to 2, any past the end of a row"
        ):
            function(tags, *scores, lengths=LENGTHS)
        with pytest.raises(TypeError, match="tags are float32; give integers"):
            function(jnp.zeros((4, 4)), *scores, lengths=LENGTHS)
        loss = lambda tags, emissions: function(tags, emissions, *scores[1:], lengths=LENGTHS)  # noqa: B023, E731
        assert np.isnan(jax.jit(loss)(tags, scores.emissions)).tolist() == [
            True,
            False,
            True,
            False,
        ]
        slope = jax.jit(jax.grad(lambda tags, e: loss(tags, e).sum(), argnums=1))(  # noqa: B023
            tags, scores.emissions
        )
        assert np.isnan(slope[0]).any() and np.isfinite(slope[3]).all()


def test_lengths_out_of_range_under_jit_are_clamped(getkey):
    scores, tags = random_scores(getkey()), jnp.ones((4, 4), int)

    @jax.jit
    def everything(lengths):
        sums = [
            crf.log_partition(*scores, lengths=lengths, associative=form) for form in (False, True)
        ]
        likelihood = crf.log_likelihood(tags, *scores, lengths=lengths)
        return (
            sums,
            likelihood,
            crf.marginals(*scores, lengths=lengths),
            crf.kbest(*scores, lengths=lengths, k=2),
        )

    wrong, right = everything(jnp.array([99, -3, 1, 3])), everything(jnp.array([4, 0, 1, 3]))
    jax.tree.map(np.testing.assert_array_equal, wrong, right)


def test_a_chain_in_which_everything_is_forbidden_stays_finite(getkey):
    scores = random_scores(getkey())._replace(transitions=jnp.full((3, 3), -jnp.inf))
    slopes = jax.value_and_grad(
        lambda *chain: crf.log_partition(*chain).sum(), argnums=(0, 1, 2, 3)
    )
    value, grads = jax.jit(slopes)(*scores)
    assert np.isfinite(value) and all(np.isfinite(g).all() for g in grads)


def test_rows_of_length_zero(getkey):
    scores = random_scores(getkey())
    none = np.zeros(4, int)
    assert (crf.log_partition(*scores, lengths=none) == 0).all()
    assert (crf.log_likelihood(jnp.ones((4, 4), int), *scores, lengths=none) == 0).all()
    assert (crf.viterbi(*scores, lengths=none).tags == 0).all()
    empty = random_scores(getkey(), time=0)
    assert (crf.log_partition(*empty) == 0).all() and crf.viterbi(*empty).tags.shape == (4, 0)
    assert (crf.log_likelihood(jnp.zeros((4, 0), int), *empty) == 0).all()


def test_any_batch_axes_jit_and_vmap(getkey):
    scores = random_scores(getkey(), batch=6)
    lengths = jnp.array([4, 0, 1, 3, 2, 4])
    flat = crf.log_partition(*scores, lengths=lengths)
    square = crf.log_partition(
        scores.emissions.reshape(2, 3, 4, 3), *scores[1:], lengths=lengths.reshape(2, 3)
    )
    np.testing.assert_allclose(square.reshape(6), flat, rtol=1e-6)
    mapped = jax.vmap(lambda e, n: crf.log_partition(e, *scores[1:], lengths=n))(
        scores.emissions, lengths
    )
    np.testing.assert_allclose(mapped, flat, rtol=1e-6)
    paths = jax.jit(crf.viterbi)(*scores, lengths=lengths)
    np.testing.assert_array_equal(paths.tags, crf.viterbi(*scores, lengths=lengths).tags)


def test_bfloat16_emissions_are_summed_in_float32(getkey):
    scores = random_scores(getkey())
    narrow = scores._replace(emissions=scores.emissions.astype(jnp.bfloat16))
    wide = narrow._replace(emissions=narrow.emissions.astype(jnp.float32))
    assert crf.log_partition(*narrow).dtype == jnp.float32
    np.testing.assert_array_equal(crf.log_partition(*narrow), crf.log_partition(*wide))


def entities_are_closed(path, scheme):
    """Reads a tag sequence as a person would: every entity is opened, kept to its kind and, in BIOES, closed."""
    inside = None
    for tag in path:
        prefix, _, kind = tag.partition("-")
        if prefix in ("I", "E"):
            if inside != kind:
                return False
        elif scheme == "BIOES" and inside is not None:
            return False
        inside = kind if prefix in ("B", "I") else None
    return not (scheme == "BIOES" and inside is not None)


@pytest.mark.parametrize(
    ("scheme", "tags", "make"),
    [("BIO", BIO, crf.bio_constraints), ("BIOES", BIOES, crf.bioes_constraints)],
)
def test_constraints_allow_just_the_well_formed(scheme, tags, make):
    allowed = make(tags)
    for path in itertools.product(range(len(tags)), repeat=3):
        possible = allowed.start[path[0]] and allowed.end[path[-1]]
        possible &= all(allowed.transitions[a, b] for a, b in itertools.pairwise(path))
        assert possible == entities_are_closed([tags[i] for i in path], scheme)


@pytest.mark.parametrize(
    ("scheme", "tags", "make"),
    [
        ("BILOU", ("O", "B-x", "I-x", "L-x", "U-x"), crf.bilou_constraints),
        ("BMES", ("O", "B-x", "M-x", "E-x", "S-x"), crf.bmes_constraints),
        ("BMEWO", ("O", "B-x", "M-x", "E-x", "W-x"), crf.bmewo_constraints),
    ],
)
def test_other_letters_of_bioes_mean_the_same(scheme, tags, make):
    assert crf.in_bioes(tags, scheme) == [*BIOES] and crf.scheme_of(tags) == scheme
    for found, wanted in zip(make(tags), crf.bioes_constraints(BIOES), strict=True):
        np.testing.assert_array_equal(found, wanted)
    with pytest.raises(
        ValueError, match=f"tag 'I-y' is none of {scheme}|tag 'Q-y' is none of {scheme}"
    ):
        make([*tags, "I-y" if "M" in scheme else "Q-y"])


def test_the_scheme_is_told_by_the_letters():
    assert crf.scheme_of(["O", "B-x", "I-x"]) == "BIO" and crf.in_bioes(["B-x", "I-x"], "BIO") == [
        "B-x",
        "I-x",
    ]
    assert crf.scheme_of(["B", "M", "E", "S"]) == "BMES" and crf.scheme_of(["B", "I", "O"]) == "BIO"
    assert crf.scheme_of(["O", "U-x"]) == "BILOU" and crf.scheme_of(["O", "E-x", "B-x"]) == "BIOES"
    for tags in (
        ["NOUN", "VERB"],
        ["O", "B-x", "NOUN"],
        ["S", "V", "O"],
        ["B", "I"],
        ["O"],
        ["B-x", "L-x", "M-x"],
    ):
        assert crf.scheme_of(tags) is None


def test_constrained_decoding_finds_the_best_well_formed_sequence(getkey):
    scores = random_scores(getkey(), tags=5)
    best = crf.viterbi(*crf.constrain(scores, crf.bio_constraints(BIO)))
    for row in range(4):
        paths = enumerate_paths(scores, row, 4)
        wanted, score = next(
            (p, s) for p, s in paths if entities_are_closed([BIO[i] for i in p], "BIO")
        )
        assert tuple(best.tags[row].tolist()) == wanted
        np.testing.assert_allclose(best.scores[row], score, rtol=1e-5)


def test_a_chain_learns_transitions_that_emissions_cannot_tell():
    tags = jnp.tile(jnp.array([0, 1, 2, 2]), (8, 3))
    scores = crf.Scores(jnp.zeros((8, 12, 3)), jnp.zeros((3, 3)), jnp.zeros(3), jnp.zeros(3))
    chain = scores[1:]
    gradient = jax.jit(
        jax.grad(lambda chain: -crf.log_likelihood(tags, scores.emissions, *chain).mean())
    )
    for _ in range(60):
        chain = jax.tree.map(lambda p, g: p - 0.5 * g, chain, gradient(chain))
    # What follows a 2 is a matter of chance to a first-order chain: 2 or 0; all else is certain.
    assert crf.log_likelihood(tags, scores.emissions, *chain)[0] > -6 * np.log(2) - 1.5


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"emissions": jnp.zeros(3)}, "time, tags"),
        ({"transitions": jnp.zeros((2, 3))}, "transitions has shape"),
        ({"start": jnp.zeros(2)}, "start has shape"),
        ({"end": jnp.zeros(4)}, "end has shape"),
    ],
)
def test_wrong_shapes_are_named(getkey, change, words):
    with pytest.raises(ValueError, match=words):
        crf.log_partition(*random_scores(getkey())._replace(**change))


def test_other_mistakes_are_named(getkey):
    scores = random_scores(getkey())
    with pytest.raises(ValueError, match="lengths have shape"):
        crf.log_partition(*scores, lengths=np.array([1, 2]))
    with pytest.raises(ValueError, match="from 0 to 4"):
        crf.viterbi(*scores, lengths=np.array([1, 2, 5, 0]))
    with pytest.raises(ValueError, match="tags have shape"):
        crf.log_likelihood(jnp.zeros((4, 3), int), *scores)
    with pytest.raises(ValueError, match="k is 0"):
        crf.kbest(*scores, k=0)
    for make, tag in (
        (crf.bio_constraints, "E-x"),
        (crf.bioes_constraints, "O-x"),
        (crf.bio_constraints, "NOUN"),
    ):
        with pytest.raises(ValueError, match=tag):
            make(["O", tag])


@pytest.mark.parametrize("associative", [False, True])
def test_long_rows_are_as_exact_as_short_ones(associative):
    rng = np.random.default_rng(0)
    chain = [2 * rng.normal(size=shape) for shape in ((1, 5000, 4), (4, 4), (4,), (4,))]
    marginals = jax.jit(crf.marginals, static_argnames="associative")
    narrow = marginals(*(np.float32(part) for part in chain), associative=associative)
    with jax.enable_x64(True):
        wide = marginals(*chain)
    np.testing.assert_allclose(narrow, wide, atol=2e-5)

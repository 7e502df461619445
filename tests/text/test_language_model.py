"""Language models of text: what they learn, write, tell and pay."""

import dataclasses
import functools
import json
import signal

import jax
import numpy as np
import optax
import pytest

import seqjax
from seqjax import data, text, training
from seqjax.decoding import sampling
from seqjax.files.settings import from_plain, to_plain
from seqjax.tasks import Trained
from seqjax.text import codecs
from seqjax.training import fitting
from tests.fresh import run_afresh

pytestmark = pytest.mark.usefixtures("quick_compile")

SENTENCE = "the quick brown fox jumps over the lazy dog.\n"
RECIPE = training.Recipe(steps=150, batch_size=8, learning_rate=0.02)


@pytest.fixture(scope="module")
def trained():
    """Knows one sentence by heart."""
    task = text.LanguageModel.of(SENTENCE, seqjax.GRU(32), embedding_size=8, window=20)
    return training.fit(task, SENTENCE * 20, validation=SENTENCE * 3, recipe=RECIPE, quiet=True)


@pytest.fixture(scope="module")
def fresh():
    """Knows nothing, and has an opinion on everything."""
    layers = seqjax.stack(seqjax.LSTM(7), seqjax.GRU(5))
    task = text.LanguageModel.of(SENTENCE, layers, embedding_size=4, window=6)
    params = task.init(jax.random.key(3))
    return Trained(task, params | {"head": jax.tree.map(lambda leaf: 4 * leaf, params["head"])})


def reference(model, ids):
    """The log-probability of each token after the first, one unbroken reading in NumPy's softmax."""
    _, logits = model.task.model.apply({"params": model.params}, ids[None, :-1])
    logits = np.asarray(logits[0], np.float64)
    scores = logits - np.log(np.exp(logits).sum(-1, keepdims=True))
    return scores[np.arange(len(ids) - 1), ids[1:]]


def test_it_learns_a_sentence_by_heart_and_goes_on_with_it(trained):
    metrics = trained.evaluate(SENTENCE * 3)
    assert metrics["nats"] < 0.3 and metrics["perplexity"] == pytest.approx(np.exp(metrics["nats"]))
    prompts = ["the quick ", "the quick brown fox jumps ov", "\n"]
    written = trained.predict(prompts, max_length=9, temperature=0)
    assert written == ["brown fox", "er the la", "the quick"]


def test_the_state_is_carried_through_a_text_and_begins_anew_in_each_window(fresh):
    words = SENTENCE * 5
    ids = fresh.task.codec.encode(words)
    metrics = fresh.evaluate(words)
    nats = -reference(fresh, ids)
    assert metrics["nats"] == pytest.approx(nats.mean(), rel=1e-5)
    assert metrics["bits_per_character"] == pytest.approx(nats.mean() / np.log(2), rel=1e-5)
    windows = [-reference(fresh, ids[at : at + 7]) for at in range(0, len(ids) - 1, 6)]
    expected = np.concatenate(windows).mean()
    assert metrics["window_nats"] == pytest.approx(expected, rel=1e-5)
    assert abs(metrics["window_nats"] - metrics["nats"]) > 1e-3


def test_a_text_longer_than_a_chunk_is_read_in_one_go(fresh, monkeypatch):
    whole = fresh.evaluate(SENTENCE * 3)
    monkeypatch.setattr(text.scoring.nats_carried, "__defaults__", (17,))
    parts = fresh.evaluate(SENTENCE * 3)
    assert parts == pytest.approx(whole, rel=1e-5)


def test_the_nats_of_a_text_are_those_of_its_tokens(fresh):
    texts = ["the dog", "quick", "o", SENTENCE * 30]
    found = fresh.score(texts)
    for words, nats in zip(texts, found, strict=True):
        ids = fresh.task.codec.encode("\n" + words)
        assert nats == pytest.approx(-reference(fresh, ids).sum(), rel=1e-5)
        assert fresh.score([words])[0] == pytest.approx(nats, rel=1e-5)
    after = fresh.score(["dog"], context="lazy ")[0]
    ids = fresh.task.codec.encode("lazy dog")
    assert after == pytest.approx(-reference(fresh, ids)[-3:].sum(), rel=1e-5)
    assert fresh.score([]).shape == (0,)


def test_a_stream_tells_what_the_whole_text_would(fresh):
    stream = fresh.stream()
    told = np.concatenate([stream.read(piece) for piece in ("t", "he quick brown fox ", "", "jum")])
    ids = fresh.task.codec.encode("\nthe quick brown fox jum")
    np.testing.assert_allclose(told, reference(fresh, ids), rtol=1e-4, atol=1e-5)
    assert np.exp(stream.log_probabilities).sum() == pytest.approx(1, abs=1e-5)

    (first, probability), *others = stream.likeliest(3)
    assert len(others) == 2 and probability >= others[0][1]
    before = stream.state
    np.testing.assert_allclose(np.exp(stream.read(first)), [probability], rtol=1e-5)
    stream.state = before
    np.testing.assert_allclose(np.exp(stream.read(first)), [probability], rtol=1e-5)


def test_what_it_knows_by_heart_it_expects(trained):
    stream = trained.stream(context="\n")
    stream.read("the quick bro")
    character, probability = stream.likeliest(1)[0]
    assert character == "w" and probability > 0.8


def test_samples_depend_on_the_seed_and_on_nothing_else_that_is_asked(fresh):
    prompts = ["the", "a lazy", "do", "t"]
    written = fresh.predict(prompts, max_length=12, seed=5)
    assert fresh.predict(prompts[:2], max_length=12, seed=5) == written[:2]
    assert fresh.predict(prompts, max_length=12, seed=6) != written
    twice = fresh.predict(["the", "the"], max_length=12)
    assert twice[0] != twice[1]
    assert [len(words) for words in written] == [12] * 4 and fresh.predict([]) == []
    likeliest = fresh.predict(prompts, max_length=12, temperature=0)
    assert fresh.predict(prompts, max_length=12, top_k=1) == likeliest
    assert fresh.predict(prompts, max_length=12, top_p=0.0) == likeliest


def test_a_continuation_ends_before_the_stop_token(trained):
    prompts = [
        "the quick brown fox jumps over the lazy ",
        "the quick brown fox jumps over the lazy d",
    ]
    assert trained.predict(prompts, temperature=0, stop_token="\n") == ["dog.", "og."]


def test_ten_lengths_compile_at_most_three_times(fresh):
    count = sampling._sample._cache_size()
    fresh.predict(["t" * length for length in (1, 2, 4, 7, 9, 14, 22, 31, 60, 99)], max_length=3)
    assert sampling._sample._cache_size() - count <= 3


def test_streams_compile_three_shapes(fresh):
    stream = fresh.stream()
    for length in (1, 2, 5, 16, 17, 40, 256, 300):
        assert len(stream.read("t" * length)) == length
    count = text.streams._read._cache_size()
    for length in range(1, 30):
        stream.read("o" * length)
    assert text.streams._read._cache_size() == count


def test_windows_come_from_any_place_and_an_epoch_reads_as_much_as_the_text(fresh):
    ids = fresh.task.codec.encode(SENTENCE * 10)
    stream = fresh.task.batches(SENTENCE * 10, batch_size=4, seed=1)
    assert stream.batches_per_epoch == -(-len(ids) // 24)
    batch = next(stream)
    assert batch["inputs"].shape == (4, 6)
    np.testing.assert_array_equal(batch["inputs"][:, 1:], batch["targets"][:, :-1])
    position = stream.state()
    following = next(stream)
    again = fresh.task.batches(SENTENCE * 10, batch_size=4, seed=1)
    again.restore(position)
    np.testing.assert_array_equal(next(again)["inputs"], following["inputs"])


def test_once_is_in_order_and_rows_that_fill_up_do_not_count(fresh):
    words = SENTENCE[:40]
    batches = list(fresh.task.batches(words, batch_size=4, once=True))
    inputs = np.concatenate([batch["inputs"] for batch in batches])
    weight = np.concatenate([batch["weight"] for batch in batches])
    ids = fresh.task.codec.encode(words)
    np.testing.assert_array_equal(inputs[weight > 0].reshape(-1), ids[:36])
    loss, aux = fresh.task.loss(fresh.params, batches[-1], jax.random.key(0), 0)
    half = {name: rows[:2] for name, rows in batches[-1].items()}
    assert float(aux.weight) == 12 and weight.sum() == 6
    assert float(loss) == pytest.approx(
        float(fresh.task.loss(fresh.params, half, jax.random.key(0), 0)[0]), rel=1e-5
    )


@pytest.fixture(scope="module")
def carried():
    """Trains on windows that continue each other."""
    return text.LanguageModel.of(SENTENCE, seqjax.GRU(6), embedding_size=4, window=5, carried=True)


def test_windows_that_continue_each_other_hand_their_state_on(carried):
    words, recipe = SENTENCE * 2, training.Recipe(steps=20, batch_size=2)
    still = optax.sgd(0.0)
    state = fitting.fresh_state(carried, recipe, still)
    step = training.make_train_step(functools.partial(fitting._loss, carried), still)
    batches = carried.batches(words, batch_size=2)
    per_epoch, read, states = batches.batches_per_epoch, [], []
    for _ in range(per_epoch + 1):
        batch = next(batches)
        read.append(batch["inputs"])
        state, _ = step(state, batch)
        states.append(np.asarray(state.extra.carry))
    assert int(state.extra.step) == per_epoch + 1
    variables = {"params": state.params}
    whole, _ = carried.model.apply(variables, np.concatenate(read[:per_epoch], 1))
    np.testing.assert_allclose(states[-2], whole, rtol=1e-5, atol=1e-6)
    # The text begins anew.
    np.testing.assert_array_equal(read[-1], read[0])
    np.testing.assert_allclose(states[-1], states[0], rtol=1e-5, atol=1e-6)
    assert np.abs(states[-2] - states[0]).max() > 0.01


def test_a_carried_training_that_was_interrupted_goes_on_to_the_same_parameters(carried, tmp_path):
    fit = functools.partial(
        training.fit,
        carried,
        SENTENCE * 3,
        validation=SENTENCE,
        recipe=training.Recipe(steps=12, batch_size=2, every=4),
        quiet=True,
    )
    whole = fit()

    def stop(event):
        if event.kind == "step" and event.step == 6:
            signal.raise_signal(signal.SIGTERM)

    with pytest.raises(training.Interrupted):
        fit(folder=tmp_path, callbacks=[stop])
    jax.tree.map(np.testing.assert_array_equal, fit(folder=tmp_path).params, whole.params)


def test_a_carried_pass_ends(carried):
    batches = list(carried.batches(SENTENCE, batch_size=2, once=True))
    assert len(batches) == 4 and [batch["reset"].any() for batch in batches] == [True] + [False] * 3


@pytest.mark.parametrize(
    "codec",
    [
        codecs.Lines.of(SENTENCE),
        codecs.Lines.of("the quick dog .\n", tokenised=True),
        data.BPE.train([SENTENCE], 270, specials=()),
    ],
    ids=["words", "tokenised", "subwords"],
)
def test_words_and_subwords(codec, tmp_path):
    task = text.LanguageModel.of(
        SENTENCE, seqjax.GRU(5), codec=codec, embedding_size=4, window=3, tied=False
    )
    params = task.init(jax.random.key(0))
    words = SENTENCE * 2
    metrics = task.evaluate(params, words)
    ids = codec.encode(words)
    total = -reference(Trained(task, params), ids).sum()
    assert metrics["nats"] == pytest.approx(total / (len(ids) - 1), rel=1e-5)
    characters = len(words) - len(codec.decode(ids[:1]))
    assert metrics["bits_per_character"] == pytest.approx(total / np.log(2) / characters, rel=1e-5)
    (written,) = task.predict(params, ["the quick"], max_length=5, seed=2)
    assert isinstance(written, str)
    assert from_plain(json.loads(json.dumps(to_plain(task)))) == task
    assert next(task.batches(words, batch_size=2))["inputs"].shape == (2, 3)


def test_a_word_is_written_with_the_blank_before_it():
    words = "we see a man , who sees us\n" * 20
    codec = codecs.Lines.of(words, tokenised=True)
    task = text.LanguageModel.of(words, seqjax.GRU(24), codec=codec, embedding_size=8, window=8)
    model = training.fit(task, words, recipe=RECIPE, quiet=True)
    (written,) = model.predict(["we see"], max_length=4, temperature=0)
    assert written == " a man , who"
    assert model.predict(["a man , who sees"], temperature=0, stop_token="\n") == [" us"]


def test_a_fresh_process_gives_the_same_answers(fresh, tmp_path):
    fresh.save(tmp_path / "model")
    assert seqjax.load(tmp_path / "model").task == fresh.task
    program = (
        "import json, seqjax\n"
        "model = seqjax.load(sys.argv[1])\n"
        "written = model.predict(['the', 'a lazy dog'], max_length=9, seed=3)\n"
        "stream = model.stream()\n"
        "print(json.dumps([written, stream.read('quick').tolist()]))\n"
    )
    without = ("matplotlib", "sacrebleu", "tokenizers")
    written, told = run_afresh(program, tmp_path / "model", without=without)
    assert written == fresh.predict(["the", "a lazy dog"], max_length=9, seed=3)
    np.testing.assert_allclose(told, fresh.stream().read("quick"), rtol=1e-4)


def test_the_report_writes_samples_and_the_worth_of_context(trained, tmp_path, monkeypatch):
    monkeypatch.setattr(text.language_model, "SAMPLE_LENGTH", 60)
    report = trained.report(SENTENCE * 3, tmp_path)
    assert report.metrics == trained.evaluate(SENTENCE * 3)
    assert report.counts == {"characters": 135, "tokens": 134}
    samples = (tmp_path / "samples.txt").read_text()
    assert samples.count("--- temperature") == 3 and SENTENCE.strip() in samples
    assert (tmp_path / "context.png").read_bytes().startswith(b"\x89PNG")


def test_settings_and_repr(fresh, carried):
    for task in (fresh.task, carried):
        assert from_plain(json.loads(json.dumps(to_plain(task)))) == task
    assert repr(carried) == "LanguageModel(GRU(6) over 29 tokens)"
    assert text.LanguageModel.of("ab", seqjax.GRU(2)).opening == "a"
    assert fresh.task.opening == "\n"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda m: text.LanguageModel.of("", seqjax.GRU(2)), "the text is empty"),
        (
            lambda m: text.LanguageModel.of("ab", seqjax.bidirectional(seqjax.GRU(2))),
            "reads the future; give a causal recurrence",
        ),
        (lambda m: text.LanguageModel.of("ab", seqjax.GRU(2), window=0), "window is 0"),
        (lambda m: m.predict("the"), "prompts are one text, 'the'; give a list of texts"),
        (lambda m: m.predict(["the", ""]), "prompt 1 is empty; give at least one token"),
        (lambda m: m.predict(["the", "Ω"]), "prompt 1: not in the vocabulary of 29 tokens: 'Ω'"),
        (lambda m: m.predict(["t"], stop_token="ab"), "stop_token 'ab' is 2 tokens"),
        (lambda m: m.predict(["t"], temperature=-1), "temperature is -1"),
        (lambda m: m.predict(["t"], max_length=0), "length is 0"),
        (lambda m: m.score(["a", "É"]), "text 1: not in the vocabulary"),
        (lambda m: m.stream(context=""), "context is empty"),
        (lambda m: m.stream().read("Ω"), "not in the vocabulary of 29 tokens: 'Ω'"),
        (lambda m: m.evaluate("t"), "the text has 1 tokens; give at least 2"),
        (lambda m: m.task.batches("the d", batch_size=1), "a window of 6 and its continuation"),
        (
            lambda m: m.task.batches(SENTENCE, batch_size=3, multiple_of=2),
            "batch_size is 3; give a multiple of 2",
        ),
    ],
)
def test_mistakes_are_told_in_one_line(fresh, call, message):
    with pytest.raises(ValueError, match=message) as caught:
        call(fresh)
    assert "\n" not in str(caught.value)


def test_large_and_changing_outputs_cost_what_they_are_given():
    layer = seqjax.GRU(6)
    plain = text.LanguageModel.of(SENTENCE, layer, embedding_size=4, window=6)
    costly = dataclasses.replace(plain, activation_penalty=2.0, change_penalty=0.5)
    params = plain.init(jax.random.key(3))
    batch = next(plain.batches(SENTENCE * 3, batch_size=4))
    key = jax.random.key(0)
    xs = params["embed"]["embedding"][batch["inputs"]]
    ys = np.asarray(seqjax.unroll(layer, params["recurrent"], xs)[1], np.float64)
    wanted = 2 * (ys**2).mean() + 0.5 * (np.diff(ys, axis=1) ** 2).mean()
    extra = costly.loss(params, batch, key, 0)[0] - plain.loss(params, batch, key, 0)[0]
    assert float(extra) == pytest.approx(wanted, rel=1e-4)


def test_varied_windows_continue_each_other():
    settings = {"embedding_size": 4, "window": 16, "carried": True}
    task = text.LanguageModel.of(SENTENCE, seqjax.GRU(6), varied=True, **settings)
    batches = task.batches(SENTENCE * 40, batch_size=2)
    first = [next(batches)["inputs"] for _ in range(batches.batches_per_epoch)]
    assert len({piece.shape[1] for piece in first}) > 1
    row = np.concatenate(first, axis=1)[0]
    assert task.codec.decode(row).startswith(SENTENCE * 10)
    once = task.batches(SENTENCE * 40, batch_size=2, once=True)
    assert {batch["inputs"].shape for batch in once} == {(2, 16)}
    recipe = training.Recipe(steps=10, batch_size=2, learning_rate=0.05)
    trained = training.fit(task, SENTENCE * 40, recipe=recipe, quiet=True)
    assert trained.evaluate(SENTENCE)["nats"] < np.log(len(task.codec))
    with pytest.raises(ValueError, match="varied windows continue each other; give carried=True"):
        text.LanguageModel.of(SENTENCE, seqjax.GRU(6), varied=True)

"""Sequences to other sequences: learnt, scored, written, saved."""

import dataclasses
import itertools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import seqjax
from seqjax import text, training
from seqjax.decoding import Writer, Written
from seqjax.files.settings import from_plain, to_plain
from seqjax.text import translator_report
from tests.fresh import run_afresh

WORDS = ["".join(word) for size in (2, 3, 4) for word in itertools.product("abc", repeat=size)]
BACK = [word[::-1] for word in WORDS]
SAID = [[letter.upper() for letter in word] for word in WORDS]
PAIRS = list(zip(WORDS, BACK, strict=True))
LAYER = seqjax.bidirectional(seqjax.GRU(16))

pytestmark = pytest.mark.usefixtures("quick_compile")


def task_of(sources, targets, **settings):
    chosen = {
        "recurrence": seqjax.bidirectional(seqjax.GRU(8)),
        "decoder": seqjax.GRU(16),
        "embedding_size": 8,
        "codecs": "words",
        "buckets": 1,
    }
    return text.Translator.of(sources, targets, **chosen | settings)


@pytest.fixture(scope="module")
def trained():
    """Writes words backwards."""
    task = task_of(
        WORDS,
        BACK,
        recurrence=seqjax.bidirectional(seqjax.GRU(24)),
        decoder=seqjax.GRU(48),
        embedding_size=16,
        codecs="characters",
        scorer=text.Exact(),
        beam=3,
    )
    recipe = training.Recipe(steps=160, every=80, batch_size=200, learning_rate=0.03)
    return training.fit(task, (WORDS, BACK), recipe=recipe, quiet=True)


@pytest.fixture(scope="module")
def untrained():
    """Reads and writes words, of a network that has learnt nothing."""
    task = task_of(["ein Hund sah Ulm", "ein Mann"], ["a dog saw Ulm", "a man"])
    return seqjax.Trained(task, task.init(jax.random.key(0)))


def test_it_learns_and_scores(trained):
    metrics = trained.evaluate((WORDS, BACK))
    assert metrics["exact"] > 0.9 and metrics["error"] == pytest.approx(1 - metrics["exact"])
    assert set(trained.task.monitor) <= set(metrics) and 0 < metrics["nats"] < 0.3
    outputs = trained.predict(WORDS, beam=1)
    right = np.mean([a == b for a, b in zip(outputs, BACK, strict=True)])
    assert right == metrics["exact"]


def test_nats_are_those_of_a_batch_computed_alone(trained):
    batch = next(trained.task.batches((WORDS, BACK), batch_size=10_000, once=True))
    alone = trained.task.network.nats(trained.params, batch)["nats"].value()
    assert trained.nats((WORDS, BACK)) == pytest.approx(float(alone), rel=1e-4)


def test_answers_do_not_depend_on_what_else_is_asked(trained):
    asked = ["abc", "ca", "bbac", "cccc"]
    assert trained.predict(asked) == [trained.predict([word])[0] for word in asked]


def test_ten_lengths_compile_at_most_three_times_and_later_ones_nothing(untrained):
    lines = [" ".join(["ein"] * words) for words in (1, 2, 3, 5, 8, 11, 14, 19, 23, 30)]
    count = Writer.search._cache_size()
    untrained.predict(lines)
    assert Writer.search._cache_size() - count <= 3
    untrained.predict([" ".join(["ein"] * 60)])
    count = Writer.search._cache_size()
    untrained.predict([" ".join(["Mann"] * 58)])
    assert Writer.search._cache_size() == count


def test_the_best_come_first_and_scores_and_pieces_go_with_them(trained):
    several = trained.predict(["abc", "cb"], n_best=3)
    assert [len(each) for each in several] == [3, 3] and several[0][0] == "cba"
    assert len(set(several[0])) == 3
    best, second, _ = trained.translations(["abc"], n_best=3)[0]
    assert best.score > second.score and best.ended
    assert best.source == list("abc") and best.target == list("cba")
    assert best.attention.shape == (3, 3)
    np.testing.assert_allclose(best.attention.sum(1), 1, atol=1e-5)


def test_a_wider_beam_finds_what_is_at_least_as_likely(trained):
    greedy = trained.translations(WORDS, beam=1)
    wide = trained.translations(WORDS)
    assert all(w[0].score >= g[0].score - 1e-5 for w, g in zip(wide, greedy, strict=True))


def test_an_empty_source_has_an_empty_output(trained):
    assert trained.predict(["", "ab", " "]) == ["", "ba", ""]
    assert trained.predict([""], n_best=2) == [[""]] and trained.predict([]) == []


def test_attention_tells_where_letters_came_from(trained):
    source, target, weights = trained.attention(["abcc"])[0]
    assert source == list("abcc") and target == list("ccba") and weights.shape == (4, 4)


def test_without_attention_there_is_none_to_see():
    task = task_of(["a b"], ["b a"], attention=None, tied=False)
    params = task.init(jax.random.key(0))
    with pytest.raises(ValueError, match="does not attend"):
        task.attention(params, ["a b"])
    assert len(task.predict(params, ["a b"])) == 1


def test_a_model_comes_back_as_it_was_in_a_fresh_process(trained, tmp_path):
    trained.save(tmp_path / "model")
    program = (
        "import json, seqjax\n"
        "model = seqjax.load(sys.argv[1])\n"
        "print(json.dumps([model.predict(['abc', 'ca'], n_best=2), model.evaluate((['ab'], ['ba']))]))\n"
    )
    outputs, metrics = run_afresh(program, tmp_path / "model", without=("matplotlib",))
    assert outputs == trained.predict(["abc", "ca"], n_best=2)
    assert metrics == pytest.approx(trained.evaluate((["ab"], ["ba"])), rel=1e-4)


@pytest.mark.parametrize(
    "settings",
    [
        {"codecs": "subwords", "vocab_size": 300, "length_penalty": 1, "label_smoothing": 0.1},
        {"copied": 3, "attention": "additive", "form": "bahdanau", "coverage": 1.0},
        {"codecs": ("characters", "words"), "scorer": text.Bleu(rouge=True), "block_ngrams": 3},
        {"sampling": text.LinearSampling(100, 0.5), "max_length": 9, "max_training_length": 5},
        {"codecs": ("characters", "characters"), "decoder": None, "frames": 2},
    ],
)
def test_settings_come_back(settings):
    task = task_of(["ein Hund", "ein Mann"], ["a dog", "a man"], **settings)
    again = from_plain(json.loads(json.dumps(to_plain(task))))
    assert again == task and hash(again) == hash(task) and "\n" not in repr(task)


class Echo:
    """A network that writes what it reads."""

    frames = 1

    def writer(self, beam, n_best):
        def write(params, batches, count):
            found = [None] * count
            for batch in batches:
                rows = zip(
                    *(batch[k] for k in ("source", "source_lengths", "indices")), strict=True
                )
                for source, length, index in rows:
                    if index >= 0:
                        found[index] = [Written(source[:length], 0.0, True, np.eye(length))]
            return found

        return write


def test_new_words_of_a_source_can_be_learnt_and_written():
    lines = ["Ulm liegt", "Ulm liegt", "Rom liegt"]
    task = task_of(lines, lines, copied=2, vocab_size=6)
    assert task.network.model.decoder.copying == 2 and "Rom" not in task.source.tokens
    batch = next(task.batches((["Rom liegt"], ["Bonn Rom"]), once=True))
    assert batch["source"][0, 0] == batch["targets"][0, 1] == 6
    assert batch["targets"][0, 0] == task.target.tokens.unk
    written = dataclasses.replace(task, network=Echo()).predict({}, ["Bonn liegt", "Ulm Rom Ulm"])
    assert written == ["Bonn liegt", "Ulm Rom Ulm"]


def test_every_target_of_a_source_is_learnt_and_any_counts():
    sounds = [["B", "A"], [["C"], ["K", "A"]]]
    task = task_of(["ba", "ca"], sounds, codecs=("characters", "symbols"))
    assert isinstance(task.scorer, text.EditRate) and task.monitor == ("wer", "per", "nats")
    batch = next(task.batches((["ba", "ca"], sounds), once=True))
    assert (batch["indices"] >= 0).sum() == 3
    params = task.init(jax.random.key(0))
    said = task.predict(params, ["ba"])[0]
    scores = task.evaluate(params, (["ba"], [[["A"] * 20, said]]))
    assert scores["wer"] == scores["per"] == 0


def test_a_target_with_a_symbol_that_training_lacks_has_no_nats():
    task = task_of(["ab"], [["A", "B"]], codecs=("characters", "symbols"))
    params = task.init(jax.random.key(0))
    known = task.nats(params, (["ab"], [["A", "B"]]))
    assert task.nats(params, (["ab", "ab"], [["A", "B"], ["A", "X"]])) == pytest.approx(known)
    assert task.nats(params, (["ab"], [["X"]])) == 0
    assert task.evaluate(params, (["ab"], [["X"]]))["wer"] == 1


def test_a_decoder_reads_its_own_tokens_ever_more():
    lines = ["a b c d", "d c b a"]
    forced = task_of(lines, lines)
    sampled = task_of(lines, lines, sampling=text.LinearSampling(10, 0.0))
    params, batch = forced.init(jax.random.key(0)), next(forced.batches((lines, lines)))
    key = jax.random.key(1)
    first, last = jnp.asarray(0), jnp.asarray(10)
    losses = [float(task.loss(params, batch, key, first)[0]) for task in (forced, sampled)]
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)
    late, aux = sampled.loss(params, batch, key, last)
    assert abs(float(late) - losses[0]) > 1e-4
    assert float(aux.weight) == batch["target_lengths"].sum()


def test_pairs_that_are_too_long_are_left_out_and_counted():
    sources, targets = ["a", "a b", "a b c"], ["a", "b", "c"]
    task = task_of(sources, targets, max_training_length=2)
    assert task.left_out((sources, targets)) == 1
    batch = next(task.batches((sources, targets), once=True))
    assert sorted(batch["source_lengths"].tolist())[-2:] == [1, 2]
    with pytest.raises(ValueError, match="all are longer than max_training_length=2; raise it"):
        task.batches((["a b c"], ["a"]))


def test_what_ctc_has_no_frames_for_is_left_out():
    sources, targets = ["ab", "ab"], [list("ABABAB"), list("ABABBA")]
    task = task_of(sources, targets, codecs=("characters", "symbols"), decoder=None, frames=3)
    assert task.left_out((sources, targets)) == 1
    with pytest.raises(ValueError, match="more symbols than frames; give a decoder"):
        task.batches((["ab"], [list("ABABBA")]))


def test_sounds_are_learnt_frame_by_frame():
    task = task_of(
        WORDS, SAID, codecs=("characters", "symbols"), decoder=None, recurrence=LAYER, frames=2
    )
    recipe = training.Recipe(steps=80, every=40, batch_size=120, learning_rate=0.03, average=0.8)
    model = training.fit(task, (WORDS, SAID), recipe=recipe, quiet=True)
    found = model.translations(WORDS)
    right = [best.output == way for (best,), way in zip(found, SAID, strict=True)]
    assert np.mean(right) > 0.8
    best = found[WORDS.index("abc")][0]
    assert (best.source, best.target) == (list("abc"), list("ABC"))
    assert best.attention.argmax(1).tolist() == [0, 1, 2] and best.attention.min() >= 0


def test_a_report_has_scores_counts_predictions_and_pictures(trained, untrained, tmp_path):
    report = trained.report((WORDS[:9], BACK[:9]), tmp_path)
    assert {"exact", "greedy_exact", "beam_seconds"} == set(report.metrics)
    assert report.counts["pairs"] == 9 and report.counts["parameters"] > 1000
    lines = (tmp_path / "predictions.tsv").read_text().splitlines()
    assert [line.split("\t")[::2] for line in lines] == [list(pair) for pair in PAIRS[:9]]
    assert (tmp_path / "attention.png").exists() and not (tmp_path / "signature.txt").exists()

    report = untrained.report((["ein\tHund"], [["a dog", "dogs"]]), tmp_path)
    assert {"bleu", "chrf", "greedy_bleu"} <= set(report.metrics)
    line = (tmp_path / "predictions.tsv").read_text()
    assert line.startswith("ein Hund\t") and line.endswith("\ta dog\tdogs\n")
    assert "tok:13a" in (tmp_path / "signature.txt").read_text()


def test_an_output_that_is_cut_off_is_counted(untrained, tmp_path):
    network = dataclasses.replace(untrained.task.network, max_length=2)
    task = dataclasses.replace(untrained.task, network=network, beam=1)
    counts = task.report(untrained.params, (["ein Mann"] * 2, ["a man"] * 2), tmp_path).counts
    endings = [best.ended for best, *_ in task.translations(untrained.params, ["ein Mann"] * 2)]
    assert counts["cut_off"] == endings.count(False) == 2


def test_beams_are_compared(trained, tmp_path):
    rows = trained.compare_beams((WORDS[:5], BACK[:5]), tmp_path, widths=(1, 2))
    assert [row["beam"] for row in rows] == [1, 2] and all(row["exact"] > 0.5 for row in rows)
    assert json.loads((tmp_path / "beams.json").read_text()) == rows
    assert (tmp_path / "beams.png").exists()


def test_attention_is_drawn_of_middle_lengths_with_what_is_right(monkeypatch, tmp_path):
    found = []
    for size in (30, 11, 12, 2, 40):
        looked = np.full((1, size), 1 / size)
        found.append(text.Translation("a", 0.0, True, ["x"] * size, ["a"], looked))
    drawn = []

    def draw(maps, *_, right):
        drawn.extend(zip([len(source) for source, _, _ in maps], right, strict=True))
        return plot(maps, right=right)

    plot = translator_report.plot_attention
    monkeypatch.setattr(translator_report, "plot_attention", draw)
    right = [True, False, True, None, False]
    translator_report.draw_attention(found, tmp_path / "attention.png", right)
    assert drawn == [(12, True), (11, False), (2, None), (30, True)]


def test_nothing_written_has_no_attention_to_draw(tmp_path):
    empty = text.Translation("", 0.0, True, [], [], np.zeros((0, 0)))
    translator_report.draw_attention([empty], tmp_path / "attention.png", [True])
    assert not list(tmp_path.iterdir())


def test_what_training_never_saw_is_told(trained, untrained):
    assert untrained.task.unknown(["ein Männ ", "Hund"]) == ["ä"]
    assert trained.task.unknown(["ABC", "dé"]) == ["A", "B", "C", "d", "é"]
    assert trained.predict(["ABC"]) == ["cba"]
    assert len(untrained.predict(["ein Männchen"])) == 1
    with pytest.raises(ValueError, match=r"source 1 \('abz'\): 'z' occurs in no training source"):
        trained.predict(["ab", "abz"])
    assert len(trained.translations(["abz"])) == 1


@pytest.mark.parametrize(
    ("sources", "targets", "settings", "message"),
    [
        ([], [], {}, "there is no pair"),
        (["a"], ["b", "c"], {}, "1 sources and 2 targets"),
        (["a", float("nan")], ["b", "c"], {}, "source 1 is nan; give a text"),
        (["a", " "], ["b", "c"], {}, "source 1 is empty"),
        (["a", "b"], ["c", ""], {}, "target 1 is empty"),
        (["a", "b"], ["c", []], {}, "target 1 is empty"),
        (["a"], ["A B"], {"codecs": ("characters", "symbols")}, "target 0 is 'A B'; give a list"),
        (["a"], ["b"], {"codecs": "letters"}, "'letters' is unknown; choose one of subwords"),
        (["a"], ["b"], {"copied": 2, "attention": None}, "copying wants attention"),
        (["a"], ["b"], {"copied": 2, "label_smoothing": 0.1}, "copying wants label_smoothing=0"),
        (["a"], ["b"], {"beam": 0}, "beam is 0"),
        (["a"], ["b"], {"attention": None, "form": "bahdanau"}, "bahdanau"),
        (["a"], ["b"], {"recurrence": (seqjax.GRU(4),) * 2}, "put layers together by seqjax.stack"),
    ],
)
def test_what_cannot_be_learnt_is_told_in_one_line(sources, targets, settings, message):
    with pytest.raises(ValueError, match=message):
        task_of(sources, targets, **settings)


def test_mistakes_of_a_call_are_told(trained):
    with pytest.raises(ValueError, match="target 0 .*: '!' is not among the tokens"):
        trained.task.batches((["ab"], ["!"]))
    with pytest.raises(ValueError, match="source 0 is 3; give a text"):
        trained.predict([3])
    with pytest.raises(ValueError, match="3 columns of examples"):
        trained.evaluate((["a"], ["b"], ["c"]))
    with pytest.raises(ValueError, match="beam=0"):
        trained.predict(["ab"], beam=0)
    with pytest.raises(ValueError, match="probability"):
        text.LinearSampling(10, 1.5)

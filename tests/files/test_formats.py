import gzip
import io

import numpy as np
import pytest

from seqjax import files
from tests.datasets.data_files import write, write_idx, write_png, write_wav


def refused(match):
    return pytest.raises(ValueError, match=match)


class TestText:
    def test_plain_gzipped_bom_and_windows_line_ends_read_alike(self, tmp_path):
        for name in ("a.txt", "a.txt.gz"):
            assert files.read_text(write(tmp_path / name, "\ufeffone\r\ntwo é\n")) == "one\ntwo é\n"

    def test_gzip_is_told_by_content(self, tmp_path):
        path = tmp_path / "a.txt"
        path.write_bytes(gzip.compress(b"zipped"))
        assert files.read_text(path) == "zipped"

    def test_only_line_feeds_end_lines(self, tmp_path):
        path = write(tmp_path / "a", "one\u2028still one\x85and\x0bmore\n\ntwo")
        assert files.read_lines(path) == ["one\u2028still one\x85and\x0bmore", "", "two"]

    def test_line_feeds_alone_end_lines_of_the_standard_input(self, monkeypatch):
        monkeypatch.setattr("sys.stdin", io.StringIO("a\fb\u2028c\n\nd\x85"))
        assert files.read_stdin() == ["a\fb\u2028c", "", "d\x85"]
        monkeypatch.setattr("sys.stdin", io.StringIO("a\nb \udcff\n"))
        with refused("standard input, line 2: not UTF-8"):
            files.read_stdin()

    def test_carriage_returns_end_lines_where_nothing_else_does(self, tmp_path):
        assert files.read_lines(write(tmp_path / "a", "one\rtwo\r\rfour\r")) == [
            "one",
            "two",
            "",
            "four",
        ]
        assert files.read_lines(write(tmp_path / "a", "one\rstill\ntwo\n")) == ["one\rstill", "two"]

    def test_blank_lines_at_the_end_are_none(self, tmp_path):
        path = write(tmp_path / "a", "1 good\n0 bad\n \n\n")
        assert files.read_filled_lines(path) == ["1 good", "0 bad"]
        assert files.read_labelled(path, ("0", "1")) == ([1, 0], ["good", "bad"])
        other = write(tmp_path / "b", "one\ntwo\n")
        assert files.read_aligned({"a": path, "b": other}) == {
            "a": ["1 good", "0 bad"],
            "b": ["one", "two"],
        }

    def test_errors_name_the_file_and_line(self, tmp_path):
        path = tmp_path / "a"
        path.write_bytes(b"ok\nok\nna\xefve\n")
        with refused(r"a, line 3: byte 0xef is not UTF-8; save the file as UTF-8"):
            files.read_text(path)
        with refused("nothing: no such file"):
            files.read_text(tmp_path / "nothing")
        path.write_bytes(gzip.compress(b"whole" * 100)[:-9])
        with refused("damaged gzip file"):
            files.read_text(path)

    def test_aligned(self, tmp_path):
        one, two = (
            write(tmp_path / "a.de", "ein\n zwei \n"),
            write(tmp_path / "a.en.gz", "one\ntwo\n"),
        )
        assert files.read_aligned({"de": one, "en": two}) == {
            "de": ["ein", "zwei"],
            "en": ["one", "two"],
        }

    def test_aligned_files_of_different_length(self, tmp_path):
        one, two = write(tmp_path / "a", "1\n2\n"), write(tmp_path / "b", "1\n2\n3\n")
        with refused(r"number of lines: .*a has 2, .*b has 3; line i of each must be one sentence"):
            files.read_aligned({"a": one, "b": two})
        write(tmp_path / "b", "1\n  \n")
        with refused("b, line 2: empty"):
            files.read_aligned({"a": one, "b": two})

    def test_labelled(self, tmp_path):
        path = write(tmp_path / "a", "1 good film\n0 bad\n")
        assert files.read_labelled(path, ("0", "1")) == ([1, 0], ["good film", "bad"])
        with refused("a, line 2: begins with '2'; wanted one of 0, 1, a blank, text"):
            files.read_labelled(write(path, "1 ok\n2 bad\n"), ("0", "1"))
        with refused("a, line 1: no sentence after the label '1'"):
            files.read_labelled(write(path, "1 \n"), ("0", "1"))


class TestConll:
    def test_blank_and_tab_lines_separate(self, tmp_path):
        path = write(tmp_path / "a", "\nNew\tB-loc\nYork\tI-loc\n\t\n\n\xa0\tO\n")
        expected = {"tokens": [["New", "York"], ["\xa0"]], "tags": [["B-loc", "I-loc"], ["O"]]}
        assert files.read_conll(path) == expected

    def test_what_is_no_word_is_left_out(self, tmp_path):
        words = "U.N. NNP I-NP B-ORG\nsays VBZ I-VP O\n\n# # I-NP O\n5 CD I-NP O\n"
        wanted = [["U.N.", "says"], ["#", "5"]]
        columns = ("word", "pos", "chunk", "tag")
        marked = f"-DOCSTART- -X- -X- O\n\n{words}\n-DOCSTART- -X- O O\n\n#begin document (a); part 0\n#end document\n"
        commented = "# id 1 x=en\n" + words.replace("\n\n", "\n\n# text = 5 pounds\n# id 2 x=en\n")
        headed = "Token POS Chunk Tag\n" + words
        for text in (words, marked, commented, headed, headed.replace("Tag\n", "Tag\n\n")):
            table = files.read_conll(write(tmp_path / "a", text), columns, None)
            assert table["word"] == wanted and {*table["tag"][0], *table["tag"][1]} == {
                "B-ORG",
                "O",
            }
        table = files.read_conll(
            write(tmp_path / "a", "-DOCSTART-\tO\n\n#\tO\n#tag\tB-x\nlabel\tO\n")
        )
        assert table["tokens"] == [["#", "#tag", "label"]]

    def test_wrong_columns(self, tmp_path):
        with refused(r"a, line 3: 1 columns; wanted 2 separated by tabs \(tokens, tags\)"):
            files.read_conll(write(tmp_path / "a", "a\tO\n\nb O\n"))
        with refused("a, line 1: the column 'tokens' is empty"):
            files.read_conll(write(tmp_path / "a", "\tO\n"))

    def line(self, number, form):
        return f"{number}\t{form}\t{form}\tX\tFW\t_\t0\troot\t_\t_\n"

    def test_conllu_leaves_out_ranges_and_empty_nodes(self, tmp_path):
        text = (
            "# sent_id = s1\n"
            + self.line("1-2", "don't")
            + self.line(1, "do")
            + self.line(2, "n't")
        )
        (sentence,) = files.read_conllu(
            write(tmp_path / "a", text + self.line("2.1", "elided") + "\n")
        )
        assert (sentence.form, sentence.upos, sentence.xpos) == (
            ["do", "n't"],
            ["X", "X"],
            ["FW", "FW"],
        )
        assert sentence.comments == {"sent_id": "s1"}

    def test_conllu_errors(self, tmp_path):
        with refused("a, line 2: id '3' where 2 is due; number the words"):
            files.read_conllu(write(tmp_path / "a", self.line(1, "a") + self.line(3, "b")))
        with refused("a, line 1: 2 columns; wanted 10"):
            files.read_conllu(write(tmp_path / "a", "1\ta\n"))
        with refused("a, line 1: a block of comments without words"):
            files.read_conllu(write(tmp_path / "a", "# alone\n\n"))


class TestIdx:
    @pytest.mark.parametrize("dtype", ["uint8", "int32", "float32"])
    def test_round_trip(self, tmp_path, dtype):
        array = np.arange(24).reshape(2, 3, 4).astype(dtype)
        got = files.read_idx(write_idx(tmp_path / "a.gz", array))
        assert got.dtype == array.dtype and got.dtype.isnative
        np.testing.assert_array_equal(got, array)

    def test_errors(self, tmp_path):
        path = write_idx(tmp_path / "a", np.zeros((2, 3), np.uint8))
        with refused("an array of 2 axes; wanted 3"):
            files.read_idx(path, ndim=3)
        path.write_bytes(gzip.decompress(path.read_bytes())[:-1])
        with refused("17 bytes unzipped; its header promises 18"):
            files.read_idx(path)
        path.write_bytes(b"PNG!")
        with refused("begins with 50 4e 47 21; an IDX file begins with 00 00"):
            files.read_idx(path)
        path.write_bytes(b"\0\0\x08\x03\0\0")
        with refused("6 bytes unzipped"):
            files.read_idx(path)


class TestTables:
    def test_tsv(self, tmp_path):
        path = write(tmp_path / "a.tsv", 'a.png\tA "frog".\nb.png\tB\n')
        assert files.read_tsv(path, ("file", "caption")) == {
            "file": ["a.png", "b.png"],
            "caption": ['A "frog".', "B"],
        }
        with refused(
            r"line 2: 1 of 2 columns filled; wanted 2 filled columns separated by tabs \(file, caption\)"
        ):
            files.read_tsv(write(path, "a\tb\nc\t \n"), ("file", "caption"))

    @pytest.mark.parametrize(
        ("columns", "rows"),
        [
            (("label", "text"), ["Sentence\tLabel", "a film\t1", "no\t0"]),
            (("label", "text"), ["label\tsentence", "1\ta film", "0\tno"]),
            (("path", "transcript"), ["file\ttext", "1\ta film", "0\tno", " "]),
            (("file", "caption"), ["caption\timage", "a film\t1", "no\t0", ""]),
            (("source", "target"), ["de\ten", "1\ta film", "0\tno"]),
            (("source", "target"), ["tgt\tsrc", "a film\t1", "no\t0"]),
            (("one", "two"), ["two\tone", "a film\t1", "no\t0"]),
            (("label", "text"), ["1\ta film", "0\tno"]),
        ],
    )
    def test_a_line_of_names_is_no_row_and_gives_the_order(self, tmp_path, columns, rows):
        table = files.read_tsv(write(tmp_path / "a.tsv", "\n".join(rows) + "\n"), columns)
        assert table == {columns[0]: ["1", "0"], columns[1]: ["a film", "no"]}

    def test_which_column_holds_labels_is_told_by_all_files(self, tmp_path):
        texts = [f"film number {n}" for n in range(8)]
        right = write(
            tmp_path / "right.tsv", "".join(f"{n % 2}\t{text}\n" for n, text in enumerate(texts))
        )
        wrong = write(
            tmp_path / "wrong.tsv", "".join(f"{text}\t{n % 2}\n" for n, text in enumerate(texts))
        )
        few = write(tmp_path / "few.tsv", "film\t1\n")
        named = write(tmp_path / "named.tsv", "label\ttext\n1\tfilm\n")
        wanted = {"label": [str(n % 2) for n in range(8)], "text": texts}
        for path in (right, wrong):
            (table,) = files.read_classified([path])
            assert table.columns == wanted and table.lines == [*range(1, 9)]
        _, second, third = files.read_classified([wrong, few, named])
        assert second.columns == third.columns == {"label": ["1"], "text": ["film"]}
        assert not second.header and third.header and third.lines == [2]
        # A text that comes again under several labels is still a text.
        again = write(tmp_path / "again.tsv", "a\tgood\nb\tgood\n")
        assert files.read_classified([right, again])[1].columns["label"] == ["a", "b"]

    @pytest.mark.parametrize(
        ("text", "date"),
        [
            ("date;x;y\n1,5;1,5;-1.234,5\nb;2000;,5\n;;\n", ["1,5", "b"]),
            ("date\tx\ty\na\t1,50\t-1234,5\nb\t2000\t0,5\n\n  \n", ["a", "b"]),
            ("date|x|y\na|1.5|-1234.5\nb|2e3|.5\n", ["a", "b"]),
            ('date,x,"y"\n"a;b",1.5,-1234.5\nb,2000,0.5\n,,\n', ["a;b", "b"]),
        ],
    )
    def test_other_separators_and_decimal_commas(self, tmp_path, text, date):
        table = files.read_csv(write(tmp_path / "a.csv", text), text=("date",))
        assert table["date"] == date
        np.testing.assert_array_equal(table["x"], [1.5, 2000])
        np.testing.assert_array_equal(table["y"], [-1234.5, 0.5])

    def test_a_comma_that_may_stand_between_thousands_is_asked_about(self, tmp_path):
        with refused("line 2: '1,234' in 'x' is no finite number"):
            files.read_csv(write(tmp_path / "a.tsv", "date\tx\na\t1,234\n"), text=("date",))

    def test_csv(self, tmp_path):
        table = files.read_csv(
            write(tmp_path / "a.csv", 'date,"x"\n"1, 2",1.5\nb,-2e3\n'), text=("date",)
        )
        assert table["date"] == ["1, 2", "b"]
        np.testing.assert_array_equal(table["x"], [1.5, -2000.0])

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("", "a.csv: empty; wanted a line of column names"),
            ("date,x\na,1\nb,2,3\n", "a.csv, line 3: 3 fields; the header names 2"),
            ("date,x\n\na,1\n", "a.csv, line 2: blank"),
            ("date,x\na,1\nb,oops\n", "a.csv, line 3: 'oops' in 'x' is no finite number"),
            ("date,x\na,nan\n", "a.csv, line 2: 'nan' in 'x' is no finite number"),
            ("day,x\na,1\n", "a.csv, line 1: no column 'date'; the columns are day, x"),
            ('date,x\n"a"b,1\n', "a.csv, line 2: .*wanted comma-separated values"),
        ],
    )
    def test_csv_errors(self, tmp_path, text, message):
        with refused(message):
            files.read_csv(write(tmp_path / "a.csv", text), text=("date",))

    def test_wide_series(self, tmp_path):
        series = files.read_wide_series(
            write(tmp_path / "a", '"V1","V2","V3"\n"H1","1","2"\n"H2","3",""\n')
        )
        assert {name: values.tolist() for name, values in series.items()} == {
            "H1": [1.0, 2.0],
            "H2": [3.0],
        }

    @pytest.mark.parametrize("head", ["V1,V2,V3\n", "id,1,2\n", ""])
    def test_a_wide_table_may_lack_a_header(self, tmp_path, head):
        series = files.read_wide_series(write(tmp_path / "a", f"{head}H1,5,2\nH2,3,NA\n\n"))
        assert {name: values.tolist() for name, values in series.items()} == {
            "H1": [5.0, 2.0],
            "H2": [3.0],
        }

    @pytest.mark.parametrize(
        ("row", "message"),
        [
            ("H1,1,,2", "line 3: the series 'H1' has a gap"),
            ("H0,1", "line 3: the series 'H0' comes a second time"),
            ("H1,,", "line 3: the series 'H1' has no value"),
            ("H1,1,x", "line 3: 'x' in 'H1' is no finite number"),
        ],
    )
    def test_wide_series_errors(self, tmp_path, row, message):
        with refused(message):
            files.read_wide_series(write(tmp_path / "a", f"V1,V2\nH0,5\n{row}\n"))


class TestMedia:
    def test_recordings_are_sorted_and_not_decoded(self, tmp_path):
        for name in ("3_ann_lee_10.wav", "3_ann_lee_2.wav", "1_bob_0.wav"):
            (tmp_path / name).write_bytes(b"not yet read")
        got = [
            (recording.label, recording.speaker, recording.index)
            for recording in files.list_recordings(tmp_path)
        ]
        assert got == [("1", "bob", 0), ("3", "ann_lee", 2), ("3", "ann_lee", 10)]

    def test_recordings_errors(self, tmp_path):
        with refused("no .wav file"):
            files.list_recordings(tmp_path)
        with refused("no such folder"):
            files.list_recordings(tmp_path / "x")
        (tmp_path / "hello.wav").touch()
        with refused(
            r"the name is not label_speaker_index.wav \(for example 7_jackson_32.wav\); rename it"
        ):
            files.list_recordings(tmp_path)

    def test_wav(self, tmp_path):
        samples = np.array([0, 1, -32768, 32767])
        rate, got = files.read_wav(write_wav(tmp_path / "a.wav", samples, rate=8000))
        assert rate == 8000 and got.dtype == np.int16
        np.testing.assert_array_equal(got, samples)

    def test_wav_errors(self, tmp_path):
        path = write_wav(tmp_path / "a.wav", np.arange(10), channels=2)
        with refused("2 channels of 16 bits; wanted mono of 16 bits"):
            files.read_wav(path)
        write_wav(path, np.arange(10))
        path.write_bytes(path.read_bytes()[:-4])
        with refused("holds 8 samples, its header promises 10"):
            files.read_wav(path)
        path.write_bytes(b"ID3 mp3")
        with refused("no PCM WAV file"):
            files.read_wav(path)
        with refused("no such file"):
            files.read_wav(tmp_path / "b.wav")

    def test_image(self, tmp_path):
        pixels = np.random.default_rng(0).integers(0, 256, (4, 5, 3)).astype(np.uint8)
        path = write_png(tmp_path / "a.png", pixels)
        np.testing.assert_array_equal(files.read_image(path, (4, 5, 3)), pixels)
        assert files.read_image(path, (4, 5, 1)).shape == (4, 5, 1)
        with refused("5x4 pixels; wanted 64x64"):
            files.read_image(path, (64, 64, 3))
        path.write_bytes(b"no image")
        with refused("no image that Pillow reads"):
            files.read_image(path)

"""Published numbers beside ours: columns, their protocol, and files that are refused."""

from pathlib import Path

import pytest

from tsdistill.errors import TsdistillError
from tsdistill.report import write_report
from tsdistill.report.assemble import assemble
from tsdistill.report.options import Options
from tsdistill.report.published import read_published

HEAD = "dataset,name,metric,value,protocol\n"
ROWS = "A,InceptionTime,accuracy,0.95,mean of 5 runs\nB,InceptionTime,accuracy,0.85,mean of 5 runs\n"


@pytest.fixture
def out(record, stored):
    return stored([record(name, method, ap=0.5) for name in ("A", "B", "C") for method in ("none", "tsd")])


def _file(folder, text):
    path = folder / "published.csv"
    path.write_text(text)
    return path


def _table(out, path):
    report = assemble([out], Options(metrics=("accuracy",), published=str(path), figures=False))
    return next(table for table in report.tables if table.key.startswith("accuracy"))


def test_numbers_stand_beside_ours_and_take_no_place(out, tmp_path):
    table = _table(out, _file(tmp_path, HEAD + ROWS))
    assert table.columns[-1] == "InceptionTime (published)"
    assert [line[-1].mean for line in table.rows] == [0.95, 0.85, None]
    assert table.footer[0][-1].mean == pytest.approx(0.9)
    assert table.footer[0][-1].marks == ("partial",)
    assert not any(line[-1].place for line in [*table.rows, *table.footer])
    assert "InceptionTime (published): mean of 5 runs." in table.notes
    assert any("neither ranked nor tested" in note for note in table.notes)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "line 1: the header lacks dataset, name, metric, value, protocol"),
        ("dataset,name,metric,value\n", "line 1: the header lacks protocol"),
        (HEAD, "no row follows the header"),
        (HEAD + "A,X,accuracy,0.5,\n", "line 2: protocol is empty"),
        (HEAD + "A,X,accuracy,high,p\n", "line 2: value=high is not a number"),
        (HEAD + "A,X,accuracy,nan,p\n", "line 2: value=nan is not a number"),
        (HEAD + "A,X,accuracy\n", "line 2: it has not as many fields as the header"),
        (HEAD + "A,X,accuracy,1,p,more\n", "line 2: it has not as many fields as the header"),
        (HEAD + "A,X,accuracy,1,p\nB,X,accuracy,1,q\n", "line 3: X has another protocol"),
        (HEAD + "A,X,accuracy,1,p\nA,X,accuracy,2,p\n", "line 3: a second accuracy of X on A"),
    ],
)
def test_malformed_files_are_refused_in_one_line(tmp_path, text, told):
    with pytest.raises(TsdistillError) as refused:
        read_published(_file(tmp_path, text))
    assert told in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_file_that_is_not_there_is_named_once():
    with pytest.raises(TsdistillError) as refused:
        read_published(Path("nowhere.csv"))
    assert str(refused.value) == "published=nowhere.csv: it can't be read: No such file or directory"


@pytest.mark.parametrize(
    ("rows", "told"),
    [
        ("A,X,acuracy,1,p\n", "did you mean 'accuracy'?"),
        ("GunPoint,X,accuracy,1,p\n", "none of its data sets is in the report"),
    ],
)
def test_numbers_that_stand_beside_nothing_are_refused(out, tmp_path, rows, told):
    with pytest.raises(TsdistillError, match=told.replace("?", r"\?")):
        _table(out, _file(tmp_path, HEAD + rows))


def test_a_report_is_not_made_again_from_other_published_numbers(out, tmp_path):
    path = _file(tmp_path, HEAD + ROWS)
    folder = write_report(out, Options(metrics=("accuracy",), published=str(path), figures=False)).folder
    before = (folder / "report.md").read_bytes()
    write_report(out, again=folder)
    assert (folder / "report.md").read_bytes() == before
    _file(tmp_path, HEAD + ROWS.replace("0.95", "0.96"))
    with pytest.raises(TsdistillError, match="is gone or has changed"):
        write_report(out, again=folder)

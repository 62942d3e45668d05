"""The writer: a bad row costs that row, and it is told."""

import warnings

import pandas
import pytest

from qstore import AsyncBuffer, AsyncMetricsWriter


class Broken:
    """A row that cannot say what it is."""

    def to_dict(self):
        raise RuntimeError("on purpose")


BAD_ROWS = [Broken(), 17, {"step": [1, "2"]}, {3: 0.5}, {"step": "\ud800"}, {"\ud800": 1}]


@pytest.mark.parametrize("action", ["ignore", "error"])
@pytest.mark.parametrize("bad", BAD_ROWS, ids=range(len(BAD_ROWS)))
def test_a_bad_row_costs_no_other_row_also_where_warnings_are_errors(metrics, bad, action):
    buffer = AsyncBuffer(100)
    for step in range(20):
        buffer.push({"step": step})
        buffer.push(bad)
    with warnings.catch_warnings():
        warnings.simplefilter(action)
        writer = AsyncMetricsWriter(buffer, metrics)
        writer.start()
        writer.stop()
    assert pandas.read_parquet(metrics)["step"].tolist() == list(range(20))
    stats, health = writer.stats(), writer.health()
    assert (stats["rows_written"], stats["rejected_rows"]) == (20, 20)
    assert health["losses"]["rejected"]["count"] == 20
    assert stats["last_rejection"] == health["losses"]["rejected"]["reason"]


def test_the_first_rejection_is_a_warning_that_says_what_and_where(metrics):
    buffer = AsyncBuffer(100)
    with pytest.warns(RuntimeWarning, match=r"a row for .*metrics\.parquet was rejected: RuntimeError: on purpose"):
        writer = AsyncMetricsWriter(buffer, metrics)
        writer.start()
        buffer.push(Broken())
        buffer.push(Broken())
        writer.stop()
    assert writer.stats()["rejected_rows"] == 2

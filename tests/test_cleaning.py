"""Cleaning: each step takes out its own, and near duplicates stand on one side."""

import numpy as np
import pytest

from keras_vngpt.data.cleaning import Cleaner, without_control, without_markup
from keras_vngpt.tasks.pretrain import CleanSettings

LONG = "Buổi sáng trời mưa to, cả nhà ngồi trong bếp uống trà và nói chuyện về vụ mùa năm nay. "
STEPS = {
    "control": ("control characters", "a\u200bb\x00 mười con mèo ngồi", "ab mười con mèo ngồi"),
    "markup": ("markup", "<p>Trời &amp; <b>đất</b> thì bao la</p> {{x}}", "Trời & đất thì bao la"),
    "lines": (
        "repeated lines",
        "một hai ba bốn năm\nx\nmột hai ba bốn năm",
        "một hai ba bốn năm\nx",
    ),
    "length": ("too short", "ngắn quá", None),
    "language": (
        "other language",
        "The weather was fine and they all went to the market. " * 2,
        None,
    ),
    "exact": ("duplicate", LONG.replace(" ", "  "), None),
    "near": ("near duplicate", LONG + "Hết.", None),
}


def test_what_only_looks_like_markup_stays(tmp_path):
    """A "<" before a letter is no tag, and a joiner within an emoji no invisible character."""
    for text in ("Nếu a <b và c> d thì a > b.", "dưới <x và trên >y", "👨‍👩‍👧 đi chơi 🏴‍☠️", "x<y"):
        assert without_control(without_markup(text)) == text
    for text in ("nhà\u200d cửa", "👨\u200d nhà", "<B CLASS=x>nhà</B>", '<td nowrap id="a b">nhà'):
        assert not {"\u200d", "<"} & set(without_control(without_markup(text)))


@pytest.mark.parametrize("step", STEPS)
def test_each_step_of_cleaning_takes_out_its_own_and_can_be_turned_off(step):
    name, text, mended = STEPS[step]
    cleaner = Cleaner()
    assert list(cleaner([LONG, text])) == [LONG, *([mended] if mended else [])]
    removed = cleaner.removed[name]
    assert removed.bytes == len(text.encode()) - len((mended or "").encode())
    assert removed.documents == (mended is None)
    nothing = type(getattr(CleanSettings(), step))()
    off = Cleaner(**{step: nothing}, **{"near": 0} if step == "exact" else {})
    assert list(off([LONG, text])) == [LONG, text] and name not in off.removed


def test_near_duplicates_never_stand_on_both_sides(tmp_path):
    words = np.array("sáng trưa chiều tối mưa nắng gió bão chợ nhà bếp vườn sông núi".split())
    generator = np.random.default_rng(0)
    texts = [" ".join(generator.choice(words, 60)) for _ in range(300)]
    alike = [text + " thêm" for text in texts]
    kept = list(Cleaner()(texts + alike))
    assert kept == texts
    cleaner = Cleaner()
    assert list(cleaner.held_out(texts[:100] + alike[:10])) == texts[:100]  # what is tested on
    assert list(cleaner.held_out(texts[50:150])) == texts[100:150]  # what is validated on
    assert list(cleaner(texts + alike)) == texts[150:]

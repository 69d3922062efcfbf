"""Articles of a MediaWiki dump."""

import bz2
import html
import sys

import pytest

from keras_vngpt.data.readers import read_documents
from keras_vngpt.data.wikitext import Wikitext
from keras_vngpt.errors import UserError

VIETNAMESE = Wikitext([(6, "Tập tin"), (14, "Thể loại")])


@pytest.mark.parametrize(
    "wikitext, plain",
    [
        ("Bến.\n[[Tập_tin:a.jpg|nhỏ|phải|250px|Một [[bến|bến đò]]]]", "Bến.\nMột bến đò"),
        ("Bến.\n[[Hình:a.jpg|thumb|alt=mô tả|Bến đò]]", "Bến.\nBến đò"),
        ("Cờ [[File:co.svg|20px|Việt Nam]] bay", "Cờ bay"),  # no caption is shown in a line
        ("Bến<gallery>\nHình:a.jpg|Cầu gỗ\n</gallery>", "Bến"),
        ("Bến.\n[[Thể loại:Sông]] [[category:Rivers|*]]", "Bến."),
        ("Bến.\n[[en:River]] [[zh-min-nan:Hô]]", "Bến."),
        ("Xem [[:Thể loại:Sông]], [[:en:River|bài tiếng Anh]]", "Xem Thể loại:Sông, bài tiếng Anh"),
        ("Phim [[CSI: Miami]], [[Wikipedia:Giúp|giúp]]", "Phim CSI: Miami, giúp"),
        ("__KHÔNGMỤCLỤC__Bến __NOTOC__", "Bến"),
        ("hàm __init__ của lớp", "hàm __init__ của lớp"),
        ("#đổi [[Bến]]", ""),
        ("#REDIRECT [[Bến]]", ""),
        ("<div>\n{|\n| a || b\n|}\n</div>Bến<ref>Sổ</ref>", "Bến"),
        ("== Bến<ref>Sổ</ref> ==\n* đò", "Bến\nđò"),
    ],
)
def test_plain_text_is_the_running_text_that_a_page_shows(wikitext, plain):
    assert VIETNAMESE.plain(wikitext) == plain


def test_namespaces_are_those_of_the_dump(tmp_path):
    path = tmp_path / "plwiki.xml.bz2"
    path.write_bytes(_dump("Bến.\n[[Plik:a.jpg|thumb|Bến đò]]\n[[Kategoria:Rzeki]]"))
    assert read_documents([str(path)]) == ["Bến\nBến.\nBến đò"]


def test_a_dump_that_is_cut_is_a_fault(tmp_path):
    path = tmp_path / "plwiki.xml.bz2"
    path.write_bytes(_dump("Bến. " * 2000)[:-20])
    with pytest.raises(UserError) as caught:
        read_documents([str(path)])
    assert str(path) in caught.value.faults[0]


def _dump(text):
    return bz2.compress(
        f"""<mediawiki><siteinfo><sitename>W</sitename><dbname>plwiki</dbname><namespaces>
        <namespace key="0" /><namespace key="6">Plik</namespace>
        <namespace key="14">Kategoria</namespace></namespaces></siteinfo>
        <page><title>Bến</title><ns>0</ns><id>1</id><revision><id>1</id>
        <timestamp>2024-01-01T00:00:00Z</timestamp><text>{html.escape(text)}</text></revision>
        </page></mediawiki>""".encode()
    )


def test_a_wikipedia_dump_is_its_articles_without_markup(tmp_path):
    def page(title, text, namespace=0, redirect=""):
        return (
            f"<page><title>{title}</title><ns>{namespace}</ns><id>1</id>{redirect}<revision><id>1"
            f"</id><timestamp>2024-01-01T00:00:00Z</timestamp><text>{text}</text></revision></page>"
        )

    pages = (
        page(
            "Chợ",
            "'''Chợ''' là nơi [[mua bán|mua]] bán.{{Sơ khai}}&lt;ref&gt;x&lt;/ref&gt;\n\n== A ==",
        )
        + page("Thảo luận:Chợ", "bàn", 1)
        + page("Cho", "#đổi [[Chợ]]", 0, '<redirect title="Chợ"/>')
    )
    path = tmp_path / "viwiki.xml.bz2"
    head = "<siteinfo><sitename>W</sitename><dbname>viwiki</dbname></siteinfo>"
    path.write_bytes(bz2.compress(f"<mediawiki>{head}{pages}</mediawiki>".encode()))
    assert read_documents([str(path)]) == ["Chợ\nChợ là nơi mua bán.\nA"]


@pytest.mark.parametrize("package", ["mwparserfromhell", "mwxml"])
def test_a_dump_without_its_parser_is_a_fault_among_the_others(tmp_path, monkeypatch, package):
    (tmp_path / "vi.xml").write_text("<mediawiki></mediawiki>")
    (tmp_path / "b.jsonl").write_text("{")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(UserError) as caught:
        read_documents(["vi.xml", "b.jsonl"])
    missing, broken = caught.value.faults
    assert missing == f'vi.xml: needs {package}. pip install "keras_vngpt[wikipedia]"'
    assert broken.startswith("b.jsonl:1: not valid JSON")

"""Wikitext to the words that a reader of the page sees in its running text."""

import re

CATEGORIES, FILES = 14, 6  # the numbers of namespaces, the same in every wiki
# English names hold in every wiki; of aliases, such as Hình, a dump says nothing.
_NAMES = {CATEGORIES: {"category", "thể loại"}, FILES: {"file", "image", "tập tin", "hình"}}
_WITH_CAPTION = {"thumb", "thumbnail", "frame", "framed", "nhỏ", "khung"}
_OPTION = re.compile(
    r"(x?\d+(x\d+)? ?px|frameless|border|left|right|center|centre|none|baseline|middle|sub|super"
    r"|(text-)?(top|bottom)|không khung|viền|trái|phải|giữa|không|upright|đứng|"
    r"(alt|thế|link|liên[ _]kết|lang|ngôn ngữ|page|trang|class|lớp|upright|đứng|thumb|nhỏ)\s*=.*)?",
    re.DOTALL | re.IGNORECASE,
)
_OTHER_LANGUAGE = re.compile(r"[a-z]{2,3}(-[a-z]+)*|simple")  # small: "CSI: Miami" is a title
_MAGIC_WORD = re.compile(r"__[^\W\d_]+(?:_[^\W\d_]+)*__")
_REDIRECT = re.compile(r"\s*#(redirect|đổi)\s*:?\s*\[\[", re.IGNORECASE)


class Wikitext:
    """Turns the wikitext of one wiki to plain text.

    What stays: words, the shown side of links, captions on lines of their own. What goes:
    templates, tables, footnotes, galleries, categories, links to other languages, magic words.

    Args:
        namespaces: iterable of `(number, name)`, as the wiki itself calls them; may be empty.

    Example:
        >>> Wikitext([(14, "Thể loại")]).plain("[[Chợ|Chợ quê]] họp sớm. [[Thể loại:Chợ]]")
        'Chợ quê họp sớm.'
    """

    def __init__(self, namespaces=()):
        self._names = {number: set(names) for number, names in _NAMES.items()}
        for number, name in namespaces:
            if number in self._names and name:
                self._names[number].add(_folded(name))

    def plain(self, wikitext):
        """The plain text of a page, "" of one that only leads to another."""
        import mwparserfromhell

        if _REDIRECT.match(wikitext):
            return ""
        code = mwparserfromhell.parse(wikitext)
        self._prune(code)
        text = _MAGIC_WORD.sub(lambda word: "" if word[0].isupper() else word[0], code.strip_code())
        return re.sub(r"\s*\n\s*", "\n", re.sub(" {2,}", " ", text)).strip()

    def _prune(self, code):
        """Take out of parsed wikitext what is not shown in the running text.

        Each list of nodes is made anew: the parser's own `remove` looks for a node from the start,
        a minute in an article of 500 footnotes.
        """
        from mwparserfromhell.nodes import Heading, Tag, Text, Wikilink

        nodes = []
        for node in code.nodes:
            inner = None
            if isinstance(node, Tag):
                if str(node.tag).strip().lower() in ("table", "ref"):
                    continue
                inner = node.contents
            elif isinstance(node, Heading):
                inner = node.title
            elif isinstance(node, Wikilink):
                shown = self._shown(node)
                if shown is None:
                    inner = node.text
                else:
                    node = Text(shown)
            if inner:
                self._prune(inner)
            nodes.append(node)
        code.nodes = nodes

    def _shown(self, link):
        """What stands for a link that is not shown as others are; `None` for all others."""
        prefix, colon, _ = str(link.title).strip().partition(":")
        namespace = _folded(prefix)
        if not colon:
            return None
        if not namespace:  # "[[:Thể loại:Chợ]]" is shown
            return None if link.text else str(link.title).strip().removeprefix(":")
        if namespace in self._names[FILES]:
            caption = self.plain(_caption(link))
            return f"\n{caption}\n" if caption else ""
        if namespace in self._names[CATEGORIES] or _OTHER_LANGUAGE.fullmatch(prefix):
            return ""
        return None


def _caption(link):
    """The caption of a picture, as wikitext: what is no option, of one that shows it."""
    from mwparserfromhell.nodes import Text

    parts = [""]
    for node in link.text.nodes if link.text else ():
        first, *others = str(node).split("|") if isinstance(node, Text) else [str(node)]
        parts[-1] += first
        parts += others
    parts = [part.strip() for part in parts]
    if _WITH_CAPTION.isdisjoint(map(_folded, parts)):
        return ""
    words = [p for p in parts if _folded(p) not in _WITH_CAPTION and not _OPTION.fullmatch(p)]
    return words[-1] if words else ""


def _folded(name):
    return name.replace("_", " ").strip().lower()

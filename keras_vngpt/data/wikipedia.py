"""Articles of a MediaWiki dump, their markup taken off by mwparserfromhell."""

import re

from keras_vngpt.data.text_lines import open_packed
from keras_vngpt.errors import needs_extra


def read_wikipedia(path, faults, summary):
    """`(place, record)` of each article; arguments as for `read_records`."""
    try:
        import mwparserfromhell
        import mwxml
    except ModuleNotFoundError as error:
        faults.append(needs_extra(path, error, "wikipedia"))
        return
    n_articles = 0
    try:
        for page in mwxml.Dump.from_file(open_packed(path)):
            if page.namespace or page.redirect:
                continue
            for revision in page:
                code = mwparserfromhell.parse(revision.text or "")
                for table in code.filter_tags(matches=lambda tag: tag.tag in ("table", "ref")):
                    if table in code.nodes:
                        code.remove(table)
                text = re.sub(r"\s*\n\s*", "\n", code.strip_code()).strip()
                if text:
                    n_articles += 1
                    yield f"{path}:{page.title}", {"text": f"{page.title}\n{text}"}
    except (mwxml.errors.MalformedXML, ValueError, SyntaxError) as error:
        faults.append(f"{path}: not a valid MediaWiki dump ({str(error).splitlines()[0]})")
    else:
        if not n_articles:
            faults.append(f"{path}: no article in this dump")

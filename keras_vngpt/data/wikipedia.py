"""Articles of a MediaWiki dump, without their markup."""

from keras_vngpt.data.text_lines import open_packed
from keras_vngpt.data.wikitext import Wikitext
from keras_vngpt.errors import needs_extra


def read_wikipedia(path, faults, summary):
    """`(place, record)` of each article; arguments as for `read_records`."""
    try:
        import mwparserfromhell  # noqa: F401, of Wikitext
        import mwxml
    except ModuleNotFoundError as error:
        faults.append(needs_extra(path, error, "wikipedia"))
        return
    n_articles = 0
    try:
        dump = mwxml.Dump.from_file(open_packed(path))
        wikitext = Wikitext((n.id, n.name) for n in dump.site_info.namespaces or ())
        for page in dump:
            if page.namespace or page.redirect:
                continue
            for revision in page:
                text = wikitext.plain(revision.text or "")
                if text:
                    n_articles += 1
                    yield f"{path}:{page.title}", {"text": f"{page.title}\n{text}"}
    except (mwxml.errors.MalformedXML, ValueError, SyntaxError) as error:
        faults.append(f"{path}: not a valid MediaWiki dump ({str(error).splitlines()[0]})")
    else:
        if not n_articles:
            faults.append(f"{path}: no article in this dump")

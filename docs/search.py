"""What the search of the pages takes for a word."""

from __future__ import annotations

import re

from sphinx.search.en import SearchEnglish

CHINESE = re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff]{2,}")


class Words(SearchEnglish):
    """English ones, and every pair of neighbours in Chinese, which has no spaces to split at.

    What is between two punctuation marks counts as one word, too, and the browser finds three and
    more characters anywhere in a word; two it finds only where they are one.
    """

    def split(self, input: str) -> list[str]:  # Sphinx's name
        pairs = (run[at : at + 2] for run in CHINESE.findall(input) for at in range(len(run) - 1))
        return [*super().split(input), *pairs]

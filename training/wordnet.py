"""WordNet 3 from its own files (Debian's package wordnet-base): opposites, siblings and synonyms of words.

Nothing of it is kept in the weights' files or needed at run time.
"""

import re
from functools import lru_cache
from pathlib import Path

DIRECTORY = Path("/usr/share/wordnet")

# Frequent opposites that WordNet has not, or only between base forms.
PAIRS = """most least|more less|more fewer|before after|first last|largest smallest|biggest smallest|highest lowest|oldest newest|
oldest youngest|best worst|earliest latest|longest shortest|tallest shortest|greatest smallest|larger smaller|bigger smaller|
higher lower|older newer|older younger|better worse|earlier later|longer shorter|northern southern|eastern western|won lost|
gained lost|bought sold|began ended|started stopped|started finished|opened closed|increased decreased|rose fell|arrived left|joined left|
accepted rejected|allowed prohibited|included excluded|built destroyed|supported opposed|loved hated|liked disliked|remembered forgot|
rising falling|increasing decreasing|winning losing|opening closing|buying selling|always never|everyone nobody|all none|inside outside|
with without|above below|over under|husband wife|mother father|son daughter|brother sister|men women|boys girls|king queen"""


def opposites():
    """Return the opposites of PAIRS, both ways."""
    table = {}
    for pair in PAIRS.replace("\n", "").split("|"):
        left, right = pair.split()
        table.setdefault(left, []).append(right)
        table.setdefault(right, []).append(left)
    return table


class WordNet:
    """The word files: lemmas, their senses in the order of use, and pointers between senses.

    A part of speech is "n", "v", "a" or "r". Words of more than one part are left out.
    """

    FILES = {"n": "noun", "v": "verb", "a": "adj", "r": "adv", "s": "adj"}

    def __init__(self, directory=DIRECTORY):
        directory = Path(directory)
        self.index, self.synsets = {}, {}
        for pos in "nvar":
            for line in (directory / f"index.{self.FILES[pos]}").read_text(encoding="utf-8").splitlines():
                if line.startswith(" "):
                    continue
                fields = line.split()
                count, pointers = int(fields[2]), int(fields[3])
                rest = fields[4 + pointers:]
                self.index[fields[0], pos] = int(rest[1]), rest[2:2 + count]
            for line in (directory / f"data.{self.FILES[pos]}").read_text(encoding="utf-8").splitlines():
                if not line.startswith(" "):
                    self.synsets[pos, line[:8]] = line
        # How often a lemma was met as which part of speech, in the texts that WordNet's authors tagged.
        self.counts = {}
        for line in (directory / "cntlist.rev").read_text(encoding="utf-8").splitlines():
            key, _, count = line.split()
            lemma, kind = key.split("%")
            pos = "?nvara"[int(kind[0])]
            self.counts[lemma, pos] = self.counts.get((lemma, pos), 0) + int(count)

    @lru_cache(maxsize=200_000)
    def synset(self, pos, offset):
        """Return (words, pointers); a pointer is (symbol, offset, pos, source word, target word), words counted from 1, 0 for all."""
        fields = self.synsets[pos if pos != "s" else "a", offset].split(" | ")[0].split()
        count = int(fields[3], 16)
        words = [re.sub(r"\(.*\)", "", fields[4 + 2 * i]) for i in range(count)]
        at = 4 + 2 * count
        pointers = []
        for i in range(int(fields[at])):
            symbol, target, kind, ends = fields[at + 1 + 4 * i:at + 5 + 4 * i]
            pointers.append((symbol, target, kind, int(ends[:2], 16), int(ends[2:], 16)))
        return words, pointers

    @lru_cache(maxsize=50_000)
    def antonyms(self, lemma, pos, senses=2):
        """Return the opposites of a lemma in its most usual senses."""
        if (lemma, pos) not in self.index:
            return ()
        found = []
        for offset in self.index[lemma, pos][1][:senses]:
            words, pointers = self.synset(pos, offset)
            for symbol, target, kind, source, end in pointers:
                if symbol == "!" and source and words[source - 1].lower() == lemma:
                    found.append(self.synset(kind, target)[0][end - 1].lower())
        return tuple(word for word in dict.fromkeys(found) if "_" not in word)

    @lru_cache(maxsize=50_000)
    def siblings(self, lemma, pos):
        """Return nouns or verbs that are another kind of the same thing; each, as the lemma, in its most usual sense."""
        # A word that is mostly another part of speech is likely to be one here.
        own = self.counts.get((lemma, pos), 0)
        if (lemma, pos) not in self.index or own <= 2 * sum(self.counts.get((lemma, other), 0) for other in "nvar" if other != pos):
            return ()
        own = self.index[lemma, pos][1][0]
        found = []
        for symbol, parent, kind, _, _ in self.synset(pos, own)[1]:
            if symbol != "@" or kind != pos:
                continue
            for symbol, child, kind, _, _ in self.synset(pos, parent)[1]:
                if symbol != "~" or kind != pos or child == own:
                    continue
                for word in self.synset(pos, child)[0]:
                    tagged, senses = self.index.get((word.lower(), pos), (0, [""]))
                    if tagged and senses[0] == child and word.islower() and word.isalpha():
                        found.append(word)
        return tuple(sorted(set(found)))

    @lru_cache(maxsize=50_000)
    def synonyms(self, lemma, pos):
        """Return the other words of the most usual sense of a lemma, those of which it is the most usual sense too."""
        if (lemma, pos) not in self.index:
            return ()
        own = self.index[lemma, pos][1][0]
        found = []
        for word in self.synset(pos, own)[0]:
            _, senses = self.index.get((word.lower(), pos), (0, [""]))
            if word != lemma and word.islower() and word.isalpha() and senses[0] == own:
                found.append(word)
        return tuple(found)

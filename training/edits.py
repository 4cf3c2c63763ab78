"""Change questions so that they still fit their passage and no longer have an answer in it.

The kinds follow the categories that Rajpurkar, Jia and Liang (2018) found among the
unanswerable questions of SQuAD 2.0: negation, antonym, exchanged entity,
mutually exclusive word, impossible condition. Opposites and siblings of words
come from WordNet (the files of Debian's package wordnet-base); nothing of it is
kept in the weights' files or needed at run time.
"""

import re
from functools import lru_cache
from pathlib import Path

WORDNET = Path("/usr/share/wordnet")
KINDS = ("negation", "antonym", "sibling", "name", "roles", "condition")

AUXILIARY = re.compile(r"\b(did|does|do|is|are|was|were|can|could|will|would|has|have|had|should)\b(?! not\b)", re.IGNORECASE)
SHORT = {"can": "can't", "will": "won't"}

# Frequent opposites that WordNet has not, or only between base forms.
PAIRS = """most least|more less|more fewer|before after|first last|largest smallest|biggest smallest|highest lowest|oldest newest|
oldest youngest|best worst|earliest latest|longest shortest|tallest shortest|greatest smallest|larger smaller|bigger smaller|
higher lower|older newer|older younger|better worse|earlier later|longer shorter|northern southern|eastern western|won lost|
gained lost|bought sold|began ended|started stopped|started finished|opened closed|increased decreased|rose fell|arrived left|joined left|
accepted rejected|allowed prohibited|included excluded|built destroyed|supported opposed|loved hated|liked disliked|remembered forgot|
rising falling|increasing decreasing|winning losing|opening closing|buying selling|always never|everyone nobody|all none|inside outside|
with without|above below|over under|husband wife|mother father|son daughter|brother sister|men women|boys girls|king queen"""

FUNCTION = frozenset("""what who whom whose which when where why how many much long often far the a an of in on at to for from by with and or
is are was were be been do did does has have had can could will would should may might that this these those it its his her their he she they
you your i my we our there than as not no name kind type one year time people""".split())


def opposites():
    table = {}
    for pair in PAIRS.replace("\n", "").split("|"):
        left, right = pair.split()
        table.setdefault(left, []).append(right)
        table.setdefault(right, []).append(left)
    return table


ENTITY = re.compile(r"(?<=\w )(?:[A-Z][\w'-]+(?: [A-Z][\w'-]+)*|\d[\d,.]*\d|\d)\b")
# Capital letters that name nothing; an exchange of these changes no meaning.
PLAIN = frozenset(("I", "I'm", "I've", "A", "The", "OP"))


def entities(text):
    """Return the (start, end) of names and numbers inside a text; not the first word, which is always capital."""
    return [m.span() for m in ENTITY.finditer(text) if m.group() not in PLAIN]


def swap(question, passage, rng):
    """Put another name or number of the passage into a question, or return None.

    The result reads like the question and mostly has no answer in the passage.
    """
    its = entities(question)
    if not its:
        return None
    start, end = its[rng.randrange(len(its))]
    old = question[start:end]
    others = sorted({
        passage[a:b] for a, b in entities(passage)
        if passage[a:b][0].isdigit() == old[0].isdigit() and passage[a:b].lower() not in question.lower()
    })
    if not others:
        return None
    return question[:start] + others[rng.randrange(len(others))] + question[end:]


class WordNet:
    """The word files of WordNet 3: antonyms, and words under the same hypernym."""

    FILES = {"n": "noun", "v": "verb", "a": "adj", "r": "adv", "s": "adj"}

    def __init__(self, directory=WORDNET):
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
        self.irregular = set()
        for line in (directory / "verb.exc").read_text(encoding="utf-8").splitlines():
            self.irregular.update(line.split()[1:])

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

    def antonyms(self, lemma, pos, senses=2):
        if (lemma, pos) not in self.index:
            return []
        found = []
        for offset in self.index[lemma, pos][1][:senses]:
            words, pointers = self.synset(pos, offset)
            for symbol, target, kind, source, end in pointers:
                if symbol == "!" and source and words[source - 1].lower() == lemma:
                    found.append(self.synset(kind, target)[0][end - 1].lower())
        return [word for word in dict.fromkeys(found) if "_" not in word]

    def siblings(self, lemma):
        """Return nouns that are another kind of the same thing, in their most usual sense."""
        # A word that is mostly something else makes no question when a noun takes its place.
        noun = self.counts.get((lemma, "n"), 0)
        if (lemma, "n") not in self.index or noun <= 2 * sum(self.counts.get((lemma, pos), 0) for pos in "var"):
            return []
        own = self.index[lemma, "n"][1][0]
        found = []
        for symbol, parent, kind, _, _ in self.synset("n", own)[1]:
            if symbol != "@" or kind != "n":
                continue
            for symbol, child, kind, _, _ in self.synset("n", parent)[1]:
                if symbol != "~" or kind != "n" or child == own:
                    continue
                for word in self.synset("n", child)[0]:
                    tagged, senses = self.index.get((word.lower(), "n"), (0, [""]))
                    if tagged and senses[0] == child and word.islower() and "_" not in word:
                        found.append(word)
        return sorted(set(found))

    def verbs(self, word):
        """Return the opposites of a regular verb form, in the same form."""
        found = list(self.antonyms(word, "v"))
        for ending in ("ed", "s", "ing"):
            if not word.endswith(ending):
                continue
            stem = word[:-len(ending)]
            for lemma in (stem, stem + "e"):
                for other in self.antonyms(lemma, "v"):
                    if other not in self.irregular:
                        found.append((other[:-1] if other.endswith("e") and ending != "s" else other) + ending)
        return found


class Editor:
    """Makes questions without an answer. The same random state makes the same edit."""

    def __init__(self, directory=WORDNET):
        self.wordnet = WordNet(directory)
        self.opposites = opposites()

    def edit(self, question, passage, rng, kinds=KINDS):
        """Return (kind, changed question), or None where no kind fits."""
        order = list(kinds)
        rng.shuffle(order)
        for kind in order:
            changed = getattr(self, kind)(question, passage, rng)
            if changed and changed != question:
                return kind, changed
        return None

    @staticmethod
    def negation(question, passage, rng):
        found = AUXILIARY.search(question)
        if not found:
            return None
        word = found.group()
        if rng.random() < 0.5:
            short = SHORT.get(word.lower(), word.lower() + "n't")
            return question[:found.start()] + (short.capitalize() if word[0].isupper() else short) + question[found.end():]
        if word.lower() in ("is", "are", "was", "were"):
            return question[:found.end()] + rng.choice((" not", " never")) + question[found.end():]
        # Behind a subject of which the end is plain: a pronoun or a name.
        rest = re.search(r"\b(?:did|does|do|can|could|will|would|should) (?:(?:he|she|it|they|we|you|people) |(?:[A-Z][\w'-]+ )+)(?=[a-z])", question)
        return question[:rest.end()] + "never " + question[rest.end():] if rest else None

    def antonym(self, question, passage, rng):
        options = []
        for found in re.finditer(r"\b[a-z]+\b", question):
            word = found.group()
            others = self.opposites.get(word)
            if not others and word not in FUNCTION:
                others = self.wordnet.antonyms(word, "a") or self.wordnet.antonyms(word, "r") or self.wordnet.verbs(word)
            options += [(found.span(), other) for other in others or ()]
        return replaced(question, options, rng)

    def sibling(self, question, passage, rng):
        low, options = f" {passage.lower()} ", []
        for found in re.finditer(r"\b[a-z]{3,}\b", question):
            word = found.group()
            if word in FUNCTION:
                continue
            plural = word.endswith("s") and (word[:-1], "n") in self.wordnet.index
            for other in self.wordnet.siblings(word[:-1] if plural else word):
                other = other + "s" if plural else other
                if other not in low and other not in question.lower():
                    options.append((found.span(), other))
        # Every word with siblings is as likely as the others, however many it has.
        spans = sorted({span for span, _ in options})
        if not spans:
            return None
        chosen = spans[rng.randrange(len(spans))]
        return replaced(question, [o for o in options if o[0] == chosen], rng)

    @staticmethod
    def name(question, passage, rng):
        return swap(question, passage, rng)

    @staticmethod
    def roles(question, passage, rng):
        its = entities(question)
        pairs = [(a, b) for i, a in enumerate(its) for b in its[i + 1:]
                 if question[a[0]].isdigit() == question[b[0]].isdigit() and question[slice(*a)] != question[slice(*b)]]
        if not pairs:
            return None
        (a, b), (c, d) = pairs[rng.randrange(len(pairs))]
        return question[:a] + question[c:d] + question[b:c] + question[a:b] + question[d:]

    @staticmethod
    def condition(question, passage, rng):
        if not question.endswith("?") or re.search(r"\bwhen\b|\d{3}", question, re.IGNORECASE):
            return None
        years = [str(year) for year in range(1850, 2020) if str(year) not in passage]
        return f"{question[:-1].rstrip()} {rng.choice(('in', 'before', 'after', 'until'))} {rng.choice(years)}?"


def replaced(text, options, rng):
    if not options:
        return None
    (start, end), other = options[rng.randrange(len(options))]
    return text[:start] + other + text[end:]

"""Counterparts of questions: question or passage changed a little, so that the answer is gone or is kept.

What counterparts are for stands in contrast.py. Everything here works on what spaCy says about a text.
"""

import re

import lemminflect

import mining
import wordnet

GONE = ("negation", "antonym", "sibling", "entity", "stranger", "phrase", "roles", "condition", "year", "number",
        "sentence", "passage-entity", "passage-phrase", "passage-word", "passage-negation")
KEPT = ("synonym", "other-sentence", "other-word", "other-answer", "both-word", "both-entity", "both-negation")

POS = {"NOUN": "n", "VERB": "v", "ADJ": "a", "ADV": "r"}
AUXILIARY = {"did", "does", "do", "is", "are", "was", "were", "can", "could", "will", "would", "has", "have", "had", "should"}
BE = {"is", "are", "was", "were", "am"}
SHORT = {"can": "can't", "will": "won't"}
# Words that carry no condition of a question.
FAINT = frozenset("""be have do get make go say use call know take give find name kind type thing one year time people person many much
other same such new way part""".split())
PREPOSITIONS = frozenset("in on at during after before for with by from under without near until against among through since within".split())
# Between two phrases: one is part of the other, or it makes no difference which comes first.
SYMMETRIC = re.compile(r"\b(between|and|or|both|with|versus|vs|of|more|less)\b", re.IGNORECASE)
MONTHS = "January February March April May June July August September October November December".split()
ORDINALS = "first second third fourth fifth sixth seventh eighth ninth tenth".split()
NUMBERS = "one two three four five six seven eight nine ten eleven twelve".split()


def norm(text):
    return f" {mining.plain(text)} "


class Passage:
    """A passage with what spaCy says about it."""

    def __init__(self, doc):
        self.doc, self.text = doc, doc.text
        self.low = norm(doc.text)
        self.sentences = [s for s in doc.sents if s.text.strip()]
        self.entities = [e for e in doc.ents if len(e.text) > 1 and "\n" not in e.text]
        self.chunks = [c for c in doc.noun_chunks if plain_chunk(c)]

    def holding(self, spans):
        """Return the sentences that any of some spans touches."""
        return [s for s in self.sentences if any(s.start_char < end and start < s.end_char for start, end in spans)]


def plain_chunk(chunk):
    """Say whether a noun phrase names something: no question word, no pronoun, not too long."""
    return len(chunk) <= 5 and chunk.root.pos_ in ("NOUN", "PROPN") and not any(t.tag_ in ("WDT", "WP", "WP$", "WRB") for t in chunk)


def replaced(text, *changes):
    """Return a text with (start, end, new) exchanged; the changes do not overlap."""
    for start, end, new in sorted(changes, reverse=True):
        text = text[:start] + new + text[end:]
    return text


def moved(span, *changes):
    """Return where a span is after changes that do not touch it, or None where one does."""
    shift = 0
    for start, end, new in changes:
        if start < span[1] and span[0] < end:
            return None
        if end <= span[0]:
            shift += len(new) - (end - start)
    return span[0] + shift, span[1] + shift


def cased(new, old, first):
    """Give a phrase the case of its place: capital at the beginning of a sentence."""
    return new[:1].upper() + new[1:] if first and old[:1].isupper() else new


class Maker:
    """Makes the counterparts of questions. The same random state makes the same ones."""

    def __init__(self, words, pool):
        self.words, self.pool = words, pool  # WordNet; label -> names of that kind anywhere in the corpus
        self.opposites = wordnet.opposites()

    # Words

    def inflected(self, lemma, token):
        """Return a lemma in the form of a token, or None."""
        if token.tag_ in ("VB", "VBP", "NN", "JJ", "RB"):
            return lemma
        forms = lemminflect.getInflection(lemma, token.tag_)
        return forms[0] if forms else None

    def others(self, token, kind):
        """Return words of a kind (antonym, sibling, synonym) that fit in a token's place."""
        low, lemma, pos = token.lower_, token.lemma_.lower(), POS.get(token.pos_)
        if kind == "antonym" and low in self.opposites and token.text.islower():
            return list(self.opposites[low])
        if pos is None or not token.text.islower() or lemma in FAINT or token.is_stop or token.ent_type_:
            return []
        if kind == "sibling" and pos not in "nv":
            return []
        lemmas = {"antonym": self.words.antonyms, "sibling": self.words.siblings, "synonym": self.words.synonyms}[kind](lemma, pos)
        forms = (self.inflected(other, token) for other in lemmas)
        return [form for form in forms if form and form != low]

    def word(self, tokens, kinds, rng, absent=""):
        """Return (start, end, new word) for one of some tokens, or None; the word is not in the normalised text absent."""
        options = []
        for token in tokens:
            for kind in kinds:
                its = [o for o in self.others(token, kind) if f" {o} " not in absent]
                if its:
                    options.append((token, its))
        if not options:
            return None
        token, its = rng.choice(options)
        return token.idx, token.idx + len(token), rng.choice(its)

    # Questions without an answer

    def negation(self, q, p, case, rng):
        change = negated_question(q, rng)
        return change and {"question": replaced(q.text, change)}

    def antonym(self, q, p, case, rng):
        change = self.word(q, ("antonym",), rng)
        return change and {"question": replaced(q.text, change)}

    def sibling(self, q, p, case, rng):
        change = self.word(q, ("sibling",), rng, absent=p.low)
        return change and {"question": replaced(q.text, change)}

    def entity(self, q, p, case, rng):
        """Another name of the passage, of the same kind."""
        options = [(e, o.text) for e in q.ents for o in p.entities
                   if o.label_ == e.label_ and case.free(o.text) and norm(o.text) not in norm(q.text) and norm(e.text) not in norm(o.text)]
        return self.put(q, options, rng)

    def stranger(self, q, p, case, rng):
        """A name of the same kind that the passage does not hold."""
        options = [(e, o) for e in q.ents for o in self.sampled(e.label_, rng) if norm(o) not in p.low and norm(o) not in norm(q.text)]
        return self.put(q, options, rng)

    def sampled(self, label, rng):
        its = self.pool.get(label, ())
        return [rng.choice(its) for _ in range(4)] if its else []

    @staticmethod
    def put(q, options, rng):
        if not options:
            return None
        span, other = rng.choice(options)
        return {"question": replaced(q.text, (span.start_char, span.end_char, cased(other, span.text, span.start == 0)))}

    def phrase(self, q, p, case, rng):
        """A noun phrase of the passage, or of another question about it, in the place of one of the question."""
        mine = [c for c in q.noun_chunks if plain_chunk(c) and c.root.lemma_.lower() not in FAINT]
        lemmas = {t.lemma_.lower() for t in q}
        others = [c for c in [*p.chunks, *case.chunks] if c.root.lemma_.lower() not in lemmas and c.root.lemma_.lower() not in FAINT and case.free(c.text)]
        options = [(c, lowered(o)) for c in mine for o in others if o.root.tag_ == c.root.tag_ and bool(c.root.ent_type_) == bool(o.root.ent_type_)]
        return self.put(q, options, rng)

    def roles(self, q, p, case, rng):
        """Two noun phrases of the question exchanged."""
        its = [c for c in q.noun_chunks if plain_chunk(c)]
        pairs = [(a, b) for i, a in enumerate(its) for b in its[i + 1:]
                 if a.text.lower() != b.text.lower() and not SYMMETRIC.search(q.text[a.end_char:b.start_char])
                 and (a.root.tag_ == b.root.tag_ or a.root.ent_type_ and b.root.ent_type_)]
        if not pairs:
            return None
        a, b = rng.choice(pairs)
        return {"question": replaced(q.text, (a.start_char, a.end_char, cased(lowered(b), a.text, a.start == 0)), (b.start_char, b.end_char, lowered(a)))}

    def condition(self, q, p, case, rng):
        """A condition that the passage names of something else."""
        if not q.text.rstrip().endswith("?"):
            return None
        options = []
        for s in p.sentences:
            if s in case.sentences:
                continue
            for t in s:
                if t.dep_ == "prep" and t.lower_ in PREPOSITIONS and t.head.pos_ in ("VERB", "AUX"):
                    part = p.doc[t.left_edge.i:t.right_edge.i + 1]
                    if 2 <= len(part) <= 7 and part.start == t.i and "\n" not in part.text and case.free(part.text) and not any(x.pos_ == "PRON" for x in part):
                        options.append(part)
        if not options:
            return None
        part = rng.choice(options)
        if norm(part[1:].text) in norm(q.text):
            return None
        return {"question": f"{q.text.rstrip()[:-1].rstrip()} {part.text[0].lower()}{part.text[1:].rstrip(',;. ')}?"}

    def year(self, q, p, case, rng):
        if not q.text.endswith("?") or re.search(r"\bwhen\b|\d{3}|year", q.text, re.IGNORECASE):
            return None
        years = [str(year) for year in range(1850, 2020) if str(year) not in p.text]
        return {"question": f"{q.text[:-1].rstrip()} {rng.choice(('in', 'before', 'after', 'until', 'since', 'during'))} {rng.choice(years)}?"}

    def number(self, q, p, case, rng):
        change = other_number(q, rng)
        return change and {"question": replaced(q.text, change)}

    # Passages that no longer answer the question

    def sentence(self, q, p, case, rng):
        """The passage without the sentences that hold an answer."""
        if len(p.sentences) - len(case.sentences) < 2:
            return None
        text = replaced(p.text, *((s.start_char, following(p.text, s.end_char), "") for s in case.sentences)).strip()
        return {"passage": text} if not any(a in norm(text) for a in case.answers) else None

    def shared(self, q, case, parts):
        """Return those parts of the answer's sentence, outside the answers, that the question names too."""
        inside = [x for s in case.sentences for x in parts if s.start_char <= x.start_char and x.end_char <= s.end_char]
        return [x for x in inside if norm(x.text).strip() and norm(x.text) in norm(q.text) and case.outside(x.start_char, x.end_char)]

    def passage_entity(self, q, p, case, rng):
        options = [(x, o) for x in self.shared(q, case, p.entities) for o in [e.text for e in p.entities if e.label_ == x.label_] + self.sampled(x.label_, rng)
                   if norm(o) not in norm(q.text) and case.free(o)]
        return self.put_passage(p, options, rng)

    def passage_phrase(self, q, p, case, rng):
        options = [(x, lowered(o)) for x in self.shared(q, case, p.chunks) for o in [*p.chunks, *case.chunks]
                   if o.root.tag_ == x.root.tag_ and o.root.lemma_ != x.root.lemma_ and norm(o.text) not in norm(q.text) and case.free(o.text)]
        return self.put_passage(p, options, rng)

    @staticmethod
    def put_passage(p, options, rng):
        if not options:
            return None
        x, other = rng.choice(options)
        return {"passage": replaced(p.text, (x.start_char, x.end_char, cased(other, x.text, x.start == x.sent.start)))}

    def common(self, q, p, case):
        """Return the tokens of the answer's sentences, outside the answers, of which the question holds the lemma."""
        lemmas = {t.lemma_.lower() for t in q if t.pos_ in POS and t.lemma_.lower() not in FAINT and not t.is_stop}
        return [t for s in case.sentences for t in s if t.lemma_.lower() in lemmas and case.outside(t.idx, t.idx + len(t))]

    def passage_word(self, q, p, case, rng):
        change = self.word(self.common(q, p, case), ("antonym", "sibling"), rng, absent=norm(q.text))
        return change and {"passage": replaced(p.text, change)}

    def passage_negation(self, q, p, case, rng):
        changes = [negated_sentence(s, rng) for s in case.sentences]
        if any(c is None or not case.outside(c[0], c[1]) for c in changes):
            return None
        return {"passage": replaced(p.text, *changes)}

    # Counterparts that keep the answer

    def synonym(self, q, p, case, rng):
        change = self.word(q, ("synonym",), rng)
        return change and {"question": replaced(q.text, change), "answer": case.span}

    def other_sentence(self, q, p, case, rng):
        """The passage without one of the other sentences."""
        its = [s for s in p.sentences if s not in case.sentences]
        if len(its) < 2:
            return None
        s = rng.choice(its)
        return case.kept(p, (s.start_char, following(p.text, s.end_char), ""))

    def other_word(self, q, p, case, rng):
        """Another word, name or a negation in a sentence that the question is not about."""
        lemmas = {t.lemma_.lower() for t in q if t.pos_ in POS or t.pos_ in ("PROPN", "NUM")}
        its = [s for s in p.sentences if s not in case.sentences]
        if not its:
            return None
        s = rng.choice(its)
        free = [t for t in s if t.lemma_.lower() not in lemmas]
        names = [e for e in p.entities if s.start_char <= e.start_char < s.end_char and norm(e.text) not in norm(q.text)]
        draw = rng.random()
        if draw < 0.35 and names:
            e = rng.choice(names)
            options = [o for o in self.sampled(e.label_, rng) if case.free(o) and norm(o) not in norm(q.text)]
            return case.kept(p, (e.start_char, e.end_char, options[0])) if options else None
        if draw < 0.6:
            change = negated_sentence(s, rng)
            return change and case.kept(p, change)
        change = self.word(free, ("antonym", "sibling"), rng, absent=norm(q.text))
        return change and case.kept(p, change)

    def other_answer(self, q, p, case, rng):
        """Another name of the same kind as the answer, in the answer's place."""
        start, end = case.span
        its = [e for e in p.entities if (e.start_char, e.end_char) == (start, end)]
        if not its or p.low.count(norm(p.text[start:end])) != 1 or any(span != case.span for span in case.spans):
            return None
        options = [o for o in self.sampled(its[0].label_, rng) if norm(o) not in p.low and norm(o) not in norm(q.text)]
        if not options:
            return None
        return {"passage": replaced(p.text, (start, end, options[0])), "answer": (start, start + len(options[0]))}

    def both_word(self, q, p, case, rng):
        """A word of the question and its sentence exchanged in both for the same other one."""
        tokens = self.common(q, p, case)
        rng.shuffle(tokens)
        for token in tokens:
            mine = [t for t in q if t.lemma_.lower() == token.lemma_.lower() and t.pos_ == token.pos_]
            kinds = [k for k in ("antonym", "sibling") if self.others(token, k)]
            if len(mine) != 1 or not kinds:
                continue
            kind = rng.choice(kinds)
            at = rng.randrange(8)
            new, own = self.others(token, kind), self.others(mine[0], kind)
            if len(new) != len(own):
                continue
            made = case.kept(p, (token.idx, token.idx + len(token), new[at % len(new)]))
            if made:
                return {**made, "question": replaced(q.text, (mine[0].idx, mine[0].idx + len(mine[0]), own[at % len(own)]))}
        return None

    def both_entity(self, q, p, case, rng):
        """A name exchanged for the same other one wherever it stands, in question and passage."""
        its = [e for e in q.ents if norm(e.text) in p.low and len(e.text) > 2]
        if not its:
            return None
        e = rng.choice(its)
        options = [o for o in self.sampled(e.label_, rng) if norm(o) not in p.low and norm(o) not in norm(q.text)]
        if not options:
            return None
        pattern = re.compile(rf"\b{re.escape(e.text)}\b")
        made = case.kept(p, *((m.start(), m.end(), options[0]) for m in pattern.finditer(p.text)))
        return made and made["passage"] != p.text and {**made, "question": pattern.sub(lambda _: options[0], q.text)} or None

    def both_negation(self, q, p, case, rng):
        change = negated_question(q, rng)
        if change is None or len(case.sentences) != 1:
            return None
        other = negated_sentence(case.sentences[0], rng)
        made = other and case.kept(p, other)
        return made and {**made, "question": replaced(q.text, change)}

    def counterparts(self, q, p, case, rng, gone=7, kept=4):
        """Return up to gone and kept counterparts of a question, each of another kind."""
        result = []
        for kinds, count in ((GONE, gone), (KEPT, kept)):
            order = list(kinds)
            rng.shuffle(order)
            its = []
            for kind in order:
                made = getattr(self, kind.replace("-", "_"))(q, p, case, rng)
                if made and made.get("question") != q.text and made.get("passage") != p.text:
                    its.append({"kind": kind, "question": None, "passage": None, "answer": None, **made})
                if len(its) == count:
                    break
            result += its
        return result


class Case:
    """What is to be kept in mind when a question is changed: its answers, their sentences, phrases of other questions."""

    def __init__(self, passage, spans, chunks):
        self.spans, self.span, self.chunks = spans, spans[0], chunks
        self.answers = sorted({norm(passage.text[a:b]) for a, b in spans} - {"  ", " "})
        self.sentences = passage.holding(spans)

    def free(self, text):
        """Say whether a text neither holds an answer nor is part of one."""
        return not any(a in norm(text) or norm(text) in a for a in self.answers)

    def outside(self, start, end):
        return not any(start < b and a < end for a, b in self.spans)

    def kept(self, passage, *changes):
        """Return the passage with changes and where the answer is then, or None where they touch it."""
        span = moved(self.span, *changes)
        text = replaced(passage.text, *changes)
        return span and {"passage": text, "answer": span}


def lowered(chunk):
    """Return the text of a noun phrase as it stands inside a sentence."""
    first = chunk[0]
    return chunk.text if first.pos_ == "PROPN" or first.ent_type_ or first.text.isupper() and len(first) > 1 else chunk.text[0].lower() + chunk.text[1:]


def following(text, end):
    """Return the place after the white space that follows."""
    while end < len(text) and text[end].isspace():
        end += 1
    return end


def negated_question(q, rng):
    """Return the change that puts a negation into a question, or None."""
    for token in q:
        if token.lower_ not in AUXILIARY or token.pos_ not in ("AUX", "VERB") or any(t.dep_ == "neg" for t in token.head.children):
            continue
        end = token.idx + len(token)
        if rng.random() < 0.4:
            short = SHORT.get(token.lower_, token.lower_ + "n't")
            return token.idx, end, short.capitalize() if token.text[0].isupper() else short
        main = token.head if token.dep_ in ("aux", "auxpass") else token
        if main.i == token.i:
            return end, end, rng.choice((" not", " never"))
        return main.idx, main.idx, rng.choice(("not ", "never "))
    return None


def negated_sentence(s, rng):
    """Return the change that negates the main verb of a sentence, or None."""
    root = s.root
    if root.pos_ not in ("VERB", "AUX") or any(t.dep_ == "neg" for t in root.children):
        return None
    helpers = [t for t in root.children if t.dep_ in ("aux", "auxpass")]
    if helpers or root.lower_ in BE:
        end = (t := helpers[0] if helpers else root).idx + len(t)
        return end, end, rng.choice((" not", " never"))
    if root.tag_ in ("VBD", "VBZ", "VBP"):
        return root.idx, root.idx, "never "
    return None


def other_number(q, rng):
    """Return the change of one number, ordinal or month, or None."""
    options = []
    for token in q:
        low = token.lower_
        if re.fullmatch(r"\d{1,4}", token.text):
            value, year = int(token.text), len(token.text) == 4
            others = [value + d for d in ((-30, -11, -4, -2, -1, 1, 2, 3, 10, 25) if year else (-3, -2, -1, 1, 2, 4, 9)) if value + d > 0]
            options.append((token, [str(o) for o in others]))
        for names in (MONTHS, ORDINALS, NUMBERS[1:]):
            if token.text in names or low in names:
                options.append((token, [n for n in names if n.lower() != low]))
    if not options:
        return None
    token, others = rng.choice(options)
    return token.idx, token.idx + len(token), rng.choice(others)

#!/usr/bin/env python3
"""Make the corpus of office files, mails, books and archives from texts of the
handbook, with the programs that people make such files with.

    python3 generate_formats.py OUTPUT

writes the files and expected.json, which says what must be found in them. Needs
python-docx, python-pptx, openpyxl, odfpy, ebooklib (pip), and pandoc and
LibreOffice (soffice) as programs. The files differ from run to run (times,
ids), their text does not.
"""
import datetime
import email.message
import email.policy
import io
import json
import mailbox
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
import zlib

import docx
import openpyxl
import pptx
from docx.oxml import OxmlElement
from ebooklib import epub

ROOT = pathlib.Path(__file__).resolve().parents[2]
HANDBOOK = ROOT / "examples" / "handbook"
AUTHOR = "Maureen Blackshaw"
CREATED = datetime.datetime(2026, 2, 3, 9, 30)


def inline(text):
    text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", text)
    return re.sub(r"[*_`]{1,2}(\S.*?\S|\S)[*_`]{1,2}", r"\1", text).strip()


def blocks(path):
    """Yield (kind, level, text or cells) of a Markdown file of the handbook."""
    out, paragraph = [], []

    def end():
        if paragraph:
            out.append(("p", 0, inline(" ".join(paragraph))))
            paragraph.clear()

    for line in path.read_text(encoding="utf-8").splitlines():
        if m := re.match(r"(#+) (.*)", line):
            end()
            out.append(("h", len(m[1]), inline(m[2])))
        elif m := re.match(r"( *)([-*]|\d+\.) (.*)", line):
            end()
            out.append(("li", len(m[1]) // 2, inline(m[3])))
        elif line.startswith("|"):
            end()
            cells = [inline(c) for c in line.strip().strip("|").split("|")]
            if not all(re.fullmatch(r":?-+:?", c) for c in cells):
                out.append(("tr", 0, cells))
        elif not line.strip():
            end()
        elif out and out[-1][0] == "li" and line.startswith("  ") and not paragraph:
            kind, level, text = out[-1]
            out[-1] = (kind, level, text + " " + inline(line))
        else:
            paragraph.append(line.strip())
    end()
    return out


def words(content):
    return [" ".join(x) if isinstance(x, list) else x for _, _, x in content]


def headings(content):
    """Give a phrase of the first paragraph of every section its headings."""
    stack, out, want = [], [], False
    for kind, level, text in content:
        if kind == "h":
            stack = [h for h in stack if h[0] < level] + [(level, text)]
            want = True
        elif kind == "p" and want:
            out.append({"phrase": " ".join(text.split()[:6]), "headings": [t for _, t in stack]})
            want = False
    return out


def write_docx(content, path):
    d = docx.Document()
    d.core_properties.title = content[0][2]
    d.core_properties.author = AUTHOR
    d.core_properties.created = CREATED
    d.core_properties.keywords = "handbook, policy"
    table = None
    for kind, level, text in content:
        if kind != "tr":
            table = None
        if kind == "h":
            d.add_heading(text, level)
        elif kind == "p":
            # Word splits a paragraph into runs where the look changes.
            p, half = d.add_paragraph(), len(text) // 2
            p.add_run(text[:half]).bold = True
            p.add_run(text[half:])
        elif kind == "li":
            d.add_paragraph(text, style="List Bullet")
        else:
            if table is None:
                table = d.add_table(rows=0, cols=len(text))
            for cell, value in zip(table.add_row().cells, text):
                cell.text = value
    # What tracked changes took away is not part of the text.
    p = d.paragraphs[1]._p
    gone = OxmlElement("w:del")
    run = OxmlElement("w:r")
    t = OxmlElement("w:delText")
    t.text = "removed by an editor"
    run.append(t)
    gone.append(run)
    p.append(gone)
    d.sections[0].header.paragraphs[0].text = "Running head of every page"
    d.save(path)


def write_pptx(content, path):
    """A slide a section of level two; returns what each slide holds."""
    deck = pptx.Presentation()
    deck.core_properties.title = content[0][2]
    deck.core_properties.author = AUTHOR
    slides, current = [], None
    for kind, level, text in content:
        if kind == "h":
            current = {"title": text, "body": [], "rows": []}
            slides.append(current)
        elif kind == "tr":
            current["rows"].append(text)
        else:
            current["body"].append((level if kind == "li" else 0, text))
    pages = []
    for n, s in enumerate(slides):
        slide = deck.slides.add_slide(deck.slide_layouts[1])
        slide.shapes.title.text = s["title"]
        frame = slide.placeholders[1].text_frame
        for i, (level, text) in enumerate(s["body"]):
            p = frame.paragraphs[0] if i == 0 else frame.add_paragraph()
            p.text, p.level = text, level
        if s["rows"]:
            shape = slide.shapes.add_table(len(s["rows"]), len(s["rows"][0]), 0, 0, 9000000, 3000000)
            for row, cells in zip(shape.table.rows, s["rows"]):
                for cell, value in zip(row.cells, cells):
                    cell.text = value
        note = f"Remind the audience of point {n + 1}."
        slide.notes_slide.notes_text_frame.text = note
        pages.append([s["title"], *(t for _, t in s["body"]), *(" ".join(r) for r in s["rows"]), note])
    deck.save(path)
    return pages


def write_xlsx(path):
    book = openpyxl.Workbook()
    book.properties.title = "Branch figures"
    book.properties.creator = AUTHOR
    sheet = book.active
    sheet.title = "Branches"
    rows = [
        ["Branch", "Opened", "Staff", "Revenue"],
        ["Sheffield", datetime.date(1974, 5, 2), 412, 18250000.5],
        ["Brno", datetime.date(2003, 9, 15), 260, 9100000],
        ["Rotterdam", datetime.date(2011, 1, 10), 95, 4200000],
    ]
    for row in rows:
        sheet.append(row)
    for row in sheet.iter_rows(min_row=2):
        row[1].number_format = "yyyy-mm-dd"
        row[3].number_format = "#,##0.00"
    notes = book.create_sheet("Remarks")
    notes["B2"] = "The Brno figures are preliminary."
    notes["B4"] = "Checked by Odo Brask."
    hidden = book.create_sheet("Scratch")
    hidden["A1"] = "nobody sees this"
    hidden.sheet_state = "hidden"
    book.save(path)
    return [
        "Branches", "Branch Opened Staff Revenue",
        "Branch: Sheffield Opened: 1974-05-02 Staff: 412 Revenue: 18,250,000.50",
        "Branch: Brno Opened: 2003-09-15 Staff: 260 Revenue: 9,100,000.00",
        "Branch: Rotterdam Opened: 2011-01-10 Staff: 95 Revenue: 4,200,000.00",
        "Remarks", "The Brno figures are preliminary.", "Checked by Odo Brask.",
    ]


def write_epub(content, path):
    book = epub.EpubBook()
    book.set_identifier("handbook-1")
    book.set_title(content[0][2])
    book.set_language("en")
    book.add_author(AUTHOR)
    chapters, parts = [], []
    for kind, level, text in content:
        if kind == "h" and level <= 2:
            parts.append([])
        if kind == "tr":
            row = "".join(f"<td>{c}</td>" for c in text)
            parts[-1].append(f"<table><tr>{row}</tr></table>")
        else:
            tag = {"h": f"h{level}", "p": "p", "li": "li"}[kind]
            parts[-1].append(f"<{tag}>{text.replace('&', '&amp;')}</{tag}>")
    for i, part in enumerate(parts):
        c = epub.EpubHtml(title=f"Chapter {i + 1}", file_name=f"c{i + 1}.xhtml", lang="en")
        c.content = "<html><body>" + "\n".join(part) + "</body></html>"
        book.add_item(c)
        chapters.append(c)
    book.toc = chapters
    book.spine = chapters
    book.add_item(epub.EpubNcx())
    book.add_item(epub.EpubNav())
    epub.write_epub(str(path), book)


def mail(subject, body, html=None, charset="utf-8", attach=None):
    m = email.message.EmailMessage(policy=email.policy.SMTP)
    m["From"] = "Odo Bräsk <odo@tarnbeck.example>"
    m["To"] = "Maureen Blackshaw <maureen@tarnbeck.example>"
    m["Date"] = "Tue, 03 Feb 2026 09:30:00 +0000"
    m["Subject"] = subject
    m["Message-ID"] = f"<{zlib.crc32(subject.encode())}.{len(body)}@tarnbeck.example>"
    m.set_content(body, charset=charset)
    if html:
        m.add_alternative(html, subtype="html")
    if attach:
        data = attach.read_bytes()
        m.add_attachment(data, maintype="application", subtype="octet-stream", filename=attach.name)
    return m


def soffice(source, kind, out):
    with tempfile.TemporaryDirectory() as profile:
        subprocess.run(["soffice", f"-env:UserInstallation=file://{profile}", "--headless", "--convert-to", kind, "--outdir", str(out), str(source)],
                       check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def main(out):
    out.mkdir(parents=True, exist_ok=True)
    long, short = HANDBOOK / "quality" / "quality-manual.md", HANDBOOK / "legal" / "data-retention.md"
    expected = {}
    content, brief = blocks(long), blocks(short)

    def expect(name, text, **more):
        expected[name] = {"text": text, **more}

    structure = {"title": content[0][2], "sections": headings(content)}
    write_docx(content, out / "python-docx.docx")
    expect("python-docx.docx", words(content), author=AUTHOR, created="2026-02-03T09:30:00Z", **structure)
    for suffix in ("docx", "odt", "rtf", "epub"):
        name = f"pandoc.{suffix}"
        subprocess.run(["pandoc", "--standalone", "--metadata", f"title={content[0][2]}", "--metadata", f"author={AUTHOR}",
                        "-o", str(out / name), str(long)], check=True)
        # pandoc puts title and author in front of the text.
        expect(name, [content[0][2], AUTHOR, *words(content)], title=content[0][2])
    with tempfile.TemporaryDirectory() as work:
        work = pathlib.Path(work)
        source = work / "libreoffice.docx"
        shutil.copy(out / "python-docx.docx", source)
        for suffix in ("odt", "rtf"):
            soffice(source, suffix, out)
            expect(f"libreoffice.{suffix}", words(content), author=AUTHOR, **structure)
        shutil.copy(out / "libreoffice.odt", work / "again.odt")
        soffice(work / "again.odt", "docx:MS Word 2007 XML", work)
        shutil.copy(work / "again.docx", out / "libreoffice.docx")
        expect("libreoffice.docx", words(content), author=AUTHOR, **structure)

        slides = write_pptx(brief, out / "python-pptx.pptx")
        text = [t for s in slides for t in s]
        pages = [{"page": i + 1, "phrase": " ".join(s[0].split())} for i, s in enumerate(slides)]
        expect("python-pptx.pptx", text, title=brief[0][2], author=AUTHOR, count=len(slides), pages=pages)
        shutil.copy(out / "python-pptx.pptx", work / "libreoffice.pptx")
        soffice(work / "libreoffice.pptx", "odp", out)
        expect("libreoffice.odp", text, title=brief[0][2], count=len(slides), pages=pages)

        cells = write_xlsx(out / "openpyxl.xlsx")
        expect("openpyxl.xlsx", cells, title="Branch figures", author=AUTHOR, count=2, pages=[{"page": 2, "phrase": "The Brno figures are"}])
        shutil.copy(out / "openpyxl.xlsx", work / "libreoffice.xlsx")
        soffice(work / "libreoffice.xlsx", "ods", out)
        shutil.copy(out / "libreoffice.ods", work / "libreoffice.ods")
        soffice(work / "libreoffice.ods", "xlsx:Calc MS Excel 2007 XML", out)
        expect("libreoffice.xlsx", cells, title="Branch figures", count=2)

    write_epub(brief, out / "ebooklib.epub")
    expect("ebooklib.epub", words(brief), title=brief[0][2], author=AUTHOR, sections=headings(brief))

    body = "Grüße aus Brno,\n\nthe kiln was relined on Tuesday. It cost €4,150.\n\nOdo\n"
    message = mail("Kiln relining: finished ✓", body, html="<p>Grüße aus Brno,</p><p>the kiln was relined on <b>Tuesday</b>.</p>", attach=out / "openpyxl.xlsx")
    (out / "python-email.eml").write_bytes(bytes(message))
    head = ["From: Odo Bräsk <odo@tarnbeck.example>", "To: Maureen Blackshaw <maureen@tarnbeck.example>", "Date: 2026-02-03 09:30", "Subject: Kiln relining: finished ✓"]
    expect("python-email.eml", [*head, body], title="Kiln relining: finished ✓", created="2026-02-03T09:30:00Z")
    expect("python-email.eml!/openpyxl.xlsx", cells, title="Branch figures")
    (out / "python-mailbox.mbox").unlink(missing_ok=True)
    box = mailbox.mbox(out / "python-mailbox.mbox")
    for m in (mail("First", "The first message mentions the violet beacon.\nFrom here on nothing else.\n"),
              mail("Zweite", "Die zweite Nachricht über Öl.\n", charset="iso-8859-1")):
        box.add(m)
        expect("python-mailbox.mbox#" + m["Message-ID"].strip("<>"),
               [*head[:3], "Subject: " + m["Subject"], m.get_content()], title=m["Subject"], author="Odo Bräsk <odo@tarnbeck.example>")
    box.close()

    with zipfile.ZipFile(out / "archive.zip", "w", zipfile.ZIP_DEFLATED) as z:
        z.write(out / "python-pptx.pptx", "deck/slides.pptx")
        z.write(short, "texts/data-retention.md")
        inner = io.BytesIO()
        with tarfile.open(fileobj=inner, mode="w:gz") as t:
            t.add(HANDBOOK / "safety" / "emergency-contacts.txt", "emergency-contacts.txt")
        z.writestr("nested/contacts.tar.gz", inner.getvalue())
    expect("archive.zip!/deck/slides.pptx", text, title=brief[0][2])
    expect("archive.zip!/nested/contacts.tar.gz!/emergency-contacts.txt", [(HANDBOOK / "safety" / "emergency-contacts.txt").read_text()])

    # Most files hold the same text, which is written once.
    texts, keys = {}, {}
    for name, e in expected.items():
        text = " ".join(e["text"])
        e["text"] = keys.setdefault(text, name)
        texts[keys[text]] = text
    (out / "expected.json").write_text(json.dumps({"texts": texts, "files": expected}, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(pathlib.Path(sys.argv[1]))

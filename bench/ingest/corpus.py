"""Makes a folder of mixed files for compare.py, with the programs that people
make such files with:

    pip install reportlab typst python-docx python-pptx openpyxl
    python bench/ingest/corpus.py OUT COUNT

Of every 20 files 5 are PDF (ReportLab, Typst, LibreOffice, Chromium), 3 DOCX
(python-docx, pandoc, LibreOffice), 3 web pages, 2 Markdown, 2 plain text (UTF-8
and Windows-1252), and one each is XLSX, PPTX, ODT, RTF, and in turn EML and EPUB.
The text of each is drawn from the handbook, with numbers of its own. Programs
that take long to start (LibreOffice, Chromium, pandoc) make BASE files each, which
are copied: with a word of every copy changed where that is easy, and unchanged
but for a comment at the end where it is not (PDF).

Besides, OUT/../long.pdf gets 1,000 pages.
"""

import concurrent.futures
import email.message
import html
import io
import os
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import zipfile

import docx
import openpyxl
import pptx
import typst
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import getSampleStyleSheet
from reportlab.platypus import Paragraph, SimpleDocTemplate, Table

ROOT = pathlib.Path(__file__).resolve().parents[2]
BASE = 40
STYLES = getSampleStyleSheet()


def handbook():
    """Headings, paragraphs and rows of the handbook, without marks."""
    paragraphs, headings = [], []
    for path in sorted((ROOT / "examples" / "handbook").rglob("*.md")):
        for part in re.sub(r"\A---.*?---", "", path.read_text(), flags=re.S).split("\n\n"):
            text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", " ".join(part.split()))
            text = re.sub(r"[*_`#|]+", "", text).strip()
            if part.startswith("#"):
                headings.append(text)
            elif len(text) > 80 and not part.startswith(("|", "-")):
                paragraphs.append(text)
    return headings, paragraphs


HEADINGS, PARAGRAPHS = handbook()


def story(seed, least=4, most=30):
    """The blocks of one file: ("h" or "p", text)."""
    rng = random.Random(seed)
    blocks = [("h", f"{rng.choice(HEADINGS)} {seed}")]
    for n in range(rng.randint(least, most)):
        if n % 6 == 5:
            blocks.append(("h", rng.choice(HEADINGS)))
        blocks.append(("p", f"{rng.choice(PARAGRAPHS)} Reference {rng.randint(10_000, 99_999)}."))
    return blocks


def rows(seed):
    rng = random.Random(seed)
    names = ["Brno", "Leeds", "Porto", "Gdansk", "Tarnbeck"]
    yield ["Branch", "Part", "Stock", "Price"]
    for _ in range(rng.randint(20, 200)):
        yield [rng.choice(names), f"P-{rng.randint(1000, 9999)}", rng.randint(0, 500), round(rng.uniform(1, 900), 2)]


def markdown(seed):
    return "\n\n".join(("# " if k == "h" else "") + t for k, t in story(seed)) + "\n"


def page(seed):
    body = "\n".join(f"<h2>{html.escape(t)}</h2>" if k == "h" else f"<p>{html.escape(t)}</p>" for k, t in story(seed))
    menu = "".join(f'<li><a href="/{n}">{html.escape(h)}</a></li>' for n, h in enumerate(HEADINGS[:40]))
    return (f"<!doctype html><html lang=en><head><meta charset=utf-8><title>Page {seed}</title></head><body><nav><ul>{menu}</ul></nav>"
            f"<main>{body}</main><footer>Imprint, cookies, contact</footer></body></html>")


def reportlab_pdf(target, seed, least=4, most=40):
    flow = [Paragraph(html.escape(t), STYLES["Heading1" if k == "h" else "BodyText"]) for k, t in story(seed, least, most)]
    flow.append(Table([[str(c) for c in r] for r in rows(seed)][:12]))
    SimpleDocTemplate(str(target), pagesize=A4, title=f"Report {seed}").build(flow)


def typst_pdf(target, seed):
    escape = lambda s: re.sub(r"([#$*_`<>@\\\[\]~/=+-])", r"\\\1", s)
    text = "\n\n".join(("= " if k == "h" else "") + escape(t) for k, t in story(seed))
    target.write_bytes(typst.compile(f'#set page("a4", numbering: "1")\n#set par(justify: true)\n{text}'.encode()))


def word(target, seed):
    d = docx.Document()
    for k, t in story(seed):
        d.add_heading(t, 1) if k == "h" else d.add_paragraph(t)
    table = d.add_table(0, 4)
    for r in list(rows(seed))[:12]:
        for cell, value in zip(table.add_row().cells, r):
            cell.text = str(value)
    d.save(target)


def sheet(target, seed):
    w = openpyxl.Workbook()
    for r in rows(seed):
        w.active.append(r)
    w.save(target)


def slides(target, seed):
    p = pptx.Presentation()
    for k, t in story(seed, 4, 12):
        if k == "h":
            slide = p.slides.add_slide(p.slide_layouts[1])
            slide.shapes.title.text = t
        else:
            slide.placeholders[1].text_frame.add_paragraph().text = t
    p.save(target)


def mail(target, seed):
    m = email.message.EmailMessage()
    blocks = story(seed, 2, 8)
    m["From"], m["To"], m["Subject"], m["Date"] = "ada@example.org", "ben@example.org", blocks[0][1], "Tue, 3 Feb 2026 09:30:00 +0000"
    m.set_content("\n\n".join(t for _, t in blocks[1:]))
    target.write_bytes(bytes(m))


def bases(folder):
    """The files of programs that take long to start, by kind."""
    sources = []
    for n in range(BASE):
        source = folder / f"base-{n}.md"
        source.write_text(markdown(1_000_000 + n))
        sources.append(source)
    for kind in ("docx", "odt", "rtf", "epub"):
        for source in sources:
            subprocess.run(["pandoc", "-s", "-M", f"title=Base {source.stem}", source, "-o", folder / f"pandoc-{source.stem}.{kind}"], check=True)
    for kind in ("pdf", "docx"):
        odt = sorted(folder.glob("pandoc-*.odt"))
        out = folder / f"libreoffice-{kind}"
        subprocess.run(["soffice", "--headless", "--convert-to", kind, "--outdir", out, *odt], check=True, capture_output=True)
    chromium = folder / "chromium"
    chromium.mkdir()
    for n in range(BASE):
        source = folder / f"page-{n}.html"
        source.write_text(re.sub(r"<(nav|footer)>.*?</\1>", "", page(2_000_000 + n)))
        subprocess.run(["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer",
                        f"--print-to-pdf={chromium / f'page-{n}.pdf'}", source.as_uri()], check=True, capture_output=True)
    return {
        "pdf-libreoffice": sorted((folder / "libreoffice-pdf").glob("*.pdf")), "pdf-chromium": sorted(chromium.glob("*.pdf")),
        "docx-libreoffice": sorted((folder / "libreoffice-docx").glob("*.docx")), **{f"{k}-pandoc": sorted(folder.glob(f"pandoc-*.{k}")) for k in ("docx", "odt", "rtf", "epub")},
    }


def copy(source, target, seed):
    """Copies a file and changes a word of it, or adds a comment to a PDF."""
    data = source.read_bytes()
    change = lambda text: text.replace(b"Reference ", b"Reference %d-" % seed, 3)
    if source.suffix == ".pdf":
        data += b"%% copy %d\n" % seed
    elif source.suffix == ".rtf":
        data = change(data)
    else:
        out = io.BytesIO()
        with zipfile.ZipFile(source) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
            for member in old.infolist():
                text = old.read(member)
                if re.search(r"(document|content)\.xml$|ch\d+\.xhtml$", member.filename):
                    text = change(text)
                new.writestr(member, text, zipfile.ZIP_STORED if member.filename == "mimetype" else zipfile.ZIP_DEFLATED)
        data = out.getvalue()
    target.write_bytes(data)


def make(i, folder, base):
    target = lambda suffix: folder / f"file-{i}.{suffix}"
    again = lambda kind: copy(base[kind][i // 20 % len(base[kind])], target(kind.split("-")[0]), i)
    place = i % 20
    if place in (0, 10):
        reportlab_pdf(target("pdf"), i)
    elif place == 4:
        typst_pdf(target("pdf"), i)
    elif place in (8, 14):
        again("pdf-libreoffice" if place == 8 else "pdf-chromium")
    elif place == 1:
        word(target("docx"), i)
    elif place in (7, 15):
        again("docx-pandoc" if place == 7 else "docx-libreoffice")
    elif place in (2, 9, 16):
        target("html").write_text(page(i))
    elif place in (3, 12):
        target("md").write_text(markdown(i))
    elif place in (5, 17):
        text = "\n\n".join(t for _, t in story(i))
        target("txt").write_bytes(text.encode() if place == 5 else text.encode("windows-1252", "replace"))
    elif place == 6:
        sheet(target("xlsx"), i)
    elif place == 11:
        slides(target("pptx"), i)
    elif place == 13:
        again("odt-pandoc")
    elif place == 18:
        again("rtf-pandoc")
    elif i % 40 == 19:
        mail(target("eml"), i)
    else:
        again("epub-pandoc")


def many(numbers, out, base):
    for i in numbers:
        folder = out / f"{i // 500:03d}"
        folder.mkdir(parents=True, exist_ok=True)
        make(i, folder, base)


def main():
    out, count = pathlib.Path(sys.argv[1]).resolve(), int(sys.argv[2])
    out.mkdir(parents=True)
    with tempfile.TemporaryDirectory() as folder:
        base = bases(pathlib.Path(folder))
        workers = os.cpu_count()
        with concurrent.futures.ProcessPoolExecutor(workers) as pool:
            list(pool.map(many, [range(n, count, workers) for n in range(workers)], [out] * workers, [base] * workers))
    reportlab_pdf(out.parent / "long.pdf", 3_000_000, 7300, 7300)


main()

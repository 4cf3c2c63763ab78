"""Makes the PDF files of ../ with real producers out of the example handbook.

Every file NAME.pdf has a NAME.json beside it: the text of each page, in reading
order, without running headers and footers, as the tests expect it. What stands
on which page is decided here, by page breaks, and not read back from the file.

Needs Chromium and LibreOffice, and: pip install -r requirements.txt. The tests need neither.
"""

import html
import json
import pathlib
import re
import subprocess
import tempfile

import docx
import pypdf
import typst
from PIL import Image, ImageDraw, ImageFont
from reportlab.lib.pagesizes import A4
from reportlab.pdfgen import canvas
from reportlab.pdfbase.pdfmetrics import stringWidth

HERE = pathlib.Path(__file__).resolve().parent
OUT = HERE.parent
HANDBOOK = HERE.parents[3] / "examples" / "handbook"


def blocks(name):
    """The blocks of a Markdown file: (kind, text) with kinds h1..h3, p, li, row."""
    result = []
    for part in (HANDBOOK / name).read_text().split("\n\n"):
        lines = part.strip().split("\n")
        if not lines[0]:
            continue
        if lines[0].startswith("#"):
            level = len(lines[0]) - len(lines[0].lstrip("#"))
            result.append((f"h{level}", plain(lines[0].lstrip("# "))))
        elif lines[0].startswith("- "):
            result += [("li", plain(line[2:])) for line in lines]
        elif lines[0].startswith("|"):
            for line in lines:
                cells = [plain(c.strip()) for c in line.strip("|").split("|")]
                if not all(set(c) <= set("-: ") for c in cells):
                    result.append(("row", cells))
        else:
            result.append(("p", plain(" ".join(lines))))
    return result


def plain(text):
    return re.sub(r"\*\*?|`", "", text)


def text_of(block):
    kind, value = block
    return " | ".join(value) if kind == "row" else value


def save_truth(name, pages, **more):
    (OUT / f"{name}.json").write_text(json.dumps({"pages": pages, **more}, ensure_ascii=False, indent=1) + "\n")


def body_html(bs):
    out, table = [], False
    for kind, value in bs:
        if kind == "row":
            out.append(("" if table else "<table>") + "<tr>" + "".join(f"<td>{html.escape(c)}</td>" for c in value) + "</tr>")
            table = True
            continue
        if table:
            out.append("</table>")
            table = False
        tag = kind if kind != "li" else "li"
        out.append(f"<{tag}>{html.escape(value)}</{tag}>")
    if table:
        out.append("</table>")
    return "\n".join(out)


def chromium(name, style, pages, lang="en", title=""):
    document = f"<!doctype html><html lang={lang}><meta charset=utf-8><title>{html.escape(title)}</title><style>{style}</style>{''.join(pages)}"
    with tempfile.TemporaryDirectory() as d:
        source = pathlib.Path(d) / "page.html"
        source.write_text(document)
        subprocess.run(
            ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--no-pdf-header-footer",
             f"--print-to-pdf={OUT / (name + '.pdf')}", source.as_uri()],
            check=True, capture_output=True)


def chromium_report():
    """One column, running header and footer, tables, a list, four pages."""
    names = ["company/about-tarnbeck.md", "travel/company-cars.md", "people/annual-leave.md", "legal/data-retention.md"]
    pages = [[b for b in blocks(n)][:9] for n in names]
    style = """@page { size: A4; margin: 25mm 20mm } body { font: 10.5pt/1.4 "DejaVu Serif" }
      section { break-after: page } td { padding: 2px 14px }
      .head { position: fixed; top: -14mm; right: 0; font-size: 8pt } .foot { position: fixed; bottom: -14mm; font-size: 8pt }"""
    parts = ["<div class=head>Tarnbeck handbook, internal</div><div class=foot>Controlled copy. Printed copies are not kept up to date.</div>"]
    parts += [f"<section>{body_html(p)}</section>" for p in pages]
    chromium("chromium-report", style, parts, title="The Tarnbeck handbook")
    save_truth("chromium-report", ["\n".join(map(text_of, p)) for p in pages], title="The Tarnbeck handbook",
               furniture=["internal", "Controlled copy"])


def chromium_columns():
    """Two columns on each of two pages, words hyphenated by the browser."""
    pages = [[b for b in blocks(n) if b[0] in ("h1", "h2", "p")][:14] for n in ("company/history.md", "people/remote-work.md")]
    style = """@page { size: A4; margin: 20mm } body { font: 10pt/1.35 "DejaVu Sans"; text-align: justify; hyphens: auto }
      section { columns: 2; column-gap: 9mm; column-fill: balance; break-after: page }"""
    chromium("chromium-columns", style, [f"<section>{body_html(p)}</section>" for p in pages], title="Two columns")
    save_truth("chromium-columns", ["\n".join(map(text_of, p)) for p in pages], title="Two columns")


LANGUAGES = [
    ("de", "Die Kältemaschine wird von einer Fachkraft für Kälteanlagen geöffnet. Straßenfahrzeuge dürfen das Werksgelände nur über das Südtor verlassen."),
    ("fr", "L’entreprise a été fondée en 1974. Les congés doivent être demandés au moins deux semaines à l’avance, sauf cas de force majeure."),
    ("ru", "Завод в Брно выпускает холодильные машины для молочных хозяйств. Гарантия составляет двадцать четыре месяца со дня поставки."),
    ("el", "Η εγγύηση ισχύει για είκοσι τέσσερις μήνες από την ημερομηνία παράδοσης. Τα ανταλλακτικά αποστέλλονται από το Ρότερνταμ."),
    ("zh", "公司成立于一九七四年，总部设在谢菲尔德。制冷机的保修期为二十四个月，备件从鹿特丹发出。"),
    ("ja", "会社は千九百七十四年にシェフィールドで設立されました。保証期間は納品日から二十四か月です。"),
    ("tr", "Şirket bin dokuz yüz yetmiş dört yılında kuruldu. Garanti süresi teslim tarihinden itibaren yirmi dört aydır."),
    ("pl", "Gwarancja obejmuje dwadzieścia cztery miesiące od dnia dostawy. Części zamienne wysyłane są z Rotterdamu."),
]


def chromium_languages():
    """A page a language."""
    style = '@page { size: A5; margin: 15mm } body { font: 11pt/1.5 "DejaVu Sans", "Noto Sans CJK SC" } section { break-after: page }'
    chromium("chromium-languages", style, [f"<section lang={l}><p>{t}</p></section>" for l, t in LANGUAGES], title="Warranty in eight languages")
    save_truth("chromium-languages", [t for _, t in LANGUAGES], title="Warranty in eight languages")


def libreoffice_letter():
    """A Word file that LibreOffice printed: header, footer with page numbers, a list, a table, four pages."""
    names = ["people/remote-work.md", "travel/company-cars.md", "products/warranty-terms.md", "legal/data-retention.md"]
    pages = [blocks(n)[:9] for n in names]
    document = docx.Document()
    document.core_properties.title, document.core_properties.author = "Letters of the handbook", "Ada Brook"
    section = document.sections[0]
    section.header.paragraphs[0].text = "Tarnbeck Pumps, letters of the handbook"
    footer = section.footer.paragraphs[0].add_run("Page ")
    field = docx.oxml.parse_xml('<w:fldSimple xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main" w:instr="PAGE"><w:r><w:t>1</w:t></w:r></w:fldSimple>')
    footer._r.addnext(field)
    for number, page in enumerate(pages):
        if number:
            document.add_page_break()
        table = None
        for kind, value in page:
            if kind == "row":
                table = table or document.add_table(0, len(value), style="Table Grid")
                for cell, text in zip(table.add_row().cells, value):
                    cell.text = text
                continue
            table = None
            if kind.startswith("h"):
                document.add_heading(value, int(kind[1]))
            else:
                document.add_paragraph(value, style="List Bullet" if kind == "li" else None)
    with tempfile.TemporaryDirectory() as d:
        source = pathlib.Path(d) / "libreoffice-letter.docx"
        document.save(source)
        subprocess.run(["soffice", "--headless", "--convert-to", "pdf", "--outdir", str(OUT), str(source)], check=True, capture_output=True)
    save_truth("libreoffice-letter", ["\n".join(map(text_of, p)) for p in pages], title="Letters of the handbook", author="Ada Brook",
               furniture=["Tarnbeck Pumps, letters", "Page 2"])


def typst_manual():
    """Running header with the page number, hyphenated justified text, headings, a table, page breaks."""
    names = ["people/parental-leave.md", "service/field-service-guide.md", "sites/brno-guide.md"]
    pages = [blocks(n)[:10] for n in names]
    escape = lambda s: re.sub(r"([#$*_`<>@\\\[\]~/=+-])", r"\\\1", s)
    out = ["""#set document(title: "Field manual", author: "Ada Brook", date: datetime(year: 2026, month: 2, day: 3))
#set page(paper: "a5", margin: 18mm, header: [Field manual #h(1fr) Tarnbeck], footer: context [#h(1fr) Page #counter(page).display()])
#set text(size: 10pt, hyphenate: true)
#set par(justify: true)
"""]
    for i, p in enumerate(pages):
        # A4 height so that each source stays on one page.
        out.append("#page(height: 480mm)[")
        table = []
        for kind, value in p + [("end", "")]:
            if kind == "row":
                table.append(value)
                continue
            if table:
                cells = ", ".join("[" + escape(c) + "]" for row in table for c in row)
                out.append(f"#table(columns: {len(table[0])}, {cells})")
                table = []
            if kind.startswith("h"):
                out.append("=" * int(kind[1]) + " " + escape(value))
            elif kind == "li":
                out.append("- " + escape(value))
            else:
                out.append(escape(value) + "\n")
        out.append("]")
    with tempfile.TemporaryDirectory() as d:
        source = pathlib.Path(d) / "manual.typ"
        source.write_text("\n".join(out))
        typst.compile(str(source), output=str(OUT / "typst-manual.pdf"))
    save_truth("typst-manual", ["\n".join(map(text_of, p)) for p in pages], title="Field manual", author="Ada Brook",
               furniture=["Tarnbeck\n", "Page 1"], created="2026-02-03")


def wrap(text, font, size, width):
    lines, line = [], ""
    for word in text.split():
        longer = (line + " " + word).strip()
        if stringWidth(longer, font, size) > width and line:
            lines.append(line)
            line = word
        else:
            line = longer
    return lines + [line]


def reportlab_rows():
    """Two columns whose file holds them line by line across the page, as some producers write them."""
    c = canvas.Canvas(str(OUT / "reportlab-rows.pdf"), pagesize=A4, invariant=1)
    c.setTitle("Written across")
    pages = []
    for name in ("it/information-security-policy.md", "procurement/procurement-policy.md"):
        text = " ".join(t for kind, t in blocks(name) if kind == "p")[:3600].rsplit(" ", 1)[0]
        lines = wrap(text, "Helvetica", 10, 225)
        half = (len(lines) + 1) // 2
        y = 780
        for left, right in zip(lines[:half], lines[half:] + [""]):
            c.setFont("Helvetica", 10)
            c.drawString(60, y, left)
            c.drawString(315, y, right)
            y -= 13
        c.showPage()
        pages.append(text)
    c.save()
    save_truth("reportlab-rows", pages, title="Written across")


def reportlab_plain(path, text):
    c = canvas.Canvas(str(path), pagesize=A4, invariant=1)
    y = 780
    for line in wrap(text, "Helvetica", 11, 450):
        c.drawString(60, y, line)
        y -= 15
    c.save()


def encrypted():
    text = "Only those who know the owner's password may change this page. Everybody may read it."
    with tempfile.TemporaryDirectory() as d:
        source = pathlib.Path(d) / "plain.pdf"
        reportlab_plain(source, text)
        for name, user in (("locked", "winter"), ("owner-only", "")):
            w = pypdf.PdfWriter(clone_from=str(source))
            w.encrypt(user_password=user, owner_password="summer", algorithm="RC4-128")
            w.write(str(OUT / f"{name}.pdf"))
    save_truth("owner-only", [text])


def scanned():
    """A picture of a page, and one of those between pages with text."""
    picture = Image.new("L", (620, 877), 255)
    ImageDraw.Draw(picture).text((60, 80), "This sentence is\npart of a picture.", fill=0, font=ImageFont.load_default(40))
    picture.convert("1").save(OUT / "scanned.pdf", resolution=75)
    with tempfile.TemporaryDirectory() as d:
        source = pathlib.Path(d) / "plain.pdf"
        reportlab_plain(source, "The first page and the last one can be read. The page between them was scanned.")
        w = pypdf.PdfWriter()
        w.append(str(source))
        w.append(str(OUT / "scanned.pdf"))
        w.append(str(source))
        w.write(str(OUT / "partly-scanned.pdf"))


if __name__ == "__main__":
    chromium_report()
    chromium_columns()
    chromium_languages()
    libreoffice_letter()
    typst_manual()
    reportlab_rows()
    encrypted()
    scanned()

"""Makes a folder of mixed files for compare.py out of those of the tests:

    python bench/ingest/corpus.py OUT COUNT

PDF, web pages, Markdown and plain text (UTF-8 and Windows-1252), in turn, each
copy with a line of its own where the format allows it.
"""

import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]


def main():
    out, count = pathlib.Path(sys.argv[1]), int(sys.argv[2])
    pdf = sorted(ROOT.glob("ingest/pdf/testdata/[crt]*.pdf"))
    page = sorted(ROOT.glob("ingest/html/testdata/*.html"))
    markdown = sorted(ROOT.glob("examples/handbook/**/*.md"))
    text = sorted(ROOT.glob("examples/handbook/**/*.txt"))
    for i in range(count):
        folder = out / f"{i // 500:03d}"
        folder.mkdir(parents=True, exist_ok=True)
        kind = i % 4
        source = [pdf, page, markdown, text][kind]
        source = source[i // 4 % len(source)]
        data = source.read_bytes()
        if kind == 1:
            data = data.replace(b"</body>", b"<p>Copy number %d.</p></body>" % i)
        elif kind > 1:
            data += b"\nCopy number %d.\n" % i
        if kind == 3 and i % 8 == 7:
            data = data.decode().encode("windows-1252", "replace")
        (folder / f"{source.stem}-{i}{source.suffix}").write_bytes(data)


main()

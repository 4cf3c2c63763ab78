"""Makes the web pages of ../ with real site generators out of the example handbook.

Every page NAME.html has a NAME.json beside it: the text of its content, without
navigation, headers and footers, and what stands only in these.

Needs: pip install mkdocs mkdocs-material sphinx myst-parser. The tests do not.
"""

import json
import pathlib
import re
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
OUT = HERE.parent
HANDBOOK = HERE.parents[3] / "examples" / "handbook"
PAGES = ["legal/data-retention.md", "company/history.md", "people/annual-leave.md", "travel/travel-policy.md", "it/on-call.md"]


def plain(markdown):
    lines = []
    for line in markdown.split("\n"):
        line = re.sub(r"^(#+|-|\d+\.)\s+", "", line.strip())
        if line.startswith("|"):
            if set(line) <= set("|-: "):
                continue
            line = line.strip("|").replace("|", " ")
        lines.append(re.sub(r"\*\*?|`|_(?=\w)|(?<=\w)_", "", line))
    return "\n".join(lines)


def save(name, page, source, title):
    html = re.sub(r"(?s)<script.*?</script>", lambda m: m.group(0) if len(m.group(0)) < 2000 else "<script>/* left out */</script>", page.read_text())
    (OUT / f"{name}.html").write_text(html)
    text = plain((HANDBOOK / source).read_text())
    (OUT / f"{name}.json").write_text(json.dumps({"text": text, "title": title, "outside": ["MkDocs", "Sphinx", "Search", "Previous"]}, ensure_ascii=False, indent=1) + "\n")


def copy_pages(to):
    to.mkdir()
    (to / "index.md").write_text("# Handbook\n\n```{toctree}\n" + "\n".join(p.split("/")[1][:-3] for p in PAGES) + "\n```\n")
    for p in PAGES:
        (to / p.split("/")[1]).write_text((HANDBOOK / p).read_text())


def main():
    with tempfile.TemporaryDirectory() as d:
        d = pathlib.Path(d)
        copy_pages(d / "docs")
        for theme, source in (("mkdocs", "legal/data-retention.md"), ("material", "people/annual-leave.md")):
            (d / "mkdocs.yml").write_text(f"site_name: Tarnbeck handbook\ntheme: {{name: {theme}}}\nplugins: []\n")
            subprocess.run([sys.executable, "-m", "mkdocs", "build", "-q", "-d", str(d / theme)], cwd=d, check=True)
            name = source.split("/")[1][:-3]
            save(f"mkdocs-{theme}", d / theme / name / "index.html", source, None)
        (d / "docs" / "conf.py").write_text("project = 'Tarnbeck handbook'\nextensions = ['myst_parser']\nhtml_theme = 'alabaster'\n")
        subprocess.run([sys.executable, "-m", "sphinx", "-q", "-b", "html", str(d / "docs"), str(d / "sphinx")], check=True)
        save("sphinx", d / "sphinx" / "travel-policy.html", "travel/travel-policy.md", None)


main()

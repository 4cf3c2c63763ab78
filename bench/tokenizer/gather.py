"""Gathers real text in many scripts from Debian packages: SCRIPT/*.txt under DIR.

    python gather.py DIR

Needs apt-get (with up-to-date lists) and dpkg-deb. The text stays out of the
repository; the packages are public and can be fetched again.
"""

import gettext
import gzip
import html
import pathlib
import re
import subprocess
import sys

# The pages of manuals and guides, by script.
DOCUMENTS = {
    "latin": ["manpages-de", "manpages-fr", "manpages-tr", "manpages-vi", "manpages-pl"],
    "cyrillic": ["manpages-ru", "manpages-uk", "debian-faq-ru"],
    "greek": ["manpages-el"],
    "japanese": ["manpages-ja", "debian-faq-ja", "maint-guide-ja"],
    "chinese": ["manpages-zh", "debian-reference-zh-cn", "debian-reference-zh-tw"],
    "korean": ["debian-faq-ko"],
}
# Programs with translations into most languages: the message catalogues by locale.
PROGRAMS = ["evolution-common", "nautilus-data", "gnome-control-center-data", "gedit-common", "evince-common"]
LOCALES = {
    "arabic": ["ar", "fa", "ur"], "hebrew": ["he"], "devanagari": ["hi", "mr", "ne"], "thai": ["th"], "tamil": ["ta"], "georgian": ["ka"],
    "korean": ["ko"], "greek": ["el"], "bengali": ["bn", "bn_IN", "as"], "armenian-amharic": ["hy", "am"], "other-indic": ["te", "kn", "ml", "gu", "pa"],
}


def download(package, work):
    folder = work / package
    if not folder.exists():
        subprocess.run(["apt-get", "download", "-q", package], cwd=work, check=True, stdout=subprocess.DEVNULL)
        (deb,) = work.glob(f"{package}_*.deb")
        subprocess.run(["dpkg-deb", "-x", deb, folder], check=True)
        deb.unlink()
    return folder


def document_lines(folder):
    for path in sorted(folder.rglob("*")):
        if path.is_symlink() or not path.is_file():
            continue
        if "/man/" in str(path) and path.suffix == ".gz":
            text = gzip.decompress(path.read_bytes()).decode("utf-8", "ignore")
            yield from (line for line in text.split("\n") if line and not line.startswith((".\\\"", "'\\\"")))
        elif re.search(r"\.(html|txt)(\.gz)?$", path.name):
            data = path.read_bytes()
            text = (gzip.decompress(data) if path.suffix == ".gz" else data).decode("utf-8", "ignore")
            if ".html" in path.name:
                text = html.unescape(re.sub(r"<[^>]*>", "", text))
            yield from (line for line in text.split("\n") if line.strip())


def catalogue_lines(folder, locales):
    for locale in locales:
        for path in sorted(folder.glob(f"usr/share/locale/{locale}/LC_MESSAGES/*.mo")):
            with open(path, "rb") as f:
                messages = gettext.GNUTranslations(f)._catalog.values()
            yield from (line for m in messages if m for line in m.split("\n") if line.strip())


def main(target):
    target = pathlib.Path(target)
    work = target / ".packages"
    work.mkdir(parents=True, exist_ok=True)
    lines = {}
    for script, packages in DOCUMENTS.items():
        for package in packages:
            found = list(dict.fromkeys(document_lines(download(package, work))))
            lines.setdefault(script, []).extend(found[:: max(1, len(found) // 3000)])
    for program in PROGRAMS:
        folder = download(program, work)
        for script, locales in LOCALES.items():
            lines.setdefault(script, []).extend(dict.fromkeys(catalogue_lines(folder, locales)))
    for script, found in sorted(lines.items()):
        (target / script).mkdir(exist_ok=True)
        (target / script / "text.txt").write_text("\n".join(found) + "\n", encoding="utf-8")
        print(f"{script}: {len(found)} lines")


if __name__ == "__main__":
    main(*sys.argv[1:])

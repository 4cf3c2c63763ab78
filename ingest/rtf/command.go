package rtf

import (
	"strings"

	"github.com/needle-search/needle/ingest"
)

// command obeys a control word. Unknown ones change nothing, unless they name
// a group that may be left out.
func (p *parser) command(word string, value int, set, starred bool) {
	s := &p.state
	switch word {
	case "fonttbl":
		s.to = toFonts
	case "stylesheet":
		s.to = toStyles
	case "title", "author", "subject", "keywords":
		if s.to == toInfo {
			s.to, s.field = toInfo, word
		}
	case "creatim", "revtim":
		s.to, s.field, p.clock = toTime, word, [5]int{}
	case "info":
		s.to, s.field = toInfo, "" // whose groups are its fields
	case "listtext", "pntext":
		if s.to == toText {
			s.to = toMarker
			p.marker.Reset()
		}
	case "footnote":
		if s.to == toText {
			p.saved = append(p.saved, p.text.String())
			p.text.Reset()
			s.to = toNote
		}
	case "colortbl", "pict", "header", "headerl", "headerr", "headerf", "footer", "footerl", "footerr", "footerf",
		"object", "objdata", "fldinst", "nonshppict", "annotation", "falt", "filetbl", "upr", "sp", "xe", "tc", "rxe",
		"bkmkstart", "bkmkend", "ftnsep", "ftnsepc", "ftncn", "aftnsep", "aftnsepc", "aftncn", "themedata", "datastore",
		"listtable", "listoverridetable", "revtbl", "rsidtbl", "generator", "latentstyles", "pnseclvl":
		s.to = toNothing
	case "result": // how an object looks, in place of its data
		s.to = toText
	case "shptxt", "fldrslt", "shpinst": // whose text is read, starred or not
	case "ansicpg":
		if set && value > 0 {
			p.page = value
		}
	case "mac":
		p.page = 10000
	case "pc":
		p.page = 437
	case "pca":
		p.page = 850
	case "f":
		if s.to == toFonts {
			p.font = value
		}
		s.font = value
	case "fcharset":
		if s.to == toFonts {
			p.fonts[p.font] = charsetPage(value)
		}
	case "cpg":
		if s.to == toFonts && value > 0 {
			p.fonts[p.font] = value
		}
	case "deff":
		s.font = value
	case "uc":
		if set {
			s.skip = max(0, min(value, 8))
		}
	case "v", "deleted":
		s.hidden = !set || value != 0
	case "plain":
		s.hidden = false
	default:
		if starred {
			s.to = toNothing
			return
		}
		p.layout(word, value, set)
	}
}

// layout obeys control words about paragraphs and special characters.
func (p *parser) layout(word string, value int, set bool) {
	switch word {
	case "pard":
		if p.state.to == toText {
			p.level, p.outline, p.inTable = 0, 0, false
		}
	case "s":
		switch p.state.to {
		case toStyles:
			p.style = value
			p.other.Reset()
		case toText:
			p.level = p.styles[value]
		}
	case "outlinelevel":
		if p.state.to == toText && set && value >= 0 && value < 9 {
			p.outline = value + 1
		}
	case "intbl":
		if p.state.to == toText {
			p.inTable = true
		}
	case "par", "sect":
		p.endParagraphOrLine()
	case "line", "lbr":
		p.write("\n")
	case "tab":
		p.write("\t")
	case "cell", "nestcell":
		if p.state.to == toText {
			p.endCell()
		}
	case "row", "nestrow":
		if p.state.to == toText {
			p.endRow()
		}
	case "emdash":
		p.write("—")
	case "endash":
		p.write("–")
	case "lquote":
		p.write("‘")
	case "rquote":
		p.write("’")
	case "ldblquote":
		p.write("“")
	case "rdblquote":
		p.write("”")
	case "bullet":
		p.write("•")
	case "emspace", "enspace", "qmspace":
		p.write(" ")
	case "nofpages":
		if value > 0 {
			p.doc.SetMeta(ingest.MetaPages, int64(value))
		}
	case "yr", "mo", "dy", "hr", "min":
		if p.state.to == toTime {
			p.clock[strings.Index("yr mo dy hr min", word)/3] = max(0, min(value, 9999))
		}
	}
}

func (p *parser) endParagraphOrLine() {
	p.flushBytes()
	switch {
	case p.state.to == toNote, p.state.to == toText && p.inTable:
		p.text.WriteByte('\n')
	case p.state.to == toText:
		p.endParagraph()
	}
}

func (p *parser) endParagraph() {
	text := p.text.String()
	marker := ingest.CleanLine(p.marker.String())
	listed := p.marker.Len() > 0
	p.text.Reset()
	p.marker.Reset()
	level := p.level
	if level == 0 {
		level = p.outline
	}
	switch {
	case level == -1:
		p.out.Heading(0, text)
	case level > 0:
		p.out.Heading(level, text)
	case listed:
		if marker == "" || marker == "·" || marker == "•" || marker == "o" {
			marker = "-"
		}
		p.item(marker, text)
	case strings.Contains(text, "\n"):
		p.out.Lines(text)
	default:
		p.out.Paragraph(text)
	}
}

func (p *parser) item(marker, text string) {
	if ingest.CleanLine(text) != "" {
		p.out.Item(0, marker, text)
	}
}

// maxCells bounds a row.
const maxCells = 1 << 14

func (p *parser) endCell() {
	if len(p.cells) < maxCells {
		p.cells = append(p.cells, p.text.String())
	}
	p.text.Reset()
	p.marker.Reset()
}

func (p *parser) endRow() {
	p.out.Row(p.cells...)
	p.cells = nil
}

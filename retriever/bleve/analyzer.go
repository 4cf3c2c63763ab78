package bleve

import (
	"fmt"
	"slices"
	"strings"

	"github.com/blevesearch/bleve/v2/analysis"
	"github.com/blevesearch/bleve/v2/analysis/analyzer/standard"
	"github.com/blevesearch/bleve/v2/analysis/lang/ar"
	"github.com/blevesearch/bleve/v2/analysis/lang/cjk"
	"github.com/blevesearch/bleve/v2/analysis/lang/ckb"
	"github.com/blevesearch/bleve/v2/analysis/lang/da"
	"github.com/blevesearch/bleve/v2/analysis/lang/de"
	"github.com/blevesearch/bleve/v2/analysis/lang/en"
	"github.com/blevesearch/bleve/v2/analysis/lang/es"
	"github.com/blevesearch/bleve/v2/analysis/lang/fa"
	"github.com/blevesearch/bleve/v2/analysis/lang/fi"
	"github.com/blevesearch/bleve/v2/analysis/lang/fr"
	"github.com/blevesearch/bleve/v2/analysis/lang/hi"
	"github.com/blevesearch/bleve/v2/analysis/lang/hr"
	"github.com/blevesearch/bleve/v2/analysis/lang/hu"
	"github.com/blevesearch/bleve/v2/analysis/lang/it"
	"github.com/blevesearch/bleve/v2/analysis/lang/nl"
	"github.com/blevesearch/bleve/v2/analysis/lang/no"
	"github.com/blevesearch/bleve/v2/analysis/lang/pl"
	"github.com/blevesearch/bleve/v2/analysis/lang/pt"
	"github.com/blevesearch/bleve/v2/analysis/lang/ro"
	"github.com/blevesearch/bleve/v2/analysis/lang/ru"
	"github.com/blevesearch/bleve/v2/analysis/lang/sv"
	"github.com/blevesearch/bleve/v2/analysis/lang/tr"
	"github.com/blevesearch/bleve/v2/analysis/token/lowercase"
	"github.com/blevesearch/bleve/v2/analysis/tokenizer/unicode"
	"github.com/blevesearch/bleve/v2/registry"
)

// constructor is how Bleve makes an analyzer.
type constructor = func(map[string]any, *registry.Cache) (analysis.Analyzer, error)

// analyzers maps the language part of a tag to Bleve's analyzer. The functions
// are named here, not looked up, so that a language missing in a later Bleve
// does not compile.
var analyzers = map[string]struct {
	name string
	make constructor
}{
	"standard": {standard.Name, standard.AnalyzerConstructor},
	"words":    {wordsAnalyzer, newWordsAnalyzer},
	"ar":       {ar.AnalyzerName, ar.AnalyzerConstructor},
	"ckb":      {ckb.AnalyzerName, ckb.AnalyzerConstructor},
	"da":       {da.AnalyzerName, da.AnalyzerConstructor},
	"de":       {de.AnalyzerName, de.AnalyzerConstructor},
	"en":       {en.AnalyzerName, en.AnalyzerConstructor},
	"es":       {es.AnalyzerName, es.AnalyzerConstructor},
	"fa":       {fa.AnalyzerName, fa.AnalyzerConstructor},
	"fi":       {fi.AnalyzerName, fi.AnalyzerConstructor},
	"fr":       {fr.AnalyzerName, fr.AnalyzerConstructor},
	"hi":       {hi.AnalyzerName, hi.AnalyzerConstructor},
	"hr":       {hr.AnalyzerName, hr.AnalyzerConstructor},
	"hu":       {hu.AnalyzerName, hu.AnalyzerConstructor},
	"it":       {it.AnalyzerName, it.AnalyzerConstructor},
	"ja":       {cjk.AnalyzerName, cjk.AnalyzerConstructor},
	"ko":       {cjk.AnalyzerName, cjk.AnalyzerConstructor},
	"nb":       {no.AnalyzerName, no.AnalyzerConstructor},
	"nl":       {nl.AnalyzerName, nl.AnalyzerConstructor},
	"nn":       {no.AnalyzerName, no.AnalyzerConstructor},
	"no":       {no.AnalyzerName, no.AnalyzerConstructor},
	"pl":       {pl.AnalyzerName, pl.AnalyzerConstructor},
	"pt":       {pt.AnalyzerName, pt.AnalyzerConstructor},
	"ro":       {ro.AnalyzerName, ro.AnalyzerConstructor},
	"ru":       {ru.AnalyzerName, ru.AnalyzerConstructor},
	"sv":       {sv.AnalyzerName, sv.AnalyzerConstructor},
	"tr":       {tr.AnalyzerName, tr.AnalyzerConstructor},
	"zh":       {cjk.AnalyzerName, cjk.AnalyzerConstructor},
}

// wordsAnalyzer keeps every word, stop words too, in lower case.
const wordsAnalyzer = "words"

func newWordsAnalyzer(map[string]any, *registry.Cache) (analysis.Analyzer, error) {
	return &analysis.DefaultAnalyzer{
		Tokenizer:    unicode.NewUnicodeTokenizer(),
		TokenFilters: []analysis.TokenFilter{lowercase.NewLowerCaseFilter()},
	}, nil
}

// Terms returns what is indexed of a text, in order, and therefore also what a
// query with that text looks for. The analyzer is one that [Config.Analyzer]
// may name.
func Terms(analyzer, text string) ([]string, error) {
	name, err := analyzerName(analyzer)
	if err != nil {
		return nil, fmt.Errorf("bleve: %w", err)
	}
	a, err := newAnalyzer(name)
	if err != nil {
		return nil, fmt.Errorf("bleve: %w", err)
	}
	var terms []string
	for _, token := range a.Analyze([]byte(text)) {
		terms = append(terms, string(token.Term))
	}
	return terms, nil
}

// analyzerName returns the name under which an index records the analysis of a
// tag: the same for tags that are analysed alike.
func analyzerName(tag string) (string, error) {
	language, _, _ := strings.Cut(strings.ToLower(tag), "-")
	a, ok := analyzers[language]
	if !ok || (language == "standard" || language == wordsAnalyzer) && tag != language {
		known := make([]string, 0, len(analyzers))
		for name := range analyzers {
			known = append(known, name)
		}
		slices.Sort(known)
		return "", fmt.Errorf("analyzer: %q is not allowed; use one of %s (a region such as en-GB may follow a language)", tag, strings.Join(known, ", "))
	}
	return a.name, nil
}

// newAnalyzer makes the analyzer that an index records; see analyzerName. It is
// safe for concurrent use.
func newAnalyzer(name string) (analysis.Analyzer, error) {
	for _, a := range analyzers {
		if a.name != name {
			continue
		}
		analyzer, err := a.make(nil, registry.NewCache())
		if err != nil {
			return nil, fmt.Errorf("analyzer %q: %w", name, err)
		}
		return analyzer, nil
	}
	return nil, fmt.Errorf("analyzer %q is not known to this program", name)
}

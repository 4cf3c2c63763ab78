package arch_test

import (
	"encoding/json"
	"errors"
	"go/parser"
	"go/token"
	"io"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/needle-search/needle"

// A rule says what the packages under a path may import of Needle itself. The
// rule with the longest matching path holds. "X/..." allows X and all below it.
type rule struct {
	path  string
	allow []string
	why   string
}

var rules = []rule{
	{"retriever", nil, "the vocabulary of retrieval is what everything shares, so it depends on nothing"},
	{"retriever/bleve", []string{"retriever"}, "a retriever knows its parent and its own client, so that it can be swapped"},
	{"retriever/elastic", []string{"retriever", "internal/esclient"}, "a retriever knows its parent and its own client, so that it can be swapped"},
	{"retriever/backup", []string{"retriever"}, "a backup outlives the retriever that it was made from"},
	{"retriever/retrievertest", []string{"retriever"}, "one conformance suite for all retrievers"},
	{"models", nil, "the vocabulary of reading is what everything shares, so it depends on nothing"},
	{"models/tokenizer", []string{"models"}, "a tokenizer works without a language model"},
	{"models/heads/...", []string{"models", "models/heads/..."}, "heads read tensors by value, whatever made them"},
	{"models/infer", []string{"models"}, "the gate runs any language model"},
	{"models/train", []string{"models", "models/heads/weights"}, "fitting a head needs hidden states, whatever makes them"},
	{"models/hub", []string{"models"}, "pulling a bundle needs no runtime"},
	{"models/builtin", []string{"models"}, "the embedded bundle is files only"},
	{"models/modelstest", []string{"models"}, "one conformance suite for all models"},
	{"models/internal/ort", []string{"models"}, "the only package that talks to ONNX Runtime"},
	{"models/internal/ortlib", []string{"models"}, "finding the library needs nothing else"},
	{"models/onnx", []string{"models", "models/internal/ort", "models/internal/ortlib"}, "the language model on ONNX Runtime"},
	{"reader", []string{"retriever", "models"}, "reading works with any retriever and model"},
	{"ranker", []string{"retriever", "models"}, "ranking works with any retriever and model"},
	{"ingest", []string{"retriever", "models"}, "ingest makes documents, it does not know where they go"},
	{"ingest/...", []string{"ingest", "ingest/internal/...", "retriever"}, "a file format knows its parent, its own library and what formats of its family share"},
	{"eval", nil, "metrics and data-set formats, nothing else"},
	{"auth", nil, "roles and identities are vocabulary that store and server share"},
	{"auth/oidc", []string{"auth"}, "tokens become identities, wherever these are used"},
	{"store", []string{"auth"}, "keys and feedback depend on no other part"},
	{"store/bolt", []string{"store"}, "a driver of the store knows its parent and its own client"},
	{"store/elastic", []string{"store", "internal/esclient"}, "a driver of the store knows its parent and its own client"},
	{"store/storetest", []string{"auth", "store"}, "one conformance suite for all drivers of the store"},
	{"pipeline", []string{"auth", "retriever", "retriever/backup", "models", "models/infer", "reader", "ranker", "ingest", "store", "eval"}, "the pipeline knows interfaces, never implementations: those come through the Registry"},
	{"pipeline/builtin", []string{"..."}, "the one list of implementations"},
	{"telemetry", []string{"internal/buildinfo", "pipeline", "models", "models/infer", "retriever"}, "metrics and traces watch from outside"},
	{"monitor", []string{"eval", "pipeline", "store", "retriever", "models/infer"}, "monitoring watches from outside"},
	{"api", []string{"api/internal/wire", "api/web", "pipeline", "monitor", "auth", "store", "retriever", "models", "ingest"}, "HTTP stands in front of the pipeline and knows the vocabulary only"},
	{"api/internal/wire", []string{"auth", "store", "pipeline", "retriever", "models", "ingest"}, "what server and client must agree on"},
	{"api/web", nil, "the page is files only"},
	{"api/client", []string{"api/internal/wire", "auth", "store", "pipeline", "retriever", "retriever/backup", "models", "ingest"}, "a client speaks the vocabulary only"},
	{"cmd/needle", []string{"..."}, "the command line puts everything together"},
	{"bench/...", []string{"..."}, "benchmarks measure everything"},
	{"internal/esclient", nil, "the only package that talks to Elasticsearch's client; what answers mean is known above"},
	{"clients/go/...", []string{"api/client", "pipeline", "retriever"}, "an example uses what a program outside may use"},
	{"internal/buildinfo", nil, "what was built is known to the linker alone"},
	{"internal/arch", nil, "tests only"},
	{"internal/testenv", nil, "tests of every package use it"},
}

// importers names the only package that may import a third-party module, so
// that replacing a library touches one place. Left out are golang.org/x, test
// helpers and telemetry APIs.
var importers = map[string][]string{
	// Bleve keeps a file in bbolt's format, which its checks read; the store's
	// file has nothing to do with it.
	"github.com/coreos/go-oidc":            {"auth/oidc"},
	"github.com/rs/cors":                   {"api"},
	"gopkg.in/natefinch/lumberjack.v2":     {"cmd/needle"},
	"go.etcd.io/bbolt":                     {"retriever/bleve", "store/bolt"},
	"github.com/blevesearch":               {"retriever/bleve"},
	"github.com/elastic":                   {"internal/esclient"},
	"github.com/yalue/onnxruntime_go":      {"models/internal/ort"},
	"github.com/gin-gonic/gin":             {"api"},
	"github.com/spf13/cobra":               {"cmd/needle"},
	"github.com/schollz/progressbar":       {"cmd/needle"},
	"github.com/goccy/go-yaml":             {"pipeline"},
	"github.com/klippa-app/go-pdfium":      {"ingest/pdf"},
	"github.com/xuri/excelize":             {"ingest/xlsx"},
	"github.com/emersion/go-message":       {"ingest/mail"},
	"github.com/klauspost/compress":        {"ingest/archive"},
	"github.com/RadhiFadlillah/whatlanggo": {"ingest"},
	"github.com/wlynxg/chardet":            {"ingest"},
	"github.com/tetratelabs/wazero":        {"ingest/pdf"},
	"github.com/minio/minio-go":            {"ingest/s3"},
	"github.com/hashicorp/golang-lru":      {"pipeline"},
	"github.com/prometheus":                {"telemetry"},
	"go.opentelemetry.io":                  {"telemetry"},
	"github.com/dustin/go-humanize":        {"pipeline"},
	"github.com/parquet-go/parquet-go":     {"monitor"},
}

var exempt = []string{"golang.org/x/", "pgregory.net/rapid", "go.uber.org/goleak", "github.com/google/go-cmp"}

type listed struct {
	ImportPath, Dir string
	Imports         []string
	GoFiles         []string
	CgoFiles        []string
}

func packages(t *testing.T) []listed {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "go", "list", "-json=ImportPath,Dir,Imports,GoFiles,CgoFiles", module+"/...")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var all []listed
	decoder := json.NewDecoder(strings.NewReader(string(out)))
	for {
		var p listed
		if err := decoder.Decode(&p); errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if len(p.GoFiles)+len(p.CgoFiles) > 0 { // else it is a folder of tests
			all = append(all, p)
		}
	}
	if len(all) < 5 {
		t.Fatalf("go list found %d packages", len(all))
	}
	return all
}

func own(importPath string) (string, bool) {
	rest, ok := strings.CutPrefix(importPath, module+"/")
	return rest, ok
}

func matches(pattern, name string) bool {
	if pattern == "..." {
		return true
	}
	base, tree := strings.CutSuffix(pattern, "/...")
	return name == base || tree && strings.HasPrefix(name, base+"/")
}

func ruleFor(name string) (rule, bool) {
	best, found := rule{}, false
	for _, r := range rules {
		base := strings.TrimSuffix(r.path, "/...")
		if matches(r.path, name) && (!found || len(base) >= len(strings.TrimSuffix(best.path, "/..."))) {
			if found && best.path == name {
				continue // an exact rule beats a tree
			}
			best, found = r, true
		}
	}
	return best, found
}

func TestImportDirection(t *testing.T) {
	for _, p := range packages(t) {
		name, ok := own(p.ImportPath)
		if !ok {
			continue
		}
		r, ok := ruleFor(name)
		if !ok {
			t.Errorf("package %s has no rule; add one to internal/arch and docs/architecture.md", name)
			continue
		}
		for _, imported := range p.Imports {
			target, ok := own(imported)
			if ok && !slices.ContainsFunc(r.allow, func(a string) bool { return matches(a, target) }) {
				t.Errorf("%s imports %s, which the rule for %q forbids: %s (allowed: %s)", name, target, r.path, r.why, strings.Join(r.allow, ", "))
			}
		}
	}
}

func TestStandardLibraryOnly(t *testing.T) {
	vocabulary := []string{"retriever", "models", "eval"}
	for _, p := range packages(t) {
		name, _ := own(p.ImportPath)
		if !slices.Contains(vocabulary, name) {
			continue
		}
		for _, imported := range p.Imports {
			if strings.Contains(strings.Split(imported, "/")[0], ".") {
				t.Errorf("%s imports %s: the vocabulary uses the standard library only, so that every program can share it", name, imported)
			}
		}
	}
}

func TestOneImporterEach(t *testing.T) {
	seen := make(map[string]map[string]bool)
	for _, p := range packages(t) {
		name, _ := own(p.ImportPath)
		for _, imported := range p.Imports {
			if !strings.Contains(strings.Split(imported, "/")[0], ".") || strings.HasPrefix(imported, module) ||
				slices.ContainsFunc(exempt, func(e string) bool { return strings.HasPrefix(imported, e) }) {
				continue
			}
			lib := libraryOf(imported)
			if seen[lib] == nil {
				seen[lib] = make(map[string]bool)
			}
			seen[lib][name] = true
		}
	}
	for lib, by := range seen {
		var list []string
		for name := range by {
			list = append(list, name)
		}
		slices.Sort(list)
		if want, ok := importers[lib]; ok {
			if !slices.Equal(list, want) {
				t.Errorf("%s is imported by %s; only %s may, so that replacing the library touches one place", lib, strings.Join(list, ", "), strings.Join(want, ", "))
			}
		} else if len(list) > 1 {
			t.Errorf("%s is imported by %s; one importer each, so that replacing the library touches one place", lib, strings.Join(list, ", "))
		}
	}
}

// libraryOf cuts an import path to the module, or to the owner for modules
// that belong together.
func libraryOf(imported string) string {
	for lib := range importers {
		if imported == lib || strings.HasPrefix(imported, lib+"/") {
			return lib
		}
	}
	parts := strings.Split(imported, "/")
	return path.Join(parts[:min(3, len(parts))]...)
}

func TestPackageComments(t *testing.T) {
	for _, p := range packages(t) {
		name, ok := own(p.ImportPath)
		if !ok {
			continue
		}
		var with []string
		for _, file := range slices.Concat(p.GoFiles, p.CgoFiles) {
			parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join(p.Dir, file), nil, parser.ParseComments|parser.PackageClauseOnly)
			if err != nil {
				t.Fatal(err)
			}
			if parsed.Doc == nil {
				continue
			}
			with = append(with, file)
			if last := path.Base(name); parsed.Name.Name != "main" && !strings.HasPrefix(parsed.Doc.Text(), "Package "+last+" ") {
				t.Errorf("%s/%s: the package comment must start with %q", name, file, "Package "+last+" ")
			}
		}
		if len(with) != 1 {
			t.Errorf("%s has %d package comments (%s), want exactly 1: a reader looks for it in one place", name, len(with), strings.Join(with, ", "))
		}
	}
}

package main

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/needle-search/needle/api/client"
	"github.com/needle-search/needle/internal/buildinfo"
	"github.com/needle-search/needle/models"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/retriever"
)

// The sentence that the model reads, with a question that any model of this kind
// can answer.
const (
	smokeText     = "The Eiffel Tower was designed by Gustave Eiffel. It opened in 1889."
	smokeQuestion = "Who designed the Eiffel Tower?"
	smokeAnswer   = "Gustave Eiffel"
)

// checkPipeline opens what a server opens: the model, which reads a sentence, and
// the indexes.
func (d *doctor) checkPipeline(ctx context.Context, library bool) {
	cfg := *d.cfg
	there := true
	if _, err := os.Stat(cfg.Data); err != nil {
		// Opening would make the directory.
		there = false
		dir, err := os.MkdirTemp("", "needle-doctor-*")
		if err != nil {
			d.fault("model", "Make room for temporary files, or set TMPDIR.", err)
			return
		}
		defer os.RemoveAll(dir)
		cfg.Data = dir
	}
	d.checkIndexes(ctx, &cfg, there)
	if !library {
		return // nothing can be read; the checks above say what to do
	}
	begin := time.Now()
	// With the model, so that what is wrong with it is not blamed on an index.
	alone := cfg
	p, err := pipeline.Open(ctx, &alone)
	if err != nil {
		remedy := "Check reader.bundle and reader.precision; `needle models verify` looks closer."
		switch {
		case errors.Is(err, models.ErrRuntimeMissing):
			remedy = "Run: needle setup"
		case errors.Is(err, retriever.ErrLocked):
			remedy = "Another process works on the data directory; wait until it has ended."
		case errors.Is(err, retriever.ErrUnavailable), errors.Is(err, retriever.ErrCorrupt), errors.Is(err, retriever.ErrVersion):
			remedy = "The index has to be mended first; see there."
		}
		d.fault("model", remedy, err)
		return
	}
	defer p.Close()
	d.smoke(ctx, p, time.Since(begin), p.Model())
}

func (d *doctor) smoke(ctx context.Context, service pipeline.Service, opened time.Duration, model pipeline.ModelRef) {
	begin := time.Now()
	result, err := service.Read(ctx, pipeline.ReadRequest{Question: smokeQuestion, Documents: []pipeline.ReadDocument{{Text: smokeText}}, TopK: 1, IncludeRejected: true})
	switch {
	case err != nil:
		d.fault("model", "The bundle does not run: `needle models verify` checks its files; or go back to reader: {bundle: builtin}.", err)
	case len(result.Answers) == 0 || result.Answers[0].Text != smokeAnswer:
		d.advise("model", "That is odd for a model of English; for another language it may be right. `needle models verify` checks the files.", "it runs, and does not answer %q from %q", smokeQuestion, smokeText)
	default:
		if model.Name == "" {
			model = result.Model
		}
		took := fmt.Sprintf("answers a question in %v", time.Since(begin).Round(time.Millisecond))
		if opened > 0 {
			took = fmt.Sprintf("opens in %v and %s", opened.Round(time.Millisecond), took)
		}
		d.ok("model", "%s (%s) %s", model.Name, model.Precision, took)
	}
}

// checkIndexes asks the retriever for its indexes and reads each.
func (d *doctor) checkIndexes(ctx context.Context, cfg *pipeline.Config, there bool) {
	name := "indexes"
	if cfg.Retriever.Type == "elastic" {
		name = "elasticsearch"
	}
	ctx, cancel := context.WithTimeout(ctx, time.Hour)
	defer cancel()
	p, err := pipeline.Open(ctx, cfg, pipeline.WithoutReader(), pipeline.WithoutRanker())
	var list []retriever.Statistics
	if err == nil {
		defer p.Close()
		list, err = p.Indexes(ctx)
	}
	if err != nil {
		d.fault(name, indexRemedy(err), err)
		return
	}
	if !there {
		d.ok(name, "there are none yet")
		return
	}
	d.ok(name, "there are %d", len(list))
	d.verify(ctx, p, list)
}

// verify reads every index as a whole, by whoever holds them.
func (d *doctor) verify(ctx context.Context, keeper pipeline.Keeper, list []retriever.Statistics) {
	for _, s := range list {
		name := "index " + s.Name
		summary := fmt.Sprintf("%d documents, %d passages", s.Documents, s.Passages)
		if d.quick {
			d.ok(name, "%s; not read as a whole (--quick)", summary)
			continue
		}
		begin := time.Now()
		switch err := keeper.Verify(ctx, s.Name); {
		case errors.Is(err, pipeline.ErrInvalidRequest): // it cannot be verified
			d.ok(name, "%s", summary)
		case err != nil:
			d.fault(name, indexRemedy(err), err)
			continue
		case len(s.Outdated) > 0:
			d.advise(name, "Run: needle index rebuild --index "+s.Name, "%s, all whole; made with another configuration: %s", summary, s.Outdated[0])
		default:
			d.ok(name, "%s, all whole (read in %v)", summary, time.Since(begin).Round(time.Millisecond))
		}
	}
}

func indexRemedy(err error) string {
	switch {
	case errors.Is(err, retriever.ErrUnavailable):
		return "Start Elasticsearch, or mend retriever.addresses and the credentials; the server's own log says more."
	case errors.Is(err, retriever.ErrVersion):
		return "Use the version of Needle that wrote it, or a later one."
	case errors.Is(err, retriever.ErrLocked):
		return "Another process works on the data directory; wait until it has ended."
	case errors.Is(err, retriever.ErrCorrupt):
		return "Restore a backup (needle index restore --replace FILE), or drop the index and add the documents again."
	case errors.Is(err, retriever.ErrNoSpace):
		return "Make room on the disk."
	}
	return "See docs/operations.md."
}

// checkServer looks through the eyes of the server that holds the directory.
func (d *doctor) checkServer(ctx context.Context, note serverNote) {
	c, err := client.New(note.URL, nil)
	if err != nil {
		d.fault("server", "Remove "+serverFile+" from the data directory, if no server runs.", err)
		return
	}
	c = c.WithKey(note.Token)
	version, err := c.Health(ctx)
	if err == nil {
		err = c.Ready(ctx)
	}
	if err != nil {
		d.fault("server", "The server's log says why; it is at "+note.URL+".", err)
		return
	}
	if own := buildinfo.Get().Version; version != own {
		d.advise("server", "Start it again to run the new version.", "%s holds the data directory and runs version %s, this program is %s", note.URL, version, own)
	} else {
		d.ok("server", "%s holds the data directory and is ready", note.URL)
	}
	d.smoke(ctx, c, 0, pipeline.ModelRef{})
	list, err := c.Indexes(ctx)
	if err != nil {
		d.fault("indexes", indexRemedy(err), err)
		return
	}
	d.verify(ctx, c, list)
}

// maxSkew is how far clocks may be apart before tokens and logs suffer.
const maxSkew = time.Minute

// checkClock compares the clock with what is known to be past, and with that of
// the OpenID provider, whose tokens depend on it.
func (d *doctor) checkClock(ctx context.Context) {
	const name, remedy = "clock", "Set the clock, and let it be kept (timedatectl set-ntp true): keys, tokens and records expire by it."
	now := time.Now()
	if built, err := time.Parse(time.RFC3339, buildinfo.Get().Date); err == nil && now.Before(built) {
		d.fault(name, remedy, fmt.Errorf("it says %s, which is before this program was made (%s)", now.Format(time.RFC3339), built.Format(time.RFC3339)))
		return
	}
	jwks := d.cfg.Server.Auth.JWT.JWKSURL
	if !d.cfg.Server.Auth.JWT.Enabled() {
		d.ok(name, "%s", now.Format(time.RFC3339))
		return
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, jwks, nil)
	var response *http.Response
	if err == nil {
		asker := http.Client{Timeout: 10 * time.Second}
		response, err = asker.Do(request)
	}
	if err != nil {
		d.fault("openid provider", "Mend server.auth.jwt.jwks_url, or the way there: tokens cannot be checked without its keys.", err)
		return
	}
	response.Body.Close()
	if response.StatusCode != http.StatusOK {
		d.fault("openid provider", "Mend server.auth.jwt.jwks_url: tokens cannot be checked without its keys.", fmt.Errorf("%s answers %s", jwks, response.Status))
		return
	}
	d.ok("openid provider", "%s answers", jwks)
	theirs, err := http.ParseTime(response.Header.Get("Date"))
	switch skew := time.Since(theirs).Round(time.Second); {
	case err != nil:
		d.ok(name, "%s; the provider does not tell its own", now.Format(time.RFC3339))
	case skew.Abs() > maxSkew:
		d.fault(name, remedy, fmt.Errorf("it is %v off that of the OpenID provider", skew))
	default:
		d.ok(name, "%s, within %v of the OpenID provider's", now.Format(time.RFC3339), skew.Abs()+time.Second)
	}
}

// soon is when a certificate needs to be thought of.
const soon = 14 * 24 * time.Hour

func (d *doctor) checkCertificate() {
	files := d.cfg.Server.TLS
	if files.Cert == "" {
		return
	}
	const name, remedy = "certificate", "Put a valid certificate and its key where server.tls says; a running server takes them without a restart."
	pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	var leaf *x509.Certificate
	if err == nil {
		leaf, err = x509.ParseCertificate(pair.Certificate[0])
	}
	if err != nil {
		d.fault(name, remedy, err)
		return
	}
	left := time.Until(leaf.NotAfter)
	until := leaf.NotAfter.Format(time.DateOnly)
	switch {
	case left < 0 || time.Now().Before(leaf.NotBefore):
		d.fault(name, remedy, fmt.Errorf("%s is valid from %s to %s", files.Cert, leaf.NotBefore.Format(time.DateOnly), until))
	case left < soon:
		d.advise(name, remedy, "%s ends on %s", files.Cert, until)
	default:
		d.ok(name, "%s is valid until %s", files.Cert, until)
	}
}

package workload

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"time"

	"github.com/needle-search/needle/api/client"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/retriever"
	"github.com/needle-search/needle/store"
)

// asker sends what clients send, one request after the other.
func (r *run) asker(ctx context.Context, random *rand.Rand) {
	for !r.end.Load() {
		r.traffic.RLock()
		before := r.refused.Load()
		r.one(ctx, random)
		r.traffic.RUnlock()
		if r.refused.Load() > before {
			r.rest(backOff)
		}
	}
}

// backOff is how long an asker waits after a refusal.
const backOff = 200 * time.Millisecond

// one sends one request of a random kind.
func (r *run) one(ctx context.Context, random *rand.Rand) {
	f := r.facts[random.IntN(len(r.facts))]
	if random.IntN(3) > 0 {
		// A few are asked for often, so that the caches are hit.
		f = r.facts[random.IntN(min(6, len(r.facts)))]
	}
	switch n := random.IntN(100); {
	case n < 50:
		if result := r.ask(ctx, "ask", r.question(random, f)); result != nil && random.IntN(6) == 0 {
			r.feedback(ctx, random, result)
		}
	case n < 60:
		r.ask(ctx, "stream", r.question(random, f))
	case n < 72:
		r.search(ctx, f)
	case n < 79:
		r.read(ctx, random)
	case n < 86:
		r.rerank(ctx, random)
	default:
		r.leave(ctx, random, f)
	}
}

// feedback says something of an answer. That the document has changed meanwhile,
// or that too much was said, is no fault.
func (r *run) feedback(ctx context.Context, random *rand.Rand, result *pipeline.Result) {
	if len(result.Answers) == 0 {
		return
	}
	a := result.Answers[0]
	verdict := store.Correct
	if random.IntN(3) == 0 {
		verdict = store.Wrong
	}
	_, err := r.server.client.AddFeedback(ctx, store.Feedback{
		Question: result.Question, Verdict: verdict, DocumentID: a.DocumentID, Answer: a.Text, Start: a.Start, End: a.End,
		Model: result.Model.Name, Generation: result.Generation, User: fmt.Sprint("user ", random.IntN(20)),
	})
	var problem *client.Error
	if errors.As(err, &problem) && (problem.Code == "invalid_record" || problem.Code == "document_not_found" || problem.Code == "rate_limited") {
		err = nil
	}
	r.count("feedback", err, false)
}

// leave sends a request whose client does not wait for the answer.
func (r *run) leave(ctx context.Context, random *rand.Rand, f fact) {
	ctx, cancel := context.WithTimeout(ctx, time.Duration(1+random.IntN(150))*time.Millisecond)
	defer cancel()
	// Nobody asked this before, so that the model has to work.
	request := pipeline.Request{Question: fmt.Sprintf("%s %d", f.questions()[0], random.Uint32())}
	switch random.IntN(4) {
	case 0: // at the first event of a stream
		request.Progress = func(pipeline.Progress) { cancel() }
		_, err := r.server.client.Ask(ctx, request)
		r.count("leave a stream", err, true)
	case 1: // before the body is sent
		r.count("break off a body", r.breakOff(ctx), true)
	case 2:
		query := pipeline.SearchRequest{Query: request.Question}
		_, err := r.server.client.Search(ctx, query)
		r.count("leave a search", err, true)
	default:
		_, err := r.server.client.Ask(ctx, request)
		r.count("leave an ask", err, true)
	}
}

// breakOff promises a body, sends a part of it and closes the connection.
func (r *run) breakOff(ctx context.Context) error {
	var dialer net.Dialer
	address := strings.TrimPrefix(r.server.url, "http://")
	conn, err := dialer.DialContext(ctx, "tcp", address)
	if err != nil {
		// A dialer has words of its own for a context that ended.
		return errors.Join(ctx.Err(), err)
	}
	const head = "POST /v1/indexes/broken/bulk HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-ndjson\r\nContent-Length: 100000\r\n\r\n{\"id\": \"half"
	_, err = conn.Write([]byte(head))
	return errors.Join(err, conn.Close())
}

// A pool is requests that bring their documents along, with what the oracle says
// to them, by model.
type pool struct {
	reads   []pipeline.ReadRequest
	reranks []pipeline.RerankRequest
	read    [2][]string
	rerank  [2][]string
}

// poolSize is how many requests of each kind there are.
const poolSize = 6

func newPool(facts []fact) pool {
	var p pool
	for i := range poolSize {
		read := pipeline.ReadRequest{Question: facts[i%len(facts)].questions()[0], TopK: 3}
		rerank := pipeline.RerankRequest{Query: facts[i%len(facts)].questions()[1], ReturnDocuments: i%2 == 0}
		for k := range 4 {
			f := facts[(i+k)%len(facts)]
			// Versions that are never stored.
			text := f.text(1_000_000 + i)
			read.Documents = append(read.Documents, pipeline.ReadDocument{ID: f.id(), Text: text})
			rerank.Documents = append(rerank.Documents, text)
		}
		p.reads, p.reranks = append(p.reads, read), append(p.reranks, rerank)
	}
	return p
}

// learn asks the oracle, one request at a time.
func (p *pool) learn(ctx context.Context, c *client.Client, model int) error {
	for _, request := range p.reads {
		result, err := c.Read(ctx, request)
		if err != nil {
			return err
		}
		p.read[model] = append(p.read[model], canonical(result))
	}
	for _, request := range p.reranks {
		result, err := c.Rerank(ctx, request)
		if err != nil {
			return err
		}
		p.rerank[model] = append(p.rerank[model], canonicalRerank(result))
	}
	return nil
}

func canonicalRerank(result *pipeline.RerankResult) string {
	bare := *result
	bare.TimingsMS = nil
	data, err := json.Marshal(bare)
	if err != nil {
		return err.Error()
	}
	return string(data)
}

func (r *run) read(ctx context.Context, random *rand.Rand) {
	i := random.IntN(len(r.pool.reads))
	s := seen{from: time.Now()}
	result, err := r.server.client.Read(ctx, r.pool.reads[i])
	if !r.count("read", err, false) {
		return
	}
	s.to = time.Now()
	r.model("read", s, result.Model.Hash)
	r.same("read", result.Model.Hash, canonical(result), func(model int) string { return r.pool.read[model][i] })
}

func (r *run) rerank(ctx context.Context, random *rand.Rand) {
	i := random.IntN(len(r.pool.reranks))
	s := seen{from: time.Now()}
	result, err := r.server.client.Rerank(ctx, r.pool.reranks[i])
	if !r.count("rerank", err, false) {
		return
	}
	s.to = time.Now()
	r.model("rerank", s, result.ModelHash)
	r.same("rerank", result.ModelHash, canonicalRerank(result), func(model int) string { return r.pool.rerank[model][i] })
}

// same compares an answer with that of the oracle's same model.
func (r *run) same(what, hash, got string, want func(model int) string) {
	for i, known := range r.models {
		if known != hash {
			continue
		}
		r.mu.Lock()
		r.report.Compared++
		r.mu.Unlock()
		if want := want(i); got != want {
			r.wrong(what, fmt.Errorf("got\n%s\nthe oracle says\n%s", got, want))
		}
	}
}

// swapper exchanges the model from time to time.
func (r *run) swapper(ctx context.Context, random *rand.Rand) {
	for which := 1; r.rest(r.Swaps/2 + time.Duration(random.Int64N(int64(r.Swaps)))); which = 1 - which {
		r.traffic.RLock()
		r.swap(ctx, which)
		r.traffic.RUnlock()
	}
}

// swap exchanges the model of the server.
func (r *run) swap(ctx context.Context, which int) {
	write := r.ledger.beginModel(which)
	hash, err := r.server.use(ctx, r.use(which))
	if !r.count("models use", err, false) {
		return
	}
	r.ledger.acknowledgeModel(write)
	if hash != r.models[which] {
		r.wrong("models use", fmt.Errorf("model %s was put to use, want %s", hash, r.models[which]))
	}
}

// churner makes and drops indexes, which open and close files.
func (r *run) churner(ctx context.Context, random *rand.Rand) {
	for n := 0; r.rest(time.Second + time.Duration(random.Int64N(int64(4*time.Second)))); n++ {
		r.traffic.RLock()
		r.count("index", r.churn(ctx, fmt.Sprintf("churn-%d", n%7)), false)
		r.traffic.RUnlock()
	}
}

func (r *run) churn(ctx context.Context, name string) error {
	c := r.server.client
	if err := c.CreateIndex(ctx, name); err != nil {
		return err
	}
	var documents []retriever.Document
	for _, f := range r.facts[:2] {
		documents = append(documents, f.document(1))
	}
	if _, err := c.Put(ctx, name, documents); err != nil {
		return err
	}
	result, err := c.Search(ctx, pipeline.SearchRequest{Query: r.facts[0].place, Index: name})
	if err == nil && len(result.Hits) == 0 {
		err = fmt.Errorf("index %s does not find what was just stored", name)
	}
	return errors.Join(err, c.DropIndex(ctx, name))
}

// rest waits; it returns false when the time is over.
func (r *run) rest(d time.Duration) bool {
	const step = 20 * time.Millisecond
	for until := time.Now().Add(d); time.Now().Before(until) && !r.end.Load(); {
		time.Sleep(min(step, d))
	}
	return !r.end.Load()
}

package bleve_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/needle-search/needle/retriever"
	"github.com/needle-search/needle/retriever/bleve"
)

// TestKill kills a process that writes at random points (20, or
// NEEDLE_KILL_ROUNDS) and looks at what it left: every acknowledged change is
// there, none is half there, the index opens and is in order.
func TestKill(t *testing.T) {
	rounds := 20
	if s := os.Getenv("NEEDLE_KILL_ROUNDS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("NEEDLE_KILL_ROUNDS: %v", err)
		}
		rounds = n
	}
	dir, backend := emptyIndex(t)
	// want holds the version of each document that must be there; 0 stands for
	// none. maybe holds what an unacknowledged operation may have made of it.
	want, maybe := map[string]int{}, map[string]int{}
	next, acknowledged := 1, 0
	var generation uint64
	for round := range rounds {
		last, acks := killAtRandom(t, dir, next, want, maybe)
		acknowledged += acks
		next = last + 1

		index, err := backend.Open(t.Context(), "test")
		if err != nil {
			t.Fatalf("round %d: open after kill: %v", round, err)
		}
		if err := index.(*bleve.Index).Verify(t.Context()); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		if index.Generation() < generation {
			t.Errorf("round %d: the generation fell from %d to %d", round, generation, index.Generation())
		}
		generation = index.Generation()
		for id := range want {
			version := storedVersion(t, index, id)
			other, uncertain := maybe[id]
			if version != want[id] && !(uncertain && version == other) {
				t.Fatalf("round %d: %s has version %d, want %d (or %d: %v)", round, id, version, want[id], other, uncertain)
			}
			want[id] = version
		}
		clear(maybe)
		if err := index.Close(); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("%d kills, %d acknowledged operations, generation %d", rounds, acknowledged, generation)
	if acknowledged < rounds {
		t.Errorf("only %d operations were acknowledged in %d rounds", acknowledged, rounds)
	}
}

// killAtRandom runs a writing process until a random moment, and enters what it
// said into want and maybe. It returns the last operation begun.
func killAtRandom(t *testing.T, dir string, first int, want, maybe map[string]int) (last, acks int) {
	t.Helper()
	cmd := child(t, "write", dir, strconv.Itoa(first))
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := lines(out)
	var timer <-chan time.Time
	last = first
	for {
		select {
		case <-timer:
			timer = nil
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		case line, ok := <-said:
			if !ok {
				_ = cmd.Wait() // killed
				return last, acks
			}
			if timer == nil && acks == 0 {
				timer = time.After(time.Duration(rand.IntN(200)) * time.Millisecond)
			}
			var what string
			var writer, number int
			if _, err := fmt.Sscan(line, &what, &writer, &number); err != nil {
				continue // cut off by the kill
			}
			o := operationOf(writer, number)
			into := maybe
			if what == "ack" {
				acks++
				into = want
			}
			last = max(last, number)
			for _, id := range o.deletes {
				enter(want, maybe, into, id, 0)
			}
			for _, e := range o.upserts {
				enter(want, maybe, into, e.Document.ID, number)
			}
		}
	}
}

func enter(want, maybe, into map[string]int, id string, version int) {
	if _, ok := want[id]; !ok {
		want[id] = 0
	}
	delete(maybe, id)
	into[id] = version
}

// storedVersion returns the version of a document, after comparing the whole
// of it, or 0.
func storedVersion(t *testing.T, index retriever.Index, id string) int {
	t.Helper()
	infos, err := index.Infos(t.Context(), []string{id})
	if err != nil {
		t.Fatal(err)
	}
	info, ok := infos[id]
	if !ok {
		return 0
	}
	version, err := strconv.Atoi(info.ContentHash)
	if err != nil {
		t.Fatal(err)
	}
	document, err := index.Document(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	want := numberedEntry(id, version)
	if document.Text != want.Document.Text || info.Passages != len(want.Passages) {
		t.Errorf("%s is not whole: %d passages, text %q", id, info.Passages, document.Text)
	}
	return version
}

// emptyIndex makes an index "test" and leaves it closed.
func emptyIndex(t *testing.T) (string, *bleve.Backend) {
	t.Helper()
	dir := t.TempDir()
	config := bleve.DefaultConfig()
	config.LockTimeout = 10 * time.Second
	backend, err := bleve.New(config, dir)
	if err != nil {
		t.Fatal(err)
	}
	index, err := backend.Create(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	if err := index.Close(); err != nil {
		t.Fatal(err)
	}
	return dir, backend
}

// TestSyncBeforeAcknowledgement watches the system calls of a process that
// changes indexes in every way: files are synced, and the directories that name
// them, before the acknowledgement leaves it.
func TestSyncBeforeAcknowledgement(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		required(t, "strace is not installed; without it nothing shows the order of fsync and acknowledgement")
	}
	dir := t.TempDir()
	trace := filepath.Join(t.TempDir(), "trace")
	process := child(t, "acts", dir)
	cmd := exec.Command(strace, append([]string{"-f", "-y", "-s", "200", "-e", "trace=fsync,fdatasync,write,rename,renameat,renameat2", "-o", trace}, process.Args...)...)
	cmd.Env = process.Env
	if out, err := cmd.CombinedOutput(); err != nil {
		if strings.Contains(string(out), "ptrace") {
			required(t, "this machine does not let strace trace: "+string(out))
		}
		t.Fatalf("%v: %s", err, out)
	}
	data, err := os.ReadFile(trace)
	if err != nil {
		t.Fatal(err)
	}
	synced := func(path string) string { return `(fsync|fdatasync)\(\d+<` + regexp.QuoteMeta(dir) + path + `>` }
	commit := []string{synced(`/test/store/root\.bolt`), synced(`/test/store`)}
	for _, test := range []struct {
		act string
		// patterns must match in this order.
		patterns []string
	}{
		{"create", []string{
			synced(`/\.creating-\d+/needle\.json`), synced(`/\.creating-\d+/store/root\.bolt`), synced(`/\.creating-\d+`), `rename[a-z0-9]*\(.*/test"`, synced(""),
		}},
		{"upsert", append([]string{synced(`/test/store/[0-9a-f]+\.zap`)}, commit...)},
		{"delete", commit},
		{"declare", commit},
		{"vectors", []string{synced(`/test/vectors/[^>]+`)}},
		{"swap", []string{synced(`/names\.db`), synced("")}},
		{"drop", []string{`rename[a-z0-9]*\(`, synced("")}},
	} {
		t.Run(test.act, func(t *testing.T) {
			_, after, found := strings.Cut(string(data), `"BEGIN `+test.act+`.\n"`)
			between, _, acknowledged := strings.Cut(after, `"ACKNOWLEDGED `+test.act+`.\n"`)
			if !found || !acknowledged {
				t.Fatalf("the trace does not show the process's messages:\n%s", data)
			}
			rest := between
			for _, pattern := range test.patterns {
				at := regexp.MustCompile(pattern).FindStringIndex(rest)
				if at == nil {
					t.Fatalf("no %s, in this order, before the acknowledgement:\n%s", pattern, between)
				}
				rest = rest[at[1]:]
			}
		})
	}
}

// TestDiskFull fills a small file system. What is stored stays and can be read;
// when there is room again, writing works again.
func TestDiskFull(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root can mount the small file system that this test fills")
	}
	dir := t.TempDir()
	if out, err := exec.Command("mount", "-t", "tmpfs", "-o", "size=10m", "tmpfs", dir).CombinedOutput(); err != nil {
		required(t, fmt.Sprintf("cannot mount a small file system: %v: %s", err, out))
	}
	t.Cleanup(func() {
		if out, err := exec.Command("umount", dir).CombinedOutput(); err != nil {
			t.Errorf("umount: %v: %s", err, out)
		}
	})
	ballast := filepath.Join(dir, "ballast")
	if err := os.WriteFile(ballast, make([]byte, 5<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	backend, err := bleve.New(bleve.DefaultConfig(), dir)
	if err != nil {
		t.Fatal(err)
	}
	created, err := backend.Create(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	index := created.(*bleve.Index)
	defer func() { index.Close() }()

	stored := fillUp(t, index)
	t.Logf("%d documents went in", stored)
	for range 2 {
		checkStored(t, index, stored)
		// The index stays usable, and says what is wrong every time.
		if err := index.Upsert(t.Context(), []retriever.Entry{bulky(stored, 1000)}); err != nil && !strings.Contains(err.Error(), retriever.ErrNoSpace.Error()) {
			t.Errorf("Upsert on a full disk: %v, want ErrNoSpace", err)
		} else if err == nil {
			stored++
		}
	}
	if another, err := backend.Create(t.Context(), "another"); err == nil {
		t.Log("a small index still found room")
		if err := another.Close(); err != nil {
			t.Error(err)
		}
	} else if entries, _ := filepath.Glob(filepath.Join(dir, "another*")); len(entries) > 0 {
		t.Errorf("a failed Create left %v", entries)
	}

	if err := os.Remove(ballast); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := index.Upsert(t.Context(), []retriever.Entry{bulky(stored, 20)}); err != nil {
			t.Fatalf("Upsert with room again: %v", err)
		}
		stored++
	}
	checkStored(t, index, stored)
	generation := index.Generation()
	if err := index.Close(); err != nil {
		t.Fatal(err)
	}
	reopened, err := backend.Open(t.Context(), "test")
	if err != nil {
		t.Fatal(err)
	}
	index = reopened.(*bleve.Index)
	checkStored(t, index, stored)
	if index.Generation() != generation {
		t.Errorf("generation = %d after reopening, want %d", index.Generation(), generation)
	}
}

// bulky makes a document of long random words, which compress badly.
func bulky(number, words int) retriever.Entry {
	random := rand.New(rand.NewPCG(uint64(number), 0))
	var text strings.Builder
	for range words {
		for range 12 {
			fmt.Fprintf(&text, "%016x", random.Uint64())
		}
		text.WriteByte(' ')
	}
	e := entry(fmt.Sprintf("doc%04d", number), "", text.String()+"bulky")
	return e
}

// fillUp writes documents until the disk is full and returns how many went in.
func fillUp(t *testing.T, index retriever.Index) int {
	t.Helper()
	for n := range 10_000 {
		if err := index.Upsert(t.Context(), []retriever.Entry{bulky(n, 1000)}); err != nil {
			if !strings.Contains(err.Error(), retriever.ErrNoSpace.Error()) {
				t.Fatalf("document %d: %v, want ErrNoSpace", n, err)
			}
			return n
		}
	}
	t.Fatal("the disk does not fill up")
	return 0
}

func checkStored(t *testing.T, index *bleve.Index, n int) {
	t.Helper()
	if err := index.Verify(t.Context()); err != nil {
		t.Fatal(err)
	}
	stats, err := index.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if stats.Documents != uint64(n) {
		t.Errorf("%d documents are stored, want %d", stats.Documents, n)
	}
	results, err := index.Retrieve(t.Context(), retriever.Query{Text: "bulky", TopK: n + 10})
	if err != nil || len(results.Hits) != n {
		t.Errorf("%d documents are found, want %d (%v)", len(results.Hits), n, err)
	}
}

package bleve_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"

	"go.uber.org/goleak"

	"github.com/needle-search/needle/retriever"
	"github.com/needle-search/needle/retriever/bleve"
)

// childMode is the environment variable that turns the test binary into a
// second process: the value names what it does.
const childMode = "NEEDLE_BLEVE_TEST_CHILD"

func TestMain(m *testing.M) {
	mode := os.Getenv(childMode)
	if mode == "" {
		goleak.VerifyTestMain(m)
		return
	}
	children := map[string]func(context.Context, retriever.Index, []string) error{
		"hold": childHolds, "write": childWrites, "damaged": childDamaged,
	}
	if mode == "acts" {
		if err := childActs(os.Args[1]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if err := runChild(children[mode], os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// child returns the command for a second process that opens index "test" in
// dir.
func child(t *testing.T, mode, dir string, args ...string) *exec.Cmd {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(binary, append([]string{dir}, args...)...)
	cmd.Env = append(os.Environ(), childMode+"="+mode)
	cmd.Stderr = os.Stderr
	return cmd
}

func runChild(work func(context.Context, retriever.Index, []string) error, dir string, args []string) error {
	backend, err := bleve.New(bleve.DefaultConfig(), dir)
	if err != nil {
		return err
	}
	ctx := context.Background()
	index, err := backend.Open(ctx, "test")
	if err != nil {
		return err
	}
	defer index.Close()
	return work(ctx, index, args)
}

// childHolds keeps the index open until its input ends.
func childHolds(context.Context, retriever.Index, []string) error {
	fmt.Println("ready")
	_, err := io.Copy(io.Discard, os.Stdin)
	return err
}

// childActs makes one change of each kind and says when it begins and when it
// is acknowledged.
func childActs(dir string) error {
	ctx := context.Background()
	backend, err := bleve.New(bleve.DefaultConfig(), dir)
	if err != nil {
		return err
	}
	var index retriever.Index
	for _, act := range []struct {
		name string
		do   func() error
	}{
		{"create", func() (err error) {
			index, err = backend.Create(ctx, "test")
			return err
		}},
		{"upsert", func() error {
			return index.Upsert(ctx, []retriever.Entry{entry("a", "", "written once"), entry("b", "", "too")})
		}},
		{"delete", func() error {
			_, err := index.Delete(ctx, []string{"b"})
			return err
		}},
		{"declare", func() error {
			return index.(retriever.FieldDeclarer).DeclareFields(ctx, map[string]retriever.FieldType{"year": retriever.Number})
		}},
		{"vectors", func() error {
			store := index.(retriever.VectorStore)
			missing, err := store.MissingVectors(ctx, "model", 10)
			if err != nil || len(missing) != 1 {
				return fmt.Errorf("%d vectors are missing: %w", len(missing), err)
			}
			return store.PutVectors(ctx, "model", missing, [][]int8{{1, 2, 3}})
		}},
		{"create another", func() error {
			other, err := backend.Create(ctx, "other")
			if err != nil {
				return err
			}
			return other.Close()
		}},
		{"swap", func() error { return backend.Swap(ctx, "test", "other") }},
		{"drop", func() error { return backend.Drop(ctx, "test") }},
	} {
		fmt.Fprintf(os.Stdout, "BEGIN %s.\n", act.name)
		if err := act.do(); err != nil {
			return fmt.Errorf("%s: %w", act.name, err)
		}
		fmt.Fprintf(os.Stdout, "ACKNOWLEDGED %s.\n", act.name)
	}
	return index.Close()
}

// childWriters is how many goroutines of childWrites write at once.
const childWriters = 4

// childWrites carries out numbered operations, from the number that it is given
// on, until it is killed. It says what it begins and what is acknowledged.
func childWrites(ctx context.Context, index retriever.Index, args []string) error {
	first, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	var group sync.WaitGroup
	var out sync.Mutex
	say := func(what string, writer, number int) {
		out.Lock()
		defer out.Unlock()
		fmt.Printf("%s %d %d\n", what, writer, number)
	}
	for writer := range childWriters {
		group.Go(func() {
			for number := first; ; number++ {
				say("begin", writer, number)
				if err := operationOf(writer, number).run(ctx, index); err != nil {
					fmt.Fprintln(os.Stderr, err)
					return
				}
				say("ack", writer, number)
			}
		})
	}
	group.Wait()
	return fmt.Errorf("all writers stopped")
}

// operation is one change, the same for everybody who asks for its number.
type operation struct {
	deletes []string
	upserts []retriever.Entry
}

func operationOf(writer, number int) operation {
	id := func(n int) string { return fmt.Sprintf("writer%d/doc%d", writer, n%7) }
	if number%5 == 4 {
		return operation{deletes: []string{id(number * 3)}}
	}
	var o operation
	for i := range 1 + number%3 {
		o.upserts = append(o.upserts, numberedEntry(id(number*3+i), number))
	}
	return o
}

// numberedEntry makes an entry that can be told from all other versions.
func numberedEntry(id string, number int) retriever.Entry {
	var text strings.Builder
	e := retriever.Entry{Document: retriever.Document{ID: id}, ContentHash: strconv.Itoa(number)}
	for i := range 1 + number%4 {
		part := fmt.Sprintf("Part %d of version %d of %s: %s", i, number, id, strings.Repeat("some more text ", 20))
		e.Passages = append(e.Passages, retriever.Passage{
			DocumentID: id, Ordinal: i, Start: text.Len(), End: text.Len() + len(part), Text: part,
		})
		text.WriteString(part)
	}
	e.Document.Text = text.String()
	return e
}

func (o operation) run(ctx context.Context, index retriever.Index) error {
	if o.deletes != nil {
		_, err := index.Delete(ctx, o.deletes)
		return err
	}
	return index.Upsert(ctx, o.upserts)
}

// lines sends every line of a reader until it ends.
func lines(r io.Reader) <-chan string {
	c := make(chan string, 1024)
	go func() {
		defer close(c)
		for s := bufio.NewScanner(r); s.Scan(); {
			c <- s.Text()
		}
	}()
	return c
}

// required skips a test that lacks something of the machine, or fails it under
// CI=true.
func required(t *testing.T, missing string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatal(missing)
	}
	t.Skip(missing)
}

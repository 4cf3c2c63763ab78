package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"maps"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/retriever"
	"github.com/needle-search/needle/retriever/backup"
)

// contents are the versions of the documents of each index.
type contents map[string]map[string]int

func (c contents) clone() contents {
	other := contents{}
	for index, documents := range c {
		other[index] = maps.Clone(documents)
	}
	return other
}

// after returns what a deed makes of the contents.
func (c contents) after(d deed, backups map[int]map[string]int) contents {
	next := c.clone()
	switch d.What {
	case "put", "delete":
		for id, version := range d.Documents {
			if next[d.Index][id] = version; version == 0 {
				delete(next[d.Index], id)
			}
		}
	case "swap":
		next["live"], next["other"] = next["other"], next["live"]
	case "restore":
		next[d.Index] = maps.Clone(backups[d.Backup])
	}
	return next
}

// keeperTest is what the test knows of the killed processes.
type keeperTest struct {
	data string
	// want is what was acknowledged.
	want    contents
	backups map[int]map[string]int
	next    int
	// open are the deeds of the process that runs which were begun.
	open map[string]deed
	// done counts what was acknowledged, cut what the kill interrupted.
	done, cut map[string]int
}

// TestKillKeeping kills a process that swaps, backs up, restores, compacts and
// rebuilds indexes while it writes to them, at random points (8 times, or
// NEEDLE_KILL_ROUNDS), and looks at what it left: every acknowledged change is
// there, none is half there, all indexes are in order, and no file that has the
// name of a backup is anything but a whole one.
func TestKillKeeping(t *testing.T) {
	rounds := 8
	if s := os.Getenv("NEEDLE_KILL_ROUNDS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("NEEDLE_KILL_ROUNDS: %v", err)
		}
		rounds = n
	}
	k := &keeperTest{
		data: t.TempDir(), want: contents{}, backups: map[int]map[string]int{}, next: 1,
		done: map[string]int{}, cut: map[string]int{},
	}
	write(t, k.data, "needle.yaml", "ranker: {type: none}\n")
	if err := os.Mkdir(filepath.Join(k.data, "backups"), 0o700); err != nil {
		t.Fatal(err)
	}
	p, err := openKept(t.Context(), k.data)
	if err != nil {
		t.Fatal(err)
	}
	for _, index := range keptIndexes {
		if err := p.CreateIndex(t.Context(), index); err != nil {
			t.Fatal(err)
		}
		k.want[index] = map[string]int{}
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	for round := range rounds {
		k.killAtRandom(t)
		k.check(t, round)
		if t.Failed() {
			t.FailNow()
		}
	}
	k.finish(t)
	t.Logf("%d kills; acknowledged %v; interrupted %v", rounds, k.done, k.cut)
	if k.done["put"] < rounds || len(k.cut) == 0 {
		t.Errorf("in %d rounds %v were acknowledged and %v interrupted", rounds, k.done, k.cut)
	}
}

// killAtRandom runs the process until a random moment.
func (k *keeperTest) killAtRandom(t *testing.T) {
	t.Helper()
	binary, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	args := []string{strconv.Itoa(k.next)}
	for _, n := range slices.Sorted(maps.Keys(k.backups)) {
		args = append(args, strconv.Itoa(n))
	}
	cmd := exec.Command(binary, args...)
	cmd.Env = append(os.Environ(), asKeeper+"="+k.data)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := make(chan deed)
	go func() {
		defer close(said)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var d deed
			if json.Unmarshal(lines.Bytes(), &d) == nil {
				said <- d // else it was cut off by the kill
			}
		}
	}()
	k.open = map[string]deed{}
	var timer <-chan time.Time
	killed := false
	for {
		select {
		case <-timer:
			timer, killed = nil, true
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		case d, more := <-said:
			if !more {
				if err := cmd.Wait(); !killed {
					t.Fatalf("the process ended by itself: %v", err)
				}
				for _, d := range k.open {
					k.cut[d.What]++
				}
				return
			}
			if timer == nil && !killed {
				timer = time.After(time.Duration(rand.IntN(600)) * time.Millisecond)
			}
			k.enter(d)
		}
	}
}

// enter notes what the process said.
func (k *keeperTest) enter(d deed) {
	who := "keeper"
	if d.Documents != nil {
		who = "writer"
		for _, version := range d.Documents {
			k.next = max(k.next, version+1)
		}
	}
	k.next = max(k.next, d.Backup+1)
	if d.Begin {
		k.open[who] = d
		if d.What == "backup" && d.Quiet {
			// Whether it is there at all is seen after the kill.
			k.backups[d.Backup] = maps.Clone(k.want[d.Index])
		}
		return
	}
	delete(k.open, who)
	k.done[d.What]++
	k.want = k.want.after(d, k.backups)
}

// check looks at what a killed process left.
func (k *keeperTest) check(t *testing.T, round int) {
	t.Helper()
	k.checkBackups(t)
	p, err := openKept(t.Context(), k.data)
	if err != nil {
		t.Fatalf("round %d: open after kill: %v", round, err)
	}
	defer func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}()
	got := contents{}
	for _, index := range keptIndexes {
		if err := p.Verify(t.Context(), index); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
		got[index] = storedVersions(t, p, index)
	}
	all, err := p.Indexes(t.Context())
	if err != nil || len(all) != len(keptIndexes) {
		t.Fatalf("round %d: there are %d indexes, %v; want %v", round, len(all), err, keptIndexes)
	}
	worlds := []contents{k.want}
	if d, ok := k.open["keeper"]; ok {
		worlds = append(worlds, k.want.after(d, k.backups))
	}
	for _, world := range worlds {
		if k.agrees(got, world) {
			k.want = got
			return
		}
	}
	t.Fatalf("round %d, interrupted %+v:\ngot  %v\nwant %v", round, k.open, got, worlds)
}

// agrees reports whether the contents are those of a world, but for what an
// interrupted write may have changed.
func (k *keeperTest) agrees(got, world contents) bool {
	writer, writing := k.open["writer"]
	for _, index := range keptIndexes {
		for _, documents := range []map[string]int{got[index], world[index]} {
			for id := range documents {
				version := got[index][id]
				if version == world[index][id] {
					continue
				}
				maybe, touched := writer.Documents[id]
				if !writing || writer.Index != index || !touched || version != maybe {
					return false
				}
			}
		}
	}
	return true
}

// storedVersions reads every document of an index, and compares the whole of it.
func storedVersions(t *testing.T, p *pipeline.Pipeline, index string) map[string]int {
	t.Helper()
	infos, err := p.List(t.Context(), index, "", pipeline.MaxListLimit)
	if err != nil {
		t.Fatal(err)
	}
	versions := map[string]int{}
	for _, info := range infos {
		document, err := p.Document(t.Context(), index, info.ID)
		if err != nil {
			t.Fatal(err)
		}
		versions[info.ID] = versionOf(t, document)
	}
	return versions
}

func versionOf(t *testing.T, d retriever.Document) int {
	t.Helper()
	version, _ := d.Metadata["version"].(int64)
	if d.Text != versionText(d.ID, int(version)) {
		t.Errorf("%s is not whole: version %d, text %q", d.ID, version, d.Text)
	}
	return int(version)
}

// checkBackups reads every file of the backups: one that has its name must be
// whole and hold what it was made of; a half one has another name and is
// refused.
func (k *keeperTest) checkBackups(t *testing.T) {
	t.Helper()
	entries, err := os.ReadDir(filepath.Join(k.data, "backups"))
	if err != nil {
		t.Fatal(err)
	}
	whole := map[int]bool{}
	for _, entry := range entries {
		path := filepath.Join(k.data, "backups", entry.Name())
		digits, named := strings.CutSuffix(entry.Name(), ".needle")
		number, err := strconv.Atoi(digits)
		if !named || err != nil {
			// Left by a kill: refused, unless all of it was written already.
			if _, err := readBackup(t, path); err != nil && !errors.Is(err, retriever.ErrCorrupt) {
				t.Errorf("%s: %v, want ErrCorrupt", entry.Name(), err)
			} else if err != nil {
				k.cut["half backup"]++
			}
			if err := os.Remove(path); err != nil {
				t.Error(err)
			}
			continue
		}
		documents, err := readBackup(t, path)
		if err != nil {
			t.Errorf("backup %d: %v", number, err)
		}
		whole[number] = true
		if want, known := k.backups[number]; known && !maps.Equal(documents, want) {
			t.Errorf("backup %d holds %v, want %v", number, documents, want)
		}
	}
	for number := range k.backups {
		if open, ok := k.open["keeper"]; !whole[number] && ok && open.Backup == number {
			delete(k.backups, number)
		} else if !whole[number] {
			t.Errorf("backup %d was acknowledged and is gone", number)
		}
	}
}

func readBackup(t *testing.T, path string) (map[string]int, error) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	r, err := backup.NewReader(file)
	if err != nil {
		return nil, err
	}
	documents := map[string]int{}
	for e, err := range r.Entries(t.Context()) {
		if err != nil {
			return nil, err
		}
		documents[e.Document.ID] = versionOf(t, e.Document)
	}
	return documents, nil
}

// finish does each deed once more, undisturbed, which must leave nothing of the
// interrupted ones on the disk.
func (k *keeperTest) finish(t *testing.T) {
	t.Helper()
	// What may be another process's work in progress is left alone for an hour.
	entries, err := os.ReadDir(filepath.Join(k.data, "indexes"))
	if err != nil {
		t.Fatal(err)
	}
	past := time.Now().Add(-2 * time.Hour)
	for _, entry := range entries {
		if err := os.Chtimes(filepath.Join(k.data, "indexes", entry.Name()), past, past); err != nil {
			t.Fatal(err)
		}
	}
	p, err := openKept(t.Context(), k.data)
	if err != nil {
		t.Fatal(err)
	}
	k.open = map[string]deed{}
	for _, index := range keptIndexes {
		for _, what := range []string{"backup", "restore", "rebuild", "compact"} {
			d := deed{What: what, Index: index, Backup: k.next, Quiet: true}
			if err := keep(t.Context(), p, k.data, d); err != nil {
				t.Fatalf("%s %s: %v", what, index, err)
			}
		}
		k.next++
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
	k.check(t, -1)
	if entries, err = os.ReadDir(filepath.Join(k.data, "indexes")); err != nil {
		t.Fatal(err)
	}
	var folders []string
	for _, entry := range entries {
		if entry.IsDir() {
			folders = append(folders, entry.Name())
		}
	}
	if len(folders) != len(keptIndexes) {
		t.Errorf("%v is on the disk for %d indexes", folders, len(keptIndexes))
	}
}

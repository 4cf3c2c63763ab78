package eval

import (
	"math"
	"os"
	"testing"

	"github.com/needle-search/needle/internal/testenv"
)

// sharedData returns the path of a file or folder among the shared data sets.
func sharedData(t *testing.T, name string) string {
	t.Helper()
	return testenv.Shared(t, "data", name)
}

func readShared(t *testing.T, name string) *Dataset {
	t.Helper()
	file, err := os.Open(sharedData(t, name))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	data, err := ReadSQuAD(file, "")
	if err != nil {
		t.Fatalf("ReadSQuAD(%s): %v", name, err)
	}
	return data
}

func near(a, b, tolerance float64) bool { return math.Abs(a-b) <= tolerance }

package pipeline

import "testing"

func TestWordless(t *testing.T) {
	for text, want := range map[string]bool{
		".": true, "": true, " …) ": true, "«»": true,
		"a.": false, "7": false, "€": false, "+": false, "東京": false,
	} {
		if got := wordless(text); got != want {
			t.Errorf("wordless(%q) = %v, want %v", text, got, want)
		}
	}
}

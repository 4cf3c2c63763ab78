package ingest

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/format/gitignore"
)

// IgnoreFile is the usual value of [WalkOptions.IgnoreFile].
const IgnoreFile = ".needleignore"

// maxIgnoreBytes bounds an ignore file; patterns are short.
const maxIgnoreBytes = 1 << 20

// readIgnore returns the patterns that hold in a directory: those of the
// directories above and then its own, because the last that matches decides. A
// missing file adds none.
func readIgnore(root, real, logical, name string, above []gitignore.Pattern) ([]gitignore.Pattern, error) {
	f, err := os.OpenInRoot(root, filepath.Join(real, name))
	if os.IsNotExist(err) {
		return above, nil
	}
	if err != nil {
		return above, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxIgnoreBytes))
	if err != nil {
		return above, err
	}
	return append(above[:len(above):len(above)], parseIgnore(data, logical)...), nil
}

// parseIgnore reads the patterns of an ignore file in a directory.
func parseIgnore(data []byte, logical string) []gitignore.Pattern {
	var patterns []gitignore.Pattern
	domain := components(logical)
	for line := range bytes.Lines(bytes.TrimPrefix(data, []byte("\xEF\xBB\xBF"))) {
		text := strings.TrimRight(string(line), "\r\n")
		// White space at the end does not count, unless it is escaped.
		for strings.HasSuffix(text, " ") && !strings.HasSuffix(text, `\ `) {
			text = text[:len(text)-1]
		}
		if text == "" || strings.HasPrefix(text, "#") {
			continue
		}
		patterns = append(patterns, gitignore.ParsePattern(text, domain))
	}
	return patterns
}

// matchesIgnore reports whether the patterns leave out a path below the root.
func matchesIgnore(patterns []gitignore.Pattern, logical string, directory bool) bool {
	return len(patterns) > 0 && gitignore.NewMatcher(patterns).Match(components(logical), directory)
}

func components(logical string) []string {
	logical = filepath.ToSlash(logical)
	if logical == "." {
		return nil
	}
	return strings.Split(logical, "/")
}

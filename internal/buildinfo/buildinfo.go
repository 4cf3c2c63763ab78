// Package buildinfo says which Needle this program is. A release sets version,
// commit and date when it links (see deploy/release); any other build takes what
// the Go tool recorded.
//
//	fmt.Println(buildinfo.Get())
package buildinfo

import (
	"cmp"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
)

// Set by the linker: -X github.com/needle-search/needle/internal/buildinfo.version=1.2.3.
var version, commit, date string

// An Info says what was built, from what, when and for which platform.
type Info struct {
	// Version is that of the release without a leading v, or the pseudo-version
	// that the Go tool made up; "devel" if nothing is known.
	Version string `json:"version"`
	// Commit is the revision of the source, followed by "+dirty" if there were
	// changes beside it; "unknown" if it was not recorded.
	Commit string `json:"commit"`
	// Date is the time of the commit (RFC 3339), "unknown" if it was not recorded.
	Date string `json:"date"`
	// Go is the version of the compiler, Platform the operating system and
	// architecture.
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// Get returns what is known of this program.
func Get() Info {
	info := Info{Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
	var main, revision, time string
	if build, ok := debug.ReadBuildInfo(); ok {
		main = build.Main.Version
		for _, s := range build.Settings {
			switch s.Key {
			case "vcs.revision":
				revision = s.Value + revision
			case "vcs.time":
				time = s.Value
			case "vcs.modified":
				if s.Value == "true" {
					revision += "+dirty"
				}
			}
		}
	}
	if main == "(devel)" {
		main = ""
	}
	info.Version = strings.TrimPrefix(cmp.Or(version, main, "devel"), "v")
	info.Commit = cmp.Or(commit, revision, "unknown")
	info.Date = cmp.Or(date, time, "unknown")
	return info
}

// String returns one line for people.
func (i Info) String() string {
	return fmt.Sprintf("needle %s (commit %s, %s, %s, %s)", i.Version, i.Commit, i.Date, i.Go, i.Platform)
}

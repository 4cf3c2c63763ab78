package builtin

import (
	"embed"
	"encoding/json"
	"fmt"

	"github.com/needle-search/needle/pipeline"
)

// Profiles are made by `needle calibrate`; docs/results.md says on what.
//
//go:embed profiles
var profileFiles embed.FS

// profiles panics if a file that is compiled in is broken; a test reads them.
func profiles() []pipeline.Profile {
	entries, err := profileFiles.ReadDir("profiles")
	if err != nil {
		panic(fmt.Sprintf("builtin: profiles: %v", err))
	}
	var list []pipeline.Profile
	for _, e := range entries {
		data, err := profileFiles.ReadFile("profiles/" + e.Name())
		if err != nil {
			panic(fmt.Sprintf("builtin: profiles: %v", err))
		}
		var p pipeline.Profile
		if err := json.Unmarshal(data, &p); err != nil {
			panic(fmt.Sprintf("builtin: profiles: %s: %v", e.Name(), err))
		}
		list = append(list, p)
	}
	return list
}

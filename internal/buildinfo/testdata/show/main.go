// Command show prints what the linker was told, for the tests.
package main

import (
	"encoding/json"
	"os"

	"github.com/needle-search/needle/internal/buildinfo"
)

func main() {
	if json.NewEncoder(os.Stdout).Encode(buildinfo.Get()) != nil {
		os.Exit(1)
	}
}

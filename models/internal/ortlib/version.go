package ortlib

import (
	"fmt"
	"strconv"
	"strings"
)

// Version is the version of ONNX Runtime that [Setup] fetches.
const Version = "1.29.0"

// MinVersion is the oldest version that fits: it is the first with the C API
// (24) that the Go binding asks for. Newer versions keep older APIs.
const MinVersion = "1.24"

// parseVersion reads up to three numbers separated by dots.
func parseVersion(s string) (v [3]int, ok bool) {
	parts := strings.Split(s, ".")
	if len(parts) > 3 {
		return v, false
	}
	for i, part := range parts {
		n, err := strconv.ParseUint(part, 10, 16)
		if err != nil {
			return v, false
		}
		v[i] = int(n)
	}
	return v, true
}

func isVersion(s string) bool {
	_, ok := parseVersion(s)
	return ok
}

// unfit says why a version of ONNX Runtime cannot be used, or "" if it can.
func unfit(version string) string {
	if version == "" {
		return "its version cannot be told; " + MinVersion + " or newer is needed"
	}
	v, ok := parseVersion(version)
	if !ok {
		return fmt.Sprintf("its version %q cannot be read; %s or newer is needed", version, MinVersion)
	}
	least, _ := parseVersion(MinVersion)
	if v[0] != least[0] || v[1] < least[1] {
		return fmt.Sprintf("it is version %s; %s or newer is needed", version, MinVersion)
	}
	return ""
}

// versionInName returns the version in a file name such as
// libonnxruntime.so.1.29.0, if it says more than the major version.
func versionInName(name string) string {
	if _, rest, ok := strings.Cut(name, ".so."); ok && strings.Contains(rest, ".") && isVersion(rest) {
		return rest
	}
	if rest, ok := strings.CutSuffix(name, ".dylib"); ok {
		if _, rest, ok = strings.Cut(rest, "."); ok && strings.Contains(rest, ".") && isVersion(rest) {
			return rest
		}
	}
	return ""
}

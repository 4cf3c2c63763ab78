package pipeline

import (
	"fmt"
	"net"
	"net/url"
)

// Telemetry says what a server tells of itself.
type Telemetry struct {
	// Metrics offers metrics at /metrics.
	Metrics bool `yaml:"metrics"`
	// OTLP is the address of an OTLP/HTTP collector that gets traces; empty
	// means none.
	OTLP string `yaml:"otlp"`
	// Sample is the share of requests that are traced, unless their caller has
	// decided.
	Sample float64 `yaml:"sample"`
	// Pprof is a loopback address that offers profiles of the Go runtime; empty
	// means none.
	Pprof string `yaml:"pprof"`
}

func (t Telemetry) validate() []error {
	var faults []error
	if t.OTLP != "" {
		if u, err := url.Parse(t.OTLP); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
			faults = append(faults, fmt.Errorf("telemetry.otlp: %q; allowed is http://HOST:PORT, https://HOST:PORT or nothing", t.OTLP))
		}
	}
	if !(t.Sample >= 0 && t.Sample <= 1) { // not a number either
		faults = append(faults, fmt.Errorf("telemetry.sample: %v; allowed is 0 to 1", t.Sample))
	}
	if t.Pprof != "" {
		host, _, err := net.SplitHostPort(t.Pprof)
		if ip := net.ParseIP(host); err != nil || host != "localhost" && !ip.IsLoopback() {
			faults = append(faults, fmt.Errorf("telemetry.pprof: %q; allowed is a loopback address such as 127.0.0.1:6060, or nothing", t.Pprof))
		}
	}
	return faults
}

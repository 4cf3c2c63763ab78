//go:build !unix

package main

import "time"

// processCPU and peakRSS are not measured on this platform.
func processCPU() time.Duration { return 0 }

func peakRSS() float64 { return 0 }

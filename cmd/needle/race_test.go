//go:build race

package main

// raceDetected says that the race detector runs, whose own memory is many times
// that of the program.
const raceDetected = true

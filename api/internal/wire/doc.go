// Package wire holds what the HTTP server and the Go client both must know:
// the codes of problems, and the JSON forms of what crosses the wire and is
// not a type of the pipeline already.
package wire

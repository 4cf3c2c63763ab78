//go:build !unix

package pdf

import "os/exec"

// killWithChildren does nothing where there are no groups of processes; the
// command itself is killed.
func killWithChildren(*exec.Cmd) {}

//go:build unix

package pdf

import (
	"os/exec"
	"syscall"
)

// killWithChildren makes the end of the context end what the command has started
// too: OCR programs leave the work to others.
func killWithChildren(cmd *exec.Cmd) {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
}

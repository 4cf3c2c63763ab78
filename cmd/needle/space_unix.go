//go:build linux || darwin

package main

import "golang.org/x/sys/unix"

// freeSpace is what a directory's file system has left for this user, in bytes.
func freeSpace(dir string) (uint64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, err
	}
	return s.Bavail * uint64(s.Bsize), nil //nolint:gosec // block sizes are positive
}

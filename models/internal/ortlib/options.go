package ortlib

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// Options say where to look and what to fetch. The zero value looks at the
// environment, the system and the user's cache.
type Options struct {
	// Path is the library's file or folder from the config, "" for none.
	Path string
	// ConfigKey is what messages call Path; "" means DefaultConfigKey.
	ConfigKey string
	// CacheDir replaces NEEDLE_CACHE and the user's cache folder.
	CacheDir string
	// Platform is the host's when zero.
	Platform Platform
	// From makes Setup take the library from a file, a folder or a URL instead
	// of searching.
	From string
	// SHA256 is the hexadecimal digest of what From names, archive or library.
	// It may be empty where the digest is pinned in this version of Needle.
	SHA256 string
	// Progress is told what is going on, with bytes done and in total (0 when
	// unknown). Calls come one after the other, from the goroutine of Setup.
	Progress func(step string, done, total int64)
	// Load opens a library as the program will and returns its version;
	// Diagnose calls it. Nil leaves that check out.
	Load func(path string) (version string, err error)
	// Timeouts are the patience with package clients and servers.
	Timeouts Timeouts
}

// Timeouts bound the waiting. Zero fields have defaults.
type Timeouts struct {
	// Start is how long a package client may take until its first byte arrives
	// (30 s).
	Start time.Duration
	// Stall is how long a transfer may stand still (45 s).
	Stall time.Duration
	// Total bounds one package client or download as a whole (20 min).
	Total time.Duration
	// Retry is the wait before the first repetition of a download; it doubles
	// each time (500 ms).
	Retry time.Duration
}

func (t *Timeouts) fill() {
	fill := func(d *time.Duration, value time.Duration) {
		if *d <= 0 {
			*d = value
		}
	}
	fill(&t.Start, 30*time.Second)
	fill(&t.Stall, 45*time.Second)
	fill(&t.Total, 20*time.Minute)
	fill(&t.Retry, 500*time.Millisecond)
}

// limits bound what strangers' archives and servers can make this process
// write and read.
type limits struct {
	archive int64 // bytes of an archive
	library int64 // bytes of one unpacked library
	stream  int64 // bytes of everything unpacked
	entries int   // files in an archive or folder
}

var hexDigest = regexp.MustCompile(`^[0-9a-f]{64}$`)

// A setup is one search or set-up with everything it depends on.
type setup struct {
	opts     Options
	platform Platform
	// dir is the cache's folder for this version and platform.
	dir         string
	getenv      func(string) string
	systemDirs  []string
	linkerCache string
	clients     []client
	trust       trust
	limits      limits
}

func newSetup(opts Options) (*setup, error) {
	opts.Timeouts.fill()
	if opts.ConfigKey == "" {
		opts.ConfigKey = DefaultConfigKey
	}
	if opts.Platform == (Platform{}) {
		opts.Platform = Host()
	}
	opts.SHA256 = strings.ToLower(strings.TrimSpace(opts.SHA256))
	if opts.SHA256 != "" && !hexDigest.MatchString(opts.SHA256) {
		return nil, fmt.Errorf("set up ONNX Runtime: %q is no SHA-256; 64 hexadecimal digits are needed", opts.SHA256)
	}
	if opts.SHA256 != "" && opts.From == "" {
		return nil, errors.New("set up ONNX Runtime: a SHA-256 is given, but nothing to check; name it with --from")
	}
	cache, err := cacheDir(opts.CacheDir, os.Getenv)
	if err != nil {
		return nil, err
	}
	s := &setup{
		opts:       opts,
		platform:   opts.Platform,
		dir:        filepath.Join(cache, "onnxruntime", Version, opts.Platform.String()),
		getenv:     os.Getenv,
		systemDirs: systemDirs(opts.Platform, os.Getenv),
		clients:    clients(),
		limits:     limits{archive: 1 << 30, library: 512 << 20, stream: 2 << 30, entries: 100_000},
	}
	s.trust, _ = trustFor(opts.Platform)
	if opts.Platform.OS == "linux" {
		s.linkerCache = "/etc/ld.so.cache"
	}
	return s, nil
}

// cacheDir returns the folder for everything that Needle fetches.
func cacheDir(explicit string, getenv func(string) string) (string, error) {
	for _, dir := range []string{explicit, getenv(EnvCache)} {
		if dir != "" {
			return filepath.Abs(dir)
		}
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the cache folder: %w; set %s to a folder that can be written", err, EnvCache)
	}
	return filepath.Join(dir, "needle"), nil
}

func (s *setup) progress(step string, done, total int64) {
	if s.opts.Progress != nil {
		s.opts.Progress(step, done, total)
	}
}

// CacheDir returns the folder for everything that Needle keeps or fetches: that
// of NEEDLE_CACHE, else the user's.
func CacheDir() (string, error) { return cacheDir("", os.Getenv) }

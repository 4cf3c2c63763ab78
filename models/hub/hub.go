// Package hub fetches bundles from a hub that speaks the protocol of the
// Hugging Face Hub, or from a mirror of one:
//
//	result, err := hub.Pull(ctx, hub.Config{Endpoint: "https://hub.example.com"}, "owner/model", "main", "./model")
//
// A revision is resolved to a commit first, and all files are of that commit.
// Every file is checked against the SHA-256 or the git hash that the hub states.
// Downloads are kept beside the target until they are whole, so that a later
// call resumes where an earlier one was cut off, and the target appears in one
// step, after its files were opened as a bundle.
//
// Pull keeps no state and may be called concurrently for different targets.
package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"github.com/needle-search/needle/models"
)

// Errors of [Pull], for errors.Is, beside models.ErrInvalidBundle.
var (
	// ErrAccess says that the hub refuses: a token is missing or wrong, or the
	// model's terms were not accepted.
	ErrAccess = errors.New("the hub refuses access")
	// ErrNotFound says that the hub has no such model, revision or file.
	ErrNotFound = errors.New("the hub has no such model, revision or file")
	// ErrChecksum says that a file has another content than the hub states.
	ErrChecksum = errors.New("wrong checksum")
	// ErrOffline says that something would have to be fetched in offline mode.
	ErrOffline = errors.New("offline")
	// ErrExists says that the target holds something else.
	ErrExists = errors.New("the directory is in use")
)

// A Config says where the hub is and how to talk to it.
type Config struct {
	// Endpoint is the address of the hub or of a mirror.
	Endpoint string
	// Token is sent to the endpoint, and to no other host.
	Token string
	// Offline fetches nothing: what was pulled earlier is checked and returned.
	Offline bool
	// Precisions are those whose graphs to take: fp32, fp16, int8; all when
	// empty.
	Precisions []string
	// Client is http.DefaultClient when nil.
	Client *http.Client
	// Pause is how long the first wait is before trying again after a failure
	// without progress; half a second when 0. It doubles each time.
	Pause time.Duration
	// Stall is how long to wait for the next bytes of a file before the
	// connection is given up; a minute when 0.
	Stall time.Duration
	// Progress, when set, is told how much of a file has arrived.
	Progress func(file string, done, total int64)
}

// A Result is what was pulled.
type Result struct {
	// Directory is the target.
	Directory string `json:"directory"`
	Repo      string `json:"repo"`
	Revision  string `json:"revision"`
	Commit    string `json:"commit"`
	// Hash is that of the bundle.
	Hash string `json:"hash"`
	// Fetched is the number of bytes that came over the network.
	Fetched int64 `json:"fetched"`
}

// noteName is the file in a target that says where its content is from.
const noteName = ".needle-pull.json"

type note struct {
	Repo     string `json:"repo"`
	Revision string `json:"revision"`
	Commit   string `json:"commit"`
	Hash     string `json:"hash"`
}

var (
	validRepo     = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,95}(/[A-Za-z0-9][A-Za-z0-9._-]{0,95})?$`)
	validRevision = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/-]{0,199}$`)
	validCommit   = regexp.MustCompile(`^[0-9a-f]{40,64}$`)
)

// Pull fetches a bundle into a directory that does not exist yet, or is there
// from an earlier Pull of the same commit; then nothing is fetched.
func Pull(ctx context.Context, config Config, repo, revision, directory string) (Result, error) {
	result, err := pull(ctx, config, repo, revision, directory)
	if err != nil {
		return Result{}, fmt.Errorf("hub: pull %s at %s: %w", repo, revision, err)
	}
	return result, nil
}

func pull(ctx context.Context, config Config, repo, revision, directory string) (Result, error) {
	switch {
	case !validRepo.MatchString(repo) || strings.Contains(repo, ".."):
		return Result{}, fmt.Errorf("%q is no name of a model; want owner/name", repo)
	case !validRevision.MatchString(revision) || strings.Contains(revision, ".."):
		return Result{}, fmt.Errorf("%q is no revision; want a branch, a tag or a commit", revision)
	}
	there, err := readNote(directory)
	if err != nil {
		return Result{}, err
	}
	if config.Offline {
		if there == nil || there.Repo != repo || revision != there.Revision && revision != there.Commit {
			return Result{}, fmt.Errorf("%w: %s does not hold it, and nothing may be fetched", ErrOffline, directory)
		}
		return checkThere(*there, directory)
	}
	c, err := newClient(config)
	if err != nil {
		return Result{}, err
	}
	listing, err := c.list(ctx, repo, revision)
	if err != nil {
		return Result{}, err
	}
	if there != nil {
		if there.Repo != repo || there.Commit != listing.Commit {
			return Result{}, fmt.Errorf("%w: %s holds %s at %s; choose another directory or remove it", ErrExists, directory, there.Repo, there.Commit)
		}
		return checkThere(*there, directory)
	}
	return c.pullInto(ctx, repo, revision, listing, directory)
}

// readNote returns nil when the directory does not exist.
func readNote(directory string) (*note, error) {
	if _, err := os.Lstat(directory); errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, err
	}
	data, err := os.ReadFile(filepath.Join(directory, noteName))
	if err != nil {
		return nil, fmt.Errorf("%w: %s is there and was not pulled", ErrExists, directory)
	}
	var n note
	if err := json.Unmarshal(data, &n); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(directory, noteName), err)
	}
	return &n, nil
}

// checkThere makes sure that what was pulled has not changed.
func checkThere(n note, directory string) (Result, error) {
	bundle, err := models.OpenDirectory(directory)
	if err == nil {
		err = bundle.Verify()
	}
	if err != nil {
		return Result{}, err
	}
	if bundle.Hash != n.Hash {
		return Result{}, fmt.Errorf("%w: %s has the content %s; %s was pulled", ErrChecksum, directory, bundle.Hash, n.Hash)
	}
	return Result{Directory: directory, Repo: n.Repo, Revision: n.Revision, Commit: n.Commit, Hash: n.Hash}, nil
}

// pullInto fetches everything into a place of its own beside the target, which
// stays there when something fails, and moves it to the target.
func (c *client) pullInto(ctx context.Context, repo, revision string, l *listing, directory string) (Result, error) {
	staging := fmt.Sprintf("%s.part-%s", filepath.Clean(directory), l.Commit[:12])
	if err := os.MkdirAll(staging, 0o755); err != nil {
		return Result{}, err
	}
	root, err := os.OpenRoot(staging)
	if err != nil {
		return Result{}, err
	}
	defer root.Close()
	for _, f := range l.choose(c.config.Precisions) {
		if err := c.fetch(ctx, root, repo, l.Commit, f); err != nil {
			return Result{}, fmt.Errorf("%s: %w", f.Name, err)
		}
	}
	bundle, err := models.OpenDirectory(staging)
	if err == nil {
		err = bundle.Verify()
	}
	if err != nil {
		// What the hub holds is no bundle; keeping it would not help.
		return Result{}, errors.Join(err, os.RemoveAll(staging))
	}
	n := note{Repo: repo, Revision: revision, Commit: l.Commit, Hash: bundle.Hash}
	data, err := json.MarshalIndent(n, "", "  ")
	if err != nil {
		return Result{}, err
	}
	if err := root.WriteFile(noteName, append(data, '\n'), 0o644); err != nil {
		return Result{}, err
	}
	// Windows moves no directory that is open.
	if err := root.Close(); err != nil {
		return Result{}, err
	}
	if err := os.Rename(staging, directory); err != nil {
		return Result{}, err
	}
	return Result{Directory: directory, Repo: repo, Revision: revision, Commit: l.Commit, Hash: bundle.Hash, Fetched: c.fetched}, nil
}

func newClient(config Config) (*client, error) {
	endpoint, err := url.Parse(config.Endpoint)
	if err != nil || endpoint.Scheme != "http" && endpoint.Scheme != "https" || endpoint.Host == "" || endpoint.User != nil {
		return nil, fmt.Errorf("the endpoint is %q; want the http(s) address of a hub, without a password", config.Endpoint)
	}
	c := &client{config: config, endpoint: endpoint}
	if config.Client != nil {
		c.http = *config.Client
	}
	c.http.CheckRedirect = checkRedirect
	if c.config.Pause == 0 {
		c.config.Pause = 500 * time.Millisecond
	}
	if c.config.Stall == 0 {
		c.config.Stall = time.Minute
	}
	if c.config.Progress == nil {
		c.config.Progress = func(string, int64, int64) {}
	}
	return c, nil
}

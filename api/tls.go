package api

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// TLSFiles are the PEM files of a server that encrypts.
type TLSFiles struct {
	Cert, Key string
	// ClientCA, unless empty, makes every client show a certificate that one of
	// its authorities has signed.
	ClientCA string
	// MinVersion is tls.VersionTLS12 or later; 0 means that.
	MinVersion uint16
}

// certificateCheck is how often the files are looked at.
const certificateCheck = time.Second

// NewTLSConfig returns a configuration that reads the files again when they
// change, so that a renewed certificate needs no restart. Files that cannot be
// used are an error at the start; later the old ones stay, and the log says why.
func NewTLSConfig(files TLSFiles, logger *slog.Logger) (*tls.Config, error) {
	if logger == nil {
		logger = slog.New(slog.DiscardHandler)
	}
	if files.MinVersion == 0 {
		files.MinVersion = tls.VersionTLS12
	}
	if files.MinVersion < tls.VersionTLS12 {
		return nil, errors.New("tls: the least version is below 1.2")
	}
	k := &certificates{files: files, logger: logger}
	stamp := k.stamp()
	current, err := k.load()
	if err != nil {
		return nil, err
	}
	k.current, k.seen, k.checked = current, stamp, time.Now()
	return &tls.Config{
		MinVersion:         files.MinVersion,
		NextProtos:         []string{"h2", "http/1.1"},
		GetConfigForClient: func(*tls.ClientHelloInfo) (*tls.Config, error) { return k.get(), nil },
	}, nil
}

type certificates struct {
	files  TLSFiles
	logger *slog.Logger

	mu      sync.Mutex
	current *tls.Config
	seen    [3]fileStamp
	checked time.Time
}

type fileStamp struct {
	modified time.Time
	size     int64
}

func (k *certificates) stamp() (stamp [3]fileStamp) {
	for i, path := range [3]string{k.files.Cert, k.files.Key, k.files.ClientCA} {
		if path == "" {
			continue
		}
		if info, err := os.Stat(path); err == nil {
			stamp[i] = fileStamp{info.ModTime(), info.Size()}
		}
	}
	return stamp
}

func (k *certificates) load() (*tls.Config, error) {
	pair, err := tls.LoadX509KeyPair(k.files.Cert, k.files.Key)
	if err != nil {
		return nil, fmt.Errorf("tls: certificate %s and key %s: %w", k.files.Cert, k.files.Key, err)
	}
	config := &tls.Config{MinVersion: k.files.MinVersion, NextProtos: []string{"h2", "http/1.1"}, Certificates: []tls.Certificate{pair}}
	if k.files.ClientCA != "" {
		data, err := os.ReadFile(k.files.ClientCA)
		if err != nil {
			return nil, fmt.Errorf("tls: client authorities: %w", err)
		}
		config.ClientCAs = x509.NewCertPool()
		if !config.ClientCAs.AppendCertsFromPEM(data) {
			return nil, fmt.Errorf("tls: client authorities: %s holds no certificate", k.files.ClientCA)
		}
		config.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return config, nil
}

// get returns the configuration of the files as they are now.
func (k *certificates) get() *tls.Config {
	k.mu.Lock()
	defer k.mu.Unlock()
	if now := time.Now(); now.Sub(k.checked) >= certificateCheck {
		k.checked = now
		if stamp := k.stamp(); stamp != k.seen {
			// Certificate and key are two files: between the writing of both they
			// do not fit, and the next look finds that they have changed again.
			k.seen = stamp
			if config, err := k.load(); err != nil {
				k.logger.Error("the changed certificate cannot be used; the old one stays", "cause", err)
			} else {
				k.current = config
				k.logger.Info("the certificate was read again")
			}
		}
	}
	return k.current
}

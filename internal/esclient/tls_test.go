package esclient

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// authority makes certificates.
type authority struct {
	certificate *x509.Certificate
	key         *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "test authority"}, NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := x509.ParseCertificate(raw)
	if err != nil {
		t.Fatal(err)
	}
	return authority{certificate, key}
}

// serve starts a server with a certificate for an address, and returns its URL.
// It sends the authority's certificate too.
func (a authority) serve(t *testing.T, address string, until time.Time) string {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(2), NotAfter: until, IPAddresses: []net.IP{net.ParseIP(address)},
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	raw, err := x509.CreateCertificate(rand.Reader, template, a.certificate, key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("X-Elastic-Product", "Elasticsearch")
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{raw, a.certificate.Raw}, PrivateKey: key}}}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL
}

func (a authority) fingerprint() string {
	sum := sha256.Sum256(a.certificate.Raw)
	return hex.EncodeToString(sum[:])
}

func TestTrust(t *testing.T) {
	ours, other := newAuthority(t), newAuthority(t)
	file := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: ours.certificate.Raw}), 0o600); err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(time.Hour)
	good := ours.serve(t, "127.0.0.1", later)
	sum := strings.ToUpper(ours.fingerprint())
	for name, test := range map[string]struct {
		address string
		config  Config
		ok      bool
	}{
		"file":                            {good, Config{CAFile: file}, true},
		"fingerprint":                     {good, Config{CAFingerprint: sum}, true},
		"fingerprint with colons":         {good, Config{CAFingerprint: sum[:2] + ":" + sum[2:]}, true},
		"nothing":                         {good, Config{}, false},
		"another authority, file":         {other.serve(t, "127.0.0.1", later), Config{CAFile: file}, false},
		"another authority, fingerprint":  {other.serve(t, "127.0.0.1", later), Config{CAFingerprint: sum}, false},
		"another address, file":           {ours.serve(t, "127.0.0.2", later), Config{CAFile: file}, false},
		"another address, fingerprint":    {ours.serve(t, "127.0.0.2", later), Config{CAFingerprint: sum}, false},
		"no longer in force, fingerprint": {ours.serve(t, "127.0.0.1", time.Now().Add(-time.Minute)), Config{CAFingerprint: sum}, false},
	} {
		t.Run(name, func(t *testing.T) {
			c := DefaultConfig()
			c.Addresses, c.Retries, c.CAFile, c.CAFingerprint = []string{test.address}, 0, test.config.CAFile, test.config.CAFingerprint
			client, err := New(c)
			if err != nil {
				t.Fatal(err)
			}
			defer client.Close()
			err = client.Do(t.Context(), Request{Method: http.MethodGet, Path: "/"}, nil)
			if test.ok && err != nil || !test.ok && !errors.Is(err, ErrUnavailable) {
				t.Errorf("Do: %v, want success: %v", err, test.ok)
			}
		})
	}
}

func TestTrustFiles(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.pem")
	if err := os.WriteFile(empty, []byte("nothing"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{empty, empty + ".missing"} {
		c := DefaultConfig()
		c.Addresses, c.CAFile = []string{"https://127.0.0.1:1"}, file
		if _, err := New(c); err == nil || !strings.Contains(err.Error(), "ca_file") {
			t.Errorf("New with %s: %v, want an error that names ca_file", filepath.Base(file), err)
		}
	}
}

func TestTrustSettings(t *testing.T) {
	sum := strings.Repeat("ab", 32)
	for name, test := range map[string]struct {
		config Config
		want   string
	}{
		"good":                 {Config{Addresses: []string{"https://x"}, CAFingerprint: sum}, ""},
		"short fingerprint":    {Config{Addresses: []string{"https://x"}, CAFingerprint: "ab"}, "ca_fingerprint"},
		"file and fingerprint": {Config{Addresses: []string{"https://x"}, CAFingerprint: sum, CAFile: "x"}, "ca_fingerprint"},
		"not https":            {Config{Addresses: []string{"https://x", "http://y"}, CAFile: "x"}, "https"},
	} {
		t.Run(name, func(t *testing.T) {
			c := DefaultConfig()
			c.Addresses, c.CAFile, c.CAFingerprint = test.config.Addresses, test.config.CAFile, test.config.CAFingerprint
			err := c.Validate()
			if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
				t.Errorf("Validate: %v, want %q", err, test.want)
			}
		})
	}
}

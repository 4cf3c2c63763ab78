package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/needle-search/needle/models/onnx"
)

// diagnose runs needle doctor and returns its checks by name, the last one of
// each.
func diagnose(t *testing.T, args ...string) (map[string]onnx.Check, error) {
	t.Helper()
	out, err := needle(t, append([]string{"doctor", "--json"}, args...)...)
	var report onnx.Report
	if jsonErr := json.NewDecoder(strings.NewReader(out)).Decode(&report); jsonErr != nil {
		t.Fatalf("%v in %s (%v)", jsonErr, out, err)
	}
	checks := map[string]onnx.Check{}
	for _, c := range report.Checks {
		if !c.OK && (c.Remedy == "" || c.Detail == "") {
			t.Errorf("the fault %q says %q and to do %q; it must say both", c.Name, c.Detail, c.Remedy)
		}
		checks[c.Name] = c
	}
	return checks, err
}

func TestDoctorOfAHealthyMachine(t *testing.T) {
	needRuntime(t)
	data := filepath.Join(t.TempDir(), "not", "yet")
	checks, err := diagnose(t, "--data", data)
	if err != nil {
		t.Errorf("nothing is wrong, and doctor says %v: %+v", err, checks)
	}
	if _, err := os.Stat(data); err == nil {
		t.Error("doctor made the data directory")
	}
	for _, name := range []string{"configuration", "data directory", "disk", "temporary files", "library", "load", "model", "access", "address", "clock", "indexes"} {
		if !checks[name].OK {
			t.Errorf("check %q: got %+v, want it to be there and OK", name, checks[name])
		}
	}
	mustNeedle(t, "index", "add", write(t, t.TempDir(), "tower.txt", "The Eiffel Tower was designed by Gustave Eiffel."), "--data", data)
	checks, err = diagnose(t, "--data", data)
	if c := checks["index default"]; err != nil || !strings.Contains(c.Detail, "1 documents, 1 passages, all whole") {
		t.Errorf("got %+v, %v", c, err)
	}
}

func TestDoctorFindsWhatIsWrong(t *testing.T) {
	needRuntime(t)
	indexed := func(t *testing.T) string {
		data := t.TempDir()
		mustNeedle(t, "index", "add", write(t, t.TempDir(), "tower.txt", strings.Repeat("The Eiffel Tower was designed by Gustave Eiffel. ", 50)), "--data", data)
		return data
	}
	config := func(t *testing.T, text string) []string {
		return []string{"--config", write(t, t.TempDir(), "needle.yaml", text), "--data", t.TempDir()}
	}
	for _, c := range []struct {
		name, check, detail, remedy string
		args                        func(t *testing.T) []string
	}{
		{"configuration", "configuration", "analyser: unknown key", "configuration.md", func(t *testing.T) []string { return config(t, "retriever: {analyser: en}\n") }},
		{"data is a file", "data directory", "is a file", "chown", func(t *testing.T) []string { return []string{"--data", write(t, t.TempDir(), "file", "x")} }},
		{"data below a file", "data directory", "not a directory", "chown", func(t *testing.T) []string {
			return []string{"--data", filepath.Join(write(t, t.TempDir(), "file", "x"), "data")}
		}},
		{"library", "library", "", "", func(t *testing.T) []string {
			return config(t, "runtime: {library: "+write(t, t.TempDir(), "lib.so", "no library")+"}\n")
		}},
		{"bundle", "model", "", "models verify", func(t *testing.T) []string { return config(t, "reader: {bundle: "+t.TempDir()+"}\n") }},
		{"damaged index", "index", "", "Restore a backup", func(t *testing.T) []string {
			data := indexed(t)
			segments, err := filepath.Glob(filepath.Join(data, "indexes", "default", "store", "*.zap"))
			if err != nil || len(segments) == 0 {
				t.Fatalf("segments: %v, %v", segments, err)
			}
			text, err := os.ReadFile(segments[0])
			if err != nil {
				t.Fatal(err)
			}
			for i := 20; i < 60; i++ {
				text[i] ^= 0xff
			}
			if err := os.WriteFile(segments[0], text, 0o600); err != nil {
				t.Fatal(err)
			}
			return []string{"--data", data}
		}},
		{"newer index", "index", "newer format", "later one", func(t *testing.T) []string {
			data := indexed(t)
			path := filepath.Join(data, "indexes", "default", "needle.json")
			if err := os.WriteFile(path, []byte(`{"format": 99, "analyzer": "en"}`), 0o600); err != nil {
				t.Fatal(err)
			}
			return []string{"--data", data}
		}},
		{"store", "access", "damaged", "make new keys", func(t *testing.T) []string {
			data := t.TempDir()
			write(t, data, "store.db", strings.Repeat("\x00", 1<<16))
			return []string{"--data", data}
		}},
		{"open to everybody", "access", "anybody who reaches it", "keys create", func(t *testing.T) []string { return config(t, "server: {addr: '0.0.0.0:8080'}\n") }},
		{"Elasticsearch away", "elasticsearch", "", "Start Elasticsearch", func(t *testing.T) []string {
			return config(t, "retriever: {type: elastic, addresses: ['http://127.0.0.1:1']}\n")
		}},
		{"certificate", "certificate", "is valid from", "server.tls", func(t *testing.T) []string {
			cert, key := expiredCertificate(t)
			return config(t, "server: {tls: {cert: "+cert+", key: "+key+"}}\n")
		}},
		{"clock", "clock", "off that of the OpenID provider", "Set the clock", func(t *testing.T) []string {
			url := provider(t, func(w http.ResponseWriter) {
				w.Header().Set("Date", time.Now().Add(-time.Hour).UTC().Format(http.TimeFormat))
			})
			return config(t, "server: {auth: {jwt: {issuer: 'https://login.example', audience: [needle], jwks_url: '"+url+"'}}}\n")
		}},
		{"OpenID provider", "openid provider", "404", "jwks_url", func(t *testing.T) []string {
			url := provider(t, func(w http.ResponseWriter) { w.WriteHeader(http.StatusNotFound) })
			return config(t, "server: {auth: {jwt: {issuer: 'https://login.example', audience: [needle], jwks_url: '"+url+"'}}}\n")
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			checks, err := diagnose(t, c.args(t)...)
			got, there := checks[c.check]
			if c.check == "index" { // found when it is opened, or when it is read
				for _, name := range []string{"indexes", "index default"} {
					if one, ok := checks[name]; ok && !one.OK {
						got, there = one, true
					}
				}
			}
			if !there || got.OK || !strings.Contains(got.Detail, c.detail) || !strings.Contains(got.Remedy, c.remedy) {
				t.Errorf("got %+v of %+v, want a fault with %q and the remedy %q", got, checks, c.detail, c.remedy)
			}
			if err == nil {
				t.Error("doctor ends as if all were well")
			}
		})
	}
}

// TestDoctorAdvises: what works and could be better is no failure.
func TestDoctorAdvises(t *testing.T) {
	needRuntime(t)
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	data := t.TempDir()
	if err := os.Chmod(data, 0o777); err != nil { //nolint:gosec // that is what is to be noticed
		t.Fatal(err)
	}
	path := write(t, t.TempDir(), "needle.yaml", "server: {addr: '"+taken.Addr().String()+"'}\n")
	checks, err := diagnose(t, "--data", data, "--config", path)
	if err != nil {
		t.Errorf("advice ends in %v: %+v", err, checks)
	}
	for name, want := range map[string]string{"address": "in use", "data directory": "others may"} {
		if c := checks[name]; !c.OK || c.Remedy == "" || !strings.Contains(c.Detail, want) {
			t.Errorf("check %q: got %+v, want advice about %q", name, c, want)
		}
	}
	if out := mustNeedle(t, "doctor", "--data", data, "--config", path); !strings.Contains(out, "note   address") || !strings.Contains(out, "chmod") {
		t.Errorf("doctor prints %s", out)
	}
}

// TestDoctorAsksTheServer: while a server holds the directory, it is asked.
func TestDoctorAsksTheServer(t *testing.T) {
	server := startLive(t)
	checks, err := diagnose(t, "--data", server.data)
	if err != nil {
		t.Errorf("doctor ends in %v: %+v", err, checks)
	}
	for name, want := range map[string]string{"server": "is ready", "index default": "1 documents, 1 passages, all whole", "model": "answers a question"} {
		if c := checks[name]; !c.OK || !strings.Contains(c.Detail, want) {
			t.Errorf("check %q: got %+v, want %q", name, c, want)
		}
	}
}

func provider(t *testing.T, answer func(http.ResponseWriter)) (url string) {
	t.Helper()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { answer(w) }))
	t.Cleanup(server.Close)
	return server.URL
}

func expiredCertificate(t *testing.T) (cert, key string) {
	t.Helper()
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(-24 * time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	return write(t, dir, "cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))),
		write(t, dir, "key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret})))
}

package api_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/needle-search/needle/api"
)

// writeCert makes a certificate that signs itself and is its own authority.
func writeCert(t *testing.T, dir, name string, serial int64) (tls.Certificate, api.TLSFiles) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IsCA: true, BasicConstraintsValid: true, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	files := api.TLSFiles{Cert: filepath.Join(dir, name+".crt"), Key: filepath.Join(dir, name+".key")}
	for path, block := range map[string]*pem.Block{files.Cert: {Type: "CERTIFICATE", Bytes: der}, files.Key: {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		t.Fatal(err)
	}
	return pair, files
}

// get makes one request on a new connection and returns the serial number of
// the server's certificate.
func get(t *testing.T, url string, config *tls.Config) (serial int64, header http.Header, err error) {
	t.Helper()
	config.InsecureSkipVerify = true // the serial number is what is looked at
	transport := &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}
	defer transport.CloseIdleConnections()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url+"/healthz", nil)
	if err != nil {
		t.Fatal(err)
	}
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	return response.TLS.PeerCertificates[0].SerialNumber.Int64(), response.Header, nil
}

func TestTLS(t *testing.T) {
	dir := t.TempDir()
	_, files := writeCert(t, dir, "server", 1)
	client, clientFiles := writeCert(t, dir, "client", 7)
	stranger, _ := writeCert(t, dir, "stranger", 8)
	for name, demand := range map[string]bool{"without client certificates": false, "with client certificates": true} {
		t.Run(name, func(t *testing.T) {
			files := files
			if demand {
				files.ClientCA = clientFiles.Cert
			}
			config, err := api.NewTLSConfig(files, nil)
			if err != nil {
				t.Fatal(err)
			}
			server, err := api.New(newFake(), api.Config{}, nil)
			if err != nil {
				t.Fatal(err)
			}
			listener, err := net.Listen("tcp", "127.0.0.1:0")
			if err != nil {
				t.Fatal(err)
			}
			ctx, cancel := context.WithCancel(context.Background())
			served := make(chan error, 1)
			go func() { served <- server.Serve(ctx, tls.NewListener(listener, config)) }()
			defer func() { cancel(); <-served }()
			url := "https://" + listener.Addr().String()
			serial, header, err := get(t, url, &tls.Config{Certificates: []tls.Certificate{client}})
			if err != nil || header.Get("Strict-Transport-Security") == "" {
				t.Errorf("got serial %d, %v, %v", serial, header, err)
			}
			if _, _, err := get(t, url, &tls.Config{Certificates: []tls.Certificate{client}, MaxVersion: tls.VersionTLS11}); err == nil {
				t.Error("TLS 1.1 was accepted")
			}
			for who, c := range map[string]*tls.Config{"nobody": {}, "a stranger": {Certificates: []tls.Certificate{stranger}}} {
				if _, _, err := get(t, url, c); demand != (err != nil) {
					t.Errorf("%s: got %v", who, err)
				}
			}
			// A renewed certificate is used without a restart; a broken one is not.
			next := serial + 1
			writeCert(t, dir, "server", next)
			for deadline := time.Now().Add(30 * time.Second); serial != next && time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
				if serial, _, err = get(t, url, &tls.Config{Certificates: []tls.Certificate{client}}); err != nil {
					t.Fatal(err)
				}
			}
			if serial != next {
				t.Errorf("got serial %d after the change, want %d", serial, next)
			}
			good, err := os.ReadFile(files.Cert)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(files.Cert, []byte("broken"), 0o600); err != nil {
				t.Fatal(err)
			}
			time.Sleep(1100 * time.Millisecond) // longer than between two looks
			if serial, _, err = get(t, url, &tls.Config{Certificates: []tls.Certificate{client}}); err != nil || serial != next {
				t.Errorf("with a broken file: got serial %d, %v, want the old certificate", serial, err)
			}
			if err := os.WriteFile(files.Cert, good, 0o600); err != nil {
				t.Fatal(err)
			}
		})
	}
	if _, err := api.NewTLSConfig(api.TLSFiles{Cert: filepath.Join(dir, "absent"), Key: files.Key}, nil); err == nil {
		t.Error("a missing certificate: got no error")
	}
	if _, err := api.NewTLSConfig(api.TLSFiles{Cert: files.Cert, Key: files.Key, MinVersion: tls.VersionTLS10}, nil); err == nil {
		t.Error("TLS 1.0: got no error")
	}
}

func TestServeLocal(t *testing.T) {
	kept := newStore(t)
	server, err := api.New(newFake(), api.Config{Access: api.Access{Store: kept, LocalToken: "needle_local_x"}}, nil)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- server.ServeLocal(ctx, listener) }()
	defer func() { cancel(); http.DefaultClient.CloseIdleConnections(); <-served }()
	for token, want := range map[string]int{"": 401, "needle_local_y": 401, "needle_local_x": 200} {
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+listener.Addr().String()+"/v1/indexes", nil)
		if err != nil {
			t.Fatal(err)
		}
		if token != "" {
			request.Header.Set("Authorization", "Bearer "+token)
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		response.Body.Close()
		if response.StatusCode != want {
			t.Errorf("%q: got %d, want %d, also while there are no keys", token, response.StatusCode, want)
		}
	}
}

package esclient

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"errors"
)

var errFingerprint = errors.New("no certificate of the server has the fingerprint in ca_fingerprint")

// pinned trusts the certificate with a fingerprint as an authority, wherever it
// stands in the chain that the server sends. The rest is verified as usual: the
// server's certificate must be signed by it, in force, and for the server's
// name, unless it is the pinned one itself. The hosts are those that may be
// spoken to.
func pinned(sum []byte, hosts []string) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS12,
		// What the library would verify with the system's authorities is
		// verified by VerifyConnection.
		InsecureSkipVerify: true,
		VerifyConnection: func(state tls.ConnectionState) error {
			roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
			known := false
			for i, certificate := range state.PeerCertificates {
				its := sha256.Sum256(certificate.Raw)
				if !bytes.Equal(its[:], sum) {
					intermediates.AddCert(certificate)
					continue
				}
				if i == 0 {
					return nil // the very certificate that was asked for
				}
				known = true
				roots.AddCert(certificate)
			}
			if !known {
				return errFingerprint
			}
			names := hosts
			if state.ServerName != "" { // not known for an IP address
				names = []string{state.ServerName}
			}
			var err error
			for _, name := range names {
				_, err = state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: intermediates, DNSName: name})
				if err == nil {
					return nil
				}
			}
			return err
		},
	}
}

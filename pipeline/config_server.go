package pipeline

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/needle-search/needle/auth"
)

// Server is about `needle serve`.
type Server struct {
	// Addr is host:port. Other than loopback addresses need keys or tokens; see
	// [Server.CheckExposure].
	Addr string `yaml:"addr"`
	// AllowPublic lets everybody who reaches the address ask, read and write as
	// long as there are no keys.
	AllowPublic bool `yaml:"allow_public"`
	// Hosts are names, beside localhost and IP addresses, by which requests may
	// address a server on loopback, such as that of a proxy in front of it.
	Hosts []string `yaml:"hosts"`
	// MaxBodyBytes is the longest request body.
	MaxBodyBytes ByteSize `yaml:"max_body_bytes"`
	// MaxFileBytes is the largest file that may be uploaded.
	MaxFileBytes ByteSize `yaml:"max_file_bytes"`
	Auth         Auth     `yaml:"auth"`
	TLS          TLS      `yaml:"tls"`
	Audit        Audit    `yaml:"audit"`
	// CORSOrigins are the origins, such as https://app.example.com, whose pages
	// may call the API.
	CORSOrigins []string `yaml:"cors_origins"`
}

// Auth says who may use the server beside the keys in its store.
type Auth struct {
	// Required demands a key also while there is none.
	Required bool `yaml:"required"`
	JWT      JWT  `yaml:"jwt"`
}

// JWT accepts the tokens of an OpenID provider. It is off while Issuer is
// empty.
type JWT struct {
	// Issuer is what tokens must name as iss.
	Issuer string `yaml:"issuer"`
	// Audience lists what tokens may name as aud; one of them is needed.
	Audience []string `yaml:"audience"`
	// JWKSURL is where the provider's public keys are.
	JWKSURL string `yaml:"jwks_url"`
	// Algorithms are the signatures that are accepted, asymmetric ones only.
	Algorithms []string `yaml:"algorithms"`
	// ClockSkew is how far the provider's clock may be off.
	ClockSkew time.Duration `yaml:"clock_skew"`
	// SubjectClaim, RolesClaim and GroupsClaim are the claims that name the
	// caller, its roles and its groups; a dot leads into an object.
	SubjectClaim string `yaml:"subject_claim"`
	RolesClaim   string `yaml:"roles_claim"`
	GroupsClaim  string `yaml:"groups_claim"`
	// Roles says what a value of the roles claim stands for: roles such as
	// search or write:hr.
	Roles map[string][]string `yaml:"roles"`
	// DefaultRoles are those of every valid token.
	DefaultRoles []string `yaml:"default_roles"`
	// Rate is how many requests a second each subject may send; 0 means as many
	// as it likes.
	Rate float64 `yaml:"rate"`
}

// TLS encrypts connections. It is off while Cert is empty.
type TLS struct {
	// Cert and Key are PEM files; they are read again when they change.
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
	// ClientCA, a PEM file, makes clients show a certificate of it.
	ClientCA string `yaml:"client_ca"`
	// MinVersion is 1.2 or 1.3.
	MinVersion string `yaml:"min_version"`
}

// Audit is the log of writes and administration.
type Audit struct {
	// File is its path, relative to the data directory; empty means none.
	File string `yaml:"file"`
	// MaxBytes is when a new file is begun, MaxBackups how many old ones stay.
	MaxBytes   ByteSize `yaml:"max_bytes"`
	MaxBackups int      `yaml:"max_backups"`
}

func defaultServer() Server {
	return Server{
		Addr: "127.0.0.1:8080", MaxBodyBytes: 96 << 20, MaxFileBytes: 256 << 20,
		Auth: Auth{JWT: JWT{
			Algorithms: []string{"RS256", "ES256", "EdDSA"}, ClockSkew: time.Minute,
			SubjectClaim: "sub", RolesClaim: "roles", GroupsClaim: "groups",
		}},
		TLS:   TLS{MinVersion: "1.2"},
		Audit: Audit{File: "audit.jsonl", MaxBytes: 100 << 20, MaxBackups: 10},
	}
}

// asymmetric are the signatures that a server can check without a secret. HMAC
// and none are left out: a public key taken for a secret would let anybody sign.
var asymmetric = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA"}

func (s *Server) validate() []error {
	var faults []error
	fault := func(key string, value any, allowed string) {
		faults = append(faults, fmt.Errorf("server.%s: %v; allowed is %s", key, value, allowed))
	}
	if _, _, err := net.SplitHostPort(s.Addr); err != nil {
		fault("addr", fmt.Sprintf("%q", s.Addr), "host:port")
	}
	if s.MaxFileBytes < 1 {
		fault("max_file_bytes", s.MaxFileBytes, "1 or more")
	}
	if s.MaxBodyBytes < 1 {
		fault("max_body_bytes", s.MaxBodyBytes, "1 or more")
	}
	for _, origin := range s.CORSOrigins {
		u, err := url.Parse(origin)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || origin != u.Scheme+"://"+u.Host {
			fault("cors_origins", fmt.Sprintf("%q", origin), "an origin such as https://app.example.com; * is not, because pages of strangers could call the API")
		}
	}
	if (s.TLS.Cert == "") != (s.TLS.Key == "") {
		fault("tls", "only one of cert and key is set", "both or none")
	}
	if s.TLS.ClientCA != "" && s.TLS.Cert == "" {
		fault("tls.client_ca", fmt.Sprintf("%q", s.TLS.ClientCA), "nothing while tls.cert is empty")
	}
	if s.TLS.MinVersion != "1.2" && s.TLS.MinVersion != "1.3" {
		fault("tls.min_version", fmt.Sprintf("%q", s.TLS.MinVersion), `"1.2" or "1.3"`)
	}
	if s.Audit.MaxBytes < 1<<20 {
		fault("audit.max_bytes", s.Audit.MaxBytes, "1MiB or more")
	}
	if s.Audit.MaxBackups < 0 {
		fault("audit.max_backups", s.Audit.MaxBackups, "0 (all) or more")
	}
	for _, err := range s.Auth.JWT.validate() {
		faults = append(faults, fmt.Errorf("server.auth.jwt.%w", err))
	}
	return faults
}

// Enabled reports whether tokens are accepted.
func (j *JWT) Enabled() bool { return j.Issuer != "" }

func (j *JWT) validate() []error {
	var faults []error
	fault := func(format string, args ...any) { faults = append(faults, fmt.Errorf(format, args...)) }
	for _, algorithm := range j.Algorithms {
		if !slices.Contains(asymmetric, algorithm) {
			fault("algorithms: %q; allowed are %s", algorithm, strings.Join(asymmetric, ", "))
		}
	}
	if j.ClockSkew < 0 || j.ClockSkew > 10*time.Minute {
		fault("clock_skew: %v; allowed is 0s to 10m", j.ClockSkew)
	}
	if !(j.Rate >= 0) {
		fault("rate: %v; allowed is 0 (no limit) or more", j.Rate)
	}
	for value, roles := range j.Roles {
		if _, err := auth.ParseGrants(roles); err != nil {
			fault("roles.%s: %s", value, strings.ReplaceAll(err.Error(), "\n", "; "))
		}
	}
	if _, err := auth.ParseGrants(j.DefaultRoles); err != nil {
		fault("default_roles: %s", strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	if !j.Enabled() {
		if j.JWKSURL != "" || len(j.Audience) > 0 {
			fault("issuer: %q; allowed is the provider's address, since jwks_url or audience is set", "")
		}
		return faults
	}
	if len(j.Audience) == 0 || slices.Contains(j.Audience, "") {
		fault("audience: %q; allowed is a list of names, because tokens for other services must not open this one", j.Audience)
	}
	if u, err := url.Parse(j.JWKSURL); err != nil || u.Host == "" || u.Scheme != "https" && !(u.Scheme == "http" && isLoopback(u.Hostname())) {
		fault("jwks_url: %q; allowed is an https URL (http on loopback)", j.JWKSURL)
	}
	if len(j.Algorithms) == 0 {
		fault("algorithms: none; allowed are %s", strings.Join(asymmetric, ", "))
	}
	if j.SubjectClaim == "" {
		fault("subject_claim: %q; allowed is the name of a claim", "")
	}
	return faults
}

// ErrExposed says that a server would be open to everybody who reaches it.
var ErrExposed = errors.New("the address is not a loopback address, and there is no key, so anybody who reaches it could read and write")

// CheckExposure reports whether a server with this configuration would be open
// to everybody beyond this machine; haveKeys says whether its store has keys.
// The error wraps [ErrExposed] and says what to do.
func (s *Server) CheckExposure(haveKeys bool) error {
	host, _, err := net.SplitHostPort(s.Addr)
	if err == nil && isLoopback(host) || haveKeys || s.AllowPublic || s.Auth.Required || s.Auth.JWT.Enabled() {
		return nil
	}
	return fmt.Errorf("server.addr: %q: %w; make a key first (needle keys create), set server.auth, put a proxy with authentication in front of a loopback address, or set server.allow_public: true", s.Addr, ErrExposed)
}

func isLoopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

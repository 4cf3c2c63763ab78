package api

import (
	"cmp"
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gin-gonic/gin"
	"golang.org/x/time/rate"

	"github.com/needle-search/needle/api/internal/wire"
	"github.com/needle-search/needle/auth"
	"github.com/needle-search/needle/pipeline"
	"github.com/needle-search/needle/retriever"
)

// keyIdentity is where a request keeps who sent it.
const keyIdentity = "needle.identity"

// A TokenVerifier checks bearer tokens that are no API keys, such as those of an
// OpenID provider. Errors that wrap [auth.ErrUnauthenticated] are the token's
// fault; all others the verifier's.
type TokenVerifier interface {
	Verify(ctx context.Context, token string) (auth.Identity, error)
}

// authenticate finds out who sends a request and lets it through as far as the
// route's rule says.
func (s *Server) authenticate(c *gin.Context) {
	route := c.FullPath()
	if route == "" {
		c.Next() // there is nothing at this path, for nobody
		return
	}
	rule, known := s.rules[c.Request.Method+" "+route]
	if !known {
		s.refuse(c, problemError{wire.CodeForbidden, "This route is not open to anybody."})
		return
	}
	if rule.open {
		c.Next()
		return
	}
	who, err := s.identify(c)
	if err == nil {
		c.Set(keyIdentity, who)
		err = s.allowedNow(c, who)
	}
	if err == nil {
		err = s.allowed(c, rule, who)
	}
	if err != nil {
		s.refuse(c, err)
		return
	}
	c.Next()
}

func (s *Server) refuse(c *gin.Context, err error) {
	if errors.Is(err, auth.ErrUnauthenticated) {
		c.Header("WWW-Authenticate", `Bearer realm="needle"`)
	}
	s.fail(c, err)
	c.Abort()
}

// Open reports whether requests need no key: none was ever made, no token
// verifier is configured, and keys are not demanded.
func (s *Server) open(ctx context.Context) (bool, error) {
	if s.config.RequireKeys || s.config.Tokens != nil {
		return false, nil
	}
	if s.config.Store == nil {
		return true, nil
	}
	has, err := s.config.Store.HasKeys(ctx)
	return !has, err
}

// identify returns who sent a request.
func (s *Server) identify(c *gin.Context) (auth.Identity, error) {
	ctx := c.Request.Context()
	if ctx.Value(localOnly{}) != nil {
		return s.identifyLocal(c)
	}
	if open, err := s.open(ctx); err != nil {
		return auth.Identity{}, err
	} else if open {
		return auth.Everything(auth.AnonymousID), nil
	}
	credential, err := credential(c)
	if err != nil {
		return auth.Identity{}, err
	}
	if s.isLocalToken(c, credential) {
		return auth.Everything(auth.LocalID), nil
	}
	if strings.HasPrefix(credential, auth.KeyPrefix) || s.config.Tokens == nil {
		if s.config.Store == nil {
			return auth.Identity{}, auth.ErrUnauthenticated
		}
		return s.config.Store.Authenticate(ctx, credential)
	}
	return s.config.Tokens.Verify(ctx, credential)
}

func (s *Server) isLocalToken(c *gin.Context, given string) bool {
	return s.config.LocalToken != "" && fromThisMachine(c) && subtle.ConstantTimeCompare([]byte(given), []byte(s.config.LocalToken)) == 1
}

func (s *Server) identifyLocal(c *gin.Context) (auth.Identity, error) {
	given, err := credential(c)
	if err != nil || !s.isLocalToken(c, given) {
		return auth.Identity{}, auth.ErrUnauthenticated
	}
	return auth.Everything(auth.LocalID), nil
}

// credential returns the key or token of a request: a bearer token, or the
// header X-API-Key, which gateways often use.
func credential(c *gin.Context) (string, error) {
	given := c.Request.Header.Values("Authorization")
	key := c.Request.Header.Values("X-Api-Key")
	switch {
	case len(given)+len(key) == 0:
		return "", fmt.Errorf("%w: send Authorization: Bearer KEY", auth.ErrUnauthenticated)
	case len(given)+len(key) > 1:
		return "", fmt.Errorf("%w: there are several; send one", auth.ErrUnauthenticated)
	case len(key) == 1:
		return strings.TrimSpace(key[0]), nil
	}
	scheme, token, _ := strings.Cut(strings.TrimSpace(given[0]), " ")
	if !strings.EqualFold(scheme, "Bearer") || strings.TrimSpace(token) == "" {
		return "", fmt.Errorf("%w: send Authorization: Bearer KEY", auth.ErrUnauthenticated)
	}
	return strings.TrimSpace(token), nil
}

func fromThisMachine(c *gin.Context) bool {
	host, _, err := net.SplitHostPort(c.Request.RemoteAddr)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
}

// allowed holds a caller against the rule of a route.
func (s *Server) allowed(c *gin.Context, r rule, who auth.Identity) error {
	switch r.on {
	case onAny:
		for _, role := range r.roles {
			if who.Grants.MayAny(role) {
				return nil
			}
		}
		return forbidden(r.roles, "any index")
	case onIndex:
		name, err := indexName(c)
		if err != nil {
			return err
		}
		return s.may(who, name, r.roles...)
	}
	for _, role := range r.roles {
		if who.May(role, auth.AllIndexes) {
			return nil
		}
	}
	return forbidden(r.roles, "all indexes")
}

// may reports why a caller has none of the roles on an index. An index on which
// it has no role at all does not exist for it, whether there is one or not.
func (s *Server) may(who auth.Identity, index string, roles ...auth.Role) error {
	index = s.indexOf(index)
	for _, role := range roles {
		if who.May(role, index) {
			return nil
		}
	}
	if !who.Grants.Sees(index) {
		return fmt.Errorf("%w: %q", retriever.ErrIndexNotFound, index)
	}
	return forbidden(roles, fmt.Sprintf("index %q", index))
}

func forbidden(roles []auth.Role, where string) error {
	names := make([]string, len(roles))
	for i, r := range roles {
		names[i] = string(r)
	}
	return fmt.Errorf("%w: it needs the role %s on %s", auth.ErrForbidden, strings.Join(names, " or "), where)
}

// indexOf returns the name of an index, that of the configured one for none.
func (s *Server) indexOf(name string) string { return cmp.Or(name, s.config.DefaultIndex) }

// identity returns who sent a request. Where authenticate has not let it
// through, that is nobody, who may do nothing.
func identity(c *gin.Context) auth.Identity {
	who, _ := c.Value(keyIdentity).(auth.Identity)
	return who
}

// access says what the caller of a request may see of an index. Groups come
// from the key or token only; those that the request names narrow them.
func access(who auth.Identity, index string, narrow []string) pipeline.Access {
	a := pipeline.Access{Groups: slices.Clone(who.Groups)}
	if who.SeesAll(index) {
		a = pipeline.FullAccess()
	}
	return a.Narrow(narrow)
}

// limiters hold what each caller may still send.
type limiters struct {
	mu   sync.Mutex
	byID map[string]*rate.Limiter
}

// maxLimiters is when callers are forgotten that have not used what they may.
const maxLimiters = 10_000

// allowedNow takes one request off what the caller may send.
func (s *Server) allowedNow(c *gin.Context, who auth.Identity) error {
	if who.Rate <= 0 {
		return nil
	}
	burst := who.Burst
	if burst < 1 {
		burst = max(1, int(math.Ceil(who.Rate)))
	}
	wait := s.limiters.take(who.ID, rate.Limit(who.Rate), burst)
	if wait <= 0 {
		return nil
	}
	c.Header("Retry-After", strconv.Itoa(int(math.Ceil(wait.Seconds()))))
	return fmt.Errorf("%w: %g requests a second, %d at once", auth.ErrRateLimited, who.Rate, burst)
}

// take takes one off what a caller may send, or says how long it must wait.
func (ls *limiters) take(id string, limit rate.Limit, burst int) time.Duration {
	now := time.Now()
	ls.mu.Lock()
	l := ls.byID[id]
	if l == nil {
		if len(ls.byID) >= maxLimiters {
			// One that is full is the same as a new one.
			for id, old := range ls.byID {
				if old.TokensAt(now) >= float64(old.Burst()) {
					delete(ls.byID, id)
				}
			}
		}
		l = rate.NewLimiter(limit, burst)
		ls.byID[id] = l
	}
	ls.mu.Unlock()
	r := l.ReserveN(now, 1)
	wait := r.DelayFrom(now)
	if wait > 0 {
		r.CancelAt(now)
	}
	return wait
}

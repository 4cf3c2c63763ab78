package pipeline

import (
	"reflect"
	"strings"
)

// limits returns the limits in force.
func (p *Pipeline) limits() *Limits { return p.live.Load() }

// SetLimits changes the limits of requests that come from now on: Timeout,
// Budget, MaxQuestionTokens, MaxDocumentBytes and CacheBytes. The others need a
// new pipeline and stay as they are; see [Config.Reloadable]. The values must
// have been validated.
func (p *Pipeline) SetLimits(limits Limits) {
	now := *p.limits()
	now.Timeout, now.Budget = limits.Timeout, limits.Budget
	now.MaxQuestionTokens, now.MaxDocumentBytes = limits.MaxQuestionTokens, limits.MaxDocumentBytes
	if p.cache != nil && limits.CacheBytes > 0 {
		now.CacheBytes = limits.CacheBytes
		p.cache.resize(int64(limits.CacheBytes))
	}
	p.live.Store(&now)
}

// Reloadable splits the keys in which another configuration differs into those
// that a running server can take over and those that need a restart.
func (c *Config) Reloadable(other *Config) (live, restart []string) {
	for _, key := range changedKeys(reflect.ValueOf(*c), reflect.ValueOf(*other), "") {
		switch key {
		case "log.level", "limits.timeout", "limits.budget", "limits.max_question_tokens", "limits.max_document_bytes":
			live = append(live, key)
		case "limits.cache_bytes":
			if c.Limits.CacheBytes > 0 && other.Limits.CacheBytes > 0 {
				live = append(live, key)
			} else {
				restart = append(restart, key) // switched on or off
			}
		default:
			restart = append(restart, key)
		}
	}
	return live, restart
}

// changedKeys lists the keys of configuration values that differ.
func changedKeys(a, b reflect.Value, path string) []string {
	if a.Kind() != reflect.Struct {
		if reflect.DeepEqual(a.Interface(), b.Interface()) {
			return nil
		}
		return []string{path}
	}
	var keys []string
	for i := range a.NumField() {
		field := a.Type().Field(i)
		if !field.IsExported() {
			continue
		}
		name, flags, _ := strings.Cut(field.Tag.Get("yaml"), ",")
		inner := path
		if name == "-" || flags == "inline" {
			// Options of a type stand beside the section's own keys.
		} else if path == "" {
			inner = name
		} else {
			inner = path + "." + name
		}
		if name == "-" {
			if !reflect.DeepEqual(a.Field(i).Interface(), b.Field(i).Interface()) {
				keys = append(keys, inner)
			}
			continue
		}
		keys = append(keys, changedKeys(a.Field(i), b.Field(i), inner)...)
	}
	return keys
}

package pipeline

import (
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/goccy/go-yaml"
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
	for _, key := range changedKeys(c, other) {
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

// changedKeys lists the keys in which two configurations differ, in order.
func changedKeys(a, b *Config) []string {
	before, now := flatSettings(a), flatSettings(b)
	all := maps.Clone(before)
	maps.Copy(all, now)
	return slices.DeleteFunc(slices.Sorted(maps.Keys(all)), func(key string) bool {
		return reflect.DeepEqual(before[key], now[key])
	})
}

// flatSettings returns all settings by dotted key.
func flatSettings(c *Config) map[string]any {
	flat := make(map[string]any)
	var add func(prefix string, list yaml.MapSlice)
	add = func(prefix string, list yaml.MapSlice) {
		for _, item := range list {
			key := prefix + fmt.Sprint(item.Key)
			if inner, ok := item.Value.(yaml.MapSlice); ok {
				add(key+".", inner)
			} else {
				flat[key] = item.Value
			}
		}
	}
	add("", settings(reflect.ValueOf(c).Elem()))
	return flat
}

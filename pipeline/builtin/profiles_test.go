package builtin_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/needle-search/needle/models"
	embedded "github.com/needle-search/needle/models/builtin"
	"github.com/needle-search/needle/pipeline"
)

// TestBundleBringsItsProfiles: a bundle that nobody knows answers with the
// probabilities that its own manifest says how to make.
func TestBundleBringsItsProfiles(t *testing.T) {
	needRuntime(t)
	bundle, err := embedded.Bundle()
	if err != nil {
		t.Fatal(err)
	}
	known, err := configured(t, "").BundleProfiles(bundle)
	if err != nil || len(known) == 0 {
		t.Fatalf("%d profiles of the embedded bundle, %v", len(known), err)
	}
	tests := []struct {
		name       string
		profiles   []json.RawMessage
		calibrated bool
		want       string
	}{
		{"none", nil, false, ""},
		{"its own", known, true, ""},
		{"no profile", []json.RawMessage{json.RawMessage(`{"colour": 1}`)}, false, `needle.json: profiles[0]: invalid score profile: json: unknown field "colour"`},
		{"of another bundle", []json.RawMessage{known[0], json.RawMessage(strings.Replace(string(known[0]), `"bundle":""`, `"bundle":"00ff"`, 1))}, false, `needle.json: profiles[1]: invalid score profile: bundle: "00ff"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := copyOfBuiltin(t)
			c.manifest(func(m *models.Manifest) { m.Name, m.Profiles = "copy", test.profiles })
			p, err := pipeline.Open(t.Context(), configured(t, "reader: {bundle: %q}", c.dir))
			if err == nil {
				defer p.Close()
			}
			if test.want != "" {
				if !errors.Is(err, models.ErrInvalidBundle) || !strings.Contains(err.Error(), test.want) {
					t.Errorf("got %v, want ErrInvalidBundle with %s", err, test.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			status, err := p.Models(t.Context())
			if err != nil || len(status) != 1 || status[0].Calibrated != test.calibrated || status[0].Model.Name != "copy" {
				t.Errorf("models: %+v, %v; want calibrated %v", status, err, test.calibrated)
			}
		})
	}
}

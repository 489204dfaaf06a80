/*
Copyright 2026 The Farpoint Authors.

Licensed under the Apache License, Version 2.0 (the "License");
you may not use this file except in compliance with the License.
You may obtain a copy of the License at

    http://www.apache.org/licenses/LICENSE-2.0

Unless required by applicable law or agreed to in writing, software
distributed under the License is distributed on an "AS IS" BASIS,
WITHOUT WARRANTIES OR CONDITIONS OF ANY KIND, either express or implied.
See the License for the specific language governing permissions and
limitations under the License.
*/

package targets_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/test/fixtures"
)

const (
	active   = farpointv1.EndpointActive
	draining = farpointv1.EndpointDraining
	disabled = farpointv1.EndpointDisabled
)

// after returns a time after noon.
func after(wait time.Duration) *metav1.Time {
	return &metav1.Time{Time: fixtures.Noon.Add(wait)}
}

func entry(address string, port int32, state farpointv1.EndpointState, until *metav1.Time) farpointv1.EndpointStateEntry {
	return farpointv1.EndpointStateEntry{Address: address, Port: port, State: state, Until: until}
}

func TestEndpointStates_StricterOne_Counts(t *testing.T) {
	for name, test := range map[string]struct {
		state   farpointv1.EndpointState
		until   *metav1.Time
		entries []farpointv1.EndpointStateEntry
		want    string
	}{
		"none":                           {"", nil, nil, "Active"},
		"an entry for all ports":         {"", nil, []farpointv1.EndpointStateEntry{entry("192.0.2.1", 0, draining, nil)}, "Draining"},
		"an entry for the port":          {"", nil, []farpointv1.EndpointStateEntry{entry("192.0.2.1", 8080, draining, nil)}, "Draining"},
		"an entry for another port":      {"", nil, []farpointv1.EndpointStateEntry{entry("192.0.2.1", 8081, draining, nil)}, "Active"},
		"an entry for another address":   {"", nil, []farpointv1.EndpointStateEntry{entry("192.0.2.9", 0, draining, nil)}, "Active"},
		"a stricter entry":               {draining, nil, []farpointv1.EndpointStateEntry{entry("192.0.2.1", 0, disabled, nil)}, "Disabled"},
		"a stricter spec":                {disabled, nil, []farpointv1.EndpointStateEntry{entry("192.0.2.1", 0, draining, nil)}, "Disabled"},
		"an active entry":                {draining, nil, []farpointv1.EndpointStateEntry{entry("192.0.2.1", 0, active, nil)}, "Draining"},
		"entries for all ports and one":  {"", nil, []farpointv1.EndpointStateEntry{entry("192.0.2.1", 0, draining, nil), entry("192.0.2.1", 8080, disabled, after(time.Hour))}, "Disabled until 1h0m0s"},
		"a state that has ended":         {disabled, after(0), nil, "Active"},
		"a state that ends":              {disabled, after(time.Second), nil, "Disabled until 1s"},
		"an entry that has ended":        {draining, nil, []farpointv1.EndpointStateEntry{entry("192.0.2.1", 0, disabled, after(-time.Hour))}, "Draining"},
		"two ends of one state":          {draining, after(time.Hour), []farpointv1.EndpointStateEntry{entry("192.0.2.1", 0, draining, after(time.Minute))}, "Draining until 1h0m0s"},
		"an end of one of equal states":  {draining, after(time.Hour), []farpointv1.EndpointStateEntry{entry("192.0.2.1", 0, draining, nil)}, "Draining"},
		"an entry that is no IP address": {"", nil, []farpointv1.EndpointStateEntry{entry("192.0.2.01", 0, disabled, nil)}, "Active"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCompilation(0)
			spec := fixtures.At("192.0.2.1", 8080)
			spec.State, spec.StateUntil = test.state, test.until
			c.object.Spec.Endpoints, c.object.Spec.EndpointStates = []farpointv1.Endpoint{spec}, test.entries
			c.planner = c.planner.At(fixtures.Noon.Time)
			compiled := c.compile()
			if len(compiled.Accepted) != 1 {
				t.Fatalf("%d endpoints: entries create or remove some", len(compiled.Accepted))
			}
			accepted := compiled.Accepted[0]
			got := string(accepted.Spec.State)
			if got == "" {
				got = "Active"
			}
			if !accepted.StateUntil.IsZero() {
				got += fmt.Sprint(" until ", accepted.StateUntil.Sub(fixtures.Noon.Time))
			}
			if got != test.want {
				t.Errorf("%s, want %s", got, test.want)
			}
			if c.object.Spec.Endpoints[0].State != test.state {
				t.Error("the object was changed")
			}
		})
	}
}

func TestEndpointStates_EntryForAName_HoldsForItsAddresses(t *testing.T) {
	spec := fixtures.SpecOf("db.example", "192.0.2.1", "2001:db8::1")
	spec.EndpointStates = []farpointv1.EndpointStateEntry{entry("DB.example.", 0, draining, nil), entry("192.0.2.7", 0, disabled, nil), entry("2001:DB8:0::1", 0, draining, nil)}
	expansion := expanding(zone{"db.example A": resolved("192.0.2.6", "192.0.2.7")}).Expand(spec)
	var got []string
	planned := fixtures.PlannedWith(t, expansion, fixtures.OnePort)
	for _, accepted := range planned.Accepted {
		got = append(got, accepted.Text+" "+string(accepted.Spec.State))
	}
	if text := strings.Join(got, ", "); text != "192.0.2.6 Draining, 192.0.2.7 Disabled, 192.0.2.1 , 2001:db8::1 Draining" {
		t.Error(text)
	}
}

// The targets of a generation are compiled again when a state ends, and not before.
func TestHistory_StateEnds_CompilesAgain(t *testing.T) {
	c := newCompilation(2)
	c.object.Spec.EndpointStates = []farpointv1.EndpointStateEntry{entry("192.0.0.1", 0, disabled, after(time.Minute))}
	c.planner = c.planner.At(fixtures.Noon.Time)
	first := c.compile()
	c.planner = c.planner.At(fixtures.Noon.Add(59 * time.Second))
	if !sameTargets(first, c.compile()) {
		t.Error("compiled again before the state has ended")
	}
	c.planner = c.planner.At(fixtures.Noon.Add(time.Minute))
	ended := c.compile()
	if sameTargets(first, ended) || ended.Accepted[0].Spec.State == disabled || ended.Probers[0].Prober == nil {
		t.Errorf("%+v", ended.Accepted[0])
	}
}

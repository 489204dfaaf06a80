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

package availability

import (
	"fmt"
	"strings"
	"testing"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/endpoint"
	"farpoint.dev/farpoint/controllers/slicestate"
	"farpoint.dev/farpoint/probes/health"
	"farpoint.dev/farpoint/test/fixtures"
)

// publishedAtPorts are the conditions of each endpoint at each port in the slices that are
// planned for these verdicts.
func publishedAtPorts(t *testing.T, all []endpoint.Verdict) string {
	t.Helper()
	wants := fixtures.Wants(SplitByRole(all))
	_, written := fixtures.PlanAndApply(t, wants, nil)
	conditions := fixtures.ConditionsAtPorts(t, written)
	var words []string
	for i := range all {
		for _, port := range all[i].Ports.Ports {
			words = append(words, conditions[fmt.Sprintf("%s %s/%s", all[i].Text, *port.Name, *port.Protocol)])
		}
	}
	return strings.Join(words, " ")
}

func TestAssign_FamiliesAndPorts_AreEvaluatedSeparately(t *testing.T) {
	type rules = Rules
	const all, last = farpointv1.PublishAll, farpointv1.PublishLastHealthy
	tests := []struct {
		name      string
		rules     rules
		endpoints []string
		want      string // for each endpoint and port
	}{
		{"a healthy IPv6 endpoint keeps no IPv4 standby away", rules{MinReady: 1},
			[]string{"192.0.2.1 http=80 0 down", "2001:db8::1 http=80 0 up", "192.0.2.2 http=80 1 up", "2001:db8::2 http=80 1 up"}, "FFF TTF TTF FFF"},
		{"nor a healthy IPv4 endpoint an IPv6 standby", rules{MinReady: 1},
			[]string{"192.0.2.1 http=80 0 up", "2001:db8::1 http=80 0 down", "192.0.2.2 http=80 1 up", "2001:db8::2 http=80 1 up"}, "TTF FFF FFF TTF"},
		{"nor one that is published as a name", rules{MinReady: 1},
			[]string{"db.example http=80 0 up", "192.0.2.1 http=80 0 down", "192.0.2.2 http=80 1 up"}, "TTF FFF TTF"},
		{"another number is the same port: standby", rules{MinReady: 1},
			[]string{"192.0.2.1 postgres=5432 0 up", "192.0.2.2 postgres=6432 1 up"}, "TTF FFF"},
		{"another number is the same port: takeover", rules{MinReady: 1},
			[]string{"192.0.2.1 postgres=5432 0 down", "192.0.2.2 postgres=6432 1 up"}, "FFF TTF"},
		{"another appProtocol is the same port", rules{MinReady: 1},
			[]string{"192.0.2.1 web=80 0 up", "192.0.2.2 web+kubernetes.io/h2c=80 1 up"}, "TTF FFF"},
		{"another protocol is another port", rules{MinReady: 1},
			[]string{"192.0.2.1 dns=53 0 up", "192.0.2.2 dns/udp=53 1 up"}, "TTF TTF"},
		{"ports of one Service", rules{MinReady: 1},
			[]string{"192.0.2.1 web=80 0 up", "192.0.2.2 db=5432 0 down", "192.0.2.3 web=80 1 up", "192.0.2.4 db=5432 1 up"}, "TTF FFF FFF TTF"},
		{"one endpoint stands by at one port and is needed at another", rules{MinReady: 1},
			[]string{"192.0.2.1 pg=5432 0 up", "192.0.2.2 metrics=9187 0 down", "192.0.2.3 pg=5432,metrics=9187 1 up"}, "TTF FFF FFF TTF"},
		{"the other way round", rules{MinReady: 1},
			[]string{"192.0.2.1 pg=5432 0 down", "192.0.2.2 metrics=9187 0 up", "192.0.2.3 metrics=9187,pg=5432 1 up"}, "FFF TTF FFF TTF"},
		{"three ports, of which the middle one is needed", rules{MinReady: 1},
			[]string{"192.0.2.1 a=1,c=3 0 up", "192.0.2.2 a=1,b=2,c=3 1 up"}, "TTF TTF FFF TTF FFF"},
		{"a standby alone has a port", rules{MinReady: 1},
			[]string{"192.0.2.1 web=80 0 up", "192.0.2.2 web=80,tls=443 1 up"}, "TTF FFF TTF"},
		{"minReady for each family", rules{MinReady: 2},
			[]string{"192.0.2.1 http=80 0 up", "192.0.2.2 http=80 0 up", "2001:db8::1 http=80 0 up", "192.0.2.3 http=80 1 up", "2001:db8::2 http=80 1 up"}, "TTF TTF TTF FFF TTF"},
		{"whenNoneHealthy for each family", rules{MinReady: 1, WhenNoneHealthy: all},
			[]string{"192.0.2.1 http=80 0 down", "192.0.2.2 http=80 0 down", "2001:db8::1 http=80 0 up", "2001:db8::2 http=80 0 down"}, "TTF TTF TTF FFF"},
		{"whenNoneHealthy for each port", rules{MinReady: 1, WhenNoneHealthy: all},
			[]string{"192.0.2.1 web=80,db=1 0 down", "192.0.2.2 web=80 0 up"}, "FFF TTF TTF"},
		{"minHealthyPercent for each port", rules{MinReady: 1, MinHealthyPercent: 60},
			[]string{"192.0.2.1 web=80 0 up", "192.0.2.2 web=80 0 up", "192.0.2.3 web=80,db=1 0 down", "192.0.2.4 db=1 0 up"}, "TTF TTF FFF TTF TTF"},
		{"none was healthy last", rules{MinReady: 1, WhenNoneHealthy: last},
			[]string{"192.0.2.1 http=80 0 down", "2001:db8::1 http=80 0 up"}, "FFF TTF"},
		{"what drains by its own word keeps no standby of the other family away", rules{MinReady: 1},
			[]string{"192.0.2.1 http=80 0 drains", "2001:db8::1 http=80 0 up", "192.0.2.2 http=80 1 up", "2001:db8::2 http=80 1 up"}, "FTT TTF TTF FFF"},
		{"a new IPv6 endpoint keeps no IPv4 standby waiting", rules{MinReady: 1},
			[]string{"192.0.2.1 http=80 0 down", "2001:db8::1 http=80 0 new", "192.0.2.2 http=80 1 up"}, "FFF FFF TTF"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			all := fixtures.Verdicts(t, test.endpoints...)
			test.rules.Assign(all, noPast())
			if got := publishedAtPorts(t, all); got != test.want {
				t.Errorf("published as %s, want %s", got, test.want)
			}
		})
	}
}

// A split endpoint has one verdict, whichever of its slices is read.
func TestSplitByRole_Restart_ReadsBackBothRoles(t *testing.T) {
	all := fixtures.Verdicts(t, "192.0.2.1 pg=5432 0 up", "192.0.2.2 metrics=9187 0 down", "192.0.2.3 pg=5432,metrics=9187 1 up")
	rules := Rules{MinReady: 1}
	first := rules.Assign(all, noPast())
	_, written := fixtures.PlanAndApply(t, fixtures.Wants(SplitByRole(all)), nil)
	read := slicestate.Read(written)
	if state, ok := read.State(all[2].Endpoint); !ok || state != health.StateHealthy {
		t.Errorf("the split endpoint is read back %v", state)
	}
	second := rules.Assign(all, Past{Published: read.At})
	for i := range first {
		if first[i].tierDecision != second[i].tierDecision {
			t.Errorf("%s: %+v, after a restart %+v", first[i], first[i].tierDecision, second[i].tierDecision)
		}
	}
	if plan, _ := fixtures.PlanAndApply(t, fixtures.Wants(SplitByRole(all)), written); fixtures.Writes(plan) != [3]int{} {
		t.Errorf("a restart writes %v", fixtures.Writes(plan))
	}
}

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
	"slices"
	"testing"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/endpoint"
)

func TestLimitReady_MoreServers_StandBy(t *testing.T) {
	const all = farpointv1.PublishAll
	for _, test := range []struct {
		name      string
		rules     Rules
		endpoints string
		hostnames []string
		want      string
		excess    []string
	}{
		{"no limit", Rules{MinReady: 1}, "0up 0up", nil, "TTF TTF", nil},
		{"few enough", Rules{MinReady: 1, MaxReady: 2}, "0up 0up 0down", nil, "TTF TTF FFF", nil},
		{"order of the spec", Rules{MinReady: 1, MaxReady: 1}, "0up 0up", nil, "TTF stby", []string{"1"}},
		{"priority", Rules{MinReady: 2, MaxReady: 2}, "1up 0up 1UP", nil, "stby TTF TTF", []string{"0"}},
		{"the incumbent", Rules{MinReady: 1, MaxReady: 1}, "0up 0UP", nil, "stby TTF", []string{"0"}},
		{"a dead incumbent", Rules{MinReady: 1, MaxReady: 1}, "0up 0DOWN", nil, "TTF FFF", nil},
		{"an incumbent of another role", Rules{MinReady: 1, MaxReady: 1}, "0up 0OTHER", nil, "TTF other", nil},
		{"two addresses of one server", Rules{MinReady: 1, MaxReady: 1}, "0up 0up 0up", []string{"a", "b", "a"}, "TTF stby TTF", []string{"1"}},
		{"two addresses of the incumbent", Rules{MinReady: 1, MaxReady: 1}, "0up 0up 0UP", []string{"a", "b", "b"}, "stby TTF TTF", []string{"0"}},
		{"failing open is bounded, and no split brain", Rules{MinReady: 1, MaxReady: 1, WhenNoneHealthy: all}, "0down 0DOWN", nil, "stby open", nil},
		{"healthy ones come before failing open", Rules{MinReady: 1, MaxReady: 1, MinHealthyPercent: 90}, "0DOWN 0up", nil, "stby TTF", nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			verdicts, ready := verdictsOf(test.endpoints)
			for i, hostname := range test.hostnames {
				verdicts[i].Spec.Hostname = hostname
			}
			was := pastOf(past{}, ready)
			decisions := test.rules.Assign(verdicts, was)
			excess := test.rules.LimitReady(verdicts, decisions, was)
			if got := published(verdicts); got != test.want {
				t.Errorf("%s are published as %s, want %s", test.endpoints, got, test.want)
			}
			if !slices.Equal(excess.Names, test.excess) {
				t.Errorf("excess %v, want %v", excess.Names, test.excess)
			}
			readiness := decisions[0].Readiness(false)
			healthyReady := 0
			for i := range verdicts {
				if isHealthy(&verdicts[i]) && verdicts[i].Conditions(false).Ready {
					healthyReady++
				}
			}
			if readiness.Ready != healthyReady {
				t.Errorf("%d endpoints count as ready, want %d", readiness.Ready, healthyReady)
			}
		})
	}
}

func TestRules_MinAvailable_DefaultsToMinReady(t *testing.T) {
	for _, test := range []struct{ minReady, minAvailable, wantReady, wantAvailable int }{
		{0, 0, 1, 1}, {3, 0, 3, 3}, {1, 2, 1, 2}, {3, 1, 3, 1},
	} {
		rules := RulesOf(&farpointv1.Availability{MinReady: int32(test.minReady), MinAvailable: int32(test.minAvailable)})
		if got, want := fmt.Sprint(rules.MinReady, rules.MinAvailable), fmt.Sprint(test.wantReady, test.wantAvailable); got != want {
			t.Errorf("%+v: %s, want %s", test, got, want)
		}
	}
}

// An endpoint may have one role for one port and another for another one.
func TestLimitReady_RolesDifferByPort_AllPortsStandBy(t *testing.T) {
	verdicts, ready := verdictsOf("0up 0up")
	was := pastOf(past{}, ready)
	rules := Rules{MinReady: 1, MaxReady: 1}
	decisions := rules.Assign(verdicts, was)
	verdicts[1].PortRoles = []endpoint.Role{endpoint.InUse}
	rules.LimitReady(verdicts, decisions, was)
	if v := verdicts[1]; v.Role != endpoint.Standby || v.PortRoles != nil {
		t.Errorf("role %d, %v", v.Role, v.PortRoles)
	}
}

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
	"runtime"
	"strings"
	"testing"

	discoveryv1 "k8s.io/api/discovery/v1"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/endpoint"
	"farpoint.dev/farpoint/controllers/sliceplan"
	"farpoint.dev/farpoint/controllers/slicestate"
	"farpoint.dev/farpoint/probes"
	"farpoint.dev/farpoint/probes/health"
	"farpoint.dev/farpoint/test/fixtures"
)

// verdictsOf reads endpoints such as "1down": priority and what is known. Capitals mark those
// that were ready before.
func verdictsOf(words string) (all []endpoint.Verdict, ready map[string]bool) {
	ready = map[string]bool{}
	ports := fixtures.HTTPPort(8080)
	for i, word := range strings.Fields(words) {
		v := endpoint.Verdict{Endpoint: &endpoint.Endpoint{Index: i, Name: fmt.Sprint(i), Ports: ports, Spec: &farpointv1.Endpoint{Priority: int32(word[0] - '0')}}}
		ready[v.Name] = strings.ToLower(word) != word
		switch strings.ToLower(word[1:]) {
		case "up":
			v.Health = health.New(health.StateHealthy)
		case "down":
			v.Health = health.New(health.StateUnhealthy)
		case "new":
		case "dark": // cannot be probed
			v.Health.Cause = probes.Result{Reason: probes.ReasonNetworkUnreachable}
		case "held":
			v.Held = true
		case "drains": // by its own word
			v.Health = health.New(health.StateDraining)
		case "other": // has another role
			v.Health = health.New(health.StateIneligible)
		case "draining":
			v.Spec.State = farpointv1.EndpointDraining
			v.Health = health.New(health.StateHealthy)
		case "disabled":
			v.Spec.State = farpointv1.EndpointDisabled
		default:
			panic(word)
		}
		all = append(all, v)
	}
	return all, ready
}

// pastOf is a past in which this was in force, and these endpoints were ready.
func pastOf(was past, ready map[string]bool) Past {
	decided := groupDecision{GroupKey: groupKeyOf(discoveryv1.AddressTypeFQDN, &fixtures.HTTPPort(8080).Ports[0])}
	if decided.tier = was.tier; was.failingOpen {
		decided.failOpen = "whatever"
	}
	return Past{Decided: Decisions{decided}, Published: func(of *endpoint.Endpoint, _ discoveryv1.EndpointPort) (slicestate.Published, bool) {
		conditions := endpoint.Conditions{Ready: ready[of.Name], Serving: ready[of.Name]}
		return slicestate.Published{Conditions: conditions}, true
	}}
}

// noPast is the past of endpoints that have not been published.
func noPast() Past {
	return Past{Published: func(*endpoint.Endpoint, discoveryv1.EndpointPort) (slicestate.Published, bool) {
		return slicestate.Published{}, false
	}}
}

// published are the conditions of each endpoint, except of a standby and a disabled one, which
// look like those of an unhealthy one.
func published(all []endpoint.Verdict) string {
	words := make([]string, len(all))
	for i := range all {
		switch all[i].Role {
		case endpoint.Standby:
			words[i] = "stby"
		case endpoint.Disabled:
			words[i] = "off"
		case endpoint.FailOpen:
			words[i] = "open"
		default:
			c := all[i].Conditions(false)
			if c == (endpoint.Conditions{}) && all[i].IsIneligible() {
				words[i] = "other"
				continue
			}
			words[i] = fixtures.Letter(c.Ready) + fixtures.Letter(c.Serving) + fixtures.Letter(c.Terminating)
		}
	}
	return strings.Join(words, " ")
}

type roleCase struct {
	name      string
	rules     Rules
	was       past
	endpoints string
	want      string
	decision  string // tier, whether failed over, reason to fail open
}

func checkRoles(t *testing.T, cases []roleCase) {
	t.Helper()
	for _, test := range cases {
		t.Run(test.name, func(t *testing.T) {
			all, ready := verdictsOf(test.endpoints)
			now := test.rules.Assign(all, pastOf(test.was, ready))[0]
			if got := published(all); got != test.want {
				t.Errorf("%s are published as %s, want %s", test.endpoints, got, test.want)
			}
			if got := fmt.Sprintf("%d %v %s", now.tier, now.failedOver, now.failOpen); got != test.decision {
				t.Errorf("tier, failed over, fail open: %s, want %s", got, test.decision)
			}
		})
	}
}

func TestAssign_Tiers_AreUsedUntilEnoughEndpointsAreHealthy(t *testing.T) {
	checkRoles(t, []roleCase{
		{"one tier", Rules{MinReady: 1}, past{}, "0up 0down 0new", "TTF FFF FFF", "0 false "},
		{"by hand", Rules{MinReady: 1}, past{}, "0up 0draining 0disabled", "TTF FTT off", "0 false "},

		{"standby", Rules{MinReady: 1}, past{}, "0up 1up 1down", "TTF stby stby", "0 false "},
		{"standby takes over", Rules{MinReady: 1}, past{}, "0down 1up 1down", "FFF TTF FFF", "1 true "},
		{"order does not count", Rules{MinReady: 1}, past{}, "2up 1up 0down", "stby TTF FFF", "1 true "},
		{"two tiers down", Rules{MinReady: 1}, past{}, "0down 1down 2up 3up", "FFF FFF TTF stby", "2 true "},
		{"more are wanted than are left", Rules{MinReady: 2}, past{}, "0up 0down 1up 2up", "TTF FFF TTF stby", "1 true "},
		{"the first tier is too small by itself", Rules{MinReady: 2}, past{}, "0up 1up 2up", "TTF TTF stby", "1 false "},
		{"a tier that is drained by hand", Rules{MinReady: 1}, past{}, "0draining 1up", "FTT TTF", "1 true "},
		{"a tier that is disabled by hand", Rules{MinReady: 1}, past{}, "0disabled 1up", "off TTF", "1 true "},
		{"a tier that is drained by hand takes nothing over", Rules{MinReady: 1}, past{}, "0down 1draining 2disabled", "FFF FTT off", "0 false "},
		{"the lowest priority need not be 0", Rules{MinReady: 1}, past{}, "5up 7up", "TTF stby", "5 false "},
		{"a standby waits for the first verdict on a primary", Rules{MinReady: 1}, past{}, "0new 1up", "FFF stby", "0 false "},
		{"also if one primary is dead already", Rules{MinReady: 1}, past{}, "0down 0new 1up", "FFF FFF stby", "0 false "},
		{"but not for two of them if it would need three", Rules{MinReady: 3}, past{}, "0down 0new 0new 1up", "FFF FFF FFF TTF", "1 true "},
		{"a new primary sends no standby home", Rules{MinReady: 1}, past{tier: 1}, "0new 1up", "FFF TTF", "1 true "},
		{"a healthy one does", Rules{MinReady: 1}, past{tier: 1}, "0up 1up", "TTF stby", "0 false "},
		{"a primary that cannot be probed is not waited for", Rules{MinReady: 1}, past{}, "0dark 1up", "FFF TTF", "1 true "},
		{"nor is one with a useless URL", Rules{MinReady: 1}, past{}, "0held 1up", "FFF TTF", "1 true "},
	})
}

func TestAssign_NoneHealthy_FollowsThePolicy(t *testing.T) {
	const none, last, all = farpointv1.PublishNone, farpointv1.PublishLastHealthy, farpointv1.PublishAll
	checkRoles(t, []roleCase{
		{"none", Rules{MinReady: 1, WhenNoneHealthy: none}, past{}, "0DOWN 0down 1down", "FFF FFF FFF", "1 true "},
		{"all", Rules{MinReady: 1, WhenNoneHealthy: all}, past{}, "0down 0down 1down 1draining 1disabled", "open open open FTT off", "1 true AllPublished"},
		{"last healthy", Rules{MinReady: 1, WhenNoneHealthy: last}, past{}, "0DOWN 0down 0DOWN 1down", "open FFF open FFF", "1 true LastHealthyPublished"},
		{"none was ever healthy", Rules{MinReady: 1, WhenNoneHealthy: last}, past{}, "0down 0down", "FFF FFF", "0 false "},
		{"one is healthy", Rules{MinReady: 1, WhenNoneHealthy: all}, past{failingOpen: true}, "0down 0up", "FFF TTF", "0 false "},
		{"a standby is healthy", Rules{MinReady: 1, WhenNoneHealthy: all}, past{}, "0DOWN 1up", "FFF TTF", "1 true "},
		{"one has had no verdict", Rules{MinReady: 1, WhenNoneHealthy: all}, past{}, "0down 0new", "FFF FFF", "0 false "},
		{"one that is added while it is in force", Rules{MinReady: 1, WhenNoneHealthy: all}, past{failingOpen: true}, "0down 0new", "open open", "0 false AllPublished"},
		{"the same with last healthy", Rules{MinReady: 1, WhenNoneHealthy: last}, past{failingOpen: true}, "0DOWN 0new", "open FFF", "0 false LastHealthyPublished"},
		{"one that cannot be probed is not waited for", Rules{MinReady: 1, WhenNoneHealthy: all}, past{}, "0down 0dark", "open open", "0 false AllPublished"},
		{"only draining ones are left", Rules{MinReady: 1, WhenNoneHealthy: all}, past{}, "0draining 0disabled", "FTT off", "0 false "},
	})
}

func TestAssign_EndpointsDrainBySelfReport_ServeOnlyIfNothingElseDoes(t *testing.T) {
	const none, last, all = farpointv1.PublishNone, farpointv1.PublishLastHealthy, farpointv1.PublishAll
	checkRoles(t, []roleCase{
		{"by its own word", Rules{MinReady: 1}, past{}, "0up 0drains", "TTF FTT", "0 false "},
		{"a standby takes over from what drains", Rules{MinReady: 1}, past{}, "0drains 1up", "FTT TTF", "1 true "},
		{"a standby that drains", Rules{MinReady: 1}, past{}, "0up 1drains", "TTF stby", "0 false "},
		{"all tiers drain", Rules{MinReady: 1}, past{}, "0drains 1drains", "FTT FTT", "1 true "},
		{"what drains is not let in of itself", Rules{MinReady: 1, WhenNoneHealthy: none}, past{}, "0DRAINS 0down", "FTT FFF", "0 false "},
		{"what drains serves, what is dead does not", Rules{MinReady: 1, WhenNoneHealthy: all}, past{}, "0drains 0down 1drains", "open FFF open", "1 true DrainingPublished"},
		{"the same with last healthy", Rules{MinReady: 1, WhenNoneHealthy: last}, past{}, "0drains 0DOWN", "open FFF", "0 false DrainingPublished"},
		{"the same with a share", Rules{MinReady: 1, MinHealthyPercent: 50}, past{}, "0drains 0down", "open FFF", "0 false DrainingPublished"},
		{"what drains is out of the count", Rules{MinReady: 1, MinHealthyPercent: 50}, past{}, "0up 0drains 0drains 0drains", "TTF FTT FTT FTT", "0 false "},
		{"and not let in by it", Rules{MinReady: 1, MinHealthyPercent: 60}, past{}, "0up 0down 0drains", "TTF open FTT", "0 false BelowMinHealthyPercent"},
		{"all of a tier drain, and the next is below", Rules{MinReady: 1, MinHealthyPercent: 60}, past{}, "0drains 1up 1down", "FTT TTF open", "1 true BelowMinHealthyPercent"},
		{"a verdict is awaited", Rules{MinReady: 1, WhenNoneHealthy: all}, past{}, "0drains 0new", "FTT FFF", "0 false "},
	})
}

func TestAssign_EndpointsAreIneligible_GetNoTrafficByAnyRule(t *testing.T) {
	const last, all = farpointv1.PublishLastHealthy, farpointv1.PublishAll
	checkRoles(t, []roleCase{
		{"other roles", Rules{MinReady: 1}, past{}, "0up 0other 0other", "TTF other other", "0 false "},
		{"the role is a later tier's, which is no failover", Rules{MinReady: 1}, past{}, "0other 1up", "other TTF", "1 false "},
		{"a later tier stands in for one that is dead", Rules{MinReady: 1}, past{}, "0other 0down 1up", "other FFF TTF", "1 true "},
		{"all have other roles", Rules{MinReady: 1, WhenNoneHealthy: all}, past{}, "0OTHER 0other", "other other", "0 false "},
		{"all have other roles, with last healthy", Rules{MinReady: 1, WhenNoneHealthy: last}, past{}, "0OTHER 0other", "other other", "0 false "},
		{"all have other roles, with a share", Rules{MinReady: 1, MinHealthyPercent: 50}, past{}, "0OTHER 0other", "other other", "0 false "},
		{"failing open publishes dead ones alone", Rules{MinReady: 1, WhenNoneHealthy: all}, past{}, "0OTHER 0down", "other open", "0 false AllPublished"},
		{"the last healthy one has another role", Rules{MinReady: 1, WhenNoneHealthy: last}, past{}, "0OTHER 0DOWN", "other open", "0 false LastHealthyPublished"},
		{"draining ones serve", Rules{MinReady: 1, WhenNoneHealthy: all}, past{}, "0OTHER 0drains", "other open", "0 false DrainingPublished"},
		{"other roles count for no share", Rules{MinReady: 1, MinHealthyPercent: 60}, past{}, "0up 0other 0other", "TTF other other", "0 false "},
		{"a share publishes dead ones alone", Rules{MinReady: 1, MinHealthyPercent: 60}, past{}, "0up 0down 0other", "TTF open other", "0 false BelowMinHealthyPercent"},
		{"other roles on standby", Rules{MinReady: 1}, past{}, "0up 1other", "TTF stby", "0 false "},
	})
}

func TestAssign_MinHealthyPercent_FailsOpenBelowIt(t *testing.T) {
	const none = farpointv1.PublishNone
	checkRoles(t, []roleCase{
		{"share", Rules{MinReady: 1, MinHealthyPercent: 50}, past{}, "0up 0down 0down", "TTF open open", "0 false BelowMinHealthyPercent"},
		{"just enough", Rules{MinReady: 1, MinHealthyPercent: 50}, past{}, "0up 0down", "TTF FFF", "0 false "},
		{"states by hand do not count", Rules{MinReady: 1, MinHealthyPercent: 50}, past{}, "0up 0draining 0disabled 0disabled", "TTF FTT off off", "0 false "},
		{"none is less than any share", Rules{MinReady: 1, MinHealthyPercent: 1, WhenNoneHealthy: none}, past{}, "0down 0down", "open open", "0 false BelowMinHealthyPercent"},
		{"100 percent", Rules{MinReady: 1, MinHealthyPercent: 100}, past{}, "0up 0up 0down", "TTF TTF open", "0 false BelowMinHealthyPercent"},
		{"before the first verdicts", Rules{MinReady: 1, MinHealthyPercent: 50}, past{}, "0up 0new 0new", "TTF FFF FFF", "0 false "},
		{"new ones cannot save it", Rules{MinReady: 1, MinHealthyPercent: 50}, past{}, "0up 0down 0down 0down 0new", "TTF open open open open", "0 false BelowMinHealthyPercent"},
		{"new ones do not end it", Rules{MinReady: 1, MinHealthyPercent: 50}, past{failingOpen: true}, "0up 0down 0down 0new", "TTF open open open", "0 false BelowMinHealthyPercent"},
		{"standbys stay", Rules{MinReady: 1, MinHealthyPercent: 50}, past{}, "0up 0down 0down 1up", "TTF open open stby", "0 false BelowMinHealthyPercent"},
		{"a dead site is not mixed with the one that stands in for it", Rules{MinReady: 1, MinHealthyPercent: 50}, past{}, "0down 0down 0down 1up", "FFF FFF FFF TTF", "1 true "},
		{"nor once its first endpoint is back", Rules{MinReady: 2, MinHealthyPercent: 50}, past{tier: 1}, "0up 0down 0down 1up", "TTF FFF FFF TTF", "1 true "},
		{"every tier in use is below", Rules{MinReady: 2, MinHealthyPercent: 60}, past{}, "0up 0down 1up 1down", "TTF open TTF open", "1 true BelowMinHealthyPercent"},
	})
}

// thousand are as many endpoints as an ExternalService may have, in four tiers, of which
// two are in use.
func thousand() []endpoint.Verdict {
	all := fixtures.Numbered(1000)
	for i := range all {
		all[i].Spec = &farpointv1.Endpoint{Priority: int32(i % 4)}
		if i%4 == 0 {
			all[i].Health = health.New(health.StateUnhealthy)
		}
	}
	return all
}

// TestTakeover_AllEndpointsChange_WritesEachSliceOnce, although every endpoint changes.
func TestTakeover_AllEndpointsChange_WritesEachSliceOnce(t *testing.T) {
	wants, rules := fixtures.Wants(fixtures.Numbered(1000)), Rules{MinReady: 1}
	for i := range wants.Endpoints {
		wants.Endpoints[i].Spec = &farpointv1.Endpoint{Priority: int32(i % 2)}
	}
	rules.Assign(wants.Endpoints, noPast())
	_, present := fixtures.PlanAndApply(t, wants, nil)
	for _, state := range []health.State{health.StateUnhealthy, health.StateHealthy} {
		for i := 0; i < len(wants.Endpoints); i += 2 {
			wants.Endpoints[i].Health = health.New(state)
		}
		rules.Assign(wants.Endpoints, noPast())
		var plan sliceplan.Plan
		plan, present = fixtures.PlanAndApply(t, wants, present)
		if fixtures.Writes(plan) != [3]int{0, 10, 0} {
			t.Errorf("with the primaries %v, create, update, delete = %v", state, fixtures.Writes(plan))
		}
	}
}

func TestAssign_ThousandEndpoints_AllocatesForTheGroupAlone(t *testing.T) {
	all, rules := thousand(), Rules{MinReady: 200, MinHealthyPercent: 60}
	if n := testing.AllocsPerRun(10, func() { rules.Assign(all, noPast()) }); n > 12 {
		t.Errorf("%v allocations", n)
	}
}

// BenchmarkRoles decides about 1,000 endpoints. Together with the plan it is to stay under
// 1 ms and 64 KiB.
func BenchmarkRoles(b *testing.B) {
	all, rules := thousand(), Rules{MinReady: 200, MinHealthyPercent: 60}
	b.ReportAllocs()
	for b.Loop() {
		runtime.KeepAlive(rules.Assign(all, noPast()))
	}
}

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
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/endpoint"
	"farpoint.dev/farpoint/probes/health"
	"farpoint.dev/farpoint/test/effort"
)

// TestRolesOfAnything draws endpoints, rules and pasts at random and states what must be
// true of all of them.
func TestRolesOfAnything(t *testing.T) {
	states := []string{"up", "up", "down", "down", "new", "dark", "draining", "disabled", "drains", "drains", "DRAINS", "other", "other", "OTHER", "UP", "DOWN"}
	policies := []farpointv1.NoneHealthyPolicy{farpointv1.PublishNone, farpointv1.PublishLastHealthy, farpointv1.PublishAll}
	for seed := range uint64(effort.Rounds(20_000, 2_000)) {
		random := rand.New(rand.NewPCG(seed, 4))
		words := make([]string, 1+random.IntN(9))
		for i := range words {
			words[i] = fmt.Sprint(random.IntN(3)) + states[random.IntN(len(states))]
		}
		rules := Rules{MinReady: 1 + random.IntN(4), WhenNoneHealthy: policies[random.IntN(3)], MinHealthyPercent: random.IntN(3) * 45}
		all, ready := verdictsOf(strings.Join(words, " "))
		was := past{tier: int32(random.IntN(3)), failingOpen: random.IntN(2) == 0}
		now := rules.Assign(all, pastOf(was, ready))[0].tierDecision
		check := &roleChecker{t: t, what: fmt.Sprintf("%+v, before %d %v: %v as %s", rules, was.tier, was.failingOpen, words, published(all)), all: all, rules: rules, was: was, ready: ready, now: now}
		check.checkRoles()
		check.checkStandbys()
		check.checkFailOpen()
		check.checkSecondAssign()
	}
}

type roleChecker struct {
	t     *testing.T
	what  string
	all   []endpoint.Verdict
	rules Rules
	was   past
	ready map[string]bool
	now   tierDecision
}

// count counts the active endpoints in tiers from the first to the last.
func (c *roleChecker) count(first, last int32, which func(*endpoint.Verdict) bool) int {
	n := 0
	for i := range c.all {
		v := &c.all[i]
		if endpoint.StateOf(v.Spec) == farpointv1.EndpointActive && v.Spec.Priority >= first && v.Spec.Priority <= last && which(v) {
			n++
		}
	}
	return n
}

func isHealthy(v *endpoint.Verdict) bool  { return v.Health.State == health.StateHealthy }
func isAny(*endpoint.Verdict) bool        { return true }
func drains(v *endpoint.Verdict) bool     { return v.Health.State == health.StateDraining }
func stays(v *endpoint.Verdict) bool      { return !drains(v) && !v.IsIneligible() }
func eligible(v *endpoint.Verdict) bool   { return !v.IsIneligible() }
func hasVerdict(v *endpoint.Verdict) bool { return !isAwaited(v) }

func (c *roleChecker) checkRoles() {
	for i := range c.all {
		v := &c.all[i]
		conditions := v.Conditions(false)
		if conditions.Serving && !conditions.Ready && !conditions.Terminating {
			c.t.Fatalf("%s: %d is serving alone", c.what, i)
		}
		var right bool
		switch endpoint.StateOf(v.Spec) {
		case farpointv1.EndpointDisabled:
			right = v.Role == endpoint.Disabled && conditions == endpoint.Conditions{}
		case farpointv1.EndpointDraining:
			right = v.Role == endpoint.Draining && conditions == endpoint.Conditions{Serving: isHealthy(v), Terminating: true}
		default:
			switch v.Role {
			case endpoint.Standby:
				right = v.Spec.Priority > c.now.tier && conditions == endpoint.Conditions{}
			case endpoint.FailOpen:
				right = v.Spec.Priority <= c.now.tier && !isHealthy(v) && eligible(v) && conditions == endpoint.Conditions{Ready: true, Serving: true}
			case endpoint.InUse:
				right = v.Spec.Priority <= c.now.tier && conditions == endpoint.Conditions{Ready: isHealthy(v), Serving: isHealthy(v) || drains(v), Terminating: drains(v)}
			}
		}
		if !right {
			c.t.Fatalf("%s: %d has the role %d and is published %v", c.what, i, v.Role, conditions)
		}
	}
}

// checkStandbys checks that a tier is on standby only if those before it have enough healthy
// endpoints, or may have with the verdicts to come. It is in use only if they do not have enough.
func (c *roleChecker) checkStandbys() {
	notDown := func(v *endpoint.Verdict) bool { return isHealthy(v) || isAwaited(v) }
	if c.count(c.now.tier+1, 9, isAny) > 0 && c.count(0, c.now.tier, notDown) < c.rules.MinReady {
		c.t.Fatalf("%s: tier %d does not suffice, and the next one is on standby", c.what, c.now.tier)
	}
	if c.count(0, c.now.tier-1, isHealthy) >= c.rules.MinReady {
		c.t.Fatalf("%s: tier %d is in use without need", c.what, c.now.tier)
	}
	if c.now.tier > c.was.tier && c.count(0, c.now.tier-1, notDown) >= c.rules.MinReady {
		c.t.Fatalf("%s: tier %d did not wait for verdicts", c.what, c.now.tier)
	}
	if c.now.ahead != c.count(0, c.now.tier-1, isHealthy) || c.now.healthy != c.count(0, c.now.tier, isHealthy) || c.now.active != c.count(0, c.now.tier, stays) {
		c.t.Fatalf("%s: %+v has counted wrongly", c.what, c.now)
	}
}

func (c *roleChecker) checkFailOpen() {
	opened := 0
	for i := range c.all {
		if c.all[i].Role == endpoint.FailOpen {
			opened++
		}
	}
	if (opened > 0) != (c.now.failOpen != "") || opened != c.now.opened {
		c.t.Fatalf("%s: %d endpoints fail open, the decision says %d and the reason %q", c.what, opened, c.now.opened, c.now.failOpen)
	}
	healthy, active := c.count(0, 9, isHealthy), c.count(0, 9, isAny)
	switch c.now.failOpen {
	case farpointv1.BelowMinHealthyPercentReason:
		if c.now.healthy*100 >= c.rules.MinHealthyPercent*c.now.active || opened != c.now.active-c.now.healthy {
			c.t.Fatalf("%s: %d of %d are healthy, %d let in", c.what, c.now.healthy, c.now.active, opened)
		}
	case farpointv1.AllPublishedReason:
		if healthy > 0 || c.rules.WhenNoneHealthy != farpointv1.PublishAll || opened != c.now.active || c.count(0, c.now.tier, drains) > 0 {
			c.t.Fatalf("%s: %d are healthy, %d let in", c.what, healthy, opened)
		}
	case farpointv1.LastHealthyPublishedReason:
		if healthy > 0 || c.rules.WhenNoneHealthy != farpointv1.PublishLastHealthy || opened != c.count(0, c.now.tier, func(v *endpoint.Verdict) bool { return c.ready[v.Name] && eligible(v) }) {
			c.t.Fatalf("%s: %d are healthy, %d let in", c.what, healthy, opened)
		}
	case farpointv1.DrainingPublishedReason:
		if healthy > 0 || c.rules.WhenNoneHealthy == farpointv1.PublishNone && c.rules.MinHealthyPercent == 0 || opened != c.count(0, c.now.tier, drains) {
			c.t.Fatalf("%s: %d are healthy, %d let in", c.what, healthy, opened)
		}
	default:
		judged := c.count(0, 9, hasVerdict) == active
		if active > 0 && judged && healthy == 0 && (c.rules.WhenNoneHealthy == farpointv1.PublishAll && c.count(0, 9, eligible) > 0 || c.rules.MinHealthyPercent > 0 && c.count(0, 9, stays) > 0) {
			c.t.Fatalf("%s: no endpoint fails open", c.what)
		}
	}
}

// checkSecondAssign checks that assigning roles again changes nothing.
func (c *roleChecker) checkSecondAssign() {
	reassigned := slices.Clone(c.all)
	wasReady := map[string]bool{}
	for i := range c.all {
		wasReady[c.all[i].Name] = c.all[i].Conditions(false).Ready
	}
	next := c.rules.Assign(reassigned, pastOf(past{tier: c.now.tier, failingOpen: c.now.failOpen != ""}, wasReady))[0].tierDecision
	if published(reassigned) != published(c.all) || next != c.now {
		c.t.Fatalf("%s: a second look makes %s of it", c.what, published(reassigned))
	}
}

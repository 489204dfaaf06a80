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
	"slices"
	"testing"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/slicestate"
	"farpoint.dev/farpoint/controllers/targets"
	"farpoint.dev/farpoint/probes/egress"
	"farpoint.dev/farpoint/probes/protocol"
	"farpoint.dev/farpoint/probes/transport"
	"farpoint.dev/farpoint/test/fixtures"
)

// compilation is what an object's targets are compiled from.
type compilation struct {
	history targets.History
	object  *farpointv1.ExternalService
	planner targets.Planner
	egress  *egress.Policy
	trust   targets.Certificates
	login   targets.Login
	prior   *slicestate.Prior
}

func newCompilation(endpoints int) *compilation {
	object := &farpointv1.ExternalService{}
	object.Generation = 1
	for i := range endpoints {
		object.Spec.Endpoints = append(object.Spec.Endpoints, fixtures.At(fmt.Sprintf("192.0.%d.%d", i/250, i%250+1), 8080))
	}
	policy := egress.NewPolicy(egress.Rules{})
	return &compilation{
		object: object, egress: policy, prior: &slicestate.Prior{},
		planner: targets.Planner{Registry: protocol.NewRegistry(transport.NewDialer(policy)), Egress: policy},
	}
}

func (c *compilation) compile() targets.Targets {
	c.history.Update(c.object, func(*farpointv1.HealthCheck, bool) (targets.Certificates, targets.Login) { return c.trust, c.login })
	return c.history.Targets(c.planner, &targets.Expansion{Spec: &c.object.Spec}, fixtures.OnePort, c.prior)
}

// sameTargets reports whether both are one compilation, not merely alike.
func sameTargets(a, b targets.Targets) bool { return &a.Accepted[0] == &b.Accepted[0] }

func TestHistory_NothingChanged_CompilesNothing(t *testing.T) {
	c := newCompilation(1000)
	first := c.compile()
	c.prior = publishedAt("192.0.0.1", true) // as after a transition
	if !sameTargets(first, c.compile()) {
		t.Error("the targets of one generation were compiled twice")
	}
	if allocations := testing.AllocsPerRun(10, func() { c.compile() }); allocations > 20 {
		t.Errorf("%v allocations for 1,000 endpoints", allocations)
	}
}

func TestHistory_ChangedInput_CompilesAgain(t *testing.T) {
	for name, change := range map[string]func(*compilation){
		"the spec": func(c *compilation) {
			c.object.Generation++
			c.object.Spec.Endpoints = append(c.object.Spec.Endpoints, fixtures.At("198.51.100.1", 80))
		},
		"a Secret":               func(c *compilation) { c.login = targets.Login{Credentials: &protocol.Credentials{Username: "probe"}} },
		"a Secret that is wrong": func(c *compilation) { c.login = targets.Login{Fault: "has no key password"} },
		"a ConfigMap":            func(c *compilation) { c.trust = targets.Certificates{Unavailable: true, Fault: "no ConfigMap"} },
		"a policy": func(c *compilation) {
			c.planner = c.planner.Within(fixtures.LimitsOf(t, fixtures.PolicyNamed("p", func(*farpointv1.ExternalServicePolicySpec) {})), 1000)
		},
		"the cluster's ranges": func(c *compilation) { c.egress.Set(egress.Rules{}) },
		"room for endpoints":   func(c *compilation) { c.planner = c.planner.Within(nil, 7) },
	} {
		t.Run(name, func(t *testing.T) {
			c := newCompilation(2)
			first := c.compile()
			change(c)
			second := c.compile()
			if sameTargets(first, second) {
				t.Fatal("the targets were not compiled again")
			}
			if c.login.Fault == "" && c.trust.Fault == "" && !sameTargets(second, c.compile()) {
				t.Error("the targets were compiled again although nothing changed since")
			}
		})
	}
}

func TestHistory_OtherAddressesOfAName_CompileAgain(t *testing.T) {
	c := newCompilation(1)
	c.compile()
	c.object.Spec.Endpoints[0].Address = "db.example.com"
	c.object.Generation++
	answer := []string{"192.0.2.1", "192.0.2.2"}
	compile := func() targets.Targets {
		c.history.Update(c.object, func(*farpointv1.HealthCheck, bool) (targets.Certificates, targets.Login) { return c.trust, c.login })
		return c.history.Targets(c.planner, expanding(zone{"db.example.com A": resolved(answer...)}).Expand(&c.object.Spec), fixtures.OnePort, c.prior)
	}
	first := compile()
	if !sameTargets(first, compile()) {
		t.Error("the same answer compiled the targets again")
	}
	answer = slices.Concat(answer, []string{"192.0.2.3"})
	if got := compile(); len(got.Accepted) != 3 {
		t.Errorf("%d endpoints after the answer has three addresses", len(got.Accepted))
	}
}

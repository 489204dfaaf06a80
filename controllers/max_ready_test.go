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

package controllers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	farpointv1 "farpoint.dev/farpoint/api/v1"
	"farpoint.dev/farpoint/controllers/availability"
	"farpoint.dev/farpoint/controllers/endpoint"
	"farpoint.dev/farpoint/controllers/report"
	"farpoint.dev/farpoint/controllers/slicestate"
	"farpoint.dev/farpoint/controllers/targets"
	"farpoint.dev/farpoint/probes/health"
	"farpoint.dev/farpoint/test/effort"
	"farpoint.dev/farpoint/test/fixtures"
)

// limitedObject publishes endpoints at random, with a bound of how many servers are ready.
type limitedObject struct {
	t          *testing.T
	random     *rand.Rand
	object     *farpointv1.ExternalService
	reconciler *Reconciler
	store      client.Client
	// serverOf finds the server of an address and a port.
	serverOf  map[endpoint.Key]string
	endpoints []endpoint.Verdict
	// failing is the share of writes that fail, in percent.
	failing int
	what    string
	// writes are the times of the writes of the last step.
	writes []time.Time
}

func newLimitedObject(t *testing.T, seed uint64) *limitedObject {
	random := rand.New(rand.NewPCG(seed, 15))
	m := &limitedObject{t: t, random: random, object: fixtures.Owner(), serverOf: map[endpoint.Key]string{}, failing: random.IntN(2) * 20}
	m.object.Spec.Availability = farpointv1.Availability{
		MinReady: 1, MaxReady: 1 + int32(random.IntN(3)), MinHealthyPercent: int32(random.IntN(2) * 50),
		WhenNoneHealthy: []farpointv1.NoneHealthyPolicy{farpointv1.PublishNone, farpointv1.PublishLastHealthy, farpointv1.PublishAll}[random.IntN(3)],
	}
	ports := []*endpoint.PortSet{fixtures.HTTPPort(80), endpoint.NewPortSet([]discoveryv1.EndpointPort{
		endpoint.NewPort("http", corev1.ProtocolTCP, 8080, nil), endpoint.NewPort("admin", corev1.ProtocolTCP, 9090, nil),
	})}
	for i := range 2 + random.IntN(8) {
		address := fmt.Sprintf("192.0.2.%d", i+1)
		if random.IntN(3) == 0 {
			address = fmt.Sprintf("2001:db8::%d", i+1)
		}
		v := fixtures.Healthy(address, ports[random.IntN(2)])
		v.Index, v.Name = i, v.Keys()[0].String()
		v.Spec.Priority = int32(random.IntN(2))
		server := v.Name
		if random.IntN(3) == 0 {
			v.Spec.Hostname = fmt.Sprintf("db-%d", random.IntN(2))
			server = v.Spec.Hostname
		}
		for _, key := range v.Keys() {
			m.serverOf[key] = server
		}
		m.endpoints = append(m.endpoints, v)
	}
	m.connect()
	return m
}

// connect checks the bound after each single write.
func (m *limitedObject) connect() {
	refuse := func(object client.Object) error {
		if m.random.IntN(100) >= m.failing {
			return nil
		}
		resource := schema.GroupResource{Group: "discovery.k8s.io", Resource: "endpointslices"}
		return []error{apierrors.NewConflict(resource, object.GetName(), errors.New("somebody was faster")), apierrors.NewForbidden(resource, object.GetName(), errors.New("quota"))}[m.random.IntN(2)]
	}
	wrote := func(err error) error {
		m.writes = append(m.writes, time.Now()) //nolint:forbidigo // it measures
		m.check()
		return err
	}
	m.store = fake.NewClientBuilder().WithScheme(clientgoscheme.Scheme).Build()
	c := interceptor.NewClient(m.store.(client.WithWatch), interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, object client.Object, options ...client.CreateOption) error {
			if err := refuse(object); err != nil {
				return err
			}
			return wrote(c.Create(ctx, object, options...))
		},
		Update: func(ctx context.Context, c client.WithWatch, object client.Object, options ...client.UpdateOption) error {
			if err := refuse(object); err != nil {
				return err
			}
			return wrote(c.Update(ctx, object, options...))
		},
		Delete: func(ctx context.Context, c client.WithWatch, object client.Object, options ...client.DeleteOption) error {
			if err := refuse(object); err != nil {
				return err
			}
			return wrote(c.Delete(ctx, object, options...))
		},
	})
	m.reconciler = &Reconciler{client: c, slices: applierOn(c).slicesApplier, decisions: &availability.DecisionStore{}, clock: clock.RealClock{}, maxEndpoints: 1 + m.random.IntN(4)}
}

// ready are the servers that the slices publish as ready.
func (m *limitedObject) ready() []string {
	servers := map[string]bool{}
	for _, slice := range written(m.t, m.store) {
		for _, e := range slice.Endpoints {
			for _, port := range slice.Ports {
				if *e.Conditions.Ready {
					servers[m.serverOf[endpoint.HostOf(e.Addresses[0]).Key(port)]] = true
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(servers))
}

func (m *limitedObject) check() {
	if ready := m.ready(); len(ready) > int(m.object.Spec.Availability.MaxReady) {
		m.t.Fatalf("%s: %v are ready, and maxReady is %d", m.what, ready, m.object.Spec.Availability.MaxReady)
	}
}

// step gives endpoints other verdicts, or has them leave the spec and come back, and publishes
// that. It returns the verdicts and the error of the writes.
func (m *limitedObject) step() ([]endpoint.Verdict, error) {
	var verdicts []endpoint.Verdict
	for i := range m.endpoints {
		v := &m.endpoints[i]
		if m.random.IntN(3) == 0 {
			v.Health = health.New(health.State(m.random.IntN(5)))
			v.Spec.State = []farpointv1.EndpointState{"", "", "", farpointv1.EndpointDraining, farpointv1.EndpointDisabled}[m.random.IntN(5)]
		}
		if m.random.IntN(10) > 0 {
			verdicts = append(verdicts, *v)
		}
	}
	return verdicts, m.publish(verdicts)
}

func (m *limitedObject) publish(verdicts []endpoint.Verdict) error {
	existing := written(m.t, m.store)
	rules, past := availability.RulesOf(&m.object.Spec.Availability), availability.Past{Decided: m.reconciler.decisions.Of(probeOwner(m.object)), Published: slicestate.Read(existing).At}
	decisions := rules.Assign(verdicts, past)
	excess := rules.LimitReady(verdicts, decisions, past)
	current := currentState{service: report.EvaluateService(m.object, fixtures.Service()), slices: existing}
	evaluated := evaluation{targets: &targets.Targets{}, verdicts: verdicts, availability: decisions, excess: excess}
	m.writes = nil
	done, err := m.reconciler.syncSlices(m.t.Context(), m.object, current, evaluated, fixtures.Noon.Time)
	return errors.Join(err, done.err())
}

// Whatever the verdicts, and whichever writes fail: after no single write are more servers ready
// than maxReady, in all slices together.
func TestSyncSlices_MaxReady_HoldsAfterEachWrite(t *testing.T) {
	for seed := range uint64(effort.Rounds(20, 4)) {
		m := newLimitedObject(t, seed)
		for step := range 40 {
			before := m.ready()
			m.what = fmt.Sprintf("seed %d, step %d, %v before", seed, step, before)
			verdicts, err := m.step()
			if err != nil {
				continue
			}
			expected := map[string]bool{}
			for i := range verdicts {
				if v := &verdicts[i]; v.Conditions(false).Ready {
					expected[m.serverOf[v.Keys()[0]]] = true
				}
			}
			if got, want := m.ready(), slices.Sorted(maps.Keys(expected)); !slices.Equal(got, want) {
				t.Fatalf("%s: %v are ready, want %v", m.what, got, want)
			}
		}
	}
}

// Of two primaries the one that has the traffic keeps it. When it is demoted, the other one gets it
// at once, by two writes: the gap between them is that of one write.
func TestSyncSlices_TwoPrimaries_TakeOverOneByOne(t *testing.T) {
	m := newLimitedObject(t, 1)
	m.failing, m.object.Spec.Availability = 0, farpointv1.Availability{MinReady: 1, MaxReady: 1}
	m.endpoints, m.serverOf = nil, map[endpoint.Key]string{}
	for i, address := range []string{"192.0.2.1", "192.0.2.2"} {
		v := fixtures.Healthy(address, fixtures.HTTPPort(80))
		v.Index, v.Name = i, v.Keys()[0].String()
		m.serverOf[v.Keys()[0]] = address
		m.endpoints = append(m.endpoints, v)
	}
	first, second := &m.endpoints[0], &m.endpoints[1]
	for _, now := range []struct {
		first, second health.State
		ready         string
		writes        int
	}{
		{health.StateIneligible, health.StateHealthy, "192.0.2.2", 1},
		{health.StateHealthy, health.StateHealthy, "192.0.2.2", 1}, // the annotation has the first one's health
		{health.StateHealthy, health.StateIneligible, "192.0.2.1", 2},
		{health.StateHealthy, health.StateHealthy, "192.0.2.1", 1},
		{health.StateUnhealthy, health.StateHealthy, "192.0.2.2", 2},
	} {
		first.Health, second.Health = health.New(now.first), health.New(now.second)
		if err := m.publish(slices.Clone(m.endpoints)); err != nil {
			t.Fatal(err)
		}
		if got := m.ready(); !slices.Equal(got, []string{now.ready}) || len(m.writes) != now.writes {
			t.Errorf("%v and %v: %v is ready after %d writes, want %s after %d", now.first, now.second, got, len(m.writes), now.ready, now.writes)
		}
		if len(m.writes) == 2 {
			t.Logf("nobody is ready for %v", m.writes[1].Sub(m.writes[0]))
		}
	}
}
